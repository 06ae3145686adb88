"""Files after mutations: read equal, repaired with a finding, or refused by name; never changed in silence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mutations import archives, whales
from tests.mutations.judge import JUDGES, KINDS, judged
from tests.mutations.of_tables import OPERATORS


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**31))
def test_a_mutated_table_is_never_changed_in_silence(seed: int) -> None:
    """A reader that guesses would return other numbers than the file holds, and nobody would know."""
    with tempfile.TemporaryDirectory() as directory:
        assert judged(seed, Path(directory))[0] in ("equal", "repaired", "refused")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(["archives", "whales"]))
def test_a_mutated_file_of_the_archive_or_of_whales_is_never_changed_in_silence(seed: int, kind: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert JUDGES[kind](seed, Path(directory))[0] in ("equal", "repaired", "refused", "not written")


def test_every_file_of_the_archive_and_of_whales_is_read_equal_after_some_of_them(tmp_path: Path) -> None:
    for judge, kinds in ((archives.judged, len(archives.FILES)), (whales.judged, len(whales.KINDS))):
        for kind in range(kinds):
            outcomes = [judge(seed, tmp_path)[0] for seed in range(kind, 9 * kinds, kinds)]
            assert "equal" in outcomes, (judge.__module__, kind)


def test_every_table_is_read_equal_after_some_of_them(tmp_path: Path) -> None:
    """A reader that refused everything would pass the test above."""
    assert len(OPERATORS) >= 25
    for kind in range(len(KINDS)):
        seeds = range(kind, kind + 9 * len(KINDS), len(KINDS))
        assert any(judged(seed, tmp_path)[0] == "equal" for seed in seeds), KINDS[kind]
