"""Whale flows: transfers and net flows between wallets and exchanges, large trades, and the ratio of top traders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import LOG_CLOSE
from slackwater.features.parameters import WhaleFlowsParameters
from slackwater.market.inputs import (
    CLOSE,
    EXCHANGE_NETFLOW_COIN_USD,
    EXCHANGE_NETFLOW_STABLE_USD,
    LARGE_BUY,
    LARGE_SELL,
    TOP_TRADER_RATIO,
    VOLUME,
    WHALE_FROM_EXCHANGE,
    WHALE_TO_EXCHANGE,
)
from slackwater.operators import (
    COVERAGE,
    family_kernel,
    kernel,
    operator,
    ring_get,
    ring_put,
    ring_size,
    totals_add,
    totals_before,
    totals_push,
    totals_since,
    totals_slots,
    whole,
)
from slackwater.types import Floats

__all__ = ["WhaleFlowsFamily"]


_WARM, _MASK, _N, _BURST, _USUAL, _WINDOWS = range(6)
_COUNT, _RINGS = 0, 1
(_TO, _FROM, _TO_ROWS, _BUY, _SELL, _BUY_ROWS, _TRADED, _COIN) = range(8)
# A net flow has three columns: the flow, its size, and the rows in which it is known.
_STABLE, _COLUMNS = _COIN + 3, _COIN + 6


@kernel
def _burst(state, at, short, usual, one, other, rows, n_short, n_usual):  # type: ignore[no-untyped-def]
    """Return the rate of two columns over a short window against their usual rate; NaN where one is not covered."""
    covered = (
        totals_since(state, at, short, rows) >= COVERAGE * n_short
        and totals_since(state, at, usual, rows) >= COVERAGE * n_usual
    )
    if not covered:
        return np.nan
    usually = totals_since(state, at, usual, one) + totals_since(state, at, usual, other)
    if not usually > 0.0:
        return np.nan
    now = totals_since(state, at, short, one) + totals_since(state, at, short, other)
    return max(now, 0.0) / usually * n_usual / n_short


@kernel
def _add_net_flow(state, totals, net, flow):  # type: ignore[no-untyped-def]
    """Add a net flow, its size and its row to three columns from `net` on, if it is known."""
    if not math.isnan(flow):
        totals_add(state, totals, net, flow)
        totals_add(state, totals, net + 1, abs(flow))
        totals_add(state, totals, net + 2, 1.0)


@kernel
def _usual_flow(state, at, usual, net, n_usual, flow):  # type: ignore[no-untyped-def]
    """Return the total size of a net flow over the usual window; NaN where it is not covered, or `flow` is unknown."""
    if math.isnan(flow) or not totals_since(state, at, usual, net + 2) >= COVERAGE * n_usual:
        return np.nan
    size = totals_since(state, at, usual, net + 1)
    return size if size > 0.0 else np.nan


@operator
def _net_inflow(state, at, since, net, size, n_window, n_usual):  # type: ignore[no-untyped-def]
    """Return the mean net flow of a window over the usual `size` of a flow; NaN where one of them is not covered."""
    covered = totals_since(state, at, since, net + 2) >= COVERAGE * n_window
    return totals_since(state, at, since, net) / size * n_usual / n_window if covered else np.nan


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n = whole(constants[_N])
    ratios = _RINGS + mask + 1
    totals = ratios + mask + 1
    if row[VOLUME] >= 0.0:
        totals_add(state, totals, _TRADED, row[VOLUME])
    transfers = row[WHALE_TO_EXCHANGE] >= 0.0 and row[WHALE_FROM_EXCHANGE] >= 0.0 and row[VOLUME] >= 0.0
    if transfers:
        totals_add(state, totals, _TO, row[WHALE_TO_EXCHANGE])
        totals_add(state, totals, _FROM, row[WHALE_FROM_EXCHANGE])
        totals_add(state, totals, _TO_ROWS, 1.0)
    large = row[LARGE_BUY] >= 0.0 and row[LARGE_SELL] >= 0.0 and row[VOLUME] >= 0.0
    if large:
        totals_add(state, totals, _BUY, row[LARGE_BUY])
        totals_add(state, totals, _SELL, row[LARGE_SELL])
        totals_add(state, totals, _BUY_ROWS, 1.0)
    _add_net_flow(state, totals, _COIN, row[EXCHANGE_NETFLOW_COIN_USD])
    _add_net_flow(state, totals, _STABLE, row[EXCHANGE_NETFLOW_STABLE_USD])
    ratio = math.log(row[TOP_TRADER_RATIO]) if row[TOP_TRADER_RATIO] > 0.0 else np.nan
    ring_put(state, _RINGS, mask, count, row[LOG_CLOSE])
    ring_put(state, ratios, mask, count, ratio)
    totals_push(state, totals, _COLUMNS, mask, count, True)
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    n_short = whole(constants[_BURST])
    n_usual = whole(constants[_USUAL])
    short = totals_before(totals, _COLUMNS, mask, count, n_short)
    usual = totals_before(totals, _COLUMNS, mask, count, n_usual)
    coin = _usual_flow(state, totals, usual, _COIN, n_usual, row[EXCHANGE_NETFLOW_COIN_USD])
    stable = _usual_flow(state, totals, usual, _STABLE, n_usual, row[EXCHANGE_NETFLOW_STABLE_USD])
    for j in range(n):
        window = whole(constants[_WINDOWS + j])
        before = totals_before(totals, _COLUMNS, mask, count, window)
        traded = totals_since(state, totals, before, _TRADED)
        covered = transfers and traded > 0.0 and totals_since(state, totals, before, _TO_ROWS) >= COVERAGE * window
        scale = 1e4 / traded if covered else np.nan
        to = totals_since(state, totals, before, _TO) * scale
        off = totals_since(state, totals, before, _FROM) * scale
        move = row[LOG_CLOSE] - ring_get(state, _RINGS, mask, count, window)
        out[3 * j] = to
        out[3 * j + 1] = off
        out[3 * j + 2] = off - to
        # Known unless the transfers or the move are not.
        against = (off - to) * move
        out[3 * n + j] = off - to if against < 0.0 or math.isnan(against) else 0.0
        covered = large and traded > 0.0 and totals_since(state, totals, before, _BUY_ROWS) >= COVERAGE * window
        bought = totals_since(state, totals, before, _BUY) - totals_since(state, totals, before, _SELL)
        out[4 * n + j] = bought / traded if covered else np.nan
        out[5 * n + j] = ratio - ring_get(state, ratios, mask, count, window)
        out[6 * n + 3 + j] = _net_inflow(state, totals, before, _COIN, coin, window, n_usual)
        out[7 * n + 3 + j] = _net_inflow(state, totals, before, _STABLE, stable, window, n_usual)
    burst = _burst(state, totals, short, usual, _TO, _FROM, _TO_ROWS, n_short, n_usual)
    out[6 * n] = burst if transfers else np.nan
    burst = _burst(state, totals, short, usual, _BUY, _SELL, _BUY_ROWS, n_short, n_usual)
    out[6 * n + 1] = burst if large else np.nan
    out[6 * n + 2] = ratio


@dataclass(frozen=True, kw_only=True)
class WhaleFlowsFamily(Family, WhaleFlowsParameters):
    """Wallet transfers to and from exchanges, large aggressors, and the ratio of top traders."""

    name: ClassVar[str] = "whale_flows"
    advance = staticmethod(_advance)

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        transfers = {
            "inputs": ("close", "whale_to_exchange", "whale_from_exchange", "volume"),
            "known": "when the transfer was confirmed and indexed (10m by default)",
        }
        trades = {
            "inputs": ("close", "large_buy", "large_sell", "volume"),
            "known": "when the trade was printed (2s by default)",
        }
        ratios = {
            "inputs": ("close", "top_trader_ratio"),
            "known": "when the venue published the snapshot (5m30s after its stamp by default)",
            "source": "Binance Vision metrics, sum_toptrader_long_short_ratio",
        }
        balance = "(exchange to wallet - wallet to exchange) / volume"
        imbalance = "(bought - sold by large aggressors) / volume"
        bps = "bps of volume"
        divergence = "whale_accumulation where it goes against the move of the price over the window, else 0"
        change = "log(ratio_T / ratio_{T-w}), longs over shorts of the top traders"
        burst, usual = duration_name(self.burst_window), duration_name(self.usual_window)
        rate, over = {"window": self.usual_window}, f"per bar over {burst} / over {usual}"
        return (
            *(
                feature
                for w in self.windows
                for feature in (
                    *self.pair(
                        (f"whale_to_exchange_{duration_name(w)}", f"whale_from_exchange_{duration_name(w)}"),
                        ("wallet to exchange / volume", "exchange to wallet / volume"),
                        bps,
                        window=w,
                        **transfers,
                    ),
                    *self.odds("whale_accumulation", [w], balance, bps, **transfers),
                )
            ),
            *self.odds("whale_divergence", self.windows, divergence, bps, **transfers),
            *self.odds("large_trade_imbalance", self.windows, imbalance, "-1 to 1", **trades),
            *self.odds("top_trader_ratio_change", self.windows, change, "log", **ratios),
            self.even(f"whale_burst_{burst}", f"transfers {over}", "ratio", **rate, **transfers),
            self.even(f"large_trade_burst_{burst}", f"large trades {over}", "ratio", **rate, **trades),
            self.odd("top_trader_ratio", "log(longs / shorts) of the top traders", "log", **ratios),
            *self._net_inflows("coin", "net flow of the coin"),
            *self._net_inflows("stable", "net flow of stablecoins"),
        )

    def _net_inflows(self, asset: str, flow: str) -> tuple[Feature, ...]:
        """Return the net flow onto exchanges of one class of assets, over all windows.

        A mirrored market has outflows where this one has inflows: inflow of coin precedes falling prices, inflow of
        stablecoins rising ones, so that both change their sign.
        """
        usual = duration_name(self.usual_window)
        return self.odds(
            f"exchange_{asset}_inflow",
            self.windows,
            f"mean {flow} onto exchanges per bar / mean size of it per bar over {usual}",
            "usual sizes",
            inputs=("close", f"exchange_netflow_{asset}_usd"),
            known="when the source published the bucket (1h after its end by default)",
            source="Chi, Chu and Hao 2024, arXiv 2411.06327",
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        windows = [self.bars(w) for w in self.windows]
        return np.array(
            [
                self.warm_up / self.bar_interval,
                self.ring(*self._windows()) - 1,
                len(windows),
                self.bars(self.burst_window),
                self.bars(self.usual_window),
                *windows,
            ],
            dtype=np.float64,
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = self.longest(*self._windows())
        return _RINGS + 2 * ring_size(longest) + totals_slots(_COLUMNS, longest)

    @property
    def warm_up(self) -> timedelta:
        """The longest window."""
        return max(self._windows())

    def _windows(self) -> tuple[timedelta, ...]:
        return (*self.windows, self.burst_window, self.usual_window)
