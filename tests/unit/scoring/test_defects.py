"""Tables with defects are scored with a warning that names them, or refused: never in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import slackwater as sw
from slackwater.errors import DataError, DefectWarning, SchemaError
from slackwater.market.inputs import INPUT_TABLES
from tests.small_bundle import market

TABLES = {name: t for name, t in market(days=12).items() if name in INPUT_TABLES}
LAST = TABLES["bars"]["event_time"].max()
TIMES = ["open_time", "event_time", "available_time"]

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def scorer(small_bundle: Path) -> sw.ReversalScorer:
    return sw.ReversalScorer.load(small_bundle)


def third(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby("symbol", sort=False).nth(slice(None, None, 3))


def later(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    return rows.assign(**{name: rows[name] + pd.Timedelta(by) for name in TIMES if name in rows})


def of_eth(change: Change) -> Change:
    """Apply a change to one symbol alone."""
    return lambda t: pd.concat([t[t["symbol"] != "ETHUSDT"], change(t[t["symbol"] == "ETHUSDT"])], ignore_index=True)


def daily(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["event_time"].dt.hour == 0]


NAMED: dict[str, tuple[str, Change, str]] = {
    "two of three bars missing": ("bars", third, r"BTCUSDT gap in 190 rows, .*\n.*ETHUSDT gap in 190 rows"),
    "two of three bars of one symbol": ("bars", of_eth(third), r"table bars: ETHUSDT gap in 190 rows"),
    "days stamped as hours": ("bars", daily, r"BTCUSDT gap in 253 rows"),
    "bars a minute late": ("bars", lambda t: later(t, "1min"), r"clock_shift in 288 rows.* whole multiples of 1:00:00"),
    "bars a minute early": ("bars", lambda t: later(t, "-1min"), r"clock_shift in 288 rows"),
    "bars twice": ("bars", lambda t: pd.concat([t, t]), r"doubled_rows in 288 rows, .*, repaired"),
    "a page of depth twice": ("depth", lambda t: pd.concat([t, t[40:60]]), r"depth: BTCUSDT doubled_rows in 20 rows"),
    "two of three premiums": ("premium_index", third, r"ETHUSDT silent in 192 rows, .*unknown at 192 of 288 bars"),
    "two of three settlements": ("funding", third, r"table funding: BTCUSDT gap in "),
    "interest that ended": (
        "open_interest",
        lambda t: t[t["event_time"] < LAST - pd.Timedelta("5D")],
        r"open_interest: BTCUSDT silent in 11\d rows, .* no row within 3:00:00",
    ),
    "liquidations that ended": (
        "liquidations",
        lambda t: t[t["event_time"] < LAST - pd.Timedelta("6D")],
        r"liquidations: BTCUSDT silent in 7\d rows, .* no row within 3 days",
    ),
    "interest of one symbol": (
        "open_interest",
        lambda t: t[t["symbol"] == "BTCUSDT"],
        r"open_interest: ETHUSDT silent in 288 rows, .* no row of it; the table has BTCUSDT$",
    ),
    "symbols of another venue": (
        "exchange_flows",
        lambda t: t.assign(symbol=t["symbol"].str.replace("USDT", "-USDT-SWAP")),
        r"exchange_flows: BTCUSDT silent .* the table has BTC-USDT-SWAP, ETH-USDT-SWAP",
    ),
    "an empty table": ("depth", lambda t: t[:0], r"depth: BTCUSDT silent .* the table has no row at all"),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_defect_reaches_the_user(case: str, scorer: sw.ReversalScorer) -> None:
    """Catches scores of a third of the bars, or of a feed that ended a month ago, that look like any others."""
    name, change, message = NAMED[case]
    with pytest.warns(DefectWarning, match=rf"(?s)^the tables have defects; .*{message}") as warned:
        scorer.stream("BTCUSDT").warm(TABLES | {name: change(TABLES[name])})
    assert [each.filename for each in warned] == [__file__]


def test_score_warns_as_warm_does_and_a_repaired_table_scores_alike(scorer: sw.ReversalScorer) -> None:
    """The sound tables warn of nothing: warnings are errors here."""
    sound = scorer.score(TABLES)
    with pytest.warns(DefectWarning, match=r"table bars: BTCUSDT doubled_rows in 60 rows") as warned:
        again = scorer.score(TABLES | {"bars": pd.concat([TABLES["bars"], TABLES["bars"][:60]])})
    pd.testing.assert_frame_equal(again, sound)
    assert [each.filename for each in warned] == [__file__]


def test_many_defects_are_one_line_per_table_symbol_and_rule(scorer: sw.ReversalScorer) -> None:
    with pytest.warns(DefectWarning) as warned:
        scorer.stream("BTCUSDT").warm({name: third(table) for name, table in TABLES.items()})
    lines = str(warned[0].message).splitlines()[1:]
    assert 4 < len(lines) <= 31
    keys = [tuple(line.split(" in ")[0].split()) for line in lines]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (of_eth(lambda t: later(t, "1min")), DataError, "closes of ETHUSDT are 1 minutes after those of BTCUSDT"),
        (
            lambda t: daily(t).assign(open_time=daily(t)["event_time"] - pd.Timedelta("1D")),
            SchemaError,
            r"reads bars of 1:00:00, 24 of 24 rows have another length, the first 1 days",
        ),
        (
            lambda t: t.assign(open_time=t["event_time"] - pd.Timedelta("30min")),
            SchemaError,
            r"576 of 576 rows have another length",
        ),
        (lambda t: pd.concat([t[:100], later(t[100:], "1min")]), DataError, "do not ascend on a grid of 60 minutes"),
    ],
)
def test_bars_that_are_not_those_of_the_bundle_are_refused(
    change: Change, error: type[Exception], message: str, scorer: sw.ReversalScorer
) -> None:
    for take in (scorer.score, scorer.stream("BTCUSDT").warm):
        with pytest.raises(error, match=message):
            take(TABLES | {"bars": change(TABLES["bars"])})
