"""A function with its data in a file, whose large arrays a worker maps instead of reading them into its memory."""

from __future__ import annotations

import mmap
import socket
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from slackwater.parallel.call import Packed

__all__ = ["HeldFunction", "PackedFile"]

_ALIGNED: Final = 64
"""Bytes at a multiple of which an array begins: compiled kernels are of aligned arrays."""


class _Places(NamedTuple):
    """Where the parts of what is packed lie in a file."""

    head: slice
    arrays: tuple[slice, ...]


class PackedFile(NamedTuple):
    """What is packed, in a file of a directory that processes of one machine share."""

    path: Path
    places: _Places

    @classmethod
    def write(cls, packed: Packed, path: Path) -> PackedFile:
        """Write a new file, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        try:
            with path.open("xb") as file:
                return cls(path, _written(packed, file))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def read(self) -> Packed:
        """Map the file; raises OSError if it is gone."""
        with self.path.open("rb") as file:
            return _mapped(file, self.places)


class HeldFunction:
    """What is packed, on the disk of a worker, in a file without a name that goes when nobody needs it any more.

    It is sent to another worker with its content, and written there anew.

    Raises
    ------
    OSError
        If it cannot be written; its file name is that of the directory of temporary files, with the machine.
    """

    def __init__(self, packed: Packed) -> None:
        try:
            self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- open while held
            self._places = _written(packed, self._file)
            self._file.flush()
        except OSError as error:
            where = f"{tempfile.gettempdir()} of the worker {socket.gethostname()}"
            raise OSError(error.errno, error.strerror, where) from error

    def read(self) -> Packed:
        """Map the file."""
        return _mapped(self._file, self._places)

    def __reduce__(self) -> tuple[Any, ...]:
        return HeldFunction, (self.read(),)


def _written(packed: Packed, file: BinaryIO) -> _Places:
    places = []
    for part in (memoryview(packed.head), *packed.arrays):
        file.write(bytes(-file.tell() % _ALIGNED))
        start = file.tell()
        file.write(part)
        places.append(slice(start, file.tell()))
    return _Places(places[0], tuple(places[1:]))


def _mapped(file: BinaryIO, places: _Places) -> Packed:
    """Map a file: pages are those of all who map it, but what somebody writes to an array is his own."""
    content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return Packed(bytes(content[places.head]), tuple(content[each] for each in places.arrays))
