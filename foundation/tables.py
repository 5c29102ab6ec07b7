"""Tables of Arrow and Parquet: captions by row, and data sets that hold their pictures inside.

A folder that `datasets.Dataset.save_to_disk` wrote is Arrow streams and JSON, so it is read here without `datasets`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from foundation.errors import DataError
from foundation.images import FORMATS, format_of

_STATE: Final = "state.json"
_SPLITS: Final = "dataset_dict.json"
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
        raise DataError(f"{file} cannot be read as a table: {str(error).splitlines()[0]}") from error


def picture_tables(folder: Path) -> list[Path]:
    """The files of a data set with pictures inside: a saved one, one of its splits, or the hub's Parquet files.

    Raises:
        DataError: for several splits without one of them named.
    """
    if (folder / _SPLITS).is_file():
        splits = sorted(path.name for path in folder.iterdir() if (path / _STATE).is_file())
        if "train" not in splits and len(splits) != 1:
            raise DataError(
                f"{folder} holds the splits {', '.join(splits)}; name one: {folder}/{(splits or ['train'])[0]}"
            )
        return picture_tables(folder / ("train" if "train" in splits else splits[0]))
    if (folder / _STATE).is_file():
        state = json.loads((folder / _STATE).read_text())
        return [folder / str(part["filename"]) for part in state["_data_files"]]
    return sorted(path for path in folder.glob("*.parquet") if path.name != "metadata.parquet")


def write_pictures(tables: list[Path], out: Path, column: str, where: str) -> None:
    """Write the pictures inside tables to `out`, as they are, with `metadata.jsonl`.

    The one column of pictures is found by looking; the caption is the column named.

    Raises:
        DataError: without a column of pictures, without the caption column, for bytes that are no picture.
    """
    lines: list[str] = []
    for table in tables:
        for row in read_rows(table):
            key = next((name for name, value in row.items() if _is_picture(value)), None)
            if key is None:
                raise DataError(f"{where}: {table} holds no pictures (columns: {', '.join(row)})")
            if not isinstance(row.get(column), str):
                texts = ", ".join(name for name, value in row.items() if isinstance(value, str)) or "none"
                raise DataError(f'{where}: {table} has no caption "{column}" (texts: {texts}); set data.caption_column')
            data = row[key]["bytes"]
            name = f"{len(lines):06}{_suffix_of(data, f'{where}: row {len(lines)} of {table}')}"
            (out / name).write_bytes(data)
            lines.append(json.dumps({"file_name": name, column: row[column]}, ensure_ascii=False))
    (out / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _is_picture(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bytes"), bytes)


def _suffix_of(data: bytes, where: str) -> str:
    if (kind := format_of(data)) is None:
        raise DataError(f"{where} is not a readable image: it is none of {', '.join(FORMATS)}")
    return FORMATS[kind][0]
