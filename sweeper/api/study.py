"""`sweeper.open_study`: what a study has come to, as data frames and pictures. Nothing of it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.config.home import at_home
from foundation.errors import StudyError
from sweeper.best import Best, read_best
from sweeper.holdings import StudyState, find_studies, state_of_study
from sweeper.own_packages import put_first
from sweeper.records.paths import STUDIES
from sweeper.records.trainings import number_of

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL.Image import Image

    from sweeper.page.reading import StudyReader
    from sweeper.page.view import PictureSet, StudyView


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture that was drawn."""

    trial: str
    """The training's name, `7` or `7.1`; empty of what the base alone drew."""
    step: int
    strength: float
    kind: str
    """prompt, unrelated, training, class, or final: what finalists are drawn with."""
    prompt: str
    seed: int
    path: Path

    @property
    def image(self) -> Image:
        """The picture itself, in RGB.

        Raises:
            DataError: the file is gone or broken.
        """
        from foundation.data.images import read_rgb

        return read_rgb(self.path)


class Study:
    """A study in its folder, read anew whenever it is asked: it may run meanwhile, here or elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        """Where it is, whatever the working folder becomes."""

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self.state}>"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.folder.name

    @property
    def state(self) -> StudyState:
        """`running`: a process has it just now; `finished`: it has its best; `unfinished`: it can go on."""
        return state_of_study(self.folder)

    @property
    def best(self) -> Best | None:
        """The checkpoint that was chosen; None before that."""
        return read_best(self.folder)

    def trials(self) -> DataFrame:
        """Return a row for each training, reruns included, by the number of its trial.

        Columns: trial (its name), status, reason, diagnosis, step (as far as it came), chosen_step, score, score_se and
        overfit_index (of the chosen checkpoint; NaN before one), training_s, judging_s, is_rerun, and `params.NAME`
        for each hyperparameter that was searched.
        """
        from sweeper.api.frames import trials_frame

        return trials_frame(self._view())

    def evaluations(self) -> DataFrame:
        """Return a row for each judgement: trial, step, score, score_se, overfit_index, words, each metric by name."""
        from sweeper.api.frames import evaluations_frame

        return evaluations_frame(self.folder)

    def checkpoints(self) -> DataFrame:
        """Return a row for each LoRA that is there: trial, step, score, is_chosen (of its trial), path (a folder)."""
        from sweeper.api.frames import checkpoints_frame

        return checkpoints_frame(self.folder, self._view())

    def pictures(
        self, trial: int | str | None = None, step: int | None = None, kind: str | None = None
    ) -> list[Picture]:
        """Return what was drawn, by trial, step, prompt and seed; `trial`, `step` and `kind` ask for some of it.

        `trial="base"` is what the base alone drew.
        """
        wanted = None if trial is None else "" if trial == "base" else str(trial)
        return [
            each
            for each in self._pictures()
            if wanted in (None, each.trial) and step in (None, each.step) and kind in (None, each.kind)
        ]

    def write_report(self) -> Path:
        """Write its page in one file, `report.html`, and return where it is."""
        from sweeper.page.file import write_report

        return write_report(self.folder, self.folder.parent / STUDIES)

    @cached_property
    def _reader(self) -> StudyReader:
        from sweeper.page.reading import StudyReader  # Optuna takes its time to import

        return StudyReader(self.folder, self.folder.parent / STUDIES)

    def _view(self) -> StudyView:
        return self._reader.read()

    def _pictures(self) -> Iterator[Picture]:
        view = self._view()
        texts: dict[str, list[str]] = {}
        for prompt in view.prompts:
            texts.setdefault(prompt.kind, []).append(prompt.text)
        for drawn in view.base_pictures:
            yield from self._of_set("", drawn, texts)
        for each in sorted(view.trials, key=lambda each: number_of(each.name)):
            for drawn in each.pictures:
                yield from self._of_set(each.name, drawn, texts)

    def _of_set(self, trial: str, drawn: PictureSet, texts: dict[str, list[str]]) -> Iterator[Picture]:
        from sweeper.page.pictures import FINAL

        for kind, counts in drawn.counts.items():
            prefix, own = "prompt" if kind == FINAL else kind, texts.get(kind, [])
            for prompt, count in enumerate(counts):
                for seed in range(count):
                    yield Picture(
                        trial=trial,
                        step=drawn.step,
                        strength=drawn.strength,
                        kind=kind,
                        prompt=own[prompt] if prompt < len(own) else f"{kind} {prompt + 1}",
                        seed=seed,
                        path=self.folder.parent / drawn.folder / f"{prefix}{prompt:02}-seed{seed}.png",
                    )


def open_study(name: str | Path, folder: str | Path = "multirun") -> Study:
    """Return a study by its name in a folder of studies, or by its own folder.

    Raises:
        StudyError: there is none.
    """
    put_first()
    own = Path(at_home(str(name)))
    if len(own.parts) > 1:
        if not (own / "study.yaml").is_file():
            raise StudyError(
                f"there is no study in {own}; name a study's folder, or its name and the folder of studies"
            )
        return Study(own)
    return Study(find_studies(Path(at_home(str(folder))), [str(name)])[0])
