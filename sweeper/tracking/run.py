"""One MLflow run that is brought level with what is to be shown: what it has already is not logged again."""

from __future__ import annotations

import glob
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import FileInfo, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.multimedia import compress_image_size
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

from foundation.data.images import read_rgb
from foundation.errors import StudyError
from foundation.files.sums import SUMS, damage, read_sums
from sweeper.results.file_names import REPORT
from sweeper.tracking.files import link, local_folder, whole
from sweeper.tracking.names import entity_name

_MAX_METRICS, _MAX_PARAMS, _MAX_VALUE, _MAX_TAG = 1000, 100, 6000, 8000  # mlflow.utils.validation
_IMAGES: Final = "images"
"""Where `MlflowClient.log_image` puts its files, each as a PNG and, behind it, as a small WebP for the page."""
_IMAGE_FILE: Final = re.compile(r"images/(.+)\+step\+(\d+)\+timestamp\+.*\.(png|webp)")

_FILES_OF_IMAGE: Final = 2
T = TypeVar("T")


class MlflowRun:
    """A run by its id, and what is known to be in it. Every method adds what is missing, and nothing twice.

    What a run of an earlier process holds is read when it is first needed. Not thread-safe.
    """

    def __init__(self, client: MlflowClient, run: Run, *, is_new: bool) -> None:
        self._client = client
        self._is_new = is_new
        self._params = dict(run.data.params)
        self._tags = dict(run.data.tags)
        self._values = dict(run.data.metrics)
        self._steps: dict[str, set[int]] = {}
        self._images: set[tuple[str, int]] | None = set() if is_new else None
        self._halves: dict[tuple[str, int], list[str]] = {}
        """Files of pictures of a remote store that are not there in both sizes."""
        self.id: str = run.info.run_id
        self.artifact_uri: str = run.info.artifact_uri
        self.status: str = run.info.status
        self.folder: Path | None = local_folder(self.artifact_uri)

    def tag(self, name: str) -> str:
        """A tag's text; empty without it."""
        return self._tags.get(entity_name(name), "")

    def set_params(self, params: Mapping[str, object]) -> None:
        """Add parameters. MLflow writes them once: where one has another value now, a tag `now/…` says it."""
        texts = {entity_name(key): _text(value)[:_MAX_VALUE] for key, value in params.items()}
        missing = {key: text for key, text in texts.items() if key not in self._params}
        for batch in _batches([Param(*item) for item in missing.items()], _MAX_PARAMS):
            self._client.log_batch(self.id, params=batch)
        self._params |= missing
        self.set_tags({f"now/{key}": text for key, text in texts.items() if self._params[key] != text})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags that differ; texts are cut at what MLflow takes."""
        texts = {entity_name(key): text[:_MAX_TAG] for key, text in tags.items()}
        changed = {key: text for key, text in texts.items() if self._tags.get(key) != text}
        for batch in _batches([RunTag(*item) for item in changed.items()], _MAX_PARAMS):
            self._client.log_batch(self.id, tags=batch)
        self._tags |= changed

    def drop_tags(self, *names: str) -> None:
        """Take tags away."""
        for name in {entity_name(name) for name in names} & set(self._tags):
            self._client.delete_tag(self.id, name)
            del self._tags[name]

    def add_points(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Add points, by step, to curves; what is not finite is left out, and so is a step that its curve has."""
        now, missing = _now(), []
        seen: set[tuple[str, int]] = set()
        for step, values in points:
            for name, value in values.items():
                key = entity_name(name)
                if math.isfinite(value) and step not in self._steps_of(key) and (key, step) not in seen:
                    missing.append(Metric(key, float(value), now, step))
                    seen.add((key, step))
        for batch in _batches(missing, _MAX_METRICS):
            self._client.log_batch(self.id, metrics=batch)
            for metric in batch:
                self._steps[metric.key].add(metric.step)

    def set_values(self, values: Mapping[str, float]) -> None:
        """Set metrics that are one number each, where they differ; what is not finite is left out."""
        finite = {entity_name(name): float(value) for name, value in values.items() if math.isfinite(value)}
        changed = {key: value for key, value in finite.items() if self._values.get(key) != value}
        for batch in _batches([Metric(key, value, _now(), 0) for key, value in changed.items()], _MAX_METRICS):
            self._client.log_batch(self.id, metrics=batch)
        self._values |= changed

    def add_images(self, step: int, images: Mapping[str, Path], as_in: MlflowRun | None = None) -> None:
        """Add pictures by key to what is shown of a step; those that another run shows alike are taken from there.

        Nobody changes them: on this machine's disk they lie once, under the names of `log_image` as well.
        """
        shown = self._shown_images()
        missing = {key: path for key, path in images.items() if (key, step) not in shown}
        for key, path in missing.items():
            self._drop_halves(key, step)
            if not (as_in and self._link_image(key, step, as_in)) and not self._put_image(key, step, path):
                self._images = None  # one that fails may have come half the way
                self._client.log_image(self.id, read_rgb(path), key=key, step=step)
                self._images = shown
            shown.add((key, step))
        if images:
            self.set_tags({MLFLOW_LOGGED_IMAGES: "True"})

    def _put_image(self, key: str, step: int, path: Path) -> bool:
        """Do what `log_image` does, but for the large file's second name; whether that could be done."""
        if self.folder is None:
            return False
        small = compress_image_size(read_rgb(path))
        name = f"{key.replace('/', '~')}+step+{step}+timestamp+{_now()}+{uuid4()}"
        if not link(path, self.folder / _IMAGES / f"{name}.png"):
            return False
        with whole(self.folder / _IMAGES / f"{name}+compressed.webp") as fresh:
            small.save(fresh, "WEBP")
        return True

    def _link_image(self, key: str, step: int, other: MlflowRun) -> bool:
        """Give an image's files in another run a second name here; whether that could be done."""
        if self.folder is None or other.folder is None or other.id == self.id:
            return False
        files = other._image_files(key, step)
        return len(files) == _FILES_OF_IMAGE and all(link(file, self.folder / _IMAGES / file.name) for file in files)

    def _drop_halves(self, key: str, step: int) -> None:
        """Delete what a crash left of an image: the next has another name. Not every store lets anybody delete."""
        for file in self._image_files(key, step):
            file.unlink()
        for name in self._halves.pop((key, step), ()):
            store = get_artifact_repository(self.artifact_uri, self._client.tracking_uri)
            with suppress(MlflowException, OSError, NotImplementedError):
                store.delete_artifacts(name)  # type: ignore[no-untyped-call]

    def _image_files(self, key: str, step: int) -> list[Path]:
        """An image's files, last the one by which it counts as shown, or what a crash left; none of a remote store."""
        pattern = f"{glob.escape(key.replace('/', '~'))}+step+{step}+timestamp+*"
        return sorted((self.folder / _IMAGES).glob(pattern), reverse=True) if self.folder else []

    def put_text(self, text: str, name: str) -> None:
        """Leave a text as an artifact at the top."""
        if self._is_new or not self._has_text(text, name):
            self._client.log_text(self.id, text, name)

    def _has_text(self, text: str, name: str) -> bool:
        """Whether a text is there; of a remote store, whether one of its length is."""
        if self.folder is None:
            return self._sizes("").get(name) == len(text.encode())
        file = self.folder / name
        return file.is_file() and file.read_bytes() == text.encode()

    def put_folder(self, folder: Path, place: str, *, linked: bool = False) -> None:
        """Leave a folder's files as artifacts in `place`; `linked` ones, which nobody changes, under a second name.

        Raises:
            StudyError: the folder is gone or damaged.
        """
        if not folder.is_dir():  # MLflow would pass over it
            raise StudyError(f"the checkpoint {folder} is gone")
        if words := damage(folder):
            raise StudyError(f"{words}; it is not shown. Delete {folder}, and the rest is shown without it")
        there = {} if self._is_new else self._sizes(place)
        shown = self._sums(place) if f"{place}/{SUMS}" in there else {}
        stale = {name for name, stored in (read_sums(folder) or {}).items() if shown.get(name, stored) != stored}
        # The page is written last of all, and anew whenever somebody wants it: a copy would be an old one.
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != REPORT]
        for file in sorted(files, key=lambda path: (path.name == SUMS, path)):  # they tell of what is there already
            inside = file.relative_to(folder).as_posix()
            name = f"{place}/{inside}"
            if there.get(name) != file.stat().st_size or inside in stale or (stale and inside == SUMS):
                if linked and self.folder and link(file, self.folder / name):
                    continue
                self._client.log_artifact(self.id, str(file), name.rpartition("/")[0])

    def has_files(self, images: AbstractSet[tuple[str, int]], folders: Sequence[str]) -> bool:
        """Whether these images, by key and step, and folders are there; taken for granted of a remote store."""
        return self.folder is None or (images <= self._shown_images() and all(self._list(folder) for folder in folders))

    def end(self, status: str) -> None:
        """End it in one of MLflow's ways, unless it has ended so."""
        if self.status != status:
            self._client.set_terminated(self.id, status)
            self.status = status

    def reopen(self) -> None:
        """Let it run again."""
        if self.status != "RUNNING":
            self._client.update_run(self.id, status="RUNNING")
            self.status = "RUNNING"

    def _steps_of(self, key: str) -> set[int]:
        if key not in self._steps:
            history = self._client.get_metric_history(self.id, key) if key in self._values else []
            self._steps[key] = {metric.step for metric in history}
        return self._steps[key]

    def _shown_images(self) -> set[tuple[str, int]]:
        """Pictures by key and step that are there in both sizes; a crash may have come between the two."""
        if self._images is None:
            there: dict[tuple[str, int], dict[str, str]] = {}
            for entry in self._list(_IMAGES):
                if found := _IMAGE_FILE.fullmatch(entry.path):
                    there.setdefault((found[1].replace("~", "/"), int(found[2])), {})[found[3]] = entry.path
            self._images = {image for image, files in there.items() if "webp" in files}
            if self.folder is None:
                self._halves = {image: [*files.values()] for image, files in there.items() if "webp" not in files}
        return self._images

    def _sizes(self, place: str) -> dict[str, int]:
        """Path to size of all files in `place` and below."""
        sizes: dict[str, int] = {}
        for entry in self._list(place):
            if not entry.is_dir:
                sizes[entry.path] = entry.file_size or 0
            elif place:
                sizes |= self._sizes(entry.path)
        return sizes

    def _sums(self, place: str) -> dict[str, str]:
        """The checksums of what was left in `place`."""
        with TemporaryDirectory() as folder:
            return read_sums(Path(self._client.download_artifacts(self.id, f"{place}/{SUMS}", folder)).parent) or {}

    def _list(self, place: str) -> list[FileInfo]:
        try:
            return self._client.list_artifacts(self.id, place or None)
        except (MlflowException, OSError):  # some stores have no empty folder
            return []


def _text(value: object) -> str:
    """A parameter, short enough for a column; all digits are in the run's config."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _now() -> int:
    return int(time.time() * 1000)


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
