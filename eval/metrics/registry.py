"""The judge's metrics. A new one is a function in a module beside this one, and an entry here.

Other packages bring theirs as entry points of `sweeper.metrics`, each a `Metric` (docs/extending.md). Those are
measured where `eval.metrics` or an objective names them. The entries import nothing: who reads them loads no torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from foundation.config.installed import Registry
from foundation.data.spec import Kind
from foundation.errors import ConfigError, first_line

Direction = Literal["maximize", "minimize"]

DATA: Final = "the pictures it was trained on (data=)"
SEEDS: Final = "two seeds or more (seeds=)"
PROMPTS: Final = "two prompts that the base draws differently, and two seeds of each"
TWO_HELD_OUT: Final = "two held-out pictures or more (data.holdout_at_least=2)"
MASKS: Final = "masks of the subject (data.mask=), and surroundings that its pictures share"
FACES: Final = "an eye for faces (eval.identity_features), and pictures with a face"
TWO_UNRELATED: Final = "two unrelated prompts or more (unrelated=)"

OWN_NUMBERS: Final = ("step", "score", "score_se", "overfit_index", "overfit", "fall", "fall_t", "val_loss")
"""What the judge tells beside the metrics, as `BIN` and a number; no package's metric is called so."""
BIN: Final = "val_ratio_bin"
"""Begins the names of the ratios in each range of timesteps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A number that the judge takes of a checkpoint; its name is its key."""

    direction: Direction | None = None
    """Which way is better; None: neither by itself, so it is no objective and not on the card."""
    base_value: float | None = None
    """What the base has by definition; None: it has to be measured."""
    description: str
    """How to read it."""
    needs: tuple[str, ...] = ()
    """What it cannot be taken without."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    """What it is taken of (`data.kind`)."""
    compute: str | Callable[[Any], float]
    """The function that takes it of an `eval.metrics.seen.Seen`, NaN where it cannot be taken; or the name to import it
    by, `module:function`."""

    def __post_init__(self) -> None:
        if self.direction not in (None, *get_args(Direction)):
            raise ValueError(f"direction must be maximize, minimize or None, got {self.direction!r}")
        if not (callable(self.compute) or isinstance(self.compute, str)):
            raise ValueError(f"compute must be a function or module:function, got {self.compute!r}")


_BUILT_IN: Final[Mapping[str, Metric]] = {
    "style": Metric(
        direction="maximize",
        base_value=0.0,
        description="way from the base to the held-out pictures; 1 is all of it",
        needs=(DATA,),
        compute="eval.metrics.pictures:style_of",
    ),
    "prompt_match": Metric(
        direction="maximize",
        description="match of picture and prompt, in points; higher is better",
        compute="eval.metrics.pictures:prompt_match_of",
    ),
    "prompt_kept": Metric(
        direction="maximize",
        base_value=1.0,
        description="prompt match as a share of the base's",
        compute="eval.metrics.pictures:prompt_kept_of",
    ),
    "prompt_drop": Metric(
        description="prompt match lost against the base, in points scaled to a margin of ten",
        compute="eval.metrics.pictures:prompt_drop_of",
    ),
    "copy_rate": Metric(
        direction="minimize",
        base_value=0.0,
        description="share of pictures that copy a training picture, less the base's own",
        needs=(DATA,),
        compute="eval.metrics.pictures:copy_rate_of",
    ),
    "copies": Metric(
        description="pictures that copy a training picture",
        needs=(DATA,),
        compute="eval.metrics.pictures:copies_of",
    ),
    "diversity": Metric(
        direction="maximize",
        description="how much pictures of a prompt differ, as a share of what the base's and real ones do",
        needs=(SEEDS,),
        compute="eval.metrics.pictures:diversity_of",
    ),
    "prompt_spread": Metric(
        direction="maximize",
        description="how much pictures differ from prompt to prompt, as a share of what the base's and real ones do",
        needs=(PROMPTS, SEEDS),
        compute="eval.metrics.pictures:prompt_spread_of",
    ),
    "drift": Metric(
        direction="minimize",
        base_value=0.0,
        description="how far pictures of unrelated prompts moved; 0 is best",
        needs=(TWO_UNRELATED,),
        compute="eval.metrics.pictures:drift_of",
    ),
    "leak": Metric(
        description="style on prompts that did not ask for it; shown, since some want it so, and decides nothing",
        needs=(DATA, TWO_UNRELATED),
        compute="eval.metrics.pictures:leak_of",
    ),
    "val_ratio": Metric(
        direction="minimize",
        base_value=1.0,
        description="validation loss as a share of the base's; lower is better",
        needs=(DATA,),
        compute="eval.metrics.course:val_ratio_of",
    ),
    "val_rise": Metric(
        description="rise of the validation loss over its lowest so far, as a share",
        needs=(DATA,),
        compute="eval.metrics.course:val_rise_of",
    ),
    "val_t": Metric(
        description="paired t of that rise over the held-out pictures",
        needs=(DATA, TWO_HELD_OUT),
        compute="eval.metrics.course:val_t_of",
    ),
    "val_rose_in_a_row": Metric(
        description="1 where the validation loss rose at each of the last `eval.thresholds.rises` evaluations, else 0",
        needs=(DATA,),
        compute="eval.metrics.course:val_rose_in_a_row_of",
    ),
    "image_similarity": Metric(
        direction="maximize",
        description="similarity to held-out pictures; higher is better",
        needs=(DATA,),
        compute="eval.metrics.pictures:image_similarity_of",
    ),
    "cmmd": Metric(
        direction="minimize",
        description="distance to held-out pictures (CMMD); lower is better",
        needs=(DATA, TWO_HELD_OUT),
        compute="eval.metrics.pictures:cmmd_of",
    ),
    "kid": Metric(
        direction="minimize",
        description="distance to held-out pictures (KID); lower is better",
        needs=(DATA, TWO_HELD_OUT),
        compute="eval.metrics.pictures:kid_of",
    ),
    "fid": Metric(
        direction="minimize",
        description="distance to held-out pictures (FID, biased on so few); lower is better",
        needs=(DATA, TWO_HELD_OUT),
        compute="eval.metrics.pictures:fid_of",
    ),
    "likeness": Metric(
        direction="maximize",
        base_value=0.0,
        description="likeness to the subject's held-out pictures; 1 as real ones have it, 0 as the base's class word",
        needs=(DATA,),
        kinds=("subject", "face"),
        compute="eval.metrics.likeness:likeness_of",
    ),
    "class_leak": Metric(
        direction="minimize",
        base_value=0.0,
        description="how far pictures of the class word alone have become the subject; 0 is best",
        needs=(DATA,),
        kinds=("subject", "face"),
        compute="eval.metrics.leaks:class_leak_of",
    ),
    "background_leak": Metric(
        direction="minimize",
        base_value=0.0,
        description="how much of the training pictures' surroundings comes along; 0 is best",
        needs=(DATA, MASKS),
        kinds=("subject", "face"),
        compute="eval.metrics.leaks:background_leak_of",
    ),
    "identity": Metric(
        direction="maximize",
        base_value=0.0,
        description="likeness of faces; 1 as the real pictures' are to one another, 0 as the base's class word",
        needs=(DATA, FACES),
        kinds=("face",),
        compute="eval.metrics.identity:identity_of",
    ),
    "faceless": Metric(
        direction="minimize",
        description="share of pictures that show no face",
        needs=(FACES,),
        kinds=("face",),
        compute="eval.metrics.identity:faceless_of",
    ),
}
METRICS: Final = Registry("sweeper.metrics", Metric, _BUILT_IN)
"""What the judge measures, by the names that `study.objectives` and all reports have for it."""


def measured_of(kind: Kind) -> tuple[str, ...]:
    """The built-in metrics that are taken of a kind of pictures."""
    return tuple(name for name in METRICS.built_in if kind in METRICS[name].kinds)


def metrics_with(chosen: Iterable[str] = ()) -> dict[str, Metric]:
    """The metrics that are measured: all that are built in, and those of packages that were chosen."""
    return {name: METRICS[name] for name in (*METRICS.built_in, *chosen)}


def function_of(name: str) -> Callable[[Any], float]:
    """What takes a metric, imported now.

    Raises:
        ConfigError: in one line, where a package's cannot be.
    """
    metric = METRICS[name]
    if callable(metric.compute):
        return metric.compute
    try:
        return cast("Callable[[Any], float]", pkgutil.resolve_name(metric.compute))
    except Exception as error:
        if name in METRICS.built_in:
            raise
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError([f"{METRICS.origin(name)} cannot be loaded: {metric.compute}: {reason}"]) from error


def check_chosen(names: Iterable[str]) -> None:
    """Import what packages bring under these names, so that what is wrong with it shows before anything is measured.

    Raises:
        ConfigError: one cannot be imported, is no metric, or has the name of a number of the judge's own.
    """
    for name in names:
        if name in OWN_NUMBERS or name.startswith(BIN):
            raise ConfigError([f"{METRICS.origin(name)} has the name of a number of the judge's own; it needs another"])
        if name not in METRICS.built_in:
            function_of(name)
