"""Pages: whatever a venue begins with and however short its answers, every row comes once."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.sources.exchange.pages import read_pages

Ask = Callable[[int, int], pd.DataFrame]


def venue(times: list[int], *, size: int, newest_first: bool, asked: list[tuple[int, int]] | None = None) -> Ask:
    rows = pd.DataFrame({"time": sorted(times), "row": range(len(times))})

    def ask(first: int, last: int) -> pd.DataFrame:
        if asked is not None:
            asked.append((first, last))
        inside = rows[rows["time"].between(first, last)]
        return inside.tail(size)[::-1] if newest_first else inside.head(size)

    return ask


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(st.integers(0, 200), unique=True, max_size=120),
    first=st.integers(0, 200),
    length=st.integers(0, 200),
    size=st.integers(1, 20),
    believed=st.integers(1, 40),
    newest_first=st.booleans(),
    span=st.one_of(st.none(), st.integers(1, 50)),
)
def test_every_row_once_whatever_the_page(
    times: list[int], first: int, length: int, size: int, believed: int, newest_first: bool, span: int | None
) -> None:
    """Catches a page that begins one row late, a last page that is left out, and a belief in the promised length."""
    ask = venue(times, size=size, newest_first=newest_first)
    pages = read_pages(ask, first, first + length, resolution=1, limit=believed, span=span)
    assert pages.rows["time"].tolist() == sorted(t for t in times if first <= t <= first + length)


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(st.integers(0, 30), max_size=80),
    size=st.integers(9, 20),
    newest_first=st.booleans(),
)
def test_a_moment_that_a_page_cuts_in_half_is_whole(times: list[int], size: int, newest_first: bool) -> None:
    """Catches events lost where a page ends between two events of one second, and events counted twice."""
    crowded = {t for t in times if times.count(t) >= size}
    pages = read_pages(
        venue(times, size=size, newest_first=newest_first), 0, 30, resolution=1, limit=size, repeats=True
    )
    got = pages.rows["time"].tolist()
    assert [t for t in got if t not in crowded] == sorted(t for t in times if t not in crowded)
    assert pages.rows.empty or pages.rows["row"].is_unique
    assert set(pages.crowded) == crowded


def test_a_history_that_is_over_is_asked_for_once() -> None:
    """Years before a listing, or beyond what a venue keeps, must not cost a request each page."""
    asked: list[tuple[int, int]] = []
    ask = venue(list(range(90_000, 100_000)), size=1000, newest_first=True, asked=asked)
    pages = read_pages(ask, 0, 99_999, resolution=1, limit=1000)
    assert len(pages.rows) == 10_000
    assert len(asked) == 11


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_venue_that_ignores_the_range_neither_loops_nor_invents(newest_first: bool) -> None:
    """It gives its last rows again and again: those that were asked for count, once."""
    latest = pd.DataFrame({"time": range(80, 100)})
    page = latest[::-1] if newest_first else latest
    inside = read_pages(lambda first, last: page, 50, 95, resolution=1, limit=20)
    assert inside.rows["time"].tolist() == list(range(80, 96))
    assert inside.foreign == 20  # the answer for 50 to 79 held nothing of it
    outside = read_pages(lambda first, last: page, 0, 50, resolution=1, limit=20)
    assert outside.rows.empty
    assert outside.foreign == 20


def test_a_hole_in_the_history_does_not_end_it() -> None:
    ask = venue([*range(10), *range(50, 60)], size=7, newest_first=True)
    assert len(read_pages(ask, 0, 59, resolution=1, limit=7).rows) == 20
