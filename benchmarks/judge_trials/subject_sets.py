"""The sets of subjects that trials learn from: individual things of the drawn world, on three of its five grounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.judge_trials.sets import NUM_TRUTH
from train.drawn import SUBJECT_STYLE, draw_set
from train.pocket.subjects import SUBJECTS, Subject, subject_scenes
from train.pocket.world import BACKGROUNDS, Scene

NUM_TRAIN: Final = 6
NUM_VALIDATION: Final = 2
NUM_OF_CLASS: Final = NUM_TRUTH // 2
"""Of the scenes for the truth, those that are drawn with the class word alone, too."""


@dataclass(frozen=True, slots=True)
class SubjectSet:
    """A set by the name of its subject; `seed` draws the scenes of its truth and its trials' settings."""

    name: str
    seed: int

    @property
    def subject(self) -> Subject:
        """What is learned."""
        return SUBJECTS[self.name]

    def write(self, cache: Path) -> Path:
        """Draw the pictures that its study draws for itself, once; folders `train` and `validation`."""
        return draw_set(self.name, NUM_TRAIN, NUM_VALIDATION, cache)

    def truth_scenes(self) -> list[Scene]:
        """The scenes to draw for the truth, (NUM_TRUTH,): on all grounds, of which its own pictures have three."""
        return subject_scenes(self.subject, 1000 + self.seed, NUM_TRUTH, tuple(BACKGROUNDS))

    def captions(self) -> list[str]:
        """What calls the subject into each of those scenes, (NUM_TRUTH,)."""
        return [scene.caption(SUBJECT_STYLE) for scene in self.truth_scenes()]

    def captions_of_class(self) -> list[str]:
        """The captions of the first scenes with the class word alone, (NUM_OF_CLASS,)."""
        own = self.subject
        return [caption.replace(own.trigger, own.shape) for caption in self.captions()[:NUM_OF_CLASS]]


TUNED_SUBJECTS: Final = tuple(SubjectSet(name, 300 + i) for i, name in enumerate(("mug", "beachball", "parcel")))
"""What the limits for subjects may be chosen on."""
RESERVED_SUBJECTS: Final = tuple(SubjectSet(name, 400 + i) for i, name in enumerate(("locket", "rosette")))
"""What only the report is of."""
SUBJECT_SETS: Final = TUNED_SUBJECTS + RESERVED_SUBJECTS
