"""Sections 4 and 5: the accounts of two runs, and what was set differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.report.compare.pairs import Pairs
from slackwater.report.page.clauses import CLAUSES, OUTCOMES
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, number, percent, words
from slackwater.report.page.drawing import Axis, Plot, months

__all__ = ["accounts", "settings"]

_ROWS: Final = {
    "initial_equity_usd": "equity at the start (USDT)",
    "final_equity_usd": "equity at the end (USDT)",
    "total_return": "total return (fraction)",
    "max_drawdown": "largest drawdown (fraction)",
    "n_trades": "trades",
    "win_rate": "share of gains",
    "profit_factor": "profit factor",
    "mean_r": "mean result (R)",
    "sharpe": "Sharpe ratio (daily, annualised)",
}


def accounts(pairs: Pairs) -> Section:
    """Return the section: the accounts of both runs, without a difference, for there is one path of each."""
    found = [side.facts.verdict.get("account") or {} for side in pairs.sides]
    said = [
        f"{name}: {percent(each.get('total_return'))} with a largest drawdown of {percent(each.get('max_drawdown'))}"
        for name, each in zip("AB", found, strict=True)
    ]
    answer = (
        f"{'; '.join(said)}. An account is one path whose trades depend on each other, so there is no interval: "
        "it does not say which run is better."
    )
    table = Table(
        head=["quantity", "A", "B"], rows=[[name, *(e.get(key) for e in found)] for key, name in _ROWS.items()]
    )
    beside = Picture(title="Accounts side by side", finding=f"{'; '.join(said)}.", drawing="", table=table)
    return Section(
        name="accounts",
        question="Would both have survived?",
        answer=answer,
        pictures=[_equity(pairs), beside],
    )


def _equity(pairs: Pairs) -> Picture:
    title, head = "Equity of both accounts", ["account", "time (UTC)", "equity (USDT)", "drawdown (fraction)"]
    known = {side.name: side.facts.equity for side in pairs.sides}
    tables = {name: table for name, table in known.items() if table is not None and len(table)}
    if len(tables) < len(known):
        lacking = " and ".join(name for name in known if name not in tables)
        finding = f"Not shown: the equity of {lacking} in time is not recorded there."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    at = {
        name: np.asarray(pd.DatetimeIndex(table["time"]).as_unit("us").asi8 / 1e6, dtype=np.float64)
        for name, table in tables.items()
    }
    every = np.concatenate(list(at.values()))
    x = Axis(title="Time (UTC)", low=every.min(), high=every.max(), ticks=months(list(every)))
    values = {name: table["equity_usd"].to_numpy(np.float64) for name, table in tables.items()}
    y = Axis.around("Equity (USDT), net of all costs", *values.values())
    plot = Plot(label=title, x=x, y=y, synthetic=pairs.synthetic, height=270.0)
    for name, kind, shape in (("A", "plain", "circle"), ("B", "ink", "square")):
        plot.line(at[name], values[name], kind=kind, steps=True)
        step = max(len(at[name]) // 10, 1)
        plot.points(at[name][::step], values[name][::step], kind=kind, shape=shape, name=name, size=3.0)
    ends = ", ".join(f"{name} at {number(float(each[-1]), 5)} USDT" for name, each in values.items())
    rows = [
        [name, f"{row.time:%Y-%m-%d %H:%M}", row.equity_usd, row.drawdown]
        for name, table in tables.items()
        for row in table.itertuples(index=False)
    ]
    return Picture(
        title=title, finding=f"The accounts end: {ends}.", drawing=plot.svg(), table=Table(head=head, rows=rows)
    )


def settings(pairs: Pairs) -> Section:
    """Return the section: parameters and clauses of the verdict in which the runs differ."""
    pictures = [_parameters(pairs), _clauses(pairs)]
    return Section(name="settings", question="What is different?", answer=pictures[0].finding, pictures=pictures)


def _parameters(pairs: Pairs) -> Picture:
    title, head = "Parameters that differ", ["parameter", "A", "B"]
    one, other = (side.facts.settings() for side in pairs.sides)
    if not one or not other:
        lacking = " and ".join(name for name, found in zip("AB", (one, other), strict=True) if not found)
        finding = f"The effective parameters of {lacking} are not recorded there, so they are not compared."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    names = sorted(one.keys() | other.keys())
    rows = [[name, _text(one, name), _text(other, name)] for name in names if one.get(name) != other.get(name)]
    first = ", ".join(str(row[0]) for row in rows[:6])
    finding = f"{len(rows)} of {len(names)} parameters differ"
    finding += f": {first}{' and more' * (len(rows) > 6)}." if rows else ": a difference is of code, data or chance."
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True)


def _text(found: Mapping[str, Any], name: str) -> str:
    return str(found[name]) if name in found else "no such parameter"


def _clauses(pairs: Pairs) -> Picture:
    title, head = "Clauses of the verdict", ["clause", "A", "value of A", "B", "value of B"]
    one, other = (side.facts.verdict.get("clauses") or {} for side in pairs.sides)
    if not one or not other:
        lacking = " and ".join(name for name, found in zip("AB", (one, other), strict=True) if not found)
        finding = f"The verdict of {lacking} is not recorded there."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    names = sorted(one.keys() | other.keys(), key=lambda name: (_outcome(one, name) == _outcome(other, name), name))
    rows = [
        [
            CLAUSES.get(name, words(name)),
            _outcome(one, name),
            _value(one, name),
            _outcome(other, name),
            _value(other, name),
        ]
        for name in names
    ]
    passed = [sum(_outcome(found, name) == OUTCOMES[True] for name in names) for found in (one, other)]
    differ = sum(row[1] != row[3] for row in rows)
    finding = (
        f"A passes {passed[0]} and B {passed[1]} of {len(names)} clauses; {differ} have another outcome. All have to "
        "pass: one more is not a better run."
    )
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True)


def _outcome(clauses: Mapping[str, Any], name: str) -> str:
    return OUTCOMES[clauses[name]["passed"]] if name in clauses else UNKNOWN


def _value(clauses: Mapping[str, Any], name: str) -> float:
    value = clauses.get(name, {}).get("value")
    return math.nan if value is None else float(value)
