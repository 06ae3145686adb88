"""Section 2: the trades of the account, and the data of their chart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pandas as pd

from slackwater.errors import DataError
from slackwater.evidence.map_history import MapHistory, replay, rows_of
from slackwater.features.chosen_families import default_families
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.metrics.performance import refusals_by_reason
from slackwater.report.page.content import Picture, Section, Table, number, percent, words
from slackwater.report.page.drawing import Axis, rows_plot
from slackwater.report.page.price_chart import candle_interval, chart_of_symbol, map_columns, pools_at
from slackwater.report.page.run_files import RunFiles
from slackwater.storage import read_fine_bars, read_tables
from slackwater.times import epoch_us, timestamp
from slackwater.trading.price_path import PricePath, price_paths

__all__ = ["Trades"]

_TABLES: Final = ("bars", "open_interest", "liquidations", "liquidation_totals")
_SYMBOLS: Final = 12  # that the file has room for
_SIDES: Final = {1: "▲ long", -1: "▼ short"}
_BEFORE: Final = timedelta(days=3)  # of the chart before the first signal event
_VARIANTS: Final = {"as planned": (), "without stop": ("stop",), "time exit only": ("stop", "target")}
_TRADE: Final = (
    *("symbol", "triggers", "side", "entry", "exit", "stop", "target", "liquidation_price", "quantity", "notional_usd"),
    *("leverage", "binding", "risk_usd", "risk_fraction", "reward_risk", "p_direction", "p_trade", "p_trade_low"),
    *("expectancy_low", "stop_level", "target_level", "risk_multiplier", "drawdown", "exit_reason", "gross_usd"),
    *("fees_usd", "slippage_usd", "funding_usd", "net_usd", "net_bps", "net_r", "equity_after", "funding_known"),
)


class Trades:
    """The section of the trades, and the data of its chart.

    Parameters
    ----------
    run
        Files of the run.
    spec, features
        Settings of the market frame, and parameters of the feature families by name.
    horizon
        Time exit of the trades.
    """

    def __init__(self, run: RunFiles, *, spec: FrameSpec, features: Mapping[str, Any], horizon: timedelta) -> None:
        self._run, self._spec, self._features, self._horizon = run, spec, features, horizon
        events = run.scored["symbol"].value_counts()
        order = run.trades["symbol"].value_counts().reindex(events.index, fill_value=0)
        ranked = sorted(events.index, key=lambda symbol: (-order[symbol], -events[symbol], symbol))
        self.shown, self.left_out = ranked[:_SYMBOLS], ranked[_SYMBOLS:]

    def section(self) -> Section:
        """Return the section: the account in words, the list of trades, and what the gate refused."""
        trades, n_events = self._run.trades, len(self._run.scored)
        answer = f"The account took {len(trades):,} trades of {n_events:,} signal events in the test blocks"
        if len(trades):
            sides = [int((trades["side"] == side).sum()) for side in (1, -1)]
            exits = trades["exit_reason"].value_counts()
            ends = ", ".join(f"{count} by {reason}" for reason, count in exits.items())
            answer += f": {sides[0]} long (▲) and {sides[1]} short (▼), ended {ends}"
        if self.left_out:
            answer += f". Without room in the chart: {', '.join(self.left_out)}"
        return Section(
            name="trades",
            question="What would it have done?",
            answer=f"{answer}.",
            pictures=[self._list(), self._refusals()],
        )

    def _list(self) -> Picture:
        trades = self._run.trades
        rows = [
            [
                f"{row.entry_time:%Y-%m-%d %H:%M}", row.symbol, _SIDES[row.side], words(row.triggers), row.entry,
                row.stop, row.target, row.exit, row.exit_reason, row.net_r, row.net_usd,
            ]
            for row in trades.itertuples(index=False)
        ]  # fmt: skip
        head = [
            "entry (UTC)",
            "symbol",
            "side",
            "trigger",
            "entry",
            "stop",
            "target",
            "exit",
            "ended by",
            "net (R)",
            "net (USDT)",
        ]
        if trades.empty:
            finding = "The gate accepted no trade."
        else:
            best, worst = trades.loc[trades["net_r"].idxmax()], trades.loc[trades["net_r"].idxmin()]
            finding = (
                f"{len(rows)} trades, from {number(worst['net_r'])} R ({worst['symbol']}, "
                f"{worst['entry_time']:%Y-%m-%d}) to {number(best['net_r'])} R "
                f"({best['symbol']}, {best['entry_time']:%Y-%m-%d})."
            )
        return Picture(
            title="Trades of the account", finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True
        )

    def _refusals(self) -> Picture:
        table = refusals_by_reason(self._run.refusals, self._run.trades)
        rows = table.to_dict("records")
        shown = rows[:14]
        x = Axis.around("Share of all events (%)", [100.0 * row["share"] for row in shown], include=[0.0])
        names = [words(row["code"]) for row in shown]
        plot = rows_plot(names, x, label="Refused events by reason", synthetic=self._run.synthetic, left=190.0)
        for place, row in enumerate(shown):
            plot.bar(0.0, 100.0 * row["share"], -place - 0.32, -place + 0.32, kind="plain")
        first = (
            f"most often for {words(rows[0]['code'])} ({percent(rows[0]['share'])} of all events)" if rows else "none"
        )
        return Picture(
            title="Refusals of the gate",
            finding=f"The gate refused {self._run.metrics['backtest']['n_refused']:,} events, {first}.",
            drawing=plot.svg() if rows else "",
            table=Table.of(
                rows,
                {
                    "code": "reason",
                    "events": "events",
                    "share": "share of all events",
                    "all_events_of": "all events of",
                },
            ),
            note="An event with several reasons counts under each of them.",
        )

    def chart(self) -> dict[str, Any]:
        """Return what the chart draws, in types of JSON."""
        scored, trades = self._run.scored, self._run.trades
        held = read_tables(self._run.root / "data" / "tables", _TABLES)
        tables = {name: table[table["symbol"].isin(self.shown)].reset_index(drop=True) for name, table in held.items()}
        frame = MarketFrame.from_tables(tables, self._spec)
        families = default_families(self._spec.bar_interval, **self._features)
        first, paths = scored["event_time"].min() - _BEFORE, self._paths()
        symbols, drawn = [], []
        for symbol in self.shown:
            last = frame.table["event_time"].iloc[rows_of(frame, symbol).stop - 1]
            span = max(last - first, self._spec.bar_interval).to_pytimedelta()
            history = replay(frame, families, symbol, span=span, columns=map_columns(len(self.shown)))
            interval = candle_interval(span, len(self.shown), self._spec.bar_interval)
            own = scored[scored["symbol"] == symbol].sort_values("event_time")
            symbols.append(chart_of_symbol(history, own, interval))
            taken = trades[trades["symbol"] == symbol].to_dict("records")
            drawn += [self._trade(row, history, paths[symbol]) for row in taken]
        drawn.sort(key=lambda trade: (trade["entry_time"], trade["symbol"]))
        return {
            "dataset": self._run.dataset,
            "synthetic": self._run.synthetic,
            "symbols": symbols,
            "trades": drawn,
            "left_out": self.left_out,
        }

    def _paths(self) -> dict[str, PricePath]:
        traded = sorted(set(self._run.trades["symbol"]) & set(self.shown))
        if not traded:
            return {}
        root = self._run.root / "data" / "tables"
        mark = read_tables(root, ["mark_price"]).get("mark_price")
        return price_paths(read_fine_bars(root), None, traded, mark=mark)

    def _trade(self, row: Mapping[Any, Any], history: MapHistory, path: PricePath) -> dict[str, Any]:
        plan = self._run.plans.get((row["symbol"], row["event_time"]))
        if plan is None:
            raise DataError(f"reports/journal.jsonl has no plan of the trade of {row['symbol']} of {row['event_time']}")
        return {
            **{name: _plain(row[name]) for name in _TRADE},
            **{f"{name}_time": int(row[f"{name}_time"].timestamp()) for name in ("event", "entry", "exit")},
            "p_fair": plan["p_fair"],
            "caps": {name: _plain(value) for name, value in plan["caps"].items()},
            "variants": [self._variant(name, without, row, plan, path) for name, without in _VARIANTS.items()],
            "pools": pools_at(history, row["event_time"], float(row["entry"])),
        }

    def _variant(
        self, name: str, without: tuple[str, ...], row: Mapping[Any, Any], plan: Mapping[str, Any], path: PricePath
    ) -> dict[str, Any]:
        """Walk the trade without some levels; results are before costs, as multiples of the planned loss."""
        side = int(row["side"])
        found = path.exit(
            side=side,
            stop=-side * math.inf if "stop" in without else float(row["stop"]),
            target=side * math.inf if "target" in without else float(row["target"]),
            liquidation_price=float(row["liquidation_price"]),
            entry_bar=path.first_bar_from(epoch_us(row["entry_time"])),
            horizon=self._horizon,
        )
        reason, price, bankruptcy = found.reason, found.price, float(plan["bankruptcy_price"])
        if reason == "liquidation" or side * price < side * bankruptcy:
            reason, price = "liquidation", bankruptcy
        exit_time = timestamp(found.time_us)
        recorded = (row["exit_reason"], row["exit_time"])
        if not without and row["exit_reason"] != "liquidation" and recorded != (reason, exit_time):
            raise DataError(
                f"reports/trades.parquet and the fine bars disagree: {row['symbol']} of {row['entry_time']} ended by "
                f"{recorded[0]} at {recorded[1]}, walked again by {reason} at {exit_time}; run `dvc repro`"
            )
        gross_r = side * float(row["quantity"]) * (price - float(row["entry"])) / float(row["risk_usd"])
        return {"name": name, "reason": reason, "price": price, "time": int(exit_time.timestamp()), "gross_r": gross_r}


def _plain(value: Any) -> Any:
    """Return a cell of a table in types of JSON; what is not known is None."""
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str) else float(f"{value:.9g}")
