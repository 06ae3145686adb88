"""Large trades: judged by the past alone, in one pass, whatever the pieces."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import OrderError, ParameterError
from slackwater.sources.large_trades import LargeTradeRule, LargeTradeSelector, TradeSizes, select_large_trades
from slackwater.times import HOUR_US

RULE = LargeTradeRule(quantile=0.99, floor_usd=1_000.0, window=timedelta(hours=48), warm_up=timedelta(hours=6))


def trades(seed: int = 1, many: int = 20_000, hours: int = 96) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, hours * HOUR_US, many))
    return pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": pd.to_datetime(time, unit="us", utc=True),
            "price": 100.0,
            "quantity": rng.lognormal(1.0, 2.0, many),
        }
    )


def naive(table: pd.DataFrame, rule: LargeTradeRule) -> pd.DataFrame:
    """Judge each trade by the trades of the hours before its own, with numpy's own quantile."""
    hour = table["event_time"].dt.as_unit("us").astype("int64").to_numpy() // HOUR_US
    size = (table["price"] * table["quantity"]).to_numpy()
    window, warm = rule.window // timedelta(hours=1), rule.warm_up // timedelta(hours=1)
    keep = []
    for row in range(len(table)):
        past = size[(hour >= hour[row] - window) & (hour < hour[row])]
        if hour[row] >= hour[0] + warm and len(past):
            keep.append(size[row] >= max(np.quantile(past, rule.quantile, method="inverted_cdf"), rule.floor_usd))
        else:
            keep.append(False)
    return table[keep].reset_index(drop=True)


def test_it_selects_what_the_naive_way_selects_but_for_the_width_of_a_bin() -> None:
    table = trades(many=4_000)
    fast, slow = select_large_trades(table, RULE), naive(table, RULE)
    assert 10 < len(fast) <= len(slow)
    # A threshold is the upper edge of its bin: at most 2 % above the exact one.
    assert len(slow) - len(fast) <= 0.1 * len(slow) + 2
    assert set(fast["event_time"]) <= set(slow["event_time"])


def test_the_future_changes_nothing() -> None:
    """Fails if a threshold looks at its own hour or at later ones."""
    table = trades()
    cut = table["event_time"].iloc[12_345]
    changed = table.copy()
    changed.loc[changed["event_time"] > cut, "quantity"] *= 1_000.0
    before, after = select_large_trades(table, RULE), select_large_trades(changed, RULE)
    pd.testing.assert_frame_equal(before[before["event_time"] <= cut], after[after["event_time"] <= cut])


def test_it_does_not_matter_in_which_pieces_the_past_is_taken_in() -> None:
    table = trades()
    time = table["event_time"].dt.as_unit("us").astype("int64").to_numpy()
    size = (table["price"] * table["quantity"]).to_numpy()
    chosen = []
    for edges in ([0, 20_000], [0, 7_000, 7_001, 15_000, 20_000]):
        selector, marks = LargeTradeSelector(RULE), []
        for begin, end in pairwise(edges):
            selector.observe(TradeSizes.of(time[begin:end], size[begin:end]))
            marks.append(selector.select(time[begin:end], size[begin:end]))
        chosen.append(np.concatenate(marks))
    np.testing.assert_array_equal(chosen[0], chosen[1])
    # Hour by hour nothing of an hour is known when its own trades are judged.
    pd.testing.assert_frame_equal(table[chosen[0]].reset_index(drop=True), select_large_trades(table, RULE))


def test_sizes_add_up() -> None:
    table = trades()
    time = table["event_time"].dt.as_unit("us").astype("int64").to_numpy()
    size = (table["price"] * table["quantity"]).to_numpy()
    order = np.random.default_rng(2).permutation(len(time))
    whole = TradeSizes.of(time, size)
    parts = TradeSizes.of(time[order[:900]], size[order[:900]]) + TradeSizes.of(time[order[900:]], size[order[900:]])
    np.testing.assert_array_equal(whole.hours, parts.hours)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    assert whole.counts.sum() == len(time)


def test_nothing_is_large_while_there_is_nothing_to_compare_with() -> None:
    large = select_large_trades(trades(), RULE)
    assert large["event_time"].min() >= pd.Timestamp(0, tz="UTC") + RULE.warm_up


def test_a_small_quantile_does_not_go_below_the_floor() -> None:
    rule = LargeTradeRule(quantile=0.01, floor_usd=5_000.0, warm_up=timedelta(hours=1))
    large = select_large_trades(trades(), rule)
    assert ((large["price"] * large["quantity"]) >= 5_000.0).all()


def test_backwards_is_refused() -> None:
    with pytest.raises(OrderError, match="BTCUSDT run backwards"):
        select_large_trades(trades()[::-1], RULE)
    selector = LargeTradeSelector(RULE)
    selector.observe(TradeSizes.of(np.array([5 * HOUR_US]), np.array([10.0])))
    with pytest.raises(OrderError, match="in the order of time"):
        selector.observe(TradeSizes.of(np.array([4 * HOUR_US]), np.array([10.0])))


@pytest.mark.parametrize("wrong", [{"quantile": 1.0}, {"floor_usd": -1.0}, {"window": timedelta(minutes=30)}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        LargeTradeRule(**wrong)  # type: ignore[arg-type]
