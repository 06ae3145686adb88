"""What is packed for workers, in a file and in pieces."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.parallel import call, mapped
from slackwater.parallel.call import Packed, packed_apart
from slackwater.parallel.mapped import HeldPiece, PackedFile, Places, in_pieces, joined

TABLE = pd.DataFrame(
    {
        "symbol": ["BTCUSDT", "ETHUSDT", None] * 40,
        "event_time": pd.date_range("2024-01-01", periods=120, freq="1h", tz="UTC"),
        "price": np.linspace(1.0, 2.0, 120),
        "trades": np.arange(120) % 2 == 0,
        "notes": pd.Series([{"a": n} for n in range(120)], dtype=object),
    }
)


def unpacked(packed: Packed) -> object:
    return pickle.loads(packed.head, buffers=packed.arrays)  # noqa: S301 -- made here


@pytest.mark.parametrize("size", [1, 7, 1_000, 10**6])
def test_pieces_that_are_sent_and_joined_are_what_was_packed(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a byte that is lost or doubled where a piece, an array or the room between two ends."""
    monkeypatch.setattr(call, "_LARGE", 64)
    monkeypatch.setattr(mapped, "_PIECE", size)
    packed = packed_apart(TABLE, "a table")
    assert len(packed.arrays) >= 3
    pieces = list(in_pieces(packed))
    assert len(pieces) <= 64
    assert len({len(piece) for piece in pieces[:-1]}) <= 1
    sent = [pickle.loads(pickle.dumps(HeldPiece(piece), protocol=5)) for piece in pieces]  # noqa: S301 -- made here
    pd.testing.assert_frame_equal(unpacked(joined(Places.of(packed), sent)), TABLE)
    file = PackedFile.write(packed, tmp_path / "function")
    assert file.path.read_bytes() == b"".join(pieces)
    back = unpacked(file.read())
    file.path.unlink()
    pd.testing.assert_frame_equal(back, TABLE)


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Packed) -> object:
        yield memoryview(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped, "_content", fails)
    with pytest.raises(OSError, match="No space left"):
        PackedFile.write(packed_apart(TABLE, "a table"), tmp_path / "function")
    assert list(tmp_path.iterdir()) == []
