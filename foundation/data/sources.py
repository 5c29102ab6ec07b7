"""Where pictures come from: whatever `data.path` names becomes a plain folder, whichever kind it is."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foundation.data.left_out import by_reason, save_left_out
from foundation.data.metadata import METADATA
from foundation.data.survey import survey
from foundation.data.tables import picture_tables, unpack_pictures
from foundation.errors import DataError
from foundation.files.archives import is_archive, unpack
from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder

HUB: Final = "hf://datasets/"
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")


def locate(path: str, cache: Path, *, where: str, caption_column: str = "text") -> Path:
    """Return the folder that `path` is or becomes: what must be unpacked or fetched goes to `cache`, once.

    A folder of images; an archive, a pattern (`shards/*.tar`) or a folder of archives; a folder that `datasets` saved,
    Parquet files with pictures inside; a data set of the hub by its name or as `hf://datasets/owner/name`, one archive
    of it as `hf://datasets/owner/name/file.tar`.

    Raises:
        DataError: one line, in which the setting is called `where`.
    """
    if path.startswith(HUB):
        owner, _, rest = path.removeprefix(HUB).partition("/")
        name, _, file = rest.partition("/")
        return (
            unpack([_fetch(f"{owner}/{name}", file, where)], cache, where)
            if file
            else _hub(f"{owner}/{name}", cache, where, caption_column)
        )
    local = Path(path)
    if local.is_file():
        return _of_files([local], cache, where, caption_column)
    if local.is_dir():
        return _of_folder(local, cache, where, caption_column)
    if any(sign in local.name for sign in "*?["):
        files = sorted(local.parent.glob(local.name))
        if not files:
            raise DataError(
                f"{where} {path} is not there, and as a pattern it matches no file (archives are shards/*.tar)"
            )
        return _of_files(files, cache, where, caption_column)
    if _HUB_NAME.fullmatch(path) and not local.parent.exists():
        return _hub(path, cache, where, caption_column)
    return local  # whoever reads it says that it is not there


def _of_folder(folder: Path, cache: Path, where: str, column: str) -> Path:
    if any((folder / name).is_file() for name in METADATA) or survey(folder).images:
        return folder
    tables, beside = picture_tables(folder)
    if tables:
        return _of_tables(tables, cache, where, column, [path.name for path in beside])
    if archives := sorted(path for path in folder.iterdir() if is_archive(path)):
        return _of_folder(unpack(archives, cache, where), cache, where, column)
    return folder


def _of_files(files: Sequence[Path], cache: Path, where: str, column: str) -> Path:
    if all(is_archive(file) for file in files):
        return _of_folder(unpack(files, cache, where), cache, where, column)
    if all(file.suffix in (".parquet", ".arrow") for file in files):
        return _of_tables(files, cache, where, column)
    other = next(file for file in files if not is_archive(file))
    raise DataError(
        f"{where} {other} is not a folder of images, nor a .tar or .zip archive, nor a .parquet file with pictures"
    )


def _of_tables(tables: Sequence[Path], cache: Path, where: str, column: str, beside: Sequence[str] = ()) -> Path:
    """The pictures inside tables; `beside` are names of what lies there and is not read."""
    digests = []
    for table in tables:
        with table.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    key = hashlib.sha256(json.dumps([column, *beside, *digests]).encode()).hexdigest()
    folder = mark_used(cache / f"table-{key[:24]}")
    if not folder.exists():
        with new_folder(folder, replace=False) as fresh:
            others = unpack_pictures(list(tables), fresh, column, where)
            left = [("other splits (name them by data.validation_path)", name) for name in beside]
            left += [("columns with pictures beside the first", name) for name in others]
            save_left_out(fresh, by_reason(left))
    return folder


def _hub(name: str, cache: Path, where: str, column: str) -> Path:
    """A data set of the hub, read by `datasets` and saved, so that there is one reader for all of them."""
    if importlib.util.find_spec("datasets") is None:
        raise DataError(
            f"{where} {name} is no folder here; if it is a data set of the hub, run `pip install datasets` first"
        )
    import datasets

    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".hub.") as folder:
        try:
            datasets.load_dataset(name, split="train").save_to_disk(folder)
        except (OSError, ValueError) as error:
            raise DataError(_unreachable(where, name, error)) from error
        return _of_tables(picture_tables(Path(folder))[0], cache, where, column)


def _fetch(name: str, file: str, where: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, file, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{_unreachable(where, f'{HUB}{name}/{file}', error)}; download {file} from "
            f"https://huggingface.co/datasets/{name} and set {where} to it"
        ) from error


def _unreachable(where: str, name: str, error: Exception) -> str:
    said = str(error).strip().splitlines()
    return f"{where} {name} cannot be fetched ({said[0] if said else type(error).__name__})"
