"""Section 2: what an account did, trade by trade, and what its gate refused."""

from __future__ import annotations

from typing import Any

import pandas as pd

from slackwater.report.account.record import AccountRecord, moment
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, number
from slackwater.report.page.trade_pictures import (
    SIDES,
    TRADE_HEAD,
    range_of_results,
    refusals_picture,
    sides_and_ends,
    trade_cells,
)

__all__ = ["trades"]


def trades(record: AccountRecord, no_chart: str) -> Section:
    """Return the section: the account in words, its trades, open plans and refusals.

    Parameters
    ----------
    record
        The account.
    no_chart
        Why there is no price chart; empty where there is one.
    """
    table, plans = record.trades, len(record.plans)
    decided = plans + len(record.refusals)
    answer = f"Of {decided:,} decisions {plans:,} were plans and {len(record.refusals):,} refusals"
    if len(table):
        answer += f"; {len(table):,} trades were closed: {sides_and_ends(table)}"
    answer += f". {len(record.without_end):,} plans have no end yet."
    if no_chart:
        answer += f" The price chart is missing: {no_chart}."
    pictures = [_list(record), _open(record), _refusals(record)]
    return Section(name="trades", question="What did it do?", answer=answer, pictures=pictures)


def _list(record: AccountRecord) -> Picture:
    table = record.trades
    rows = [
        [
            *trade_cells(row), row.mae_r, row.mfe_r,
            row.state_of_mind if isinstance(row.state_of_mind, str) else "no note",
        ]
        for row in table.itertuples(index=False)
    ]  # fmt: skip
    known = table["net_r"].notna().any()
    finding = range_of_results(table) if known else "No trade with a known result was closed."
    head = [*TRADE_HEAD, "largest loss (R)", "largest gain (R)", "state of mind"]
    return Picture(
        title="Trades of the account", finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True
    )


def _open(record: AccountRecord) -> Picture:
    filled = {(row["trade"], row.get("order")) for row in record.fills}
    rows = [
        [
            f"{moment(plan['ts_ns']):%Y-%m-%d %H:%M}", plan["symbol"], SIDES.get(plan.get("side", 0), UNKNOWN),
            "open" if (plan["trade"], "entry") in filled else "no fill recorded", plan.get("entry"), plan.get("stop"),
            plan.get("target"), plan.get("risk_usd"),
        ]
        for plan in record.without_end
    ]  # fmt: skip
    risk = [row[-1] for row in rows if row[3] == "open" and row[-1] is not None]
    finding = (
        f"{len(risk)} positions are open, with {number(float(sum(risk)))} USDT of planned loss; "
        f"{len(rows) - len(risk)} plans have no fill."
        if rows
        else "Every plan has ended: no position is open."
    )
    head = ["plan (UTC)", "symbol", "side", "state", "entry", "stop", "target", "planned loss (USDT)"]
    return Picture(title="Plans without an end", finding=finding, drawing="", table=Table(head=head, rows=rows))


def _refusals(record: AccountRecord) -> Picture:
    keys = ["symbol", "event_time"]
    listed = [
        {"symbol": row["symbol"], "event_time": row["event_time"], "code": reason["code"]}
        for row in record.refusals
        for reason in row["reasons"]
    ]
    planned: list[dict[str, Any]] = [{key: plan[key] for key in keys} for plan in record.plans.values()]
    return refusals_picture(
        pd.DataFrame(listed, columns=[*keys, "code"]),
        pd.DataFrame(planned, columns=keys),
        len(record.refusals),
        synthetic=record.synthetic,
    )
