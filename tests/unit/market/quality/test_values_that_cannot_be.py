"""Every rule that masks rows: a planted defect that it must find, and a near miss that it must let pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from slackwater.errors import SchemaError
from slackwater.market.quality.detectors import clean_tables, examine_tables
from tests.small_market import small_market

Tables = dict[str, pd.DataFrame]
HALF_HOUR = timedelta(minutes=30)
ROW = 480  # the eleventh of 30 days: beyond the week that may be a listing


def market() -> Tables:
    tables = small_market(("BTCUSDT",), days=30)
    for name in ("event_time", "available_time"):  # no venue settles at half past midnight
        tables["funding"][name] -= HALF_HOUR
    return tables


def change(table: str, column: str, rows: slice, how: Callable[[pd.Series], object]) -> Callable[[Tables], None]:
    def spoil(tables: Tables) -> None:
        tables[table].loc[rows, column] = how(tables[table].loc[rows, column])

    return spoil


def times(factor: float) -> Callable[[pd.Series], object]:
    return lambda values: values * factor


def still(values: pd.Series) -> object:
    return values.iloc[0]


def as_usual(tables: Tables) -> None:
    """The whole volume of the half hour opens new positions."""
    volume = tables["bars"]["volume"].iloc[ROW]
    tables["open_interest"].loc[ROW:, "open_interest"] += 1.4 * volume


def doubled_on_cascade(tables: Tables) -> None:
    """Interest doubles, in a half hour that trades eight times as much."""
    rise = tables["open_interest"]["open_interest"].iloc[ROW - 1]
    tables["open_interest"].loc[ROW:, "open_interest"] += rise
    tables["bars"].loc[ROW, "volume"] = 8.0 * rise


def halved_on_cascade(tables: Tables) -> None:
    level = tables["open_interest"]["open_interest"].iloc[ROW - 1]
    tables["open_interest"].loc[ROW:, "open_interest"] *= 0.5
    tables["bars"].loc[ROW, "volume"] = 0.6 * level


def small_interest(tables: Tables) -> None:
    """Open interest of the size of what is traded, as on a live venue, and not a thousand times it."""
    tables["open_interest"]["open_interest"] /= 100.0


def both(*steps: Callable[[Tables], None]) -> Callable[[Tables], None]:
    def spoil(tables: Tables) -> None:
        for step in steps:
            step(tables)

    return spoil


def lively(tables: Tables, by: float) -> None:
    """From a day on bars range further, as they do when a market comes to life."""
    bars = tables["bars"].loc[ROW:]
    tables["bars"].loc[ROW:, "high"] = bars["high"] * (bars["high"] / bars["low"]) ** by
    tables["bars"].loc[ROW:, "low"] = bars["low"] / (bars["high"] / bars["low"]) ** by


def pump(tables: Tables) -> None:
    """A coin nobody knew trades 40 times as much from one day to the next, and loses 10 % of it a day."""
    days = (np.arange(len(tables["bars"])) - ROW) // 48
    tables["bars"]["volume"] *= np.where(days >= 0, 40.0 * 0.9 ** np.maximum(days, 0), 1.0)


def of_a_coin_each(tables: Tables) -> None:
    """Bars count their trades."""
    tables["bars"]["trade_count"] = np.ceil(tables["bars"]["volume"])


def trades_a_bar(count: float) -> Callable[[Tables], None]:
    def spoil(tables: Tables) -> None:
        tables["bars"]["trade_count"] = count

    return spoil


def flat_without_trades(tables: Tables) -> None:
    """No price moves where nothing trades."""
    bars = tables["bars"]
    for name in ("open", "high", "low"):
        bars[name] = bars[name].where(bars["volume"] > 0.0, bars["close"])


def ten_trades_a_day(tables: Tables) -> None:
    rng = np.random.default_rng(1)
    trades = rng.random(len(tables["bars"])) < 10 / 48
    tables["bars"]["volume"] = np.where(trades, rng.lognormal(5.0, 3.0, len(trades)), 0.0)
    flat_without_trades(tables)


def worthless(tables: Tables) -> None:
    """A coin loses all but a hundred-thousandth of its worth within three days, and so many more are traded."""
    share = np.exp(-np.log(1e5) * np.clip((np.arange(len(tables["bars"])) - ROW) / 144.0, 0.0, 1.0))
    for name in ("open", "high", "low", "close"):
        tables["bars"][name] *= share
    tables["bars"]["volume"] /= share
    del tables["open_interest"]  # which would have to follow


def crashed(tables: Tables) -> None:
    """Within one bar the price falls to an eighth, and stays there."""
    for name in ("open", "high", "low", "close"):
        tables["bars"].loc[ROW + 1 :, name] /= 8.0
    tables["bars"].loc[ROW, "close"] /= 8.0
    tables["bars"].loc[ROW, "low"] = tables["bars"].loc[ROW, "close"]


def unseen(table: str, names: tuple[str, ...], days: int = 2) -> Callable[[Tables], None]:
    """The level is six times as high after a gap of two days, which is no other unit as far as anybody knows."""

    def spoil(tables: Tables) -> None:
        for name in names:
            tables[table].loc[ROW:, name] *= 6.0
        tables[table] = tables[table].drop(index=range(ROW, ROW + 48 * days)).reset_index(drop=True)

    return spoil


def filled_with_zeros(tables: Tables) -> None:
    tables["bars"]["trade_count"] = 0.0


def traded_as_much_on_the_way_back(tables: Tables) -> None:
    """Interest in thousandths for ten hours; where it ends, all of it is traded, which does not explain the way up."""
    tables["open_interest"].loc[ROW : ROW + 20, "open_interest"] *= 1000.0
    tables["bars"].loc[ROW + 21, "volume"] = tables["open_interest"]["open_interest"].iloc[ROW + 20]


def without_a_bar(tables: Tables) -> None:
    tables["bars"] = tables["bars"].drop(index=[ROW + 2]).reset_index(drop=True)


def grown_sixfold(tables: Tables) -> None:
    """A few coins are open; in one half hour five times as many are bought."""
    tables["open_interest"]["open_interest"] /= 1e4
    tables["open_interest"].loc[ROW:, "open_interest"] *= 6.0
    tables["bars"].loc[ROW, "volume"] = 60.0


def grown_in_a_quiet_hour(tables: Tables) -> None:
    """Interest rises by two fifths while as much is traded: a quiet coin, and no cascade."""
    level = tables["open_interest"]["open_interest"].iloc[ROW - 1]
    tables["open_interest"].loc[ROW:, "open_interest"] *= 1.4
    tables["bars"].loc[ROW, "volume"] = 0.45 * level


def one_trade_in(every: int) -> Callable[[Tables], None]:
    """Trades of 2 % of the interest, and bars of nothing between them."""

    def thin(tables: Tables) -> None:
        level = tables["open_interest"]["open_interest"].iloc[ROW]
        tables["bars"]["volume"] = np.where(np.arange(len(tables["bars"])) % every == 0, 0.02 * level, 0.0)
        flat_without_trades(tables)

    return thin


def repeat_bar(tables: Tables) -> None:
    names = ["open", "high", "low", "close", "volume"]
    tables["bars"].loc[ROW, names] = tables["bars"].loc[ROW - 1, names]


def repeat_prices(tables: Tables) -> None:
    names = ["open", "high", "low", "close"]
    tables["bars"].loc[ROW, names] = tables["bars"].loc[ROW - 1, names]


def no_trade(tables: Tables) -> None:
    for name in ("open", "high", "low", "close"):
        tables["bars"].loc[ROW : ROW + 2, name] = 20_000.0
    tables["bars"].loc[ROW : ROW + 2, "volume"] = 0.0


def quiet(tables: Tables) -> None:
    """Interest stands still for five hours, in which next to nothing trades."""
    tables["open_interest"].loc[ROW : ROW + 10, "open_interest"] = 1e5
    tables["bars"].loc[ROW : ROW + 10, "volume"] *= 1e-6


def settled_late(minutes: float) -> Callable[[Tables], None]:
    def spoil(tables: Tables) -> None:
        for name in ("event_time", "available_time"):
            tables["funding"].loc[[20], name] += pd.Timedelta(minutes=minutes)

    return spoil


def every_four_hours(tables: Tables) -> None:
    """From the twentieth settlement to the fortieth the interval is 4 h, and says so: no defect."""
    funding = tables["funding"]
    between = funding.iloc[19:39].assign(interval_hours=4.0)
    for name in ("event_time", "available_time"):
        between[name] += pd.Timedelta("4h")
    there = funding.assign(interval_hours=[4.0 if 20 <= row < 40 else 8.0 for row in range(len(funding))])
    tables["funding"] = pd.concat([there, between]).sort_values("event_time", ignore_index=True)


def one_between(tables: Tables) -> None:
    """One settlement too many for an interval of 8 h."""
    extra = tables["funding"].iloc[[20]].copy()
    for name in ("event_time", "available_time"):
        extra[name] += pd.Timedelta("4h")
    together = pd.concat([tables["funding"], extra]).sort_values("event_time", ignore_index=True)
    tables["funding"] = together


INTEREST = ("open_interest", "open_interest")
FROZEN = slice(ROW, ROW + 19)
DAY = slice(ROW, ROW + 47)
ONE = slice(ROW, ROW)
BID = ("depth", "bid_quantity_1pct")
ASK = ("depth", "ask_quantity_1pct")
RATE = ("funding", "funding_rate")
PREMIUM = ("premium_index", "premium_index")

PLANTED: dict[str, tuple[Callable[[Tables], None], str, str, int]] = {
    "high below close": (change("bars", "high", ONE, times(0.9)), "bars", "ohlc_violation", 1),
    "repeated bar": (repeat_bar, "bars", "repeated_bar", 1),
    "price in cents for an hour": (
        both(*(change("bars", name, slice(ROW, ROW + 1), times(100.0)) for name in ("open", "high", "low", "close"))),
        "bars",
        "unit_switch",
        2,
    ),
    "volume in USD for a day": (
        change("bars", "volume", DAY, times(20_000.0)),
        "bars",
        "unit_switch",
        48,
    ),
    "volume in USD for a day, of as many trades": (
        both(of_a_coin_each, change("bars", "volume", DAY, times(20_000.0))),
        "bars",
        "unit_switch",
        48,
    ),
    "volume in USD for a day, counts of zero": (
        both(change("bars", "volume", DAY, times(20_000.0)), filled_with_zeros),
        "bars",
        "unit_switch",
        48,
    ),
    "interest in thousandths until a lively bar": (traded_as_much_on_the_way_back, "open_interest", "unit_switch", 21),
    "frozen interest, counts of zero": (
        both(small_interest, change(*INTEREST, FROZEN, still), filled_with_zeros),
        "open_interest",
        "frozen_open_interest",
        14,
    ),
    "a high that nothing confirms": (change("bars", "high", ONE, times(3.0)), "bars", "lone_print", 1),
    "a low that nothing confirms": (change("bars", "low", ONE, times(1 / 3)), "bars", "lone_print", 1),
    "a range without a trade": (
        change("bars", "volume", slice(ROW, ROW + 1), times(0.0)),
        "bars",
        "moved_without_trades",
        2,
    ),
    "no open interest": (
        change(*INTEREST, ONE, times(0.0)),
        "open_interest",
        "zero_open_interest",
        1,
    ),
    "interest in contracts": (
        change(*INTEREST, slice(ROW, ROW + 20), times(1000.0)),
        "open_interest",
        "unit_switch",
        21,
    ),
    # Six half hours pass before a value counts as frozen.
    "frozen interest": (
        both(small_interest, change(*INTEREST, FROZEN, still)),
        "open_interest",
        "frozen_open_interest",
        14,
    ),
    "frozen interest, and thirty trades": (
        both(trades_a_bar(5.0), change(*INTEREST, FROZEN, still)),
        "open_interest",
        "frozen_open_interest",
        14,
    ),
    "sixfold interest, all of it traded: no unit": (grown_sixfold, "open_interest", "recount", 1),
    "recount beyond all volume": (
        change(*INTEREST, slice(ROW, None), times(1.1)),
        "open_interest",
        "recount",
        1,
    ),
    "depth in USD for a day": (
        change(*BID, DAY, times(20_000.0)),
        "depth",
        "unit_switch",
        48,
    ),
    "the other frozen band": (change(*BID, FROZEN, still), "depth", "stale_depth", 14),
    "one frozen band": (change(*ASK, FROZEN, still), "depth", "stale_depth", 14),
    "funding of 5 %": (
        change(*RATE, slice(20, 20), lambda _: 0.05),
        "funding",
        "impossible_funding",
        1,
    ),
    "funding half an hour late": (settled_late(30), "funding", "off_schedule", 1),
    "a settlement too many": (one_between, "funding", "interval_mismatch", 2),
    "premium of 30 %": (
        change(*PREMIUM, ONE, lambda _: -0.3),
        "premium_index",
        "impossible_premium",
        1,
    ),
}

NEAR_MISSES: dict[str, Callable[[Tables], None]] = {
    "the same prices with other volume": repeat_prices,
    "three bars without a trade": no_trade,
    "price times four at once": both(
        *(change("bars", name, slice(ROW, None), times(4.0)) for name in ("open", "high", "low", "close"))
    ),
    "twenty times the volume for a day": change("bars", "volume", DAY, times(20.0)),
    "a wick of four fifths": both(change("bars", "high", ONE, times(1.8)), change("bars", "low", ONE, times(1 / 1.8))),
    "a coin that loses its worth": worthless,
    "a crash within a bar": crashed,
    "still interest, and too little turned over": change(*INTEREST, slice(ROW, ROW + 8), still),
    "a pump, by the range of its bars": both(pump, partial(lively, by=2.0)),
    "a pump, by its trades": both(pump, of_a_coin_each),
    "ten trades a day": ten_trades_a_day,
    "interest up by two fifths in a quiet hour": both(small_interest, grown_in_a_quiet_hour),
    "still interest of 27 trades": both(
        change("bars", "volume", slice(None), times(0.6)), trades_a_bar(1.5), change(*INTEREST, FROZEN, still)
    ),
    "still interest of a trade an hour": both(
        small_interest, one_trade_in(2), change(*INTEREST, slice(ROW, ROW + 50), still)
    ),
    "interest doubled in a cascade of trades": both(small_interest, doubled_on_cascade),
    "still interest of two hours": change(*INTEREST, slice(ROW, ROW + 4), still),
    "still interest with next to no trade": quiet,
    "positions opened by all of the volume": both(small_interest, as_usual),
    "a cascade that closes half": both(small_interest, halved_on_cascade),
    "a ramp after the listing": change(*INTEREST, slice(5, None), times(2.0)),
    "a band still for an hour": change(*ASK, slice(ROW, ROW + 2), still),
    "funding at the cap of 3 %": change(*RATE, slice(20, 20), lambda _: -0.03),
    "funding 15 s late": settled_late(0.25),
    "another interval from a day on": every_four_hours,
    "premium of 20 %": change(*PREMIUM, ONE, lambda _: -0.2),
}


def examine(spoil: Callable[[Tables], None]) -> tuple[Tables, Tables, list[tuple[str, str, int, str]]]:
    tables = market()
    spoil(tables)
    cleaned, ledger = examine_tables(tables, venue="simulated", spacing={"bars": HALF_HOUR})
    return tables, cleaned, [(f.table, f.rule, f.rows, f.action) for f in ledger.findings]


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_defect_is_masked_and_nothing_else(case: str) -> None:
    spoil, table, rule, rows = PLANTED[case]
    tables, cleaned, found = examine(spoil)
    assert found == [(table, rule, rows, "masked")]
    assert {name: len(tables[name]) - len(cleaned[name]) for name in cleaned if name == table} == {table: rows}
    # Masked, never invented: what is left was there.
    left = tables[table].merge(cleaned[table][["event_time"]], on="event_time")
    pd.testing.assert_frame_equal(left[cleaned[table].columns.tolist()], cleaned[table])


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_a_near_miss_passes(case: str) -> None:
    assert examine(NEAR_MISSES[case])[2] == []


def test_a_recount_of_a_rise_beyond_a_third_needs_no_more_than_a_share_of_the_volume() -> None:
    """2021-05-19 at Bybit: interest rose 2.5 times while 38 % of the volume of the hour would have opened."""

    def recounted(tables: Tables) -> None:
        small_interest(tables)
        level = tables["open_interest"]["open_interest"].iloc[ROW - 1]
        tables["open_interest"].loc[ROW:, "open_interest"] *= 2.5
        tables["bars"].loc[ROW, "volume"] = 1.5 * level / 0.38

    assert ("open_interest", "recount", 1, "masked") in examine(recounted)[2]


def test_a_recount_is_not_seen_where_bars_are_missing() -> None:
    """A volume that is not known explains everything."""

    def without_bars(tables: Tables) -> None:
        change(*INTEREST, slice(ROW, None), times(1.1))(tables)
        tables["bars"] = tables["bars"].drop(index=[ROW])

    assert [rule for _, rule, *_ in examine(without_bars)[2]] == ["gap"]


@pytest.mark.parametrize(
    ("table", "column", "rule"),
    [("funding", "funding_rate", "impossible_funding"), ("premium_index", "premium_index", "impossible_premium")],
)
def test_a_table_in_percent_is_refused(table: str, column: str, rule: str) -> None:
    """One row of 3 % is a market; a median of 1 % is a unit."""
    tables = market()
    tables[table][column] *= 10_000.0
    with pytest.raises(SchemaError, match=rf"table {table}: BTCUSDT {rule} in .*in percent and not in fractions"):
        clean_tables(tables, venue="simulated", spacing={})


@pytest.mark.parametrize(
    ("table", "names"),
    [("bars", ("open", "high", "low", "close")), ("bars", ("volume",)), ("open_interest", ("open_interest",))],
)
def test_a_level_after_a_gap_is_another_level_and_no_other_unit(table: str, names: tuple[str, ...]) -> None:
    by = 40.0 / 6.0 if names == ("volume",) else 1.0
    spoil = both(change(table, names[0], slice(ROW, None), times(by)), unseen(table, names))
    if table == "open_interest":
        spoil = both(small_interest, spoil)
    assert {rule for _, rule, *_ in examine(spoil)[2]} == {"gap"}


def test_interest_stands_still_through_a_bar_that_is_missing() -> None:
    """A feed that hangs hangs for all; a volume that is not known must not excuse it."""
    spoil = both(small_interest, change(*INTEREST, FROZEN, still), without_a_bar)
    found = examine(spoil)[2]
    assert [(rule, action) for _, rule, _, action in found] == [("gap", "recorded"), ("frozen_open_interest", "masked")]
    assert found[1][2] in (12, 13, 14)


def test_bars_of_a_week_are_neighbours_all_the_same() -> None:
    bars = small_market(("BTCUSDT",), days=20, interval=timedelta(hours=4))["bars"].head(100)
    for name, weeks in (("open_time", 0), ("event_time", 1), ("available_time", 1)):
        bars[name] = bars["open_time"].iloc[0] + (np.arange(len(bars)) + weeks) * pd.Timedelta(weeks=1)
    for name in ("open", "high", "low", "close"):
        bars.loc[97:, name] *= 1_000.0
    findings = examine_tables({"bars": bars}, venue="simulated", spacing={})[1].findings
    assert [(f.rule, f.rows) for f in findings] == 3 * [("unit_switch", 1)]  # each a week from the next


def test_a_single_long_bar_is_no_activity() -> None:
    """Of a coin that trades now and then: its bar of four hours traded, and its interest stood still."""
    tables = small_market(("BTCUSDT",), days=30)
    bars = small_market(("BTCUSDT",), days=30, interval=timedelta(hours=4))["bars"]
    tables["open_interest"]["open_interest"] /= 1000.0
    change(*INTEREST, slice(ROW, ROW + 16), still)(tables)
    interest = tables["open_interest"]
    assert examine_tables({"bars": bars, "open_interest": interest}, venue="simulated", spacing={})[1].findings == []


def test_bars_of_four_hours_are_judged_and_days_of_three_bars_are_not() -> None:
    def found(hours: int, volume: Callable[[pd.DataFrame], object]) -> list[str]:
        bars = small_market(("BTCUSDT",), days=60, interval=timedelta(hours=hours))["bars"]
        bars["volume"] = volume(bars)
        return [finding.rule for finding in examine_tables({"bars": bars}, venue="simulated", spacing={})[1].findings]

    def in_usd(bars: pd.DataFrame) -> object:
        return bars["volume"] * np.where(bars.index // 6 == 20, 20_000.0, 1.0)

    def luck(bars: pd.DataFrame) -> object:
        return np.random.default_rng(3).lognormal(5.0, 3.0, len(bars))

    assert found(4, in_usd) == ["unit_switch"]
    assert found(8, luck) == []


@pytest.mark.parametrize(
    ("table", "column", "of", "rows"),
    [
        ("funding", "funding_rate", lambda rows: np.linspace(-0.003, -0.012, rows), 60),
        ("premium_index", "premium_index", lambda rows: np.linspace(-0.012, -0.018, rows), 480),
    ],
)
def test_a_squeezed_coin_is_not_in_percent(
    table: str, column: str, of: Callable[[int], NDArray[np.float64]], rows: int
) -> None:
    """Shorts paid 0.3 to 1.2 % every few hours for days, more than once: TRB in September 2023."""
    tables = market()
    tables[table] = tables[table].head(rows).assign(**{column: of(rows)})
    assert clean_tables(tables, venue="simulated", spacing={})[1].findings == []


def test_a_squeezed_coin_loses_what_is_beyond_the_cap_and_no_more() -> None:
    tables = market()
    tables["funding"] = tables["funding"].head(60).assign(funding_rate=np.r_[np.linspace(-0.003, -0.012, 59), -0.042])
    _, ledger = clean_tables(tables, venue="simulated", spacing={})
    assert [(f.rule, f.rows, f.action) for f in ledger.findings] == [("impossible_funding", 1, "masked")]


def at_rest(rows: pd.DataFrame, *, share: float, rest: float = 0.01) -> NDArray[np.float64]:
    """Percent: mostly twice the rate at rest, and some at it."""
    return np.where(np.arange(len(rows)) < share * len(rows), rest, 0.02)


IN_PERCENT: dict[str, tuple[str, Callable[[pd.DataFrame], NDArray[np.float64]], int]] = {
    "a fifth of the rates at rest": ("funding", lambda rows: at_rest(rows, share=0.2), 90),
    "single precision": ("funding", lambda rows: at_rest(rows, share=0.9).astype(np.float32).astype(float), 90),
    "at rest for four hours": ("funding", lambda rows: at_rest(rows, share=0.5, rest=0.005), 40),
    "two months never at rest": ("funding", lambda rows: np.linspace(0.004, 0.02, len(rows)), 180),
    "a premium of weeks": ("premium_index", lambda rows: np.full(len(rows), -0.02), 1440),
    "a premium of a day": ("premium_index", lambda rows: np.full(len(rows), 0.04), 60),
}


@pytest.mark.parametrize("case", IN_PERCENT)
def test_a_calm_table_in_percent_is_refused(case: str) -> None:
    """Nothing in it is beyond what a squeezed coin would pay."""
    table, values, rows = IN_PERCENT[case]
    tables = small_market(("BTCUSDT",), days=60)
    part = tables[table].head(rows)
    column = "funding_rate" if table == "funding" else table
    tables[table] = part.assign(**{column: values(part)})
    if case == "at rest for four hours":
        tables[table]["interval_hours"] = 4.0
    with pytest.raises(SchemaError, match=rf"table {table}: BTCUSDT impossible_.*in percent and not in fractions"):
        clean_tables(tables, venue="simulated", spacing={})


def test_a_unit_that_never_comes_back_is_refused() -> None:
    tables = market()
    tables["open_interest"].loc[ROW:, "open_interest"] *= 1000.0
    with pytest.raises(SchemaError, match=r"BTCUSDT unit_switch in 480 rows.*contracts, USD or coins"):
        clean_tables(tables, venue="simulated", spacing={})


def test_a_refused_table_does_not_hide_what_else_is_wrong() -> None:
    """Whoever repairs a data set wants to hear of all of it, and not of one defect a day."""
    tables = market()
    tables["open_interest"].loc[ROW:, "open_interest"] *= 1000.0
    tables["premium_index"]["premium_index"] *= 10_000.0
    cleaned, ledger = examine_tables(tables, venue="simulated", spacing={})
    assert {f.table for f in ledger.refused} == {"open_interest", "premium_index"}
    assert set(cleaned) == set(tables) - {"open_interest", "premium_index"}
    with pytest.raises(SchemaError, match=r"(?s)2 findings.*table open_interest.*table premium_index"):
        ledger.raise_if_refused()


def test_missing_settlements_are_a_gap() -> None:
    tables = market()
    tables["funding"] = tables["funding"].drop(index=[20, 21])
    _, ledger = clean_tables(tables, venue="simulated", spacing={})
    assert [(f.table, f.rule, f.rows, f.action) for f in ledger.findings] == [("funding", "gap", 2, "recorded")]


def test_rows_are_judged_by_rows_up_to_themselves() -> None:
    """Fails when a mask looks ahead: what a live feed could not have left out would be left out of history."""
    spoilt = {case: PLANTED[case] for case in ("frozen interest", "recount beyond all volume", "one frozen band")}
    for spoil, table, *_ in spoilt.values():
        tables, cleaned, _ = examine(spoil)
        end = tables[table]["event_time"].iloc[ROW + 16]
        cut = {name: rows[rows["event_time"] <= end] for name, rows in tables.items()}
        before, _ = clean_tables(cut, venue="simulated", spacing={"bars": HALF_HOUR})
        pd.testing.assert_frame_equal(before[table], cleaned[table].query("event_time <= @end"))


def test_numbers_stay_what_they_were() -> None:
    tables = market()
    cleaned, _ = clean_tables(tables, venue="simulated", spacing={"bars": HALF_HOUR})
    for name, table in tables.items():
        for column in table.select_dtypes(np.number):
            np.testing.assert_array_equal(cleaned[name][column], table[column])


def test_a_refused_table_is_not_held_against_a_clock() -> None:
    """Fails on a logarithm of zero, which the table was refused for."""
    tables = market()
    tables["open_interest"].loc[ROW : ROW + 100, "open_interest"] = 0.0
    _, ledger = examine_tables(tables, venue="simulated", spacing={})
    assert [(f.rule, f.action) for f in ledger.findings] == [("zero_open_interest", "refused")]
