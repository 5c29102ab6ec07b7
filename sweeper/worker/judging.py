"""Brings pack and judge together on a worker: draws with a slot's adapter, looks, and judges against the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from eval.budgets import first_budget, next_budget
from eval.cutouts import subject_pictures
from eval.evaluation import Evaluation, Validation
from eval.evidence import build_evidence
from eval.extractors import load_extractors
from eval.feature_sets import ReferenceFeatures, SampleFeatures, SubjectSamples
from eval.guidance import rows_of_a_picture
from eval.judge import Evidence, judge, validation_ratio
from eval.metrics.losses import image_means
from eval.metrics.measuring import said_once
from eval.prompts import caption_alone, drawn_by_base, without_trigger
from eval.reconstruction import reconstruct
from eval.reference import Reference, build_reference
from eval.samplers import check_sampler
from eval.spec import EvalSpec, SampleBudget
from eval.validation import ValidationSet, losses_of_base
from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.port import Base
from foundation.data.dataset import Dataset
from foundation.data.images import square
from foundation.errors import DataError
from foundation.files.cache_use import mark_used
from foundation.files.sums import digest
from sweeper.records.lease import making
from sweeper.records.messages import Draw
from sweeper.worker.drawing import NOTHING, Drawn, draw_samples, write_pictures
from sweeper.worker.reference_key import reference_key
from train.caches import EncodedDataset
from train.pack import Pack


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A slot that is to be judged."""

    slot: int
    step: int
    history: Sequence[Evaluation]
    """Of its trial, earlier evaluations."""
    validations: Sequence[Validation] = ()
    """Of its trial, the validation losses between them."""
    pictures: Path
    """The folder that its pictures go to."""


@dataclass(slots=True)
class _Look:
    """A slot while it is judged."""

    due: Due
    losses: Tensor
    """The validation losses (N, B)."""
    drawn: Drawn
    known: SampleBudget
    """What it was drawn for so far."""
    judged: Evaluation
    """By these."""


class Judging:
    """The judge of one study on one device. The reference is computed once and shared through the cache."""

    def __init__(
        self,
        pack: Pack,
        dataset: Dataset,
        data: EncodedDataset,
        spec: EvalSpec,
        trigger: str,
        cache: Path,
        working: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ):
        """What `pack` learns of `dataset`, encoded as `data`, is judged by `spec`; prompts have the `trigger`.

        `cache` is the studies' folder for what is computed once; `working` is called often while the judge is at work;
        `say` takes a line on what goes wrong with metrics.
        """
        self._pack = pack
        self._working = working
        self._failed = said_once(say)
        self._trigger = trigger
        self._spec = spec
        self._cache = cache
        self._dataset = dataset
        check_sampler(pack.base.pipeline, spec.sampler, "eval.sampler")
        self._eyes = load_extractors(spec, pack.base.device)
        self._validation = ValidationSet(
            latents=data.validation.means,
            embeddings=data.validation.embeddings,
            ids=[picture.digest for picture in dataset.validation],
            process=pack.base.process.to("cpu"),
            strata=spec.strata,
        )
        self._references: dict[EvalSpec, Reference] = {}
        self._seen: dict[tuple[Path, str, float, int], tuple[EvalSpec, Evidence]] = {}
        self.reference(spec.within(spec.whole))

    def judge(self, due: Sequence[Due]) -> list[Evaluation]:
        """Judge what these slots have learned, in the same batches, and write each one's pictures to its folder.

        They are drawn in rounds, each for more prompts or seeds, for those that want them (`eval.budgets`).
        """
        spec, slots = self._spec, [each.slot for each in due]
        first = first_budget(spec)
        drawn, losses = self._draw_slots(slots, spec.within(first), [NOTHING] * len(slots)), self.validate(slots)
        looks = [
            _Look(each, own, pictures, first, self._judge(each, pictures, own, spec.within(first)))
            for each, own, pictures in zip(due, losses, drawn, strict=True)
        ]
        for budget in (spec.usual, spec.whole):
            self._look_again([look for look in looks if next_budget(look.known, look.judged, spec) == budget], budget)
        for look in looks:
            write_pictures(look.due.pictures, look.drawn, len(self._spec.seeds))
        return [look.judged for look in looks]

    def _look_again(self, looks: Sequence[_Look], budget: SampleBudget) -> None:
        """Judge these, of which all were drawn for the same so far, by the budget."""
        if not looks:
            return
        spec = self._spec.within(budget)
        drawn = self._draw_slots([look.due.slot for look in looks], spec, [look.drawn for look in looks])
        for look, pictures in zip(looks, drawn, strict=True):
            look.drawn, look.known = pictures, budget
            look.judged = self._judge(look.due, pictures, look.losses, spec)

    def validate(self, slots: Sequence[int]) -> Tensor:
        """The validation losses (len(slots), N, B) of what these slots have learned, in the same batches."""
        embeddings = [self._embeddings(slot) for slot in slots]
        found = []
        for some in _runs(range(len(slots)), self._spec.batch_rows):
            with self._pack.acting([slots[i] for i in some]) as base:
                found.append(self._losses(base, [embeddings[i] for i in some]))
        return torch.cat(found)

    def validation(self, step: int, validation_losses: Tensor) -> Validation:
        """What the losses (N, B) of a slot after `step` steps come to."""
        ratio = validation_ratio(self.reference(self._spec), validation_losses)
        return Validation(step=step, ratio=ratio, losses=tuple(image_means(validation_losses).tolist()))

    def losses_of_base(self) -> tuple[float, ...]:
        """(N,) the base's own validation losses by held-out picture."""
        return tuple(image_means(self.reference(self._spec).base_validation).tolist())

    def _draw_slots(self, slots: Sequence[int], spec: EvalSpec, before: Sequence[Drawn]) -> list[Drawn]:
        """What `spec` asks for with each of these slots, of which each has drawn something `before`."""
        each = rows_of_a_picture(self._pack.base.pipeline, spec.guidance_scale)
        drawn = []
        for some in _runs(range(len(slots)), spec.batch_rows // each):
            with self._pack.acting([slots[i] for i in some]) as base:
                drawn += draw_samples(base, spec, self._trigger, [before[i] for i in some], self._working)
        return drawn

    def _judge(self, due: Due, drawn: Drawn, losses: Tensor, spec: EvalSpec) -> Evaluation:
        evidence = self._look(due.step, drawn, losses, spec)
        return judge(self.reference(spec), evidence, due.history, spec, due.validations, self._failed)

    def judge_file(
        self, checkpoint: Path, step: int, folder: Path, seeds: tuple[int, ...], strength: float = 1.0
    ) -> Evaluation:
        """Judge a saved checkpoint as finalists are; no slot is touched.

        The pictures go to `folder`. Where the last look at this file had these seeds first and others after them,
        nothing is drawn again, and its pictures stay where they are.
        """
        spec = self._spec.for_finalists(seeds)
        look = checkpoint, digest(checkpoint / WEIGHTS_FILE), strength, seeds[0]  # another file may have its place
        before, evidence = self._seen.get(look, (None, None))
        if before is None or evidence is None or before.seeds[: len(seeds)] != seeds:
            drawn, evidence = self.see_file(checkpoint, step, spec, strength)
            write_pictures(folder, drawn, len(self._spec.seeds), with_sheets=False)
            self._seen[look] = (spec, evidence)
        return judge(self.reference(spec), evidence.within(spec.usual), [], spec, failed=self._failed)

    def see_file(self, checkpoint: Path, step: int, spec: EvalSpec, strength: float = 1.0) -> tuple[Drawn, Evidence]:
        """Draw what `spec` asks for with a saved checkpoint, loaded as a user would load it, and look at it."""
        with self._pack.acting_file(checkpoint, strength) as base:
            (drawn,) = draw_samples(base, spec, self._trigger, working=self._working)
            (losses,) = self._losses(base, [self._encode(base)])
        return drawn, self._look(step, drawn, losses, spec)

    def draw_file(self, wanted: Draw) -> None:
        """Draw the first of the finalists' prompts with a saved checkpoint, to be looked at by people."""
        spec = self._spec.for_finalists((wanted.seed,))
        spec = replace(spec, prompts=spec.prompts[: wanted.prompts], unrelated_prompts=(), training_captions=())
        with self._pack.acting_file(wanted.checkpoint, wanted.strength) as base:
            (drawn,) = draw_samples(base, spec, self._trigger, working=self._working)
        write_pictures(wanted.out, drawn, len(self._spec.seeds), with_sheets=False)

    def judge_base(self, spec: EvalSpec) -> Evaluation:
        """The base's own judgement by `spec`: what a checkpoint's numbers begin at."""
        reference = self.reference(spec)
        evidence = Evidence(
            step=0,
            samples=reference.base_samples,
            unrelated=reference.base_unrelated,
            validation_losses=reference.base_validation,
            compositions=reference.base_compositions,
            training_compositions=reference.base_training_compositions,
            image=_of_base(reference.image) if reference.image else None,
            style=_of_base(reference.style),
            faces=_of_base(reference.faces) if reference.faces else None,
            subject=_subject_of_base(reference, spec),
        )
        return judge(reference, evidence, [], spec, failed=self._failed)

    def _look(self, step: int, drawn: Drawn, losses: Tensor, spec: EvalSpec) -> Evidence:
        """What the judge sees of pictures."""
        return build_evidence(
            self._eyes,
            step=step,
            samples=[image for row in drawn.samples for image in row],
            unrelated=[image for row in drawn.unrelated for image in row],
            training=[image for row in drawn.training for image in row],
            of_class=[image for row in drawn.of_class for image in row],
            num_seeds=len(spec.seeds),
            unrelated_seeds=len(spec.seeds_of_unrelated),
            validation_losses=losses,
            subject=self.reference(spec).subject,
        )

    def reference(self, spec: EvalSpec) -> Reference:
        """What checkpoints drawn by `spec` are held against; from memory, from the cache, or computed."""
        whole = self._whole(spec)
        if whole not in self._references:
            file = mark_used(self._cache / f"reference-{self._key(whole)}.safetensors")
            with making(file, self._working):
                found = self._read(file, whole)
                if found is None:
                    found = self._build(whole)
                    found.save(file)
            self._references[whole] = found
        return self._references[whole].within(spec.usual)

    def _whole(self, spec: EvalSpec) -> EvalSpec:
        """What the base was drawn by already, these prompts and seeds first and perhaps others after; else `spec`."""
        wanted = spec.within(spec.usual)
        return next((other for other in self._references if other.within(spec.usual) == wanted), wanted)

    def base_pictures(self, spec: EvalSpec) -> Path:
        """The folder of what the base draws, under the names that `write_pictures` gives."""
        return mark_used(self._cache / f"base-{self._key(self._whole(spec))}")

    def _read(self, file: Path, spec: EvalSpec) -> Reference | None:
        """None where it is not there in full, or was damaged: it can be computed again."""
        if not self.base_pictures(spec).exists():
            return None
        try:
            return Reference.load(file)
        except (FileNotFoundError, DataError):
            return None

    def _build(self, spec: EvalSpec) -> Reference:
        with self._pack.acting([]) as base:
            wanted = drawn_by_base(spec, self._trigger)
            (drawn,) = draw_samples(base, wanted, self._trigger, working=self._working)
            (losses,) = self._losses(base, [self._validation.embeddings])
        write_pictures(self.base_pictures(spec), drawn, len(self._spec.seeds))
        own, side = self._pack.base, self._pack.base.resolution
        train, held_out = (
            reconstruct(own, [square(each.open(), side) for each in pictures], self._working)
            for pictures in (self._dataset.train, self._dataset.validation)
        )
        return build_reference(
            self._eyes,
            train=train,
            masks=[square(mask.open(), side) for mask in self._dataset.masks],
            held_out=held_out,
            captions=[
                caption_alone(each.caption, self._trigger, spec.class_word)
                for each in (*self._dataset.train, *self._dataset.validation)
            ],
            prompts=[without_trigger(prompt, self._trigger, spec.class_word) for prompt in spec.prompts],
            base_samples=[image for row in drawn.samples for image in row],
            base_unrelated=[image for row in drawn.unrelated for image in row],
            base_training=[image for row in drawn.training for image in row],
            num_seeds=len(spec.seeds),
            unrelated_seeds=len(spec.seeds_of_unrelated),
            base_validation=losses,
            subject=None if spec.kind == "style" else subject_pictures(train, held_out, self._dataset),
        )

    def _embeddings(self, slot: int) -> Tensor:
        """The validation captions as a slot's denoiser is to meet them."""
        if not self._pack.spec(slot).adapter.text_encoder:
            return self._validation.embeddings
        with self._pack.acting([slot]) as base:
            return self._encode(base)

    def _encode(self, base: Base) -> Tensor:
        """The validation captions by the text encoder as it acts."""
        return base.encode_texts([picture.caption for picture in self._dataset.validation]).cpu()

    def _losses(self, base: Base, embeddings: Sequence[Tensor]) -> Tensor:
        return losses_of_base(self._validation, base, self._spec.batch_rows, embeddings, self._working)

    def _key(self, spec: EvalSpec) -> str:
        return reference_key(spec, self._pack.base, self._dataset, self._trigger)


def _of_base(view: ReferenceFeatures) -> SampleFeatures:
    return SampleFeatures(samples=view.base_samples, unrelated=view.base_unrelated)


def _subject_of_base(reference: Reference, spec: EvalSpec) -> SubjectSamples | None:
    if reference.subject is None:
        return None
    of_class = slice(spec.usual.of_class), slice(len(spec.seeds_of_unrelated))  # it draws the class word for both
    return SubjectSamples(
        alike=reference.subject.base_alike,
        of_class=reference.subject.base_alike[of_class],
        faces_of_class=reference.faces.base_samples[of_class] if reference.faces else None,
    )


def _runs(items: Sequence[int], length: int) -> list[list[int]]:
    """The items in order, at most `length` of them together."""
    length = max(1, length)
    return [list(items[start : start + length]) for start in range(0, len(items), length)]
