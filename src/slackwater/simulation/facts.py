"""Stylised facts of markets of perpetuals: measures on tables, with a range for each.

The ranges are design judgement informed by public measurements of perpetuals (see also Cont 2001, "Empirical
properties of asset returns", and arXiv 1707.07618, 2009.06874, 2402.11930). Tails and skew are ratios of quantiles:
under such tails, sample moments do not converge within years.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError
from slackwater.simulation.market import simulate
from slackwater.simulation.request import MarketRequest
from slackwater.times import DAY_US, HOUR_US, MINUTE_US
from slackwater.types import Floats

__all__ = [
    "SEEDS_THAT_HOLD",
    "autocorrelation",
    "facts_by_seed",
    "facts_hold",
    "hill_exponent",
    "seeds_that_hold",
    "stylised_facts",
    "variance_ratio",
]

SEEDS_THAT_HOLD: Final = 0.8
"""Share of the seeds on which all facts must hold."""

# A measure of fewer values describes the sample and not the market.
FEWEST_RETURNS: Final = 30
FEWEST_SETTLEMENTS: Final = 60
BEYOND_QUANTILE: Final = 3.0
"""Values that must lie beyond a tail quantile."""


def autocorrelation(values: Floats, lag: int) -> float:
    """Return the correlation of an evenly spaced series with itself `lag` >= 1 steps earlier (Box and Jenkins).

    It is in [-1, 1] but for sampling noise, and NaN unless there are more than 2 `lag` values, not all the same.
    """
    if len(values) <= 2 * lag:
        return math.nan
    centred = values - values.mean()
    spread = float(np.mean(centred * centred))
    return float(np.mean(centred[:-lag] * centred[lag:])) / spread if spread > 0.0 else math.nan


def hill_exponent(sizes: Floats, share: float = 0.01, fewest: int = 50) -> float:
    """Return the exponent of a Pareto tail, P(size > x) ~ x**-exponent (Hill 1975).

    The tail is the largest `share` (in (0, 1)) of the sizes above zero, and at least `fewest` of them. NaN where there
    are no more than that.
    """
    positive = sizes[sizes > 0.0]
    tail = max(fewest, int(len(positive) * share))
    if len(positive) <= tail:
        return math.nan
    largest = np.sort(np.partition(positive, -tail - 1)[-tail - 1 :])
    mean_excess = float(np.mean(np.log(largest[1:] / largest[0])))
    return 1.0 / mean_excess if mean_excess > 0.0 else math.nan


def variance_ratio(log_prices: Floats, steps: int) -> float:
    """Return the variance of returns over `steps` per step, over that of single returns (Lo and MacKinlay 1988).

    It is 1 for a random walk, more for trends, less for reversals, and NaN for fewer than 30 returns over `steps`.
    The returns do not overlap.
    """
    coarse = np.diff(log_prices[::steps])
    if len(coarse) < FEWEST_RETURNS:
        return math.nan
    return float(np.var(coarse) / (steps * np.var(np.diff(log_prices))))


class _Symbol:
    """Tables of one symbol, in the form that the measures read."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self.tables = tables
        self.times = _event_times(tables["fine_bars"])
        self.log_prices = np.log(tables["fine_bars"]["close"].to_numpy("float64"))
        self.returns_1m = np.diff(self.log_prices)
        self.moves_1m = np.abs(self.returns_1m)
        self.days = (self.times[-1] - self.times[0] + MINUTE_US) / DAY_US

    def closes(self, spacing: int) -> pd.Series:
        """Return the log closes at whole multiples of a spacing (microseconds), by time."""
        whole = self.times % spacing == 0
        return pd.Series(self.log_prices[whole], index=self.times[whole])

    def returns(self, spacing: int) -> Floats:
        returns = np.diff(self.closes(spacing).to_numpy())
        return returns if len(returns) >= FEWEST_RETURNS else np.full(1, math.nan)

    def column(self, table: str, column: str) -> Floats:
        return self.tables[table][column].to_numpy("float64")

    def interest(self, spacing: int) -> Floats:
        whole = _event_times(self.tables["open_interest"]) % spacing == 0
        return self.column("open_interest", "open_interest")[whole]

    def liquidated_by_hour(self) -> pd.Series:
        """Return the coin liquidated in every hour of the path, by the start of the hour."""
        hours = np.arange(self.times[0] // HOUR_US, self.times[-1] // HOUR_US + 1)
        stamps = _event_times(self.tables["liquidations"]) // HOUR_US - hours[0]
        inside = (stamps >= 0) & (stamps < len(hours))
        quantity = self.column("liquidations", "quantity")[inside]
        return pd.Series(np.bincount(stamps[inside], quantity, len(hours)), index=hours)


def _event_times(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    return table["event_time"].dt.as_unit("us").astype("int64").to_numpy()


# What is measured on one symbol.


def _spread(symbol: _Symbol) -> float:
    return float(np.std(symbol.returns(DAY_US)))


def _tail(symbol: _Symbol, *, spacing: int, far: float) -> float:
    moves = np.abs(symbol.returns(spacing))
    if len(moves) * (1.0 - far) < BEYOND_QUANTILE:
        return math.nan
    outer, inner = np.quantile(moves, [far, 0.75])
    return float(outer / inner)


def _skew(symbol: _Symbol) -> float:
    low, high = np.quantile(symbol.returns(HOUR_US), [0.01, 0.99])
    return float(-low / high)


def _tail_exponent(symbol: _Symbol) -> float:
    return hill_exponent(symbol.moves_1m)


def _repeats(symbol: _Symbol) -> float:
    return autocorrelation(symbol.returns_1m, 1)


def _clusters(symbol: _Symbol, *, minutes: int) -> float:
    return autocorrelation(symbol.moves_1m, minutes)


def _trends(symbol: _Symbol, *, minutes: int) -> float:
    return variance_ratio(symbol.log_prices, minutes)


def _big_quarters(symbol: _Symbol, *, sign: float) -> float:
    return float(np.sum(sign * symbol.returns(15 * MINUTE_US) > 0.03)) / symbol.days * 365.0


def _settled(symbol: _Symbol, measure: Callable[[Floats], float]) -> float:
    """Measure the funding rates of the eight-hour intervals: ranges, plateau and lags are stated for these."""
    rates = symbol.column("funding", "funding_rate")[symbol.column("funding", "interval_hours") == 8.0]
    return float(measure(rates)) if len(rates) >= FEWEST_SETTLEMENTS else math.nan


def _on_plateau(rates: Floats) -> float:
    return float(np.mean(np.abs(rates - 1e-4) < 1e-9))


def _interest_per_volume(symbol: _Symbol) -> float:
    daily_volume = symbol.column("fine_bars", "volume").sum() / symbol.days
    return float(symbol.interest(1).mean() / daily_volume)


def _interest_spread(symbol: _Symbol) -> float:
    changes = np.diff(np.log(symbol.interest(DAY_US)))
    return float(np.std(changes)) if len(changes) >= FEWEST_RETURNS else math.nan


def _liquidated_a_day(symbol: _Symbol) -> float:
    return float(symbol.column("liquidations", "quantity").sum() / symbol.days / symbol.interest(1).mean())


def _liquidated_of_decreases(symbol: _Symbol) -> float:
    decreases = -np.diff(symbol.interest(HOUR_US)).clip(max=0.0)
    liquidated = symbol.column("liquidations", "quantity").sum()
    return float(liquidated / decreases.sum()) if decreases.any() else math.nan


def _order_exponent(symbol: _Symbol) -> float:
    return hill_exponent(symbol.column("liquidations", "quantity"))


def _hourly_exponent(symbol: _Symbol) -> float:
    return hill_exponent(symbol.liquidated_by_hour().to_numpy())


def _within_a_second(symbol: _Symbol) -> float:
    near = np.diff(_event_times(symbol.tables["liquidations"])) <= 1_000_000
    return float(np.mean(np.append(near, False) | np.append(False, near))) if len(near) else math.nan


def _hourly_returns(symbol: _Symbol) -> pd.Series:
    return symbol.closes(HOUR_US).diff()


def _hourly_liquidations(symbol: _Symbol) -> pd.Series:
    return symbol.liquidated_by_hour().rank()


def _pairs(series: Sequence[pd.Series]) -> float:
    """Return the median over pairs of symbols of the correlation of their series by time."""
    if len(series) < 2:
        return math.nan
    correlations = pd.concat(series, axis=1).corr(min_periods=FEWEST_RETURNS).to_numpy()
    known = correlations[np.triu_indices(len(series), 1)]
    return _median(known[~np.isnan(known)])


def _median(values: Sequence[float] | Floats) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _least(values: Sequence[float]) -> float:
    return min(values, default=math.nan)


def _most(values: Sequence[float]) -> float:
    return max(values, default=math.nan)


@dataclass(frozen=True)
class _Fact:
    """A measure, the range that it should lie in, and how the symbols' measures become one number."""

    name: str
    low: float
    high: float
    measure: Callable[[_Symbol], Any]
    note: str
    tables: tuple[str, ...] = ()
    over: Callable[[Sequence[Any]], float] = _median

    def value(self, symbols: Sequence[_Symbol]) -> float:
        """Return the measure over the symbols that have one, or NaN."""
        measures = [self.measure(symbol) for symbol in symbols if not self.absent([symbol])]
        return self.over([each for each in measures if not isinstance(each, float) or not math.isnan(each)])

    def absent(self, symbols: Sequence[_Symbol]) -> list[str]:
        """Return the tables that none of the symbols has."""
        return [table for table in self.tables if not any(table in symbol.tables for symbol in symbols)]


FUNDING, INTEREST, FORCED = ("funding",), ("open_interest",), ("liquidations",)

FACTS: Final = (
    _Fact("daily_sd_least", 0.025, 0.060, _spread, "daily returns of the calmest symbol", over=_least),
    _Fact("daily_sd_most", 0.025, 0.060, _spread, "daily returns of the wildest symbol", over=_most),
    _Fact("tail_5m", 8.0, 15.0, partial(_tail, spacing=5 * MINUTE_US, far=0.999), "q99.9/q75 of absolute r"),
    _Fact("tail_1h", 8.0, 13.0, partial(_tail, spacing=HOUR_US, far=0.999), "q99.9/q75 of absolute r"),
    _Fact("tail_1d", 3.0, 5.0, partial(_tail, spacing=DAY_US, far=0.99), "q99/q75 of absolute r"),
    _Fact("hill_1m", 2.5, 3.5, _tail_exponent, "exponent of the top 1 % of absolute r"),
    _Fact("acf_return_1m", -0.03, 0.03, _repeats, "r over 1 min, lag 1"),
    _Fact("acf_move_1m", 0.30, 0.45, partial(_clusters, minutes=1), "absolute r over 1 min, lag 1 min"),
    _Fact("acf_move_10m", 0.25, 0.40, partial(_clusters, minutes=10), "absolute r over 1 min, lag 10 min"),
    _Fact("acf_move_1h", 0.15, 0.30, partial(_clusters, minutes=60), "absolute r over 1 min, lag 1 h"),
    _Fact("acf_move_4h", 0.10, 0.25, partial(_clusters, minutes=240), "absolute r over 1 min, lag 4 h"),
    _Fact("acf_move_1d", 0.08, 0.18, partial(_clusters, minutes=1440), "absolute r over 1 min, lag 1 d"),
    _Fact("acf_move_7d", 0.03, 0.10, partial(_clusters, minutes=10080), "absolute r over 1 min, lag 7 d"),
    _Fact("variance_ratio_1h", 0.90, 1.15, partial(_trends, minutes=60), "over 1 min"),
    _Fact("variance_ratio_1d", 0.85, 1.35, partial(_trends, minutes=1440), "over 1 min"),
    _Fact("return_correlation_1h", 0.5, 0.7, _hourly_returns, "median over pairs of symbols", over=_pairs),
    _Fact("funding_sd", 2e-4, 5e-4, partial(_settled, measure=np.std), "8 h", FUNDING),
    _Fact("funding_q01", -8e-4, -3e-4, partial(_settled, measure=partial(np.quantile, q=0.01)), "8 h", FUNDING),
    _Fact("funding_q99", 6e-4, 15e-4, partial(_settled, measure=partial(np.quantile, q=0.99)), "8 h", FUNDING),
    _Fact("funding_at_1bp", 0.40, 0.65, partial(_settled, measure=_on_plateau), "share on the plateau", FUNDING),
    _Fact("acf_funding_1", 0.60, 0.85, partial(_settled, measure=partial(autocorrelation, lag=1)), "8 h", FUNDING),
    _Fact("acf_funding_3", 0.30, 0.65, partial(_settled, measure=partial(autocorrelation, lag=3)), "1 d", FUNDING),
    _Fact("acf_funding_9", 0.20, 0.45, partial(_settled, measure=partial(autocorrelation, lag=9)), "3 d", FUNDING),
    _Fact("acf_funding_21", 0.10, 0.25, partial(_settled, measure=partial(autocorrelation, lag=21)), "7 d", FUNDING),
    _Fact("interest_per_volume", 0.2, 0.6, _interest_per_volume, "mean OI over mean daily volume", INTEREST),
    _Fact("interest_sd_1d", 0.04, 0.10, _interest_spread, "daily change of log OI", INTEREST),
    _Fact("liquidated_a_day", 0.005, 0.02, _liquidated_a_day, "share of OI", INTEREST + FORCED),
    _Fact("liquidated_of_decreases", 0.01, 0.10, _liquidated_of_decreases, "of hourly OI falls", INTEREST + FORCED),
    _Fact("hill_order", 1.1, 1.6, _order_exponent, "exponent of the top 1 % of orders", FORCED),
)
"""The facts with a range (method, section 7.3); medians over the symbols except where noted."""

SKEW = _Fact("skew_1h", 0.93, 1.10, _skew, "-q01/q99 of r with skew off")
SKEW_ON = _Fact("skew_1h", 1.05, 1.30, _skew, "-q01/q99 of r with skew on")

REPORTED: Final = tuple(
    _Fact(name, -math.inf, math.inf, measure, f"reported, not tested: {note}", tables, over)
    for name, measure, note, tables, over in (
        ("falls_15m_a_year", partial(_big_quarters, sign=-1.0), "quarters of an hour below -3 %", (), _median),
        ("rises_15m_a_year", partial(_big_quarters, sign=1.0), "quarters of an hour above +3 %", (), _median),
        ("hill_liquidated_1h", _hourly_exponent, "hourly sums, top 1 %; 1.6-1.8 in public", FORCED, _median),
        ("liquidated_within_1s", _within_a_second, "of another one; .76-.77 in public", FORCED, _median),
        ("cascades_together", _hourly_liquidations, "hourly rank correlation over pairs", FORCED, _pairs),
    )
)


def stylised_facts(
    tables: Mapping[str, pd.DataFrame],
    truth: Mapping[str, pd.DataFrame] | None = None,
    *,
    skewed: bool = False,
) -> pd.DataFrame:
    """Measure the stylised facts of a market, and hold each against its range.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        Canonical tables: the 1-minute `fine_bars` without gaps and, where there are, `funding`, `open_interest` and
        `liquidations`.
    truth : Mapping of str to DataFrame, optional
        Tables that take the place of those with the same name, such as all `liquidations` where the feed publishes a
        part of them.
    skewed : bool, default False
        Whether the market was made with skew; hourly returns are then expected to fall faster than they rise.

    Returns
    -------
    DataFrame
        One row per fact: `name`, `value` (NaN: absent), `low` and `high` (infinite: reported and not tested),
        `holds` (missing where there is no value or no range) and `note`.

    Raises
    ------
    MissingDataError
        If there is no `fine_bars`, or it is empty.
    """
    seen = {**tables, **(truth or {})}
    if "fine_bars" not in seen or seen["fine_bars"].empty:
        raise MissingDataError("stylised facts are measured on 1-minute bars; there is no table `fine_bars`")
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for name in {"fine_bars", *FUNDING, *INTEREST, *FORCED} & set(seen):
        for symbol, rows in seen[name].groupby("symbol", observed=True):
            parts.setdefault(str(symbol), {})[name] = rows
    symbols = [_Symbol(parts[symbol]) for symbol in sorted(parts) if "fine_bars" in parts[symbol]]
    rows = []
    for fact in (*FACTS[:5], SKEW_ON if skewed else SKEW, *FACTS[5:], *REPORTED):
        value = fact.value(symbols)
        known = not math.isnan(value)
        reason = f"no {', '.join(fact.absent(symbols))}" if fact.absent(symbols) else "too little data"
        holds = fact.low <= value <= fact.high if known and math.isfinite(fact.low) else pd.NA
        note = fact.note if known else f"absent ({reason}): {fact.note}"
        rows.append((fact.name, value, fact.low, fact.high, holds, note))
    facts = pd.DataFrame(rows, columns=["name", "value", "low", "high", "holds", "note"])
    return facts.astype({"name": "str", "holds": "boolean", "note": "str"})


def facts_by_seed(request: MarketRequest, seeds: Iterable[int]) -> dict[int, pd.DataFrame]:
    """Return the stylised facts of a market on several seeds.

    Parameters
    ----------
    request : MarketRequest
        The market; its own seed does not count.
    seeds : iterable of int
        The seeds.
    """
    skewed = request.options.get("skew", 0.0) > 0.0
    return {seed: stylised_facts(*simulate(replace(request, seed=seed)), skewed=skewed) for seed in seeds}


def facts_hold(by_seed: Mapping[int, pd.DataFrame]) -> bool:
    """Return whether all facts with a range hold on at least 80 % of the seeds; an absent fact does not hold.

    Parameters
    ----------
    by_seed : Mapping of int to DataFrame
        Seed to the return value of `stylised_facts`.

    Raises
    ------
    ParameterError
        If there is no seed.
    """
    return seeds_that_hold(by_seed) >= SEEDS_THAT_HOLD * len(by_seed)


def seeds_that_hold(by_seed: Mapping[int, pd.DataFrame]) -> int:
    """Return on how many seeds all facts with a range hold; parameter and error as in `facts_hold`."""
    if not by_seed:
        raise ParameterError("`by_seed` must hold at least one seed")
    tested = (facts[np.isfinite(facts["low"])] for facts in by_seed.values())
    return sum(bool(facts["holds"].fillna(False).all()) for facts in tested)
