"""Files that appear whole or not at all, and digests of their content."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import math
import os
import re
import shutil
import struct
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import MissingDataError, SchemaError
from slackwater.numbers import brief

if TYPE_CHECKING:
    from pyarrow import RecordBatch

__all__ = [
    "SYNTHETIC",
    "arrays_digest",
    "atomic_directory",
    "atomic_file",
    "digest_of",
    "finest_bars",
    "first_directory",
    "json_line",
    "marked_synthetic",
    "parquet_files",
    "parquet_tables",
    "part_name",
    "part_symbol",
    "read_arrays",
    "read_fine_bars",
    "read_json",
    "read_json_lines",
    "read_parquet",
    "read_parquet_parts",
    "read_parquet_rows",
    "read_tables",
    "remove_leftovers",
    "sha256_of",
    "significant",
    "strict_json",
    "values_digest",
    "write_arrays",
    "write_json",
    "write_json_lines",
    "write_parquet",
    "write_parquet_parts",
    "write_report",
    "write_tables",
]


SYNTHETIC: Final = "synthetic"
"""Mark of the tables of a simulated market, True in `DataFrame.attrs`; parquet files keep it, and so does pandas."""

_ABANDONED: Final = timedelta(days=1)
_REPORT_DIGITS: Final = 6
_ROWS_PER_PART: Final = 16_384
"""A reader holds a part whole, 28 MiB of 222 columns, even where it wants a few rows of it."""
_ROWS_READ: Final = 8_192
_HALF_WRITTEN: Final = re.compile(r"\..+\.[a-z0-9_]{8}(\.[^.]+)?")
"""Name of a file that `atomic_file` has not finished."""


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` if the block ends without an error."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _errors_name(target):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _errors_name(target: Path) -> Iterator[None]:
    """Let an error about a temporary file or directory name the path that it is to become."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).name.startswith(f".{target.name}."):
            error.filename, error.filename2 = str(target), None
        raise


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary directory beside `path`; it replaces `path` if the block ends without an error."""
    target = Path(path)
    with _directory_beside(target) as temporary:
        yield temporary
        for left in temporary.rglob(".*"):  # of a worker that was lost while it wrote a file
            if _HALF_WRITTEN.fullmatch(left.name):
                left.unlink(missing_ok=True)
        temporary.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
            target.replace(old / target.name)
            temporary.replace(target)
            shutil.rmtree(old)
        else:
            temporary.replace(target)


@contextmanager
def first_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary directory beside `path`; it is renamed to `path` unless another process created that first.

    If another process created the directory first, its copy is kept. Use this only for content-addressed directories,
    where both copies are identical. The directory must not be empty.
    """
    target = Path(path)
    # A temporary directory older than a day was left by a run that was killed.
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if time.time() - left.stat().st_mtime > _ABANDONED.total_seconds():
            shutil.rmtree(left, ignore_errors=True)
    with _directory_beside(target) as temporary:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary files and directories of `path` that a killed process left; nobody may be writing it now."""
    target = Path(path)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def _directory_beside(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _errors_name(target):
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """Return the sha256 of plain content, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def arrays_digest(name: str, *arrays: NDArray[Any]) -> str:
    """Return a sha256 of the name, types, shapes and bytes of arrays that belong together."""
    digest = hashlib.sha256(name.encode())
    for array in arrays:
        digest.update(f"\0{array.dtype.str}{array.shape}\0".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def values_digest(table: pd.DataFrame) -> str:
    """Return a sha256 of the names and values of a table, floats in single precision: the same on every processor."""
    digest = hashlib.sha256()
    for name, column in table.items():
        floats = column.dtype.kind == "f"
        values = column.to_numpy(np.float32).tobytes() if floats else "\n".join(map(str, column)).encode()
        digest.update(f"{name}\0".encode() + values + b"\0")
    return digest.hexdigest()


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON with sorted keys and in full precision; NaN and infinities become null."""
    text = json.dumps(_finite(content), indent=2, sort_keys=True, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_report(content: Any, path: str | Path) -> None:
    """Write JSON for readers, such as a tracked report: as `write_json`, with floats of six significant digits.

    Processors differ in the last bits of a logarithm or an exponential; six digits are the same on all of them. What a
    later stage computes with is written by `write_json` instead.
    """
    write_json(_rounded(content), path)


def significant(value: float) -> float:
    """Return a number rounded to the six significant digits of a report; NaN and infinities stay.

    Examples
    --------
    >>> significant(1234567.8), significant(-0.012345678)
    (1234570.0, -0.0123457)
    """
    return float(f"{value:.{_REPORT_DIGITS}g}")


def _file(path: str | Path) -> Path:
    source = Path(path)
    if not source.is_file():
        raise MissingDataError(f"there is no file {source}")
    return source


def read_json(path: str | Path) -> Any:
    """Read JSON; the error names the file that is missing or damaged."""
    source = _file(path)
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{source} is not valid JSON: {error}") from error


def strict_json(text: str) -> Any:
    """Return the content of a text of JSON from elsewhere; it names no key twice and contains no NaN or Infinity.

    Raises
    ------
    ValueError
        If it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"it names {brief(next(name for name in counts if counts[name] > 1))} twice")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it contains {name}")


def read_json_lines(path: str | Path) -> list[Any]:
    """Read a file with one JSON value per line; it may be empty."""
    source = _file(path)
    try:
        return [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{source} contains a line that is not valid JSON: {error}") from error


def write_json_lines(rows: Iterable[Any], path: str | Path) -> None:
    """Write one JSON value per line, with sorted keys; NaN and infinities become null."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json_line(row) + "\n")


def json_line(content: Any) -> str:
    """Return JSON in one line, with sorted keys and in full precision; NaN and infinities become null."""
    return json.dumps(_finite(content), sort_keys=True, allow_nan=False)


def read_parquet(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a parquet table, a file or a directory with one per symbol; the error names what is missing or damaged."""
    parts = [_read_part(part, columns) for part in parquet_files(path)]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def parquet_files(path: str | Path) -> list[Path]:
    """Return the files of a parquet table: the file itself, or those of a directory in order of symbols.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    source = Path(path)
    found = sorted(parquet_tables(source), key=part_symbol)
    return found or [_file(source)]


def parquet_tables(directory: str | Path) -> list[Path]:
    """Return the parquet tables of a directory by name, without files that are not finished (`atomic_file`)."""
    return sorted(path for path in Path(directory).glob("*.parquet") if not path.name.startswith("."))


def part_name(symbol: str) -> str:
    """Return the name of the file of a symbol, which may contain what a name of a file must not.

    Examples
    --------
    >>> part_name("BTC/USD"), part_name("_BTC")
    ('BTC%2FUSD.parquet', '%5FBTC.parquet')
    """
    name = quote(symbol, safe="")
    if name[:1] in (".", "_"):  # readers of parquet directories pass over such files
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return f"{name}.parquet"


def part_symbol(part: Path) -> str:
    """Return the symbol of a file (`part_name`)."""
    return unquote(part.stem)


def _read_part(source: Path, columns: list[str] | None) -> pd.DataFrame:
    from pyarrow import default_memory_pool  # scoring does not need it

    try:
        return pd.read_parquet(source, columns=columns, pre_buffer=False)
    except (OSError, ValueError) as error:
        raise SchemaError(f"{source} is not a readable parquet file: {error}") from error
    finally:
        default_memory_pool().release_unused()  # Arrow keeps what it has freed for its next table


def read_parquet_rows(path: str | Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Read the rows of a parquet table whose values in the columns of `rows` are among those of `rows`.

    The table is read a part at a time, so that only the wanted rows are held; they keep their order.
    """
    keys = list(rows.columns)
    if rows.duplicated().any():
        raise SchemaError(f"the rows that are wanted of {path} repeat {', '.join(keys)}")
    return pd.concat([_rows_among(rows, part) for part in _parts(path)], ignore_index=True)


def _rows_among(rows: pd.DataFrame, part: RecordBatch) -> pd.DataFrame:
    """Return the rows of a part whose values are among those of some columns; only those become a table of pandas."""
    keys = list(rows.columns)
    found = part.select(keys).to_pandas().merge(rows, on=keys, how="left", indicator=True)["_merge"]
    table: pd.DataFrame = part.take(np.flatnonzero(found == "both")).to_pandas()
    return table


def read_parquet_parts(path: str | Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield the rows of a parquet file a part at a time, in order; a file without rows is one part without any.

    Raises
    ------
    MissingDataError, SchemaError
        If the file is not there, cannot be read, or lacks a column.
    """
    return (part.to_pandas() for part in _parts(path, columns))


def _parts(path: str | Path, columns: list[str] | None = None) -> Iterator[RecordBatch]:
    from pyarrow import RecordBatch, array, default_memory_pool, parquet  # scoring does not need it

    source = _file(path)
    file: parquet.ParquetFile | None = None
    try:
        with parquet.ParquetFile(source, pre_buffer=False) as file:
            lacking = sorted({*(columns or [])} - {*file.schema_arrow.names})
            if lacking:
                raise SchemaError(f"{source} lacks the columns {', '.join(lacking)}")
            if file.metadata.num_rows == 0:
                schema = file.read(columns=columns).schema
                yield RecordBatch.from_arrays([array([], each.type) for each in schema], schema=schema)
            else:
                yield from file.iter_batches(_ROWS_READ, columns=columns)
    except (OSError, ValueError) as error:
        raise SchemaError(f"{source} is not a readable parquet file: {error}") from error
    finally:
        file = None  # its reader holds what it has read ahead
        default_memory_pool().release_unused()  # Arrow keeps what it has freed, some 200 MiB of 200 columns


def write_parquet(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as parquet with light compression."""
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, index=False, row_group_size=_ROWS_PER_PART, **_compression(table))


def write_parquet_parts(parts: Iterable[pd.DataFrame], path: str | Path) -> None:
    """Write tables of the same columns as one, as `write_parquet` does; of all their rows only a few are held.

    Attributes of the tables (`DataFrame.attrs`) are not written.

    Raises
    ------
    SchemaError
        If there is no part, or the columns of one are others.
    """
    from pyarrow import Table, parquet  # scoring does not need it

    held: list[pd.DataFrame] = []
    writer: parquet.ParquetWriter | None = None
    with atomic_file(path) as temporary:

        def write(rows: int) -> None:
            """Write so many rows of those that are held; the groups of a file do not depend on the parts."""
            nonlocal held, writer
            table = pd.concat(held, ignore_index=True)
            held = [table[rows:].copy()] if len(table) > rows else []
            table = table[:rows]
            with warnings.catch_warnings():
                # Of pandas, about how pyarrow reads times; `to_parquet` does so too.
                warnings.filterwarnings("ignore", "Series.values returning")
                found = Table.from_pandas(table, preserve_index=False)
            if writer is None:
                writer = parquet.ParquetWriter(temporary, found.schema, **_compression(table))
            elif not found.schema.equals(writer.schema):
                raise SchemaError(f"parts of {path} have different columns: {found.schema} after {writer.schema}")
            del table
            writer.write_table(found, row_group_size=_ROWS_PER_PART)

        try:
            for part in parts:
                held.append(part)
                del part  # its memory may be used for the next one
                n_held = sum(map(len, held))
                if n_held >= _ROWS_PER_PART:
                    write(n_held - n_held % _ROWS_PER_PART)
            if held:
                write(sum(map(len, held)))
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise SchemaError(f"there is no part of {path} to write")


def _compression(table: pd.DataFrame) -> dict[str, Any]:
    # Numbers and times hardly repeat: dictionaries of them take most of the time, and more space than they save.
    texts = [str(name) for name, kind in table.dtypes.items() if kind.kind == "O"]
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": texts}


def write_tables(tables: dict[str, pd.DataFrame], directory: str | Path) -> None:
    """Write a directory of parquet files, one per table; it appears whole or not at all."""
    with atomic_directory(directory) as temporary:
        for name, table in tables.items():
            write_parquet(table, temporary / f"{name}.parquet")


def read_tables(directory: str | Path, names: Iterable[str] | None = None) -> dict[str, pd.DataFrame]:
    """Read the tables of a directory by `write_tables`: all, or those of `names` that are there."""
    root = Path(directory)
    if not root.is_dir():
        raise MissingDataError(f"there is no directory {root}")
    wanted = None if names is None else set(names)
    return {path.stem: read_parquet(path) for path in parquet_tables(root) if wanted is None or path.stem in wanted}


def marked_synthetic(directory: str | Path) -> bool:
    """Return whether a parquet file of a directory is marked as a table of a simulated market (`SYNTHETIC`)."""
    paths = parquet_tables(directory)
    return any(read_parquet(path, columns=[]).attrs.get(SYNTHETIC) is True for path in paths)


def read_fine_bars(directory: str | Path) -> pd.DataFrame:
    """Read the finest bars of a directory of tables: ``fine_bars``, or ``bars`` where there is nothing finer."""
    return read_parquet(finest_bars(directory))


def finest_bars(directory: str | Path) -> Path:
    """Return the path of the finest bars of a directory of tables."""
    root = Path(directory)
    finest = root / "fine_bars.parquet"
    return finest if finest.exists() else root / "bars.parquet"


def write_arrays(arrays: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Write arrays of numbers or text, by any names, as one ``npz`` file; it appears whole or not at all.

    Raises
    ------
    SchemaError
        If an array holds Python objects, which would need a pickle.
    """
    objects = sorted(name for name, array in arrays.items() if np.asarray(array).dtype.hasobject)
    if objects:
        raise SchemaError(f"arrays of Python objects cannot be written without a pickle: {', '.join(objects)}")
    # Not numpy.savez: an array could not have the name of one of its parameters.
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a file by `write_arrays`; nothing in it is executed, and the error names a missing or damaged file.

    Nothing is compressed in such a file, so no more memory is taken than the file is long.
    """
    source = _file(path)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, and `write_arrays` compresses nothing")
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names) or sum(entry.file_size for entry in entries) > source.stat().st_size:
                raise ValueError("entries overlap, or names repeat")
            return {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}
    except _UNREADABLE as error:
        raise SchemaError(f"{source} is not a readable file of arrays: {error}") from error


_UNREADABLE: Final = (
    *(OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
    *(struct.error, KeyError, TypeError, SyntaxError, OverflowError, MemoryError),
)
"""What `zipfile` and numpy's reader of headers raise on bytes that nobody wrote on purpose."""


def _array(content: bytes) -> NDArray[Any]:
    """Read one array; the header must account for every byte before any memory is taken."""
    file = io.BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = read_header[np.lib.format.read_magic(file)](file)
    wanted, there = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if not dtype.hasobject and (wanted != there or min(shape, default=0) < 0):
        raise ValueError(f"an array of shape {shape} takes {wanted} bytes, there are {there}")
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _rounded(content: Any) -> Any:
    """Return content with every float rounded by `significant`; integers, texts and keys stay."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    return significant(float(content)) if isinstance(content, (float, np.floating)) else content


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    if isinstance(content, float) and not (abs(content) < float("inf")):
        return None
    return content
