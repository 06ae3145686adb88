"""History is scored symbol by symbol: the same bytes as of all symbols at once, in the memory of one of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from slackwater.errors import DataError, DefectWarning, MissingDataError, SchemaError, UniverseWarning
from slackwater.market.inputs import INPUT_TABLES
from slackwater.scoring import history
from slackwater.scoring.quality import quality_columns
from tests.small_bundle import market

pytestmark = pytest.mark.filterwarnings("ignore::slackwater.errors.UniverseWarning")

HOUR = pd.Timedelta("1h")
SIX = tuple(f"{letter}USDT" for letter in "ABCDEF")


@pytest.fixture(scope="module")
def scorer(small_bundle: Path) -> sw.ReversalScorer:
    return sw.ReversalScorer.load(small_bundle)


def tables_of(symbols: tuple[str, ...], days: int) -> dict[str, pd.DataFrame]:
    return {name: table for name, table in market(days, symbols).items() if name in INPUT_TABLES}


def uneven_market() -> dict[str, pd.DataFrame]:
    """Five symbols: one with five bars, one without two of the tables, one with gaps, and all rows in disorder."""
    symbols = ("BTCUSDT", "ETHUSDT", "FEWUSDT", "GAPUSDT", "BAREUSDT")
    tables = tables_of(symbols, 60)
    for name, table in tables.items():
        if name in ("liquidations", "depth"):
            table = table[table["symbol"] != "BAREUSDT"]
        few = (table["symbol"] == "FEWUSDT") & (table["available_time"] < table["available_time"].max() - 4 * HOUR)
        tables[name] = table[~few]
    bars = tables["bars"]
    tables["bars"] = bars[~((bars["symbol"] == "GAPUSDT") & bars["event_time"].dt.day.isin([3, 9]))]
    return {name: table.sample(frac=1.0, random_state=1) for name, table in tables.items()}


def assert_same_bytes(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_index_type="exact")
    assert (one.attrs, one.flags) == (other.attrs, other.flags)
    for name in one.select_dtypes("number"):
        assert one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes(), name


def test_scores_are_those_of_all_symbols_at_once(scorer: sw.ReversalScorer) -> None:
    """Catches a symbol that is scored with the rows or the company of another one, or comes out of its place."""
    tables = uneven_market()
    with pytest.warns(DefectWarning) as said:
        frame, checked = scorer.frame(tables)
    with pytest.warns(DefectWarning) as said_of_parts:
        found = scorer.score(tables)
    assert [str(each.message) for each in said_of_parts] == [str(each.message) for each in said]
    assert __file__ in [each.filename for each in said_of_parts]
    assert_same_bytes(found, scorer.score_frame(frame, checked))
    # The parts of a row by themselves, each of the whole frame.
    made = scorer._engine.transform(frame)
    assert_same_bytes(found[made.columns], made)
    quality = quality_columns(frame, checked, scorer.spec, scorer.warm_up)
    assert_same_bytes(found[quality.columns], quality)
    assert list(found["symbol"].unique()) == ["BAREUSDT", "BTCUSDT", "ETHUSDT", "FEWUSDT", "GAPUSDT"]
    assert (found["symbol"] == "FEWUSDT").sum() == 5
    assert found.loc[found["symbol"] == "BAREUSDT", "silent_tables"].map(lambda names: "depth" in names).all()
    assert found["others_return_24h"].notna().any()


def test_symbols_one_after_the_other_are_the_rows_of_the_scores(scorer: sw.ReversalScorer) -> None:
    tables = uneven_market()
    with pytest.warns(DefectWarning):
        parts = scorer.score_symbols(tables)
    made = list(parts)
    assert [set(part["symbol"]) for part in made] == [
        {name} for name in ("BAREUSDT", "BTCUSDT", "ETHUSDT", "FEWUSDT", "GAPUSDT")
    ]
    with pytest.warns(DefectWarning):
        assert_same_bytes(pd.concat(made, ignore_index=True), scorer.score(tables))


def test_what_score_refuses_is_refused_before_the_first_symbol(scorer: sw.ReversalScorer) -> None:
    """Catches checks that only run once somebody asks for the scores."""
    tables = tables_of(("BTCUSDT", "ETHUSDT"), 12)
    late = tables["bars"].assign(available_time=tables["bars"]["available_time"] + pd.Timedelta("1min"))
    for take in (scorer.frame, scorer.score, scorer.score_symbols):
        with pytest.raises(MissingDataError, match="needs a table `bars` with at least one row"):
            take({"depth": tables["depth"]})
        with pytest.raises(DataError, match="288 rows of BTCUSDT become available only after the decision"):
            take(tables | {"bars": late})
    bars = tables["bars"].copy()
    bars.loc[[3, 103, 400], ["high", "volume"]] = 1e300, 1e6
    for take in (scorer.score, scorer.score_symbols):
        with (
            pytest.warns(DefectWarning, match="far_wick in 2 rows"),
            pytest.raises(SchemaError, match=r"(?s)^3 rows of the frame are not bars: .*3 +BTCUSDT.*400 +ETHUSDT"),
        ):
            take(tables | {"bars": bars})


@pytest.mark.filterwarnings("default::slackwater.errors.UniverseWarning")
def test_the_whole_market_is_compared_with_the_symbols_of_the_bundle(scorer: sw.ReversalScorer) -> None:
    scorer.score_symbols(tables_of(("BTCUSDT", "ETHUSDT"), 12))
    with pytest.warns(UniverseWarning, match="this market adds ALTUSDT") as said:
        scorer.score_symbols(tables_of(("ALTUSDT", "BTCUSDT", "ETHUSDT"), 12))
    assert len(said) == 1


def test_memory_is_that_of_the_tables_and_of_one_symbol(
    scorer: sw.ReversalScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of all symbols are seven times their tables: only the result of `score` may hold them, and once."""
    # tracemalloc sees the memory of numpy and not that of Arrow.
    monkeypatch.setattr(history, "kept_memory", lambda rows, columns: np.empty((rows, columns)))
    one, six = tables_of(SIX[:1], 60), tables_of(SIX, 60)
    more = sum(int(six[name].memory_usage().sum() - one[name].memory_usage().sum()) for name in six)

    def count(tables: dict[str, pd.DataFrame]) -> int:
        return sum(map(len, scorer.score_symbols(tables)))

    count(one)  # caches
    of_one, of_six = peak_of(lambda: count(one))[0], peak_of(lambda: count(six))[0]
    assert of_six < of_one + more
    peak, result = peak_of(lambda: scorer.score(six))
    assert peak < 1.4 * result


def peak_of(call: Callable[[], Any]) -> tuple[int, int]:
    """Return the most bytes that a call holds at a time, and the bytes of its result."""
    tracemalloc.start()
    try:
        result = call()
        held, peak = tracemalloc.get_traced_memory()
        del result
        return peak, held
    finally:
        tracemalloc.stop()
