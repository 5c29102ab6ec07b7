"""How checkpoints are judged: the `eval` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from eval.metrics.registry import METRICS, check_chosen
from eval.taste import Taste
from foundation.config.home import PathText, PathTextOrNone
from foundation.config.installed import NameIn
from foundation.data.spec import Kind

TRIGGER = "{trigger}"
"""Stands in a prompt where the data set's trigger phrase goes."""

Sampler = Literal["own", "ddim", "dpm++"]
if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Annotated[str, NameIn(METRICS, counts=lambda metric: False)]

_Positive = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Part = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Where a statistic begins to worry and where it is as bad as it gets; severity runs from 0 to 1 between them."""

    warn: Annotated[float, Field(allow_inf_nan=False)]
    """Severity is 0 up to here, in the statistic's own unit."""
    alarm: Annotated[float, Field(allow_inf_nan=False)]
    """Severity is 1 from here; below `warn` where a falling statistic is the bad sign."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """When a criterion worries, and what the overfit index made of them means."""

    val_rise: Limits = field(default_factory=lambda: Limits(warn=0.02, alarm=0.05))
    """Rise of the validation loss over its lowest value so far, as a share (0.05 = 5 %)."""
    copy: Limits = field(default_factory=lambda: Limits(warn=0.03, alarm=0.10))
    """Share of pictures that copy a training picture, less the base's own share; 0 to 1."""
    fall: Limits = field(default_factory=lambda: Limits(warn=0.05, alarm=0.45))
    """Fall of the score below the trial's best, as a share of that (0.45 = 45 %)."""
    diversity: Limits = field(default_factory=lambda: Limits(warn=0.7, alarm=0.4))
    """How much the pictures of one prompt differ, as a share of what they should; the alarm lies below the warning."""
    prompt_spread: Limits = field(default_factory=lambda: Limits(warn=0.3, alarm=0.1))
    """How much they differ from prompt to prompt, the same."""
    prompt_drop: Limits = field(default_factory=lambda: Limits(warn=1.5, alarm=3.0))
    """Loss of prompt match against the base, in points of 100·cosine scaled to a margin of ten points."""
    drift: Limits = field(default_factory=lambda: Limits(warn=0.5, alarm=0.8))
    """How far pictures of unrelated prompts have left the base's; 1 = as unlike as another prompt's picture."""
    class_leak: Limits = field(default_factory=lambda: Limits(warn=0.3, alarm=0.7))
    """How far the class word alone draws the subject or the person, 0 to 1; of a style it is not measured."""
    past_best: Annotated[float, Field(gt=0)] = 0.25
    """A trial whose score fell by such a share of its best (0.25 = 25 %) is past it, and ends."""
    paired_t: Annotated[float, Field(ge=0)] = 2.0
    """A rise of the validation loss counts only above this paired t over the images (or after `rises`), a fall of the
    score ends a trial only above it over the prompts."""
    rises: _Positive = 3
    """…or when the validation loss rose this many evaluations in a row."""
    min_copies: _Positive = 2
    """Fewer copying pictures than this are taken for chance."""
    overfit: _Share = 0.75
    """The overfit index from which a checkpoint speaks for stopping; 0 to 1."""
    in_a_row: _Positive = 2
    """So many evaluations in a row must say so."""
    clean: _Share = 0.5
    """Below this overfit index a checkpoint may be chosen as the best; 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("val_rise", "copy", "fall", "prompt_drop", "drift", "class_leak"):
            limits: Limits = getattr(self, name)
            if not limits.warn < limits.alarm:
                raise ValueError(f"{name}.warn must be < {name}.alarm, got {limits.warn} and {limits.alarm}")
        for name in ("diversity", "prompt_spread"):
            limits = getattr(self, name)
            if not limits.warn > limits.alarm:
                raise ValueError(f"{name}.warn must be > {name}.alarm, got {limits.warn} and {limits.alarm}")
        if self.clean > self.overfit:
            raise ValueError(f"clean must be ≤ overfit, got {self.clean} and {self.overfit}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectWeights:
    """How much each part counts in the score of a subject or a face, see `eval.subject_score`."""

    prompt_power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """The share of prompt match that is kept goes in with this power; 0: it does not count."""
    class_leak: _Part = 0.5
    """Share of the score that is lost where the class word alone draws the subject; 0: it does not count."""
    background_leak: _Part = 0.0
    """Share that is lost where the training pictures' surroundings come along whole; 0: it does not count. With a
    global eye the figure rises with likeness alone (perfect pictures of the drawn cup have .8), so none is the
    default."""
    validation: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Points of 100 that are for the validation loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """How pictures are drawn, whatever they show; the fields are those of `EvalSpec`."""

    steps: int
    guidance_scale: float
    batch_rows: int
    guidance_every: int = 1
    sampler: Sampler = "own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Strata:
    """Where the validation loss is taken: at the middles of equal strata, each with its fixed noise.

    The fields are `timestep_range`, `timestep_bins`, `noises_per_bin` and `validation_seed` of `EvalSpec`.
    """

    span: tuple[float, float]
    bins: int
    noises_per_bin: int
    seed: int

    def __len__(self) -> int:
        return self.bins * self.noises_per_bin


class SampleBudget(NamedTuple):
    """What a checkpoint is judged by: the first so many prompts, each with the first so many seeds.

    And the first so many unrelated prompts, with those of their seeds that are among these, and the first so many
    training captions, with the first seed, and the first so many prompts with the class word, seeds as unrelated ones.
    """

    prompts: int
    seeds: int
    unrelated: int
    training: int = 0
    of_class: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSpec:
    """What is drawn and measured at each evaluation."""

    kind: Kind = "style"
    """What is learned, by which it is judged: `data.kind`."""
    clip: PathText = "pocket"
    """The judging eye: "pocket" (embedded), or any CLIP or SigLIP that transformers loads: a folder or hub id."""
    image_features: PathTextOrNone = ""
    """The eye that compares pictures with one another (style, drift, likeness, FID, KID): a DINOv2 folder or
    hub id; "" for the CLIP. Prompt match and CMMD are always the CLIP's."""
    style_features: PathTextOrNone = ""
    """The eye for style fidelity alone (CSD and its like, `eval.extractors.load_style_extractor`): a folder or hub
    id; "" for that of `image_features`."""
    identity_features: PathTextOrNone = ""
    """The eye for faces of `data.kind=face`: a folder with an ONNX detector of SCRFD kind and an embedder of ArcFace
    kind, such as insightface's buffalo_l; "" for none (`eval.faces.extractor.load_face_extractor`)."""
    every: _Positive = 40
    """Training steps between two evaluations."""
    validate_every: _Positive | None = None
    """Training steps between two looks at the validation loss alone, which costs a tenth of an evaluation; None: it is
    taken at evaluations only."""
    prompts: tuple[str, ...] = ()
    """What is drawn at each evaluation; `{trigger}` becomes the data set's trigger phrase. None: held-out captions."""
    final_prompts: tuple[str, ...] = ()
    """What finalists are scored again by, so that no trial was steered by it. None: `prompts` with fresh seeds."""
    unrelated_prompts: tuple[str, ...] = ()
    """Prompts that ask for nothing the LoRA was trained on; two or more, or drift is not measured."""
    look_for_copies: Annotated[int, Field(ge=0)] = 4
    """So many captions of training pictures are drawn, too, with the first seed: by its own caption a picture that was
    learned by heart comes back first. Copies are counted among these and the prompts' pictures."""
    training_captions: tuple[str, ...] = ()
    """Which captions; none: of the pictures that are repeated most, then the first ones."""
    class_word: str = ""
    """What takes the trigger's place when prompt match is measured (a subject's class: "backpack"); "" for a style."""
    class_prompts: Annotated[int, Field(ge=0)] = 0
    """So many of `prompts`, from the first on, are drawn with `class_word` for the trigger, too, with the seeds of the
    unrelated prompts: what a subject's checkpoint makes of its class. 0: class leak is not measured."""
    subject_score: SubjectWeights = field(default_factory=SubjectWeights)
    """What the score of a subject or a face is made of."""
    taste: Taste = field(default_factory=Taste)
    """How much each part counts, of all kinds."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0, 1, 2, 3)
    """Each prompt is drawn once with each; two or more, or diversity is not measured."""
    unrelated_seeds: _Positive | None = None
    """How many of `seeds`, from the first on, the unrelated prompts are drawn with; None is all. One is enough to see
    how far they drifted."""
    tiebreak_seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()
    """Further seeds for close calls: a trial that its pictures speak against, but not surely, is drawn with these, too,
    before it is judged."""
    screening_prompts: _Positive | None = None
    """A checkpoint is first drawn for so many of the prompts with the first seed alone. These judge it where nothing
    was learned: the validation loss is above `screening_above` of the base's, the score below `screening_below`, and
    nothing speaks against it. Diversity and drift are not measured then. None: all are always drawn."""
    screening_above: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.95
    """Validation loss as a share of the base's; see `screening_prompts`."""
    screening_below: Annotated[float, Field(allow_inf_nan=False)] = 5.0
    """Points of score; see `screening_prompts`."""
    sampler: Sampler = "own"
    """What draws: the pipeline's `own` scheduler, `ddim`, or `dpm++`, the multistep solver of second order (Lu et al.
    2022, arXiv:2211.01095), which wants the fewest steps. Bases that follow a flow have their own alone."""
    sample_steps: _Positive = 25
    """Denoising steps of a picture."""
    guidance_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Classifier-free guidance; up to 1 means none."""
    guidance_every: _Positive = 1
    """Denoising steps from one to the next in which unconditional rows are computed; between these guidance adds the
    difference it found last. 2 spares a quarter of the work; SD, SDXL and SD 3 alone."""
    timestep_range: tuple[_Part, _Part] = (0.0, 1.0)
    """Where the validation loss is taken: from which share of the timesteps to which, 0 being the clean picture."""
    timestep_bins: _Positive = 4
    """Equal parts of that range; each has a loss of its own."""
    noises_per_bin: _Positive = 2
    """Fixed noises, each at its own timestep, of an image in each bin."""
    batch_rows: _Positive = 64
    """Rows that go through the denoiser at once; bounds memory, changes no number. Guidance takes two a picture."""
    validation_seed: Annotated[int, Field(ge=0)] = 0
    """Seeds the fixed noise of the validation loss; the same for all trials of a study."""
    metrics: tuple[MetricName, ...] = ()
    """Metrics of installed packages that are measured, too (docs/extending.md), beside those that objectives name. The
    built-in ones always are."""
    bootstrap_draws: _Positive = 400
    """Draws behind the standard error of the score."""
    warmup_evaluations: Annotated[int, Field(ge=0)] = 2
    """The first evaluations, which never call a trial overfit."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """When a criterion worries."""

    def __post_init__(self) -> None:
        for prompt in self.unrelated_prompts:
            if TRIGGER in prompt:
                raise ValueError(f"unrelated_prompts must not hold {TRIGGER}, got {prompt!r}")
        for name in ("prompts", "final_prompts", "unrelated_prompts", "training_captions"):
            if not all(prompt.strip() for prompt in getattr(self, name)):
                raise ValueError(f"{name} must each say something, got {list(getattr(self, name))}")
        for name, values in {
            "prompts": self.prompts,
            "final_prompts": self.final_prompts,
            "training_captions": self.training_captions,
            "seeds": self.seeds,
            "seeds and tiebreak_seeds": self.seeds + self.tiebreak_seeds,
        }.items():
            if len(set(values)) != len(values):
                raise ValueError(f"{name} must differ from one another, got {list(values)}")
        low, high = self.timestep_range
        if not low < high:
            raise ValueError(f"timestep_range must rise, got {low} and {high}")
        for prompt in self.final_prompts:
            if prompt in self.prompts:
                raise ValueError(f"final_prompts must hold none of prompts, which steer the trials, got {prompt!r}")
        check_chosen(self.metrics)

    @property
    def drawing(self) -> Drawing:
        """How its pictures are drawn."""
        return Drawing(
            steps=self.sample_steps,
            guidance_scale=self.guidance_scale,
            batch_rows=self.batch_rows,
            guidance_every=self.guidance_every,
            sampler=self.sampler,
        )

    @property
    def strata(self) -> Strata:
        """Where its validation losses are taken."""
        return Strata(
            span=self.timestep_range,
            bins=self.timestep_bins,
            noises_per_bin=self.noises_per_bin,
            seed=self.validation_seed,
        )

    def for_finalists(self, seeds: tuple[int, ...]) -> EvalSpec:
        """The same judge with fresh `seeds` and, where there are any, prompts that no trial saw."""
        prompts = self.final_prompts or self.prompts
        return replace(self, prompts=prompts, final_prompts=(), seeds=seeds, tiebreak_seeds=())

    @property
    def usual(self) -> SampleBudget:
        """What a checkpoint is judged by that has learned something."""
        return SampleBudget(
            prompts=len(self.prompts),
            seeds=len(self.seeds),
            unrelated=len(self.unrelated_prompts),
            training=len(self.training_captions),
            of_class=min(self.class_prompts, len(self.prompts)),
        )

    @property
    def whole(self) -> SampleBudget:
        """What a close call is judged by."""
        return self.usual._replace(seeds=len(self.seeds) + len(self.tiebreak_seeds))

    def within(self, budget: SampleBudget) -> EvalSpec:
        """The same judge asking for this and no more, whatever it sees; seeds are of `seeds` and `tiebreak_seeds`."""
        return replace(
            self,
            prompts=self.prompts[: budget.prompts],
            seeds=(*self.seeds, *self.tiebreak_seeds)[: budget.seeds],
            unrelated_prompts=self.unrelated_prompts[: budget.unrelated],
            unrelated_seeds=len(self.seeds_of_unrelated[: budget.seeds]),
            training_captions=self.training_captions[: budget.training],
            class_prompts=budget.of_class,
            tiebreak_seeds=(),
            screening_prompts=None,
        )

    @property
    def seeds_of_unrelated(self) -> tuple[int, ...]:
        """What the unrelated prompts are drawn with."""
        return self.seeds[: self.unrelated_seeds]
