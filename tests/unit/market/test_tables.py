"""One table, one description: what is derived from it, and a table from outside of the library."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import BundleError, ParameterError, SchemaError
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES, INPUTS
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.market.tables import STAMP, TABLES, Column, Table, newest, summed
from tests.ragged_market import BAR, LAG, ragged_market
from tests.toys import SPOT_BASIS

HOUR = timedelta(hours=1)

VOTES = Table(
    name="votes",
    columns=(*STAMP, *(Column(name=name, kind="number", minimum=0.0) for name in ("up", "down"))),
    key=(),
    lag=timedelta(seconds=2),
    inputs=("votes_up", "votes_down"),
    join=summed("up", "down"),
    staleness=timedelta(minutes=20),
)
SPEC = FrameSpec(bar_interval=BAR, decision_lag=LAG, tables=(*TABLES, SPOT_BASIS, VOTES))


def outside_market(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return the ragged market with rows of both tables from outside."""
    tables = ragged_market(seed)
    rng = np.random.default_rng(seed)
    stamps = tables["premium_index"][["symbol", "event_time", "available_time"]]
    tables["spot_basis"] = stamps.assign(basis=rng.normal(size=len(stamps)))
    tables["votes"] = stamps.assign(up=rng.random(len(stamps)), down=1.0)
    return tables


def test_the_inputs_keep_their_order() -> None:
    """Kernels and the fingerprint of every bundle depend on it: a new input goes to the end."""
    digest = sha256("\n".join(INPUTS).encode()).hexdigest()
    assert digest == "549cd791f54ee792fb53f1ec924c694d554eeaa2315eaa6dd20304dac7930a6d"
    assert len(set(INPUTS)) == len(INPUTS)


def test_inputs_of_a_table_stand_side_by_side() -> None:
    for name, inputs in INPUT_TABLES.items():
        first = INPUTS.index(inputs[0])
        assert INPUTS[first : first + len(inputs)] == inputs, name


def test_a_position_of_an_unknown_input_is_an_error_of_import() -> None:
    with pytest.raises(ImportError, match="CLOZE"):
        from slackwater.market.inputs import CLOZE  # noqa: F401


def test_a_table_from_outside_is_joined_for_history_and_live() -> None:
    """Fails if its inputs move the built-in ones, if the live frame joins it otherwise, or if nothing joins it."""
    tables = outside_market()
    frame = MarketFrame.from_tables(tables, SPEC)
    plain = MarketFrame.from_tables(tables, FrameSpec(bar_interval=BAR, decision_lag=LAG))
    assert frame.inputs == (*INPUTS, "spot_basis", "votes_up", "votes_down") == SPEC.inputs
    np.testing.assert_array_equal(frame.values[:, : len(INPUTS)], plain.values)
    assert {"spot_basis", "votes_up", "votes_down"} <= frame.available
    assert not np.isnan(frame.values[:, -3:]).all(axis=0).any()

    stream = FrameStream(SPEC)
    rows = [(name, row) for name, table in tables.items() for row in table.to_dict("records")]
    rows.sort(key=lambda item: item[1]["event_time"])
    history = {(row.symbol, row.event_time): row.values for symbol, _ in frame.symbols() for row in frame.rows(symbol)}
    for name, row in rows:  # ahead of time: a row counts from its availability on
        stream.push(name, row)
    closes = tables["bars"]["event_time"]
    for close in pd.date_range(closes.min(), closes.max(), freq=BAR):
        restored = FrameStream(SPEC)
        restored.load_state(stream.save_state())
        stream = restored
        for symbol, row in stream.close(close).items():
            np.testing.assert_array_equal(row.values, history.pop((symbol, close)), err_msg=f"{symbol} {close}")
    assert not history


def test_a_row_of_a_table_from_outside_is_checked() -> None:
    row = outside_market()["votes"].iloc[0].to_dict()
    with pytest.raises(SchemaError, match=r"row of table votes .*column `up` must be at least 0"):
        FrameStream(SPEC).push("votes", row | {"up": -1.0})
    with pytest.raises(SchemaError, match="there is no table `votes` in a live frame"):
        FrameStream(FrameSpec(bar_interval=BAR, decision_lag=LAG)).push("votes", row)


def test_a_saved_stream_with_a_table_from_outside_needs_it() -> None:
    with pytest.raises(BundleError, match="other parameters"):
        FrameStream(FrameSpec(bar_interval=BAR, decision_lag=LAG)).load_state(FrameStream(SPEC).save_state())


def test_settings_of_a_frame_survive_json() -> None:
    spec = FrameSpec(
        bar_interval=HOUR, decision_lag=LAG, liquidation_cap=timedelta(seconds=1), staleness={"funding": 2 * HOUR}
    )
    assert FrameSpec.from_dict(spec.to_dict()) == spec
    assert FrameSpec.from_dict(SPEC.to_dict(), tables=SPEC.tables) == SPEC
    with pytest.raises(ParameterError, match=r"made with the tables \['spot_basis', 'votes'\] from outside, got \[\]"):
        FrameSpec.from_dict(SPEC.to_dict())
    with pytest.raises(ParameterError, match="incomplete or of another type: 'decision_lag_us'"):
        FrameSpec.from_dict({k: v for k, v in spec.to_dict().items() if k != "decision_lag_us"})


BAD_SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "without the canonical ones": ({"tables": (SPOT_BASIS,)}, "must be the canonical ones, then others"),
    "twice the same": ({"tables": (*TABLES, SPOT_BASIS, SPOT_BASIS)}, "of new names"),
    "an input of another table": (
        {"tables": (*TABLES, Table(**(vars(SPOT_BASIS) | {"inputs": ("close",), "signed": ()})))},
        r"must feed inputs of new names, fed \['close'\]",
    ),
    "inputs without a join": (
        {"tables": (*TABLES, Table(**(vars(SPOT_BASIS) | {"join": None, "staleness": None})))},
        "have inputs and no join",
    ),
    "a staleness of nothing": ({"staleness": {"funding": timedelta(0)}}, "`staleness` must be positive"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_tables_that_do_not_fit_are_refused(case: str) -> None:
    change, message = BAD_SPECS[case]
    with pytest.raises(ParameterError, match=message):
        FrameSpec(bar_interval=HOUR, decision_lag=LAG, **change)


BAD_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "a name with capitals": ({"name": "Basis"}, "table 'Basis': `name` must be a lower-case identifier"),
    "no stamp": ({"columns": SPOT_BASIS.columns[1:]}, "`columns` must begin with STAMP"),
    "a key that is no column": ({"key": ("block",)}, "`key` must name columns"),
    "a join of another column": ({"join": newest("price")}, "`join` must read columns of the table"),
    "a join without staleness": ({"staleness": None}, "`join` and `staleness` must be given together"),
    "amounts without an input": (
        {"join": newest(*SPOT_BASIS.join.columns, *SPOT_BASIS.join.columns)},
        "without a `split` must read one number for each amount",
    ),
    "a text for an amount": ({"join": newest("symbol")}, "without a `split` must read one number for each amount"),
    "a negative lag": ({"lag": -HOUR}, "`lag` must not be negative"),
    "a join without inputs": ({"inputs": (), "signed": ()}, "a join needs `inputs`"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_contradicts_itself_is_refused(case: str) -> None:
    change, message = BAD_TABLES[case]
    with pytest.raises(ParameterError, match=message):
        Table(**(vars(SPOT_BASIS) | change))


# -- exchange flows ----------------------------------------------------------------------------------------------

T = pd.Timestamp("2024-01-01 01:00", tz="UTC")


def flow(minutes: int, asset: str, usd: float, symbol: str = "BTCUSDT") -> dict[str, Any]:
    end = T + pd.Timedelta(minutes=minutes)
    return {
        "symbol": symbol,
        "event_time": end,
        "available_time": end,
        "bucket_start": end - HOUR,
        "asset": asset,
        "netflow_usd": usd,
        "source": "test",
    }


def frame_of_flows(*rows: dict[str, Any], symbol: str = "BTCUSDT", closes: int = 3) -> pd.DataFrame:
    at = pd.DatetimeIndex([T + i * HOUR for i in range(closes)])
    bars = pd.DataFrame({"symbol": symbol, "event_time": at, "available_time": at, "open_time": at - HOUR})
    bars[["open", "high", "low", "close", "volume"]] = 1.0
    spec = FrameSpec(bar_interval=HOUR, decision_lag=LAG, staleness={"exchange_flows": 90 * timedelta(minutes=1)})
    return MarketFrame.from_tables({"bars": bars, "exchange_flows": pd.DataFrame(list(rows))}, spec).table


def flows_of(table: pd.DataFrame, kind: str) -> list[float]:
    return [float(value) for value in table[f"exchange_netflow_{kind}_usd"]]


def test_flows_of_the_coin_and_of_stablecoins_stay_apart() -> None:
    table = frame_of_flows(
        flow(-10, "BTC", 5.0),
        flow(-9, "usdt", 7.0),
        flow(-8, "USDC", -1.0),
        flow(-7, "BTC", -2.0),
        flow(-6, "ETH", 99.0),
    )
    assert flows_of(table, "coin")[0] == 3.0
    assert flows_of(table, "stable")[0] == 6.0


def test_each_kind_of_flow_is_silent_on_its_own() -> None:
    """A feed of stablecoins alone reports nothing about the coin: zero would be invented."""
    table = frame_of_flows(flow(-10, "USDT", 7.0), flow(50, "USDT", 1.0), flow(-10, "ETH", 3.0))
    assert np.isnan(flows_of(table, "coin")).all()
    np.testing.assert_array_equal(flows_of(table, "stable"), [7.0, 1.0, 0.0])
    gone = frame_of_flows(flow(-10, "BTC", 7.0), flow(110, "USDT", 1.0))
    np.testing.assert_array_equal(flows_of(gone, "coin"), [7.0, 0.0, np.nan])
    np.testing.assert_array_equal(flows_of(gone, "stable"), [np.nan, np.nan, 1.0])


@pytest.mark.parametrize(("symbol", "known"), [("BTC/USDT", True), ("btcusdc", True), ("BTCEUR", False)])
def test_the_coin_is_that_of_the_symbol(symbol: str, known: bool) -> None:
    coin = flows_of(frame_of_flows(flow(-10, "BTC", 7.0, symbol), symbol=symbol), "coin")[0]
    assert coin == 7.0 if known else np.isnan(coin)


def test_a_table_from_outside_is_cleaned_by_its_own_description() -> None:
    """The defects of a table that no rule names are still found: copies, disorder, gaps, values out of range."""
    basis = outside_market()["spot_basis"]
    spoilt = {"spot_basis": pd.concat([basis, basis.iloc[[3]]], ignore_index=True)}
    cleaned, ledger = clean_tables(spoilt, venue="simulated", spacing={}, schemas=SPEC.tables)
    assert {(f.table, f.rule) for f in ledger.findings if f.action == "repaired"} == {("spot_basis", "doubled_rows")}
    assert len(cleaned["spot_basis"]) == len(basis)
    with pytest.raises(SchemaError, match="there is no canonical table `spot_basis`"):
        clean_tables(spoilt, venue="simulated", spacing={})
