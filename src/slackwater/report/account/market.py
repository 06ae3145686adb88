"""The market that an account saw, for the price chart: candles, map, pools, and its trades walked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pandas as pd

from slackwater.evidence.map_history import MapHistory, replay, rows_of
from slackwater.features.family import Family
from slackwater.market.frame import MarketFrame
from slackwater.report.account.record import AccountRecord
from slackwater.report.page.counterfactual import VARIANTS, walked
from slackwater.report.page.price_chart import candle_interval, chart_of_symbol, map_columns, pools_at
from slackwater.report.page.trade_pictures import TRADE_FIELDS, plain_cell
from slackwater.times import epoch_us, microseconds
from slackwater.trading.price_path import PricePath, price_paths

__all__ = ["SeenMarket", "chart"]

_BEFORE: Final = timedelta(hours=12)  # of the chart before the first event
_NOT_COVERED: Final = "not known: the record ends before its horizon"


@dataclass(frozen=True, kw_only=True)
class SeenMarket:
    """The market as an account saw it.

    Parameters
    ----------
    frame
        History that the account began with, and the rows that it took since.
    families
        Feature families of its bundle; those of the map are picked.
    fine_bars, mark
        Its finest bars and the bars of the mark price; None where there are none.
    horizon
        Time exit of its trades.
    """

    frame: MarketFrame
    families: Sequence[Family]
    fine_bars: pd.DataFrame | None
    mark: pd.DataFrame | None
    horizon: timedelta

    def path(self, symbol: str) -> PricePath | None:
        """Return the fine bars of a symbol as a path; None where there are none."""
        if self.fine_bars is None or not (self.fine_bars["symbol"] == symbol).any():
            return None
        mark = self.mark if self.mark is not None and (self.mark["symbol"] == symbol).any() else None
        return price_paths(self.fine_bars, None, [symbol], mark=mark)[symbol]


def chart(record: AccountRecord, market: SeenMarket) -> dict[str, Any]:
    """Return what the chart of a period draws, in types of JSON."""
    span = record.span
    symbols = sorted({row["symbol"] for row in [*record.scores, *record.plans.values()]})
    drawn: list[dict[str, Any]] = []
    charts = []
    for symbol in symbols if span is not None else []:
        assert span is not None  # noqa: S101 -- for the type checker
        last = market.frame.table["event_time"].iloc[rows_of(market.frame, symbol).stop - 1]
        length = max(last - span[0] + _BEFORE, market.frame.bar_interval).to_pytimedelta()
        history = replay(market.frame, market.families, symbol, span=length, columns=map_columns(len(symbols)))
        interval = candle_interval(length, len(symbols), market.frame.bar_interval)
        charts.append(chart_of_symbol(history, _events(record, symbol), interval))
        path = market.path(symbol)
        own = record.trades[record.trades["symbol"] == symbol]
        drawn += [_trade(row, history, path, market.horizon) for row in own.to_dict("records")]
    drawn.sort(key=lambda trade: (trade["entry_time"], trade["symbol"]))
    return {
        "dataset": record.account, "synthetic": record.synthetic, "symbols": charts, "trades": drawn, "left_out": [],
    }  # fmt: skip


def _events(record: AccountRecord, symbol: str) -> pd.DataFrame:
    rows = [
        {"event_time": pd.Timestamp(row["event_time"]), "direction": row["direction"], "triggers": row["triggers"]}
        for row in record.scores
        if row["symbol"] == symbol
    ]
    table = pd.DataFrame(rows, columns=["event_time", "direction", "triggers"])
    return table.astype({"event_time": "datetime64[us, UTC]"}).sort_values("event_time")


def _trade(row: Mapping[Any, Any], history: MapHistory, path: PricePath | None, horizon: timedelta) -> dict[str, Any]:
    return {
        **{name: _cell(row[name]) for name in TRADE_FIELDS},
        **{f"{name}_time": int(row[f"{name}_time"].timestamp()) for name in ("event", "entry", "exit")},
        "p_fair": _cell(row["p_fair"]),
        "caps": {},
        "variants": list(_variants(row, path, horizon)),
        "pools": pools_at(history, row["event_time"], float(row["entry"])),
        "note": _note(row),
    }


def _cell(value: Any) -> Any:
    return bool(value) if isinstance(value, bool) else plain_cell(value)


def _note(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the answers of the last note of a trade, and its extremes; what is not answered is missing."""
    found = {"state of mind": row["state_of_mind"], "grade": row["grade"], "words": row["text"]}
    said = {name: value for name, value in found.items() if isinstance(value, str) and value}
    if isinstance(row["plan_followed"], bool):
        said["plan followed"] = "yes" if row["plan_followed"] else "no"
    if isinstance(row["noted_late"], bool):
        said["written"] = "after the exit" if row["noted_late"] else "before the exit"
    return said


def _variants(row: Mapping[Any, Any], path: PricePath | None, horizon: timedelta) -> Iterator[dict[str, Any]]:
    """Yield the trade as it was, and as it would have been without its levels where the fine bars reach far enough."""
    gross = row["gross_usd"] / row["risk_usd"]
    ended = int(row["exit_time"].timestamp())
    first, *others = VARIANTS
    yield {"name": first, "reason": row["exit_reason"], "price": row["exit"], "time": ended, "gross_r": _cell(gross)}
    end_us = epoch_us(row["entry_time"]) + microseconds(horizon)
    covered = path is not None and path.open_time[0] <= epoch_us(row["entry_time"]) and path.close_time[-1] > end_us
    for name in others:
        if path is None or not covered:
            yield {"name": name, "reason": _NOT_COVERED, "price": None, "time": None, "gross_r": None}
        else:
            yield walked(name, row, bankruptcy_price=float(row["bankruptcy_price"]), horizon=horizon, path=path)
