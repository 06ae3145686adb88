"""Section 2: the trades of the account, and the data of their chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from slackwater.errors import DataError
from slackwater.evidence.map_history import MapHistory, replay, rows_of
from slackwater.features.chosen_families import default_families
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.report.page.content import Picture, Section, Table
from slackwater.report.page.counterfactual import VARIANTS, walked
from slackwater.report.page.price_chart import candle_interval, chart_of_symbol, map_columns, pools_at
from slackwater.report.page.trade_pictures import (
    CHART_TABLES,
    TRADE_FIELDS,
    TRADE_HEAD,
    plain_cell,
    range_of_results,
    refusals_picture,
    sides_and_ends,
    trade_cells,
)
from slackwater.report.run.run_files import RunFiles
from slackwater.storage import read_fine_bars, read_tables
from slackwater.times import timestamp
from slackwater.trading.price_path import PricePath, price_paths

__all__ = ["Trades"]

_SYMBOLS: Final = 12  # that the file has room for
_BEFORE: Final = timedelta(days=3)  # of the chart before the first signal event


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
            answer += f": {sides_and_ends(trades)}"
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
        rows = [trade_cells(row) for row in trades.itertuples(index=False)]
        finding = range_of_results(trades) if len(trades) else "The gate accepted no trade."
        table = Table(head=TRADE_HEAD, rows=rows)
        return Picture(title="Trades of the account", finding=finding, drawing="", table=table, wide=True)

    def _refusals(self) -> Picture:
        refused = self._run.metrics["backtest"]["n_refused"]
        return refusals_picture(self._run.refusals, self._run.trades, refused, synthetic=self._run.synthetic)

    def chart(self) -> dict[str, Any]:
        """Return what the chart draws, in types of JSON."""
        scored, trades = self._run.scored, self._run.trades
        held = read_tables(self._run.root / "data" / "tables", CHART_TABLES)
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
            **{name: plain_cell(row[name]) for name in TRADE_FIELDS},
            **{f"{name}_time": int(row[f"{name}_time"].timestamp()) for name in ("event", "entry", "exit")},
            "p_fair": plan["p_fair"],
            "caps": {name: plain_cell(value) for name, value in plan["caps"].items()},
            "variants": list(self._variants(row, plan, path)),
            "pools": pools_at(history, row["event_time"], float(row["entry"])),
        }

    def _variants(self, row: Mapping[Any, Any], plan: Mapping[str, Any], path: PricePath) -> Iterator[dict[str, Any]]:
        """Walk the trade with and without its levels; the walk as planned must end as the trade did."""
        for name in VARIANTS:
            bankruptcy = float(plan["bankruptcy_price"])
            found = walked(name, row, bankruptcy_price=bankruptcy, horizon=self._horizon, path=path)
            again = (found["reason"], timestamp(found["time"] * 1_000_000))
            recorded = (row["exit_reason"], row["exit_time"].floor("s"))
            if not VARIANTS[name] and row["exit_reason"] != "liquidation" and recorded != again:
                raise DataError(
                    f"reports/trades.parquet and the fine bars disagree: {row['symbol']} of {row['entry_time']} ended "
                    f"by {recorded[0]} at {recorded[1]}, walked again by {again[0]} at {again[1]}; run `dvc repro`"
                )
            yield found
