"""A function with its data in a file, whose large arrays a worker maps instead of reading them into its memory."""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from slackwater.parallel.call import Packed

__all__ = ["HeldPiece", "PackedFile", "Places", "in_pieces", "joined"]

_ALIGNED: Final = 64
"""Bytes at a multiple of which an array begins: compiled kernels are of aligned arrays."""
_PIECE: Final = 33 << 20
"""Bytes of a piece, of the first ones: memory for more than 32 MiB is given back to the system at once."""
_PIECES: Final = 64


class Places(NamedTuple):
    """Where the parts of what is packed lie in a file."""

    head: slice
    arrays: tuple[slice, ...]

    @classmethod
    def of(cls, packed: Packed) -> Places:
        """Return the places of the parts, one after the other."""
        places, start = [], 0
        for part in (memoryview(packed.head), *packed.arrays):
            start += -start % _ALIGNED
            places.append(slice(start, start + part.nbytes))
            start = places[-1].stop
        return cls(places[0], tuple(places[1:]))

    @property
    def end(self) -> int:
        """Bytes of the file."""
        return max(each.stop for each in (self.head, *self.arrays))

    def mapped(self, file: BinaryIO) -> Packed:
        """Map a file: pages are those of all who map it, but what somebody writes to an array is his own."""
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        return Packed(bytes(content[self.head]), tuple(content[each] for each in self.arrays))


def in_pieces(packed: Packed) -> Iterator[bytes]:
    """Yield the content of the file of what is packed, in at most 64 pieces of at least 33 MiB; the last is shorter."""
    size, piece = max(_PIECE, -(-Places.of(packed).end // _PIECES)), bytearray()
    for part in _content(packed):
        taken = 0
        while taken < part.nbytes:
            more = part[taken : taken + size - len(piece)]
            piece += more
            taken += more.nbytes
            if len(piece) == size:
                yield bytes(piece)
                piece.clear()
    if piece:
        yield bytes(piece)


def _content(packed: Packed) -> Iterator[memoryview]:
    """Yield what is written, one part after the other."""
    places, written = Places.of(packed), 0
    parts = (memoryview(packed.head), *packed.arrays)
    for place, part in zip((places.head, *places.arrays), parts, strict=True):
        yield memoryview(bytes(place.start - written))
        yield part
        written = place.stop


class PackedFile(NamedTuple):
    """What is packed, in a file of a directory that processes of one machine share."""

    path: Path
    places: Places

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
                file.writelines(_content(packed))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return cls(path, Places.of(packed))

    def read(self) -> Packed:
        """Map the file; raises OSError if it is gone."""
        with self.path.open("rb") as file:
            return self.places.mapped(file)


class HeldPiece:
    """A piece on the disk of a worker, in a file without a name that goes when nobody needs it any more.

    It is sent to another worker with its content, and written there anew: memory of a worker is for what tasks read.

    Raises
    ------
    OSError
        If it cannot be written; its file name is that of the directory of temporary files, with the machine.
    """

    def __init__(self, content: Any) -> None:
        with _named_errors(), tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            self._descriptor, self._size = os.dup(file.fileno()), file.tell()
        weakref.finalize(self, os.close, self._descriptor)

    def content(self) -> mmap.mmap:
        """Map the file."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)

    def __sizeof__(self) -> int:
        """Bytes that are sent to another worker: Dask sends several small results together."""
        return self._size

    def __reduce__(self) -> tuple[Any, ...]:
        return HeldPiece, (pickle.PickleBuffer(self.content()),)


def joined(places: Places, pieces: Iterable[HeldPiece]) -> Packed:
    """Write the pieces that a worker holds to one file and map it, as arrays must lie in one place.

    Raises
    ------
    OSError
        As `HeldPiece`.
    """
    with _named_errors(), tempfile.TemporaryFile() as file:
        for piece in pieces:
            with piece.content() as content:
                file.write(content)
        file.flush()
        return places.mapped(file)


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{tempfile.gettempdir()} of the worker {socket.gethostname()}"
        raise OSError(error.errno, error.strerror, where) from error
