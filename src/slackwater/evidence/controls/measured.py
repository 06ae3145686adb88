"""Every control of a run, measured: which trades it makes, and what they earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.evidence.controls.entry_results import EntryMarket
from slackwater.evidence.controls.placebos import permuted_times, random_entries, same_size_moves
from slackwater.evidence.controls.rules import ALWAYS_FADE, FUNDING_THRESHOLD, PLAYBOOK, EntryRule, buy_after_fall
from slackwater.evidence.controls.table import Control
from slackwater.evidence.drift import drift_earned
from slackwater.times import DAY, epochs_us
from slackwater.types import Bools, Floats

__all__ = ["FITTED", "SCORED", "ControlledRun", "among", "rule_features"]

Progress = Callable[[str], None]

SCORED: Final = {
    "logistic": "logistic regression on the same features, through the same gate",
    "price_only": "the model on the families volatility, price and regime alone, through the same gate",
    "volatility_only": "the model on the family volatility alone, through the same gate",
    "permuted_labels": "the model fitted to permuted labels, judged by the true ones, through the same gate",
}
"""Controls with predictions of their own for the gate, by name."""

FITTED: Final = ("logistic", "price_only", "direction_flag", "volatility_only", "permuted_labels")
"""Controls that are fitted to the training rows, in the order of the table."""

_MOVE, _GROWTH = "return_24h", "open_interest_delta_24h"
_SAME_SIZE: Final = {_MOVE: "move over 24 h", _GROWTH: "open interest"}
_BPS: Final = 1e4
_LARGEST_SAMPLE: Final = {"quick": 2_000, "full": 50_000}
_MOST_DRAWS: Final = {"quick": 10, "full": 100}


def rule_features() -> tuple[str, ...]:
    """Return the names of the features that the rules without a model read."""
    needs = [*FUNDING_THRESHOLD.needs, *PLAYBOOK.needs, *_SAME_SIZE]
    return tuple(dict.fromkeys(needs))


def among(events: pd.DataFrame, accepted: set[tuple[str, pd.Timestamp]]) -> Bools:
    """Return which events are among some, given by symbol and event time."""
    keys = zip(events["symbol"], events["event_time"], strict=True)
    return np.array([key in accepted for key in keys], dtype=bool)


@dataclass(frozen=True, kw_only=True)
class ControlledRun:
    """The events of the test blocks with what the gate made of them, and the market to try other entries in.

    Parameters
    ----------
    events
        Events of the test blocks that trade, in order of symbol and time: the columns of the labels table, ``net_r``
        and ``trade_net_bps`` among them, ``funding_known`` (`EntryMarket.funding_known`), `rule_features` as far as
        they exist, and for the controls in `FITTED` ``p_direction_flag``.
    accepted
        Which events the gate accepted.
    by_scores
        The same for the controls in `SCORED`, with their ``p_direction``; None where no trades were predicted. One that
        was not fitted is absent.
    drift_events
        ``symbol``, ``entry_time`` and ``entry_price`` of all events of the test blocks.
    market
        Prices, costs and bracket.
    bar_interval
        Length of a bar.
    depth
        ``"quick"`` or ``"full"``: how many random entries stand for each trade.
    seed
        Seed of the random entries.
    """

    events: pd.DataFrame
    accepted: Bools
    by_scores: Mapping[str, tuple[Bools | None, Floats]]
    drift_events: pd.DataFrame
    market: EntryMarket
    bar_interval: timedelta
    depth: str
    seed: int

    @property
    def model(self) -> Control:
        """Return the trades that the gate accepts, with the result of the suggested trade of each."""
        return Control(sentence="the rule of this run: what the gate accepts", results=self._at_events(self.accepted))

    @property
    def draws(self) -> int:
        """Return how many random entries stand for each trade; fewer where there are many trades."""
        return max(1, min(_MOST_DRAWS[self.depth], _LARGEST_SAMPLE[self.depth] // max(1, len(self._trades))))

    def controls(self, progress: Progress) -> dict[str, Control]:
        """Return every control by name, in the order of the table; `progress` is called with a line per group."""
        found = self.unfitted(progress)
        progress("controls that are fitted")
        return found | {name: self._flag() if name == "direction_flag" else self._scored(name) for name in FITTED}

    def unfitted(self, progress: Progress) -> dict[str, Control]:
        """Return the controls that need no fit by name, as `controls` does: rules, placebos and drift."""
        progress("rules without a model")
        found = {"never": self._never(), "always_fade": self._always_fade()}
        progress(f"random entries, {self.draws} per trade")
        found |= {"random_24h": self._random(1, timedelta(0), DAY), "random_30d": self._random(2, -30 * DAY, 30 * DAY)}
        found |= {"same_size_move": self._same_size(), "funding_threshold": self._rule(FUNDING_THRESHOLD)}
        found |= {"playbook": self._rule(PLAYBOOK), "buy_after_fall": self._fall()}
        return found | {"permuted_times": self._permuted(), "drift": self._drift()}

    @property
    def _trades(self) -> pd.DataFrame:
        """Return the trades of the model whose result is known, one row per event."""
        known = self.accepted & self.events["net_r"].notna().to_numpy()
        trades = self.events[known].reset_index(drop=True)
        return trades.assign(side=-trades["direction"].astype(int))

    def _at_events(self, rows: Bools) -> pd.DataFrame:
        own = self.events.loc[rows, ["event_time", "net_r", "trade_net_bps", "funding_known"]]
        return own.rename(columns={"trade_net_bps": "net_bps"}).reset_index(drop=True)

    def _never(self) -> Control:
        nothing = self.events[["event_time"]].assign(net_r=0.0, net_bps=0.0, funding_known=True)
        return Control(sentence="no trade at all", results=nothing, n_trades=0)

    def _always_fade(self) -> Control:
        # Their trades are in the labels: the same as those of `market`.
        return Control(sentence=ALWAYS_FADE.sentence, results=self._at_events(np.ones(len(self.events), dtype=bool)))

    def _rule(self, rule: EntryRule) -> Control:
        if lacking := rule.lacking(self.events):
            return Control(sentence=rule.sentence, note=f"not measured: {lacking}")
        entries = rule.entries(self.events)
        return Control(sentence=rule.sentence, results=entries.join(self.market.results(entries)))

    def _fall(self) -> Control:
        rule = buy_after_fall(self.bar_interval)
        if isinstance(rule, str):
            return Control(sentence="buy after -3 % within 15m", note=f"not measured: {rule}")
        found = [rule.entries(self._bars(symbol)) for symbol in sorted(self.events["symbol"].unique())]
        entries = pd.concat(found or [self.events[["symbol", "event_time"]].assign(side=0.0)], ignore_index=True)
        return Control(sentence=rule.sentence, results=entries.join(self.market.results(entries)))

    def _bars(self, symbol: str) -> pd.DataFrame:
        """Return the bar closes of the test period of a symbol."""
        times, bars = self.events["event_time"], self.market.bars[symbol]
        return bars[bars["event_time"].between(times.min(), times.max())].reset_index(drop=True)

    def _random(self, stream: int, earliest: timedelta, latest: timedelta) -> Control:
        entries = random_entries(
            self._trades,
            {symbol: epochs_us(self._bars(symbol)["event_time"]) for symbol in sorted(self._trades["symbol"].unique())},
            earliest=earliest,
            latest=latest,
            draws=self.draws,
            seed=self._stream(stream),
        )
        when = "within 24 h after the event" if earliest == timedelta(0) else "within 30 days of the event"
        return self._placebo(f"the same side at a random bar close {when}, never on its UTC day", entries)

    def _permuted(self) -> Control:
        words, trades = "the symbols and sides of the trades at the times of each other", self._trades
        entries = permuted_times(trades, draws=self.draws, seed=self._stream(3))
        if len(trades) and entries.empty:
            one = len(trades[["symbol", "side"]].drop_duplicates()) == 1
            why = "one symbol and side" if one else "only trades of the model were drawn"
            return Control(sentence=words, note=f"not measured: {why}")
        return self._placebo(f"{words}, where that is not a trade of the model", entries)

    def _placebo(self, words: str, entries: pd.DataFrame) -> Control:
        results = self.market.results(entries)
        return Control(
            sentence=f"{words}; mean of up to {self.draws} per trade",
            results=self._per_trade(entries["trade"], results),
            n_trades=int(results["net_r"].notna().sum()),
        )

    def _per_trade(self, trade: pd.Series, results: pd.DataFrame) -> pd.DataFrame:
        """Return the mean of the entries that stand for each trade, at the time of its event."""
        known = results["net_r"].notna().to_numpy()
        of_trade = results[known].groupby(trade.to_numpy(np.int64)[known])
        means = of_trade[["net_r", "net_bps"]].mean().assign(funding_known=of_trade["funding_known"].all())
        times = self._trades["event_time"].iloc[means.index].array
        return means.rename_axis("trade").reset_index().assign(event_time=times)

    def _same_size(self) -> Control:
        words = "fade the events with the nearest size of the move over 24 h at which open interest did not fall"
        rule = replace(ALWAYS_FADE, needs=_SAME_SIZE)
        if lacking := rule.lacking(self.events):
            return Control(sentence=words, note=f"not measured: {lacking}")
        others = self.events[(self.events[_GROWTH] >= 0.0) & self.events["net_r"].notna()].reset_index(drop=True)
        pairs = same_size_moves(self._trades, others, move=_MOVE, nearest=self.draws)
        results = others.iloc[pairs["other"]][["net_r", "trade_net_bps", "funding_known"]].reset_index(drop=True)
        results = results.rename(columns={"trade_net_bps": "net_bps"})
        sentence = f"{words}, same symbol and direction, never on its UTC day; mean of up to {self.draws} per trade"
        return Control(sentence=sentence, results=self._per_trade(pairs["trade"], results), n_trades=len(results))

    def _scored(self, name: str) -> Control:
        accepted, p = self.by_scores.get(name, (None, None))
        if accepted is None:
            return Control(sentence=SCORED[name], p=p, note="trades not measured: left out at this depth")
        return Control(sentence=SCORED[name], results=self._at_events(accepted), p=p)

    def _flag(self) -> Control:
        p = self.events["p_direction_flag"].to_numpy()
        return Control(
            sentence="fade where moves of that direction reversed more often than not in the training rows",
            results=self._at_events(p > 0.5),
            p=p,
        )

    def _drift(self) -> Control:
        trades = self._trades.rename(columns={"trade_end_time": "exit_time"})
        earned = drift_earned(trades, self.drift_events).to_numpy(np.float64)
        # Of a result of 0 the size of one R is not needed; its stop gives it without the costs.
        one_r = np.abs(trades["trade_stop"] / trades["entry_price"] - 1.0).to_numpy(np.float64, copy=True)
        made = trades["net_r"].to_numpy() != 0.0
        one_r[made] = (trades["trade_net_bps"] / trades["net_r"]).to_numpy()[made] / _BPS
        results = trades[["event_time"]].assign(net_r=earned / one_r, net_bps=_BPS * earned, funding_known=True)
        results["trade"] = np.arange(len(trades))
        return Control(
            sentence="the same exposure per symbol and side at random times, without costs: what the trend alone earns",
            results=results,
        )

    def _stream(self, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
