"""Clocks: a table that is early leaks the future, one that is late loses what it knew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import SchemaError
from slackwater.market.quality.clocks import event_clock, off_grid, settlement_shift, table_clock
from slackwater.market.quality.detectors import clean_tables, examine_tables
from slackwater.simulation.market import MarketRequest, simulate

Tables = dict[str, pd.DataFrame]
TIMES = ("open_time", "event_time", "available_time")
MINUTE = timedelta(minutes=1)
SPACING = {"fine_bars": MINUTE}


@cache
def market() -> Tables:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    request = MarketRequest(symbols=["XRPUSDT"], start=start, end=start + timedelta(days=10), seed=11)
    tables = simulate(request).tables
    return tables | {"liquidation_totals": totals(tables["liquidations"])}


def totals(liquidations: pd.DataFrame) -> pd.DataFrame:
    """Sums of five minutes."""
    bucket = liquidations["event_time"].dt.ceil("5min")
    sides = liquidations.pivot_table(index=bucket, columns="side", values="quantity", aggfunc="sum", fill_value=0.0)
    grid = pd.date_range(bucket.min(), bucket.max(), freq="5min", unit="us")
    sides = sides.reindex(grid, fill_value=0.0)
    known = {"symbol": "XRPUSDT", "event_time": grid, "available_time": grid}
    return pd.DataFrame(known | {f"{side}_quantity": sides[side].to_numpy() for side in ("long", "short")})


def shifted(table: pd.DataFrame, lag: timedelta, rows: slice = slice(None)) -> pd.DataFrame:
    out = table.copy()
    for name in TIMES:
        if name in out:
            out.loc[rows, name] += lag
    return out


def lags(name: str, lag: timedelta) -> set[timedelta]:
    tables = market()
    rows = shifted(tables[name], lag)
    return {span.lag for span in table_clock(name, rows, tables["fine_bars"], tables["mark_price"])}


@pytest.mark.parametrize("name", ["mark_price", "premium_index", "open_interest", "liquidation_totals"])
@pytest.mark.parametrize("hours", [-6.0, -1.0, 1.0, 5.5])
def test_a_shift_is_found_with_its_size_and_its_sign(name: str, hours: float) -> None:
    """The wrong sign would send whoever repairs it twice as far off."""
    found = lags(name, timedelta(hours=hours))
    assert found
    # Liquidations follow the price, so that their totals agree as well with the bar before.
    slack = 5 * MINUTE if name == "liquidation_totals" else timedelta(0)
    assert all(abs(lag - timedelta(hours=hours)) <= slack for lag in found)


@pytest.mark.parametrize("name", ["mark_price", "premium_index", "open_interest"])
def test_one_step_is_found_too(name: str) -> None:
    """Opening time for closing time: the commonest slip, and with it the future is known a bar ahead."""
    step = MINUTE if name == "mark_price" else 5 * MINUTE
    assert lags(name, -step) == {-step}


@pytest.mark.parametrize("name", ["mark_price", "premium_index", "open_interest", "liquidation_totals", "depth"])
def test_a_good_clock_raises_no_alarm(name: str) -> None:
    assert lags(name, timedelta(0)) == set()


def test_two_markets_that_do_not_move_together_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = market()["mark_price"].copy()
    rows["close"] = np.exp(np.cumsum(0.001 * rng.standard_normal(len(rows))))
    assert table_clock("mark_price", rows, market()["fine_bars"]) == []


@pytest.mark.parametrize("name", ["liquidations", "large_trades"])
def test_events_whose_prices_fit_other_bars(name: str) -> None:
    tables = market()
    spans = event_clock(shifted(tables[name], timedelta(hours=2)), tables["fine_bars"])
    assert spans
    assert {span.lag for span in spans} == {timedelta(hours=2)}
    assert event_clock(tables[name], tables["fine_bars"]) == []


def test_prices_far_from_every_bar_tell_nothing() -> None:
    """Bybit publishes bankruptcy prices, which lie beyond the market by design."""
    tables = market()
    bankrupt = tables["liquidations"].copy()
    bankrupt["price"] *= np.where(bankrupt["side"] == "long", 0.9, 1.1)
    assert event_clock(bankrupt, tables["fine_bars"]) == []


def test_prices_of_which_many_fit_no_bar_at_any_lag_tell_nothing() -> None:
    tables = market()
    late = shifted(tables["liquidations"], timedelta(hours=2))
    late["price"] *= np.where(np.arange(len(late)) % 5 < 2, 1.5, 1.0)
    assert event_clock(late, tables["fine_bars"]) == []


def test_one_burst_beyond_its_bar_tells_nothing() -> None:
    """A cascade may print the price of half an hour later: one moment fits some lag or other."""
    path = market()["fine_bars"]
    close = np.log(path["close"].to_numpy())
    at = 300 + int(np.abs(close[330:2000] - close[300:1970]).argmax())
    known = {"symbol": "XRPUSDT", "side": "long", "quantity": 1.0}
    around = path.iloc[at - 60 : at - 10]
    fitting = pd.DataFrame(known | {"event_time": around["event_time"], "price": around["close"]})
    moments = path["open_time"].iloc[at] + pd.to_timedelta(np.arange(1, 41), unit="s")
    burst = pd.DataFrame(known | {"event_time": moments, "price": path["close"].iloc[at + 30]})
    rows = pd.concat([fitting, burst]).sort_values("event_time", ignore_index=True)
    assert event_clock(rows, path) == []


def test_coarse_bars_do_not_judge_events() -> None:
    tables = market()
    hourly = tables["fine_bars"].iloc[59::60].assign(open_time=lambda t: t["event_time"] - pd.Timedelta("1h"))
    assert event_clock(shifted(tables["liquidations"], timedelta(hours=2)), hourly) == []


def test_a_shifted_table_is_refused_and_a_shifted_stretch_masked() -> None:
    tables = {name: market()[name] for name in ("fine_bars", "mark_price", "liquidations")}
    tables["mark_price"] = shifted(tables["mark_price"], timedelta(hours=6))
    with pytest.raises(SchemaError, match=r"mark_price: XRPUSDT clock_shift in .* refused: its clock is 6h late"):
        clean_tables(tables, venue="simulated", spacing=SPACING)
    times = market()["liquidations"]["event_time"]
    rows = np.flatnonzero(times.between("2024-03-05 06:00Z", "2024-03-05 12:00Z"))
    stretch = shifted(market()["liquidations"], timedelta(hours=2), slice(rows[0], rows[-1]))
    tables = {"fine_bars": market()["fine_bars"], "liquidations": stretch.sort_values("event_time", ignore_index=True)}
    cleaned, ledger = examine_tables(tables, venue="simulated", spacing=SPACING)
    [finding, *_] = ledger.findings
    assert (finding.rule, finding.action) == ("clock_shift", "masked")
    assert len(stretch) - len(cleaned["liquidations"]) == sum(f.rows for f in ledger.findings)


@pytest.mark.parametrize(("hours", "found"), [(0, None), (6, 2), (-3, 1), (8, None)])
def test_settlements_tell_the_clock_of_their_table(hours: int, found: int | None) -> None:
    """This symbol settles every four hours."""
    funding = shifted(market()["funding"], timedelta(hours=hours))
    assert settlement_shift(funding) == (None if found is None else timedelta(hours=found))


@pytest.mark.parametrize("lag", [MINUTE / 2, -MINUTE / 2, timedelta(seconds=1)])
def test_bars_that_close_between_the_minutes_are_recorded(lag: timedelta) -> None:
    """Catches a whole table of bars on a clock of its own, which no other table need contradict."""
    bars = market()["fine_bars"][:500]
    assert examine_tables({"fine_bars": bars}, venue="simulated", spacing=SPACING)[1].findings == []
    cleaned, ledger = examine_tables({"fine_bars": shifted(bars, lag)}, venue="simulated", spacing=SPACING)
    (finding,) = ledger.findings
    assert (finding.rule, finding.rows, finding.action) == ("clock_shift", 500, "recorded")
    assert len(cleaned["fine_bars"]) == 500


def test_bars_whose_length_does_not_divide_a_day_have_no_grid() -> None:
    bars = market()["fine_bars"][:20]
    assert not off_grid(bars, timedelta(hours=7)).any()
    assert off_grid(bars, timedelta(hours=8)).all()
