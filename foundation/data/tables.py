"""Tables of Arrow and Parquet: captions by row, and data sets that hold their pictures inside.

A folder that `datasets.Dataset.save_to_disk` wrote is Arrow streams and JSON, so it is read here without `datasets`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from foundation.data.images import FORMATS, format_of
from foundation.errors import DataError, first_line
from foundation.files.documents import as_mapping, read_json

_STATE: Final = "state.json"
_SPLITS: Final = "dataset_dict.json"
_OF_SPLIT: Final = re.compile(r"(train|validation|valid|val|test|dev)(?=[-.])")
"""How the hub calls the Parquet files of a split: `train-00000-of-00002.parquet`."""
_BATCH_ROWS: Final = 64


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet or Arrow file as plain dicts.

    Raises:
        DataError: when it is no such file.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        if file.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(file) as table:
                for batch in table.iter_batches(_BATCH_ROWS):
                    yield from batch.to_pylist()
        else:
            with pyarrow.OSFile(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
                for batch in stream:
                    yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a table: {first_line(error)}") from error


def picture_tables(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of a data set with pictures inside: a saved one, one of its splits, or the hub's Parquet files.

    And what lies beside them and is not read: other splits than the one to train on.

    Raises:
        DataError: for several splits without one of them named.
    """
    if (folder / _SPLITS).is_file():
        splits = sorted(path.name for path in folder.iterdir() if (path / _STATE).is_file())
        if "train" not in splits and len(splits) != 1:
            raise DataError(
                f"{folder} holds the splits {', '.join(splits)}; name one: {folder}/{(splits or ['train'])[0]}"
            )
        chosen = "train" if "train" in splits else splits[0]
        return picture_tables(folder / chosen)[0], [folder / name for name in splits if name != chosen]
    if (folder / _STATE).is_file():
        return [folder / name for name in _parts_of(folder / _STATE)], []
    files = sorted(path for path in folder.glob("*.parquet") if path.name != "metadata.parquet")
    by_split: dict[str, list[Path]] = {}
    for file in files:
        match = _OF_SPLIT.match(file.name)
        by_split.setdefault(match[1] if match else "", []).append(file)
    if len(by_split) == 1:
        return files, []
    if by_split and "train" not in by_split:
        raise DataError(f"{folder} holds tables of several splits ({', '.join(by_split)}); name one file, or a pattern")
    return by_split.get("train", []), [file for file in files if file not in by_split["train"]] if files else []


def _parts_of(file: Path) -> list[str]:
    """The names of the files of a saved set."""
    parts = as_mapping(read_json(file), str(file)).get("_data_files")
    names = [part.get("filename") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise DataError(f"{file} is damaged: it must name the set's files under _data_files; save the set again")
    return [str(name) for name in names]


def unpack_pictures(tables: list[Path], out: Path, column: str, where: str) -> list[str]:
    """Write the pictures inside tables to `out`, as they are, with `metadata.jsonl`.

    The first column of pictures is found by looking; the caption is the column named. Returns other columns that hold
    pictures, too.

    Raises:
        DataError: without a column of pictures, without the caption column, for bytes that are no picture.
    """
    lines: list[str] = []
    others: list[str] = []
    for table in tables:
        for row in read_rows(table):
            at = f"{where}: row {len(lines)} of {table}"
            columns = [name for name, value in row.items() if _is_picture(value)]
            if not columns:
                raise DataError(_no_picture(row, where, table, at))
            others += columns[1:]
            caption, data = _caption(row, column, where, table), row[columns[0]]["bytes"]
            name = f"{len(lines):06}{_suffix_of(data, at)}"
            (out / name).write_bytes(data)
            lines.append(json.dumps({"file_name": name, column: caption}, ensure_ascii=False))
    (out / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return list(dict.fromkeys(others))


def _caption(row: dict[str, Any], column: str, where: str, table: Path) -> str:
    if isinstance(row.get(column), str):
        return str(row[column])
    if column in row:
        kind = "null" if row[column] is None else f"a {type(row[column]).__name__}"
        raise DataError(f'{where}: {table} has {kind} for a caption "{column}"; each must be a text')
    texts = ", ".join(name for name, value in row.items() if isinstance(value, str)) or "none"
    raise DataError(f'{where}: {table} has no caption "{column}" (texts: {texts}); set data.caption_column')


def _no_picture(row: dict[str, Any], where: str, table: Path, at: str) -> str:
    """Why a row has no picture: its bytes lie elsewhere, it is null, or there is no such column at all."""
    for name, value in row.items():
        if isinstance(value, dict) and "bytes" in value:
            elsewhere = f"names {value['path']}, but does not hold its bytes" if value.get("path") else "holds none"
            return f'{at}: the column of pictures "{name}" {elsewhere}; save the set with its pictures inside'
    null = [name for name, value in row.items() if value is None]
    if null:
        return f"{at} holds no picture (null: {', '.join(null)}); leave such rows out"
    return f"{where}: {table} holds no pictures (columns: {', '.join(row)})"


def _is_picture(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bytes"), bytes)


def _suffix_of(data: bytes, where: str) -> str:
    if (kind := format_of(data)) is None:
        raise DataError(f"{where} is not a readable image: it is none of {', '.join(FORMATS)}")
    return FORMATS[kind][0]
