"""Leaks that the contract must catch, and clean variants that it must let pass: the tests of the tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ContractError
from slackwater.features.checks import check_features, check_prefix_invariance
from slackwater.features.engine import FeatureEngine, default_families
from slackwater.market.frame import MarketFrame
from tests.small_market import DECISION_LAG, small_market

INTERVAL = timedelta(minutes=30)
ENGINE = FeatureEngine(default_families(INTERVAL))
MARKET = small_market(days=45)
Tables = dict[str, pd.DataFrame]


def clean(tables: Tables, lag: timedelta = DECISION_LAG) -> pd.DataFrame:
    return ENGINE.transform(MarketFrame.from_tables(tables, bar_interval=INTERVAL, decision_lag=lag))


def by_symbol(change: Callable[[pd.Series], pd.Series]) -> Callable[[Tables], pd.DataFrame]:
    """Replace one column by a function of its own history."""

    def build(tables: Tables) -> pd.DataFrame:
        out = clean(tables)
        out["return_4h"] = out.groupby("symbol")["return_4h"].transform(change)
        return out

    return build


def whole_sample(change: Callable[[pd.Series], pd.Series]) -> Callable[[Tables], pd.DataFrame]:
    def build(tables: Tables) -> pd.DataFrame:
        out = clean(tables)
        out["return_4h"] = change(out["return_4h"])
        return out

    return build


def known_early(table: str) -> Callable[[Tables], pd.DataFrame]:
    """Join a table on when it happened, one stamp ahead, instead of on when it became known."""

    def build(tables: Tables) -> pd.DataFrame:
        early = tables[table].copy()
        early["available_time"] = early["event_time"] - pd.Timedelta("4h")
        early["event_time"] = early["available_time"]
        return clean(tables | {table: early})

    return build


def reads_the_next_bar(tables: Tables) -> pd.DataFrame:
    bars = tables["bars"].copy()
    for column in ("high", "low"):
        bars[column] = bars.groupby("symbol")[column].shift(-1).fillna(bars[column])
    bars["high"] = bars[["high", "open", "close"]].max(axis=1)
    bars["low"] = bars[["low", "open", "close"]].min(axis=1)
    return clean(tables | {"bars": bars})


def fills_gaps_backwards(tables: Tables) -> pd.DataFrame:
    out = clean(tables)
    holes = out["return_4h"].where(np.arange(len(out)) % 3 > 0)
    out["return_4h"] = holes.groupby(out["symbol"]).bfill()
    return out


LEAKS = {
    "shift of minus one": by_symbol(lambda x: x.shift(-1)),
    "centred window": by_symbol(lambda x: x.rolling(9, center=True, min_periods=1).mean()),
    "z-score of the full sample": by_symbol(lambda x: (x - x.mean()) / x.std()),
    "rank in the full sample": by_symbol(lambda x: x.rank(pct=True)),
    "fit over all symbols": whole_sample(lambda x: x / x.abs().max()),
    "reversed cumulative sum": by_symbol(lambda x: x[::-1].cumsum()[::-1]),
    "next settled funding": known_early("funding"),
    "open interest one stamp early": known_early("open_interest"),
    "premium one stamp early": known_early("premium_index"),
    "liquidations before they were published": known_early("liquidations"),
    "transfers before they were confirmed": known_early("whale_transfers"),
    "depth of the next bar": known_early("depth"),
    "high and low of the next bar": reads_the_next_bar,
    "gaps filled backwards": fills_gaps_backwards,
}

CLEAN = {
    "as shipped": clean,
    "shift of one": by_symbol(lambda x: x.shift(1)),
    "trailing window": by_symbol(lambda x: x.rolling(9, min_periods=1).mean()),
    "expanding z-score": by_symbol(lambda x: (x - x.expanding().mean()) / x.expanding(2).std()),
    "filled forwards": by_symbol(lambda x: x.ffill()),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_prefix_invariance_catches(leak: str) -> None:
    assert check_prefix_invariance(LEAKS[leak], MARKET, decision_lag=DECISION_LAG, cuts=12) != {}


@pytest.mark.parametrize("variant", CLEAN)
def test_prefix_invariance_lets_pass(variant: str) -> None:
    assert check_prefix_invariance(CLEAN[variant], MARKET, decision_lag=DECISION_LAG, cuts=12) == {}


def test_check_features_names_the_feature_that_drifts_between_history_and_live() -> None:
    """An engine whose history is smoothed afterwards: live rows cannot follow."""

    class Smoothed(FeatureEngine):
        def transform(self, frame: MarketFrame) -> pd.DataFrame:
            out = super().transform(frame)
            out["depth_imbalance"] = out.groupby("symbol")["depth_imbalance"].transform(
                lambda x: x.rolling(3, min_periods=1).mean()
            )
            return out

    with pytest.raises(ContractError, match=r"depth_imbalance \(parity\)"):
        check_features(Smoothed(ENGINE.families), MARKET, cuts=2)
