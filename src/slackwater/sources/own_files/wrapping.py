"""Form, compression and table of a file, by its name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from slackwater.errors import SchemaError

__all__ = ["FORMS", "content", "form_of", "parts_of", "reading", "table_name"]

FORMS: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".feather": "feather",
    ".arrow": "feather",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
"""Form by suffix, in small letters."""
_TEXTS: Final = ("csv", "json")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [each for each in archive.namelist() if not each.endswith("/")]
    if len(names) != 1:
        raise SchemaError(f"{path} must hold one file, holds {len(names)}: {', '.join(names[:5])}")
    return archive.open(names[0])


def _as_it_is(path: Path) -> IO[bytes]:
    return path.open("rb")


_COMPRESSIONS: Final[dict[str, Callable[[Path], Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
    ".zip": _only_member,
}
_DAMAGED: Final = (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


def form_of(name: str | Path) -> str | None:
    """Return the form of a file by its name: parquet, csv, feather or json; None if files of this name are not read.

    Text may be compressed: gz, bz2, xz, zst, or a zip of one file.

    Examples
    --------
    >>> form_of("funding.CSV.gz"), form_of("funding.parquet"), form_of("funding.xlsx")
    ('csv', 'parquet', None)
    """
    suffixes = [each.lower() for each in Path(name).suffixes]
    packed = bool(suffixes) and suffixes[-1] in _COMPRESSIONS
    form = FORMS.get(suffixes[-2] if packed and len(suffixes) > 1 else suffixes[-1] if suffixes else "")
    return None if packed and form not in _TEXTS else form


def table_name(name: str | Path) -> str:
    """Return what is left of the name of a file without the suffixes of its form, in small letters."""
    left = Path(name).name.lower()
    for suffix in (*_COMPRESSIONS, *FORMS):
        left = left.removesuffix(suffix)
    return left


def parts_of(path: Path) -> list[Path]:
    """Return the parquet files of a directory that holds one table in parts, in order; of a file itself."""
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and form_of(each) == "parquet")


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of text, without its compression.

    Raises
    ------
    SchemaError
        If it is damaged.
    """
    try:
        with _COMPRESSIONS.get(path.suffix.lower(), _as_it_is)(path) as file:
            yield file
    except SchemaError:
        raise
    except _DAMAGED as error:
        raise SchemaError(f"{path} is not a readable {form_of(path)} file: {error}") from error


def content(path: Path) -> bytes:
    """Return the text of a file as UTF-8, without its compression and its mark.

    Raises
    ------
    SchemaError
        If it is damaged, is not UTF-8, or holds the character NUL, at which readers would cut a cell short.
    """
    with reading(path) as file:
        data = bytes(file.read())
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise SchemaError(
            f"{path} is not a readable {form_of(path)} file: it holds NUL bytes, such as of UTF-16; save it as UTF-8"
        )
    return data
