"""The single csv in a zip, read with limits on its size."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from slackwater.errors import SchemaError

__all__ = ["open_csv"]

_LARGEST_CSV: Final = 32 << 30
#: A csv of numbers shrinks about fivefold, one of zeros only fiftyfold, a zip bomb more than a thousandfold.
_LARGEST_RATIO: Final = 200
_SMALL: Final = 1 << 20


@contextmanager
def open_csv(path: str | Path, *, origin: str, name: str) -> Iterator[IO[bytes]]:
    """Yield the csv in a zip as a stream; nothing is unpacked to disk.

    Parameters
    ----------
    path
        The zip.
    origin
        Source of the file, for messages.
    name
        Name that the csv must have, without its ending.

    Raises
    ------
    SchemaError
        If the file is not a zip, damaged, or encrypted; if it does not hold exactly one csv of that name; or if the csv
        is too large. Damage found while reading is raised out of the block.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive, origin, f"{name}.csv")
            with archive.open(member) as stream:
                yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        # RuntimeError: encrypted. NotImplementedError: a compression that zipfile does not know.
        raise SchemaError(f"{origin} is not a readable zip: {error}{_beginning(path)}") from error


def _only_member(archive: zipfile.ZipFile, origin: str, name: str) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise SchemaError(f"{origin} must hold exactly one csv, holds {len(members)} files")
    member = members[0]
    if member.filename != name:
        raise SchemaError(f"{origin} must hold `{name}`, holds {member.filename[:100]!r}")
    if member.flag_bits & 0x1:
        raise SchemaError(f"{origin} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SchemaError(f"{origin} is compressed by method {member.compress_type}; the archive only uses deflate")
    size, packed = member.file_size, member.compress_size
    if size > _LARGEST_CSV or (size > _SMALL and size > _LARGEST_RATIO * max(packed, 1)):
        raise SchemaError(f"{origin} would unpack {packed:,} bytes to {size:,}: that is not a csv of market data")
    return member


def _beginning(path: str | Path) -> str:
    """Return how a file begins, if it begins like text: an error page instead of a zip."""
    with Path(path).open("rb") as file:
        head = file.read(40)
    return f"; it begins with {head.decode()!r}" if head[:1] in (b"<", b"{") and head.isascii() else ""
