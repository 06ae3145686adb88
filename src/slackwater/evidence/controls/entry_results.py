"""Results of entries at any bar close: the trade that an event there would suggest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.labels.barriers import triple_barrier
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.times import epochs_us
from slackwater.trading.price_path import PricePath
from slackwater.types import Bools

__all__ = ["EntryMarket"]

_KEYS: Final = ["symbol", "event_time"]


@dataclass(frozen=True, kw_only=True)
class EntryMarket:
    """Everything that the trade of an entry depends on, the same as for the labels.

    Parameters
    ----------
    bars
        ``symbol``, ``event_time``, ``available_time`` and `slackwater.trading.score.CONTEXT` of every bar close, in
        order of time, by symbol. As `paths`, it may read the rows of a symbol when they are asked for: one symbol is
        looked at after the other.
    paths
        Fine bars and funding of each symbol.
    trade
        Bracket, costs and the reference size.
    horizon, decision_lag, fine_bar_interval
        As in `slackwater.labels.barriers.triple_barrier`.
    """

    bars: Mapping[str, pd.DataFrame]
    paths: Mapping[str, PricePath]
    trade: TradeRules
    horizon: timedelta
    decision_lag: timedelta
    fine_bar_interval: timedelta

    def results(self, entries: pd.DataFrame) -> pd.DataFrame:
        """Return ``net_r``, ``net_bps`` and ``funding_known`` of each entry, in the order of `entries`.

        Parameters
        ----------
        entries
            ``symbol``, ``event_time`` (a bar close, UTC) and ``side``; the same entry may stand there several times.

        Returns
        -------
        DataFrame
            Net of fees, slippage and funding, R and basis points of notional. NaN where there is no trade: no such bar,
            no volatility, a gap, the end of the data, or levels that leave none. ``funding_known`` is False where the
            funding of the trade is not known (`funding_known`): its result is then before funding.
        """
        wanted = entries[[*_KEYS, "side"]].drop_duplicates()
        found = [
            part for symbol, own in wanted.groupby("symbol", sort=True) for part in self._of_symbol(str(symbol), own)
        ] or [wanted.assign(net_r=np.nan, net_bps=np.nan, funding_known=False)]
        out = entries[[*_KEYS, "side"]].merge(pd.concat(found), on=[*_KEYS, "side"], how="left", validate="m:1")
        out["funding_known"] = out["funding_known"].eq(True)  # of an entry without a trade nothing is known
        return out[["net_r", "net_bps", "funding_known"]].set_axis(entries.index)

    def funding_known(self, trades: pd.DataFrame) -> Bools:
        """Return whether the settled funding rates cover each trade from its entry to its exit.

        Parameters
        ----------
        trades
            ``symbol``, ``entry_time`` and ``trade_end_time`` (UTC); where the end is NaT no trade was made, and the
            result is False.
        """
        made = trades["trade_end_time"].notna().to_numpy()
        own = trades[made]
        spans = zip(own["symbol"], epochs_us(own["entry_time"]), epochs_us(own["trade_end_time"]), strict=True)
        known = np.zeros(len(trades), dtype=bool)
        known[made] = [self.paths[symbol].funding_known(int(start), int(end)) for symbol, start, end in spans]
        return known

    def _of_symbol(self, symbol: str, wanted: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Yield the results of each side."""
        if symbol not in self.bars or symbol not in self.paths:
            return
        bars, path = self.bars[symbol], {symbol: self.paths[symbol]}
        # A few of a million bars: a merge with all of them would take most of the time.
        near = bars[bars["event_time"].isin(wanted["event_time"]) & np.isfinite(bars["volatility_daily"])]
        for side, own in wanted.groupby("side"):
            rows = near.merge(own[_KEYS], on=_KEYS, validate="1:1").sort_values(_KEYS, ignore_index=True)
            yield self._of_side(rows, path, int(side))

    def _of_side(self, rows: pd.DataFrame, path: Mapping[str, PricePath], side: int) -> pd.DataFrame:
        labels, report = triple_barrier(
            rows.assign(direction=-side),
            path,
            horizon=self.horizon,
            decision_lag=self.decision_lag,
            fine_bar_interval=self.fine_bar_interval,
        )
        latency = max(self.trade.costs.latency, report.latency_to_charge)
        rules = replace(self.trade, costs=replace(self.trade.costs, latency=latency))
        trades = trade_outcomes(labels, rows, path, rules=rules, horizon=self.horizon)
        known = self.funding_known(labels[["symbol", "entry_time"]].join(trades["trade_end_time"]))
        results = {"net_r": trades["net_r"], "net_bps": trades["trade_net_bps"], "funding_known": known}
        return labels[_KEYS].assign(side=side, **results)
