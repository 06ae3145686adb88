"""A market whose prices are read when they are asked for: the same results, and never the prices of many symbols."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError
from slackwater.evidence.ablation import drawdown_ablation, rule_ablation
from slackwater.evidence.brackets import suggested_trades
from slackwater.evidence.controls.entry_results import EntryMarket
from slackwater.evidence.leverage import counterfactuals, leverage_curve
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.stress import stress_losses
from slackwater.evidence.venues import venue_comparison
from slackwater.labels.trades import TradeRules
from slackwater.market.contracts import venue_contracts
from slackwater.trading import backtest as module
from slackwater.trading import read_paths
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import PricePath, price_paths
from slackwater.trading.read_paths import PathsThatAreRead
from slackwater.trading.score import CONTEXT
from tests.trading import AT_LEVELS, SOUND_SCORE

START = pd.Timestamp("2024-03-01", tz="UTC")
LAG, MINUTES = timedelta(seconds=5), timedelta(minutes=5)
HORIZON = timedelta(hours=4)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
GATE = Gate(horizon=HORIZON, bracket=AT_LEVELS)
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))


class Read(PathsThatAreRead):
    """Paths that are made anew when they are read, and counted while somebody holds them."""

    def __init__(self, paths: Mapping[str, PricePath], whole: Read | None = None) -> None:
        super().__init__()
        self._paths, self._made, self._whole = paths, list[Any](), whole or self
        self.most = self.reads = 0

    def _read(self, symbol: str) -> PricePath:
        path, whole = replace(self._paths[symbol], open=self._paths[symbol].open.copy()), self._whole
        whole._made = [each for each in whole._made if each() is not None] + [weakref.ref(path.open)]
        whole.reads, whole.most = whole.reads + 1, max(whole.most, len(whole._made))
        return path

    def only(self, symbol: str) -> Read:
        return Read({symbol: self._paths[symbol]}, self._whole)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


@pytest.fixture(autouse=True)
def none_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are few and short here; a market of many symbols is larger than what is kept."""
    monkeypatch.setattr(read_paths, "_MOST_BARS", 0)


def market() -> tuple[pd.DataFrame, dict[str, PricePath]]:
    """Random prices with halts, settled funding, and events that overlap within a symbol and between symbols."""
    bars, scores = [], []
    for seed, symbol in enumerate(SYMBOLS):
        rng = np.random.default_rng(seed)
        opens = pd.date_range(START, periods=12 * 24 * 20, freq=MINUTES).as_unit("us")
        opens = opens[rng.random(len(opens)) > np.where(np.arange(len(opens)) % 500 < 30, 0.9, 0.0)]
        close = 50_000.0 * np.exp(np.cumsum(rng.normal(size=len(opens)) * 0.003))
        open_ = np.r_[50_000.0, close[:-1]]
        prices = {"open": open_, "close": close, "high": np.maximum(open_, close), "low": np.minimum(open_, close)}
        bars.append(pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + MINUTES, **prices}))
        at = np.sort(rng.choice(np.arange(20, len(opens)), 150, replace=False))
        table = pd.DataFrame([SOUND_SCORE] * len(at)).assign(symbol=symbol, event_time=opens[at])
        table = table.assign(available_time=table["event_time"] + LAG, close=open_[at])
        scores.append(table.assign(p_direction=rng.uniform(0.4, 0.8, len(at)), direction=rng.choice([-1, 1], len(at))))
    settled = pd.date_range(START, periods=70, freq="8h").as_unit("us")
    funding = pd.concat(
        [pd.DataFrame({"symbol": symbol, "event_time": settled, "funding_rate": 1e-4}) for symbol in SYMBOLS]
    )
    return pd.concat(scores, ignore_index=True), price_paths(pd.concat(bars, ignore_index=True), funding)


SCORES, PATHS = market()


def backtest_on(paths: Mapping[str, PricePath]) -> Backtest:
    timing = {"decision_lag": LAG, "horizon": HORIZON, "fine_bar_interval": MINUTES}
    return Backtest.of(SCORES, paths, initial_equity=1e5, **timing)


def entries(backtest: Backtest) -> pd.DataFrame:
    """Results of entries of both sides, in the order of time and not of symbols."""
    context = {name: SOUND_SCORE[name] for name in CONTEXT} | {"close": SCORES["close"]}
    bars = SCORES[["symbol", "event_time", "available_time"]].assign(**context)
    entry = {
        "horizon": HORIZON,
        "decision_lag": LAG,
        "fine_bar_interval": MINUTES,
        "trade": TradeRules(),
        "bars": {str(symbol): rows.sort_values("event_time") for symbol, rows in bars.groupby("symbol")},
    }
    wanted = SCORES.sort_values("event_time")[["symbol", "event_time"]].assign(side=[1, -1] * (len(SCORES) // 2))
    return EntryMarket(paths=backtest.paths, **entry).results(wanted)


MADE: dict[str, Callable[[Backtest], Any]] = {
    "account": lambda backtest: vars_of(backtest.run(GATE)),
    "unit risk": lambda backtest: backtest.unit_risk_trades(GATE),
    "brackets": lambda backtest: suggested_trades(backtest, TradeRules()),
    "rules": lambda backtest: rule_ablation(
        backtest, GATE, RESAMPLING, configured=backtest.unit_risk_trades(GATE)
    ).to_dict("records"),
    "accounts": lambda backtest: drawdown_ablation(backtest, GATE, configured=backtest.run(GATE).equity),
    "leverage": lambda backtest: leverage_curve(
        backtest.unit_risk_trades(GATE), backtest.paths, venue_contracts("binance"), HORIZON
    ),
    "counterfactuals": lambda backtest: counterfactuals(
        backtest.unit_risk_trades(GATE), backtest.paths, HORIZON, RESAMPLING
    ),
    "venues": lambda backtest: venue_comparison(
        backtest.unit_risk_trades(GATE),
        GATE.costs,
        {name: venue_contracts(name) for name in ("binance", "bybit")},
        backtest.paths,
        RESAMPLING,
    ),
    "stress": lambda backtest: stress_losses(backtest.unit_risk_trades(GATE), backtest.paths, HORIZON),
    "entries": entries,
}


def vars_of(result: Any) -> list[str]:
    return [table.to_csv() for table in (result.trades, result.refusals, result.equity, result.exposure)]


@pytest.mark.parametrize("name", MADE)
def test_prices_are_held_one_symbol_at_a_time_with_the_same_results(name: str) -> None:
    """Catches a table that gathers the prices of all symbols, and a trade that is walked on those of another one."""
    read = Read(PATHS)
    wanted, found = MADE[name](backtest_on(PATHS)), MADE[name](backtest_on(read))
    if isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    else:
        assert repr(found) == repr(wanted)
    assert read.most <= 2  # the one before is let go when the next one is there


def test_an_account_reads_the_prices_of_a_trade_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a path that is read at every fill of every account: the sample at unit risk has nearly all trades."""
    read = Read(PATHS)
    backtest = backtest_on(read)
    assert read.reads == len(SYMBOLS)
    assert len(backtest.unit_risk_trades(GATE)) > 200
    before = read.reads
    n = len(backtest.run(GATE).trades)
    assert n > 60
    assert read.reads - before < n / 10
    before = read.reads
    backtest.run(GATE)
    assert read.reads == before

    monkeypatch.setattr(module, "_MOST_BARS", 500)
    few = backtest_on(Read(PATHS))
    few.unit_risk_trades(GATE)
    assert vars_of(few.run(GATE)) == vars_of(backtest.run(GATE))
    assert few.windows.recent.bars <= 500


def test_the_paths_used_last_are_kept_while_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a small market that is read anew for every trade, and one that is kept beyond the limit."""
    bars = max(len(path.open_time) for path in PATHS.values())
    monkeypatch.setattr(read_paths, "_MOST_BARS", 3 * bars)
    read = Read(PATHS)
    for symbol in (*SYMBOLS[:3], *SYMBOLS[:3]):
        assert read[symbol].symbol == symbol
    assert (read.reads, read.most) == (3, 3)
    assert [read[symbol].symbol for symbol in SYMBOLS] == list(SYMBOLS)
    assert (read.reads, read.most) == (5, 3)
    # From here on one at a time: of more symbols than are kept, the next to come is never among them.
    read.most = 0
    assert [read[symbol].symbol for symbol in (SYMBOLS[-1], *SYMBOLS)] == [SYMBOLS[-1], *SYMBOLS]
    assert (read.reads, read.most) == (10, 1)
    assert "ADAUSDT" not in read
    with pytest.raises(KeyError, match="ADAUSDT"):
        read["ADAUSDT"]


def test_trades_at_another_horizon_are_walked_on_prices_up_to_that() -> None:
    """Catches windows that outlive the horizon or the paths that they are of."""
    longer, gate = 3 * HORIZON, replace(GATE, horizon=3 * HORIZON)
    timing = {"decision_lag": LAG, "fine_bar_interval": MINUTES, "initial_equity": 1e5}
    backtest = backtest_on(PATHS)
    assert backtest.unit_risk_trades(GATE)
    own = Backtest.of(SCORES, PATHS, horizon=longer, **timing)
    both = {order.entry_us for order in own.orders}
    other = replace(backtest, horizon=longer, orders=tuple(o for o in backtest.orders if o.entry_us in both))
    assert repr(other.unit_risk_trades(gate)) == repr(own.unit_risk_trades(gate))
    with pytest.raises(KeyError):
        replace(backtest, paths={}).unit_risk_trades(GATE)
    with pytest.raises(ParameterError, match=r"`paths` must be price paths by symbol \(`price_paths`\), was DataFrame"):
        Backtest.of(SCORES, SCORES, horizon=longer, **timing)


def test_a_symbol_without_prices_is_named() -> None:
    """Catches an event that is passed over, and an error of a mapping in place of one that says what to do."""
    with pytest.raises(MissingDataError, match="there are no fine bars of DOGEUSDT, XRPUSDT; there are of BTCUSDT, "):
        backtest_on({symbol: PATHS[symbol] for symbol in SYMBOLS[:3]})


def test_a_market_without_an_event_has_an_account_without_a_trade() -> None:
    """Catches a period without an event that ends in an error, and a market without prices that does not."""
    timing = {"decision_lag": LAG, "horizon": HORIZON, "fine_bar_interval": MINUTES}
    backtest = Backtest.of(SCORES[:0], Read(PATHS), initial_equity=1e5, **timing)
    assert backtest.start == min(path.open_time[0] for path in PATHS.values()) * pd.Timedelta("1us") + pd.Timestamp(
        0, tz="UTC"
    )
    result = backtest.run(GATE)
    assert result.trades.empty
    assert result.exposure.empty
    with pytest.raises(MissingDataError, match="there are no fine bars"):
        Backtest.of(SCORES[:0], {}, initial_equity=1e5, **timing)
