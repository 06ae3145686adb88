"""Section 3: equity, drawdown, R multiples, ruin and leverage."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.report.page.content import Picture, Section, Table, number, percent
from slackwater.report.page.drawing import Axis, Plot, months
from slackwater.report.page.forest import Row, forest
from slackwater.report.run.run_files import RunFiles

__all__ = ["survival"]

_NONE: Final = "There is no trade, so there is nothing to draw."


def survival(run: RunFiles) -> Section:
    """Return the section: equity, drawdown, R multiples, ruin, leverage, and the trades without their levels."""
    account = run.verdict["account"]
    mean = run.metrics["backtest"]["unit_risk"].get("net_r_mean")
    answer = (
        f"The account of {number(account['initial_equity_usd'], 5)} USDT ended at "
        f"{number(account['final_equity_usd'], 5)} USDT after {account['n_trades']:,} trades, with a largest "
        f"drawdown of {percent(account['max_drawdown'])}; the mean result of a trade at unit risk, "
        f"outside of the account, is {number(mean, unit='R')}."
    )
    pictures = [_equity(run), _drawdown(run), _multiples(run), _ruin(run), _leverage(run), _levels(run)]
    return Section(name="survival", question="Would I have survived?", answer=answer, pictures=pictures)


def _seconds(times: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(pd.DatetimeIndex(times).as_unit("us").asi8 / 1e6, dtype=np.float64)


def _in_time(run: RunFiles, column: str, title: str, scale: float, label: str, kind: str) -> str:
    times = _seconds(run.equity["time"])
    values = scale * run.equity[column].to_numpy(dtype=np.float64)
    x = Axis(title="Time (UTC)", low=times.min(), high=times.max(), ticks=months(list(times)))
    plot = Plot(label=label, x=x, y=Axis.around(title, values), synthetic=run.synthetic, height=270.0)
    plot.line(times, values, kind=kind, steps=True)
    return plot.svg()


def _equity(run: RunFiles) -> Picture:
    account = run.verdict["account"]
    return Picture(
        title="Equity of the account",
        finding=(
            f"Total return {percent(account['total_return'])}, Sharpe ratio {number(account['sharpe'])} (daily, "
            f"annualised), {percent(account['win_rate'])} winning trades; the busiest month has "
            f"{percent(account['top_month_share'])} of the trades."
        ),
        drawing=_in_time(run, "equity_usd", "Equity (USDT), net of all costs", 1.0, "Equity in time", "plain"),
        table=Table(
            head=["time (UTC)", "equity (USDT)", "drawdown (%)"],
            rows=[
                [f"{row.time:%Y-%m-%d %H:%M}", row.equity_usd, 100.0 * row.drawdown]
                for row in run.equity.itertuples(index=False)
            ],
        ),
    )


def _drawdown(run: RunFiles) -> Picture:
    worst = run.equity.loc[run.equity["drawdown"].idxmax()]
    return Picture(
        title="Drawdown of the account",
        finding=f"The deepest drawdown was {percent(worst['drawdown'])}, on {worst['time']:%Y-%m-%d}.",
        drawing=_in_time(run, "drawdown", "Drawdown (% of the highest equity)", -100.0, "Drawdown in time", "loss"),
        table=Table(
            head=["quantity", "value"],
            rows=[
                ["largest drawdown (%)", 100.0 * float(worst["drawdown"])],
                ["longest losing streak (trades)", run.metrics["backtest"]["longest_losing_streak"]],
                ["largest leverage used", run.metrics["backtest"]["max_leverage"]],
                ["worst loss over planned loss", run.metrics["backtest"]["worst_loss_over_planned"]],
            ],
        ),
    )


def _multiples(run: RunFiles) -> Picture:
    title, head = "R multiples of the trades", ["R from", "R to", "account", "unit risk"]
    own, unit = (table["net_r"].dropna().to_numpy() for table in (run.trades, run.unit_risk_trades))
    if not len(unit):
        return Picture(title=title, finding=_NONE, drawing="", table=Table(head=head, rows=[]))
    edges = np.linspace(min(unit.min(), -1.2), max(unit.max(), 1.2), 25)
    counts, of_account = (np.histogram(np.clip(x, edges[0], edges[-1]), bins=edges)[0] for x in (unit, own))
    plot = Plot(
        label=title,
        x=Axis(title="Net result (R: multiples of the planned loss)", low=edges[0], high=edges[-1]),
        y=Axis(title="Trades", low=0.0, high=1.1 * counts.max()),
        synthetic=run.synthetic,
        height=270.0,
    )
    for low, high, count, part in zip(edges, edges[1:], counts, of_account, strict=False):
        kind = "loss" if high <= 0.0 else "gain"
        plot.bar(low, high, 0.0, count, kind=f"{kind} pale")
        plot.bar(low, high, 0.0, part, kind=kind)
    plot.rule(x=0.0)
    beyond = int((unit < -1.05).sum())
    finding = (
        f"Of {len(unit):,} trades at unit risk {percent((unit > 0.0).mean())} gain, with a median of "
        f"{number(float(np.median(unit)))} R; {beyond} lose more than 1.05 R, the worst {number(float(unit.min()))} R."
    )
    rows = [list(row) for row in zip(edges, edges[1:], of_account, counts, strict=False)]
    note = "Pale: at unit risk, every plan that the gate accepts. Full: the trades of the account."
    return Picture(title=title, finding=finding, drawing=plot.svg(), table=Table(head=head, rows=rows), note=note)


def _ruin(run: RunFiles) -> Picture:
    own, unlimited = run.sensitivity["ruin"], run.sensitivity["ruin_without_limits"]
    drawn = [
        [
            (100.0 * row["risk_fraction"], 100.0 * row["ruin_probability"])
            for row in rows
            if row["ruin_probability"] is not None
        ]
        for rows in (own, unlimited)
    ]
    head = ["sample", "equity at risk per trade (%)", "probability of ruin (%)", "median largest drawdown (%)"]
    rows = [
        [
            name,
            *(
                None if row[key] is None else 100.0 * row[key]
                for key in ("risk_fraction", "ruin_probability", "median_max_drawdown")
            ),
        ]
        for name, found in (("account", own), ("without position limits", unlimited))
        for row in found
    ]
    table = Table(head=head, rows=rows)
    if not any(drawn):
        return Picture(title="Probability of ruin", finding=_NONE, drawing="", table=table)
    plot = Plot(
        label="Probability of ruin by risk per trade",
        x=Axis.around("Equity at risk per trade (%)", [x for line in drawn for x, _ in line], include=[0.0]),
        y=Axis.around(
            "Probability of ruin within the time (%)", [y for line in drawn for _, y in line], include=[0.0, 1.0]
        ),
        synthetic=run.synthetic,
        height=270.0,
    )
    for line, kind, shape, name in zip(
        drawn, ("plain", "loss"), ("circle", "square"), ("account", "without position limits"), strict=True
    ):
        plot.line(*zip(*line, strict=True), kind=kind) if line else None
        plot.points([x for x, _ in line], [y for _, y in line], kind=kind, shape=shape, name=name)
    last = own[-1]
    finding = (
        f"At {100.0 * last['risk_fraction']:g} % of equity at risk per trade, a drawdown of "
        f"{100.0 * last['drawdown']:g} % within {last['years']:g} year has a probability of "
        f"{percent(last['ruin_probability'])} with position limits and "
        f"{percent(unlimited[-1]['ruin_probability'])} without them."
    )
    return Picture(title="Probability of ruin", finding=finding, drawing=plot.svg(), table=table)


def _leverage(run: RunFiles) -> Picture:
    rows = run.sensitivity["leverage"]
    lines = {
        name: [row for row in rows if row["variant"] == name and row["liquidated"] is not None]
        for name in ("with stop", "without stop")
    }
    columns = {
        "variant": "variant", "leverage": "leverage", "n_trades": "trades", "liquidated": "share liquidated",
        "stopped": "share stopped", "exited_before_reversal": "share out before the reversal", "mean_r": "mean (R)",
        "worst_return_on_margin": "worst return on margin", "not_offered": "not offered",
    }  # fmt: skip
    table = Table.of(rows, columns)
    drawn = [row for line in lines.values() for row in line]
    if not drawn:
        return Picture(title="Leverage", finding=_NONE, drawing="", table=table)
    ticks = sorted({(float(row["leverage"]), f"{row['leverage']}x") for row in drawn})
    plot = Plot(
        label="Share of trades liquidated by leverage",
        x=Axis(title="Margin leverage", low=ticks[0][0] * 0.9, high=ticks[-1][0] * 1.1, ticks=ticks, log=True),
        y=Axis.around("Trades liquidated (%)", [100.0 * row["liquidated"] for row in drawn], include=[0.0]),
        synthetic=run.synthetic,
        height=270.0,
    )
    for (name, line), kind, shape in zip(lines.items(), ("plain", "loss"), ("circle", "square"), strict=True):
        x, y = [float(row["leverage"]) for row in line], [100.0 * row["liquidated"] for row in line]
        plot.line(x, y, kind=kind)
        plot.points(x, y, kind=kind, shape=shape, name=name)
    parts = [
        f"at {line[-1]['leverage']}x {percent(line[-1]['liquidated'])} of the trades are liquidated {name}"
        for name, line in lines.items()
        if line
    ]
    safe = [row["leverage"] for row in lines["with stop"] if row["liquidated"] == 0.0]
    start = f"Up to {max(safe)}x no trade with its stop is liquidated; " if safe else ""
    text = start + " and ".join(parts)
    return Picture(
        title="Leverage",
        finding=f"{text[:1].upper()}{text[1:]}.",
        drawing=plot.svg(),
        table=table,
        note="The same trades at the same notional: only the margin, and with it the liquidation price, changes.",
    )


def _levels(run: RunFiles) -> Picture:
    found = run.sensitivity["counterfactual"]
    rows = [
        Row.of(row["variant"], row["difference_bps"], row["difference_low"], row["difference_high"])
        for row in found
        if row["variant"] != "as planned"
    ]
    drawn = [row for row in rows if not math.isnan(row.value)]
    each = (f"{row.label} {number(row.value)} ({number(row.low)} to {number(row.high)})" for row in drawn)
    finding = f"Against the plan, in bps per trade: {'; '.join(each)}." if drawn else _NONE
    return Picture(
        title="The same trades without their levels",
        finding=finding,
        drawing=forest(
            rows, title="Difference to the plan (bps per trade)", label="Trades without levels", synthetic=run.synthetic
        ),
        table=Table.of(
            found,
            {
                "variant": "variant",
                "net_bps_mean": "net (bps per trade)",
                "net_bps_low": "low, 95 %",
                "net_bps_high": "high, 95 %",
                "win_rate": "share of gains",
                "worst_bps": "worst (bps)",
                "liquidation_share": "share liquidated",
            },
        ),
        note="A difference above 0 means that the level that was removed costs money on these data.",
    )
