"""Pictures as one eye sees them: real ones and the base's on one side, a checkpoint's on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from torch import Tensor

from eval.spec import SampleBudget


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceFeatures:
    """What checkpoints are held against; unit rows of width D. Parts that do not exist are empty."""

    train: Tensor
    """(n, D) training pictures, near-duplicates taken out."""
    held_out: Tensor
    """(m, D) pictures of the same kind that no trial trains on."""
    base_samples: Tensor
    """(P, S, D) what the base draws for the prompts and seeds."""
    base_unrelated: Tensor
    """(U, R, D) what the base draws for the unrelated prompts and the first R seeds; (0, R, D) for none."""

    def within(self, budget: SampleBudget) -> ReferenceFeatures:
        """The same as if the base had been drawn for these prompts and seeds alone."""
        return ReferenceFeatures(
            train=self.train,
            held_out=self.held_out,
            base_samples=self.base_samples[: budget.prompts, : budget.seeds],
            base_unrelated=self.base_unrelated[: budget.unrelated, : budget.seeds],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectFeatures:
    """What a subject's or a face's checkpoints are held against, too."""

    parts: Tensor
    """(k, K, W) the held-out pictures that have masks, place by place (`eval.patches`)."""
    weights: Tensor
    """(k, K) how much of the subject each place shows, each picture's summing to 1."""
    whole: Tensor
    """(m − k, D) the others as unit rows of the eye that compares pictures."""
    base_alike: Tensor
    """(P, S) how like the subject the base's pictures are (`eval.parts.alike`)."""
    ceiling: Tensor
    """() how like it its other real pictures are; NaN where there is none."""
    surroundings: Tensor
    """(n, D) the training pictures without the subject, near-duplicates taken out, unit rows of the eye that compares
    pictures; (0, D) without masks."""

    def within(self, budget: SampleBudget) -> SubjectFeatures:
        """The same as if the base had been drawn for these prompts and seeds alone."""
        return replace(self, base_alike=self.base_alike[: budget.prompts, : budget.seeds])


_Features = TypeVar("_Features", ReferenceFeatures, SubjectFeatures)


def tensors_of(name: str, features: ReferenceFeatures | SubjectFeatures) -> dict[str, Tensor]:
    """Every part of `features` by its name, with `name` and a dot before it."""
    return {f"{name}.{field.name}": getattr(features, field.name) for field in fields(features)}


def of_tensors(kind: type[_Features], name: str, tensors: Mapping[str, Tensor]) -> _Features | None:
    """What `tensors_of` returned; None where there is nothing of this name.

    Raises:
        KeyError: a part is missing.
    """
    if not any(key.startswith(f"{name}.") for key in tensors):
        return None
    return kind(**{field.name: tensors[f"{name}.{field.name}"] for field in fields(kind)})


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleFeatures:
    """What a checkpoint draws."""

    samples: Tensor
    """(P, S, D) for the prompts and seeds."""
    unrelated: Tensor
    """(U, R, D) for the unrelated prompts; (0, R, D) for none."""

    def within(self, budget: SampleBudget) -> SampleFeatures:
        """The same as if it had been drawn for these prompts and seeds alone."""
        return SampleFeatures(
            samples=self.samples[: budget.prompts, : budget.seeds],
            unrelated=self.unrelated[: budget.unrelated, : budget.seeds],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectSamples:
    """What a subject's or a face's checkpoint draws, held against `SubjectFeatures`."""

    alike: Tensor
    """(P, S) how like the subject its pictures are (`eval.parts.alike`)."""
    of_class: Tensor
    """(K, R) the same of what it draws for the first K prompts with the class word for the trigger."""
    faces_of_class: Tensor | None = None
    """(K, R, D) the latter as the eye for faces sees them; None without one."""

    def within(self, budget: SampleBudget) -> SubjectSamples:
        """The same as if it had been drawn for these prompts and seeds alone."""
        prompts, seeds = budget.of_class, budget.seeds
        return SubjectSamples(
            alike=self.alike[: budget.prompts, :seeds],
            of_class=self.of_class[:prompts, :seeds],
            faces_of_class=None if self.faces_of_class is None else self.faces_of_class[:prompts, :seeds],
        )
