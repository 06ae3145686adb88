"""Bad tables: named by column and rows, never passed, never crashed on."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, OrderError, SchemaError
from slackwater.market.quality.detectors import absent_tables
from slackwater.market.schemas import SCHEMAS, RowReader, validate
from tests.small_market import small_market

MARKET = small_market(days=3)
MARKET["liquidation_totals"] = MARKET["depth"].rename(
    columns={"bid_quantity_1pct": "long_quantity", "ask_quantity_1pct": "short_quantity"}
)
# What few data sets have; no feature reads it.
MARKET["bars"] = MARKET["bars"].assign(trade_count=7.0)
MARKET["depth"] = MARKET["depth"].assign(
    bid_quantity_5pct=3.0 * MARKET["depth"]["bid_quantity_1pct"],
    ask_quantity_5pct=3.0 * MARKET["depth"]["ask_quantity_1pct"],
)
MARKET["long_short_ratio"] = MARKET["long_short_ratio"].assign(
    top_trader_account_ratio=1.5, account_ratio=2.0, taker_volume_ratio=0.9
)
MARKET["exchange_flows"] = MARKET["open_interest"][["symbol", "event_time", "available_time"]].assign(
    bucket_start=MARKET["open_interest"]["event_time"] - pd.Timedelta("1h"),
    asset="BTC",
    inflow_usd=5e6,
    outflow_usd=7e6,
    netflow_usd=-2e6,
    source="labels of mine",
)
MARKET["mark_price"] = MARKET["bars"].drop(columns=["volume", "taker_buy_volume", "trade_count"])


def bars(change: Callable[[pd.DataFrame], object]) -> pd.DataFrame:
    table = MARKET["bars"].copy()
    changed = change(table)
    return changed if isinstance(changed, pd.DataFrame) else table


def put(column: str, row: int, value: object) -> Callable[[pd.DataFrame], object]:
    def change(table: pd.DataFrame) -> None:
        table.loc[row, column] = value

    return change


BAD: dict[str, tuple[Callable[[pd.DataFrame], object], type[DataError], str]] = {
    "missing column": (lambda t: t.drop(columns="low"), SchemaError, r"table bars: missing column low; it has"),
    "NaN price": (
        put("close", 7, np.nan),
        SchemaError,
        r"column `close` must not be missing; 1 rows, the first:\n.*\n7 ",
    ),
    "negative price": (put("low", 5, -1.0), SchemaError, r"column `low` must be above 0; 1 rows.*\n.*\n5 .*-1\.0"),
    "zero price": (put("open", 5, 0.0), SchemaError, r"column `open` must be above 0"),
    "infinite price": (put("high", 5, np.inf), SchemaError, r"column `high` must be finite"),
    "negative volume": (put("volume", 5, -3.0), SchemaError, r"column `volume` must be at least 0"),
    "NaN volume": (put("volume", 5, np.nan), SchemaError, r"column `volume` must not be missing"),
    "text price": (lambda t: t.assign(close="a"), SchemaError, r"column `close` must hold numbers"),
    "naive times": (
        lambda t: t.assign(event_time=t["event_time"].dt.tz_localize(None)),
        SchemaError,
        r"column `event_time` must hold timezone-aware times \(UTC\), holds naive times",
    ),
    "times as text": (
        lambda t: t.assign(event_time=t["event_time"].astype(str)),
        SchemaError,
        r"`event_time` must hold",
    ),
    "missing time": (put("event_time", 5, pd.NaT), SchemaError, r"column `event_time` must not be missing"),
    "unordered": (lambda t: t.iloc[[1, 0, *range(2, len(t))]], OrderError, r"1 rows run backwards in `event_time`"),
    "repeated": (lambda t: t.iloc[[0, 0, 1, 2]], OrderError, r"1 rows repeat \(symbol, event_time\).*\n.*\n1 "),
    "known before it happened": (
        lambda t: t.assign(available_time=t["available_time"] - pd.Timedelta("1h")),
        OrderError,
        r"rows are available before they happened",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_bars_are_refused(case: str) -> None:
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        validate(bars(change), "bars")


def test_the_origin_is_named() -> None:
    with pytest.raises(SchemaError, match=r"mine\.parquet \(table bars\): missing column"):
        validate(MARKET["bars"].drop(columns="open"), "bars", origin="mine.parquet")


def test_unknown_side_of_a_liquidation_is_refused() -> None:
    table = MARKET["liquidations"].assign(side="buy")
    with pytest.raises(SchemaError, match="column `side` must be one of long, short"):
        validate(table, "liquidations")


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - {"fine_bars"}))
def test_good_tables_pass_unchanged(name: str) -> None:
    table = validate(MARKET[name], name)
    pd.testing.assert_frame_equal(
        table[sorted(table)], MARKET[name][sorted(table)], check_dtype=False, check_column_type=False
    )
    assert str(table["event_time"].dtype) == "datetime64[us, UTC]"


def test_a_ratio_that_a_venue_left_out_may_be_missing_and_not_infinite() -> None:
    """Missing is honest, infinite is a division by nothing: a check that skips the one must not skip the other."""
    table = MARKET["long_short_ratio"].assign(account_ratio=np.nan)
    assert validate(table, "long_short_ratio")["account_ratio"].isna().all()
    assert np.isnan(RowReader("long_short_ratio")(table.iloc[0].to_dict())["account_ratio"])
    for wrong, message in ((np.inf, "must be finite"), (-1.0, "must be at least 0")):
        with pytest.raises(SchemaError, match=f"column `account_ratio` {message}"):
            validate(table.assign(account_ratio=wrong), "long_short_ratio")


def test_a_flow_may_be_known_by_its_net_alone() -> None:
    table = MARKET["exchange_flows"].drop(columns=["inflow_usd", "outflow_usd"])
    assert (validate(table, "exchange_flows")["netflow_usd"] < 0.0).all()


def test_nanosecond_times_become_microseconds() -> None:
    """pandas keeps the unit of a file: dividing integers by a fixed power of ten would be wrong by a thousand."""
    table = MARKET["bars"].assign(event_time=MARKET["bars"]["event_time"].dt.as_unit("ns"))
    assert str(validate(table, "bars")["event_time"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - {"fine_bars"}))
def test_a_row_means_what_its_table_means(name: str) -> None:
    """History and live read the same columns: a row must come out as in its validated table."""
    table = validate(MARKET[name], name)
    for given, row in zip(MARKET[name].head(20).to_dict("records"), table.head(20).to_dict("records"), strict=True):
        live = RowReader(name)(given | {"foreign": object()})
        assert list(live) == list(row)
        for column in SCHEMAS[name].columns:
            value = row[column.name]
            assert live[column.name] == (value.value // 1000 if column.kind == "time" else value), column.name


def test_absent_liquidations_are_named_only_if_there_are_none_at_all() -> None:
    assert absent_tables(dict.fromkeys(set(SCHEMAS) - {"liquidations"}, pd.DataFrame())) == []
    assert absent_tables(dict.fromkeys(set(SCHEMAS) - {"liquidation_totals"}, pd.DataFrame())) == []
    assert absent_tables({})[:5] == ["open_interest", "funding", "premium_index", "liquidations", "liquidation_totals"]


class Symbol(str, Enum):  # noqa: UP042 -- as they give them
    """Names as some exchange clients give them."""

    BTC = "BTCUSDT"


def test_a_member_of_an_enumeration_is_its_text_in_tables_and_in_rows() -> None:
    """A live row took its name, `Symbol.BTC`, for a symbol of its own, and history its text."""
    time = pd.Timestamp("2024-01-01T08:00Z")
    row = {
        "symbol": Symbol.BTC,
        "event_time": time,
        "available_time": time,
        "funding_rate": 1e-4,
        "interval_hours": 8.0,
    }
    assert RowReader("funding")(row)["symbol"] == "BTCUSDT"
    assert validate(pd.DataFrame([row]), "funding")["symbol"].tolist() == ["BTCUSDT"]
    assert repr(RowReader("funding")(row)["symbol"]) == "'BTCUSDT'"
