"""Sections 4 and 5: what trading cost an account, and what its rules refused."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slackwater.report.account.record import AccountRecord
from slackwater.report.account.survival import findings_picture
from slackwater.report.page.content import Picture, Section, Table, number, percent, words
from slackwater.report.page.drawing import Axis, rows_plot

__all__ = ["costs", "rules"]

_KINDS: Final = {"fees_usd": "fees", "slippage_usd": "slippage", "funding_usd": "funding"}
_SHOWN: Final = 14


def costs(record: AccountRecord) -> Section:
    """Return the section: costs by kind, and how far entries lay from their plans."""
    pictures = [_by_kind(record), _entries(record)]
    return Section(name="costs", question="What did it cost?", answer=pictures[0].finding, pictures=pictures)


def _by_kind(record: AccountRecord) -> Picture:
    title, head = "Costs by kind", ["kind", "sum (USDT)", "per trade (USDT)", "per notional (bps)"]
    trades, notional = record.trades, float(record.trades["notional_usd"].sum())
    if trades.empty:
        return Picture(title=title, finding="No trade was closed.", drawing="", table=Table(head=head, rows=[]))
    sums = {name: float(trades[column].sum(skipna=False)) for column, name in _KINDS.items()}
    gross = float(trades["gross_usd"].sum(skipna=False))
    cells = [[name, total, total / len(trades), 1e4 * total / notional] for name, total in sums.items()]
    total = sum(sums.values())
    cells.append(["all costs", total, total / len(trades), 1e4 * total / notional])
    cells.append(["gross result", gross, gross / len(trades), 1e4 * gross / notional])
    x = Axis.around("Sum over the closed trades (USDT)", [gross, *(-each for each in sums.values())], include=[0.0])
    plot = rows_plot([*sums, "gross result"], x, label=title, synthetic=record.synthetic)
    for place, value in enumerate([*(-each for each in sums.values()), gross]):
        plot.bar(0.0, value, -place - 0.32, -place + 0.32, kind="gain" if value > 0.0 else "loss")
    plot.rule(x=0.0)
    finding = (
        f"{number(total)} USDT of costs on {len(trades):,} trades, {number(1e4 * total / notional)} bps of the "
        f"notional, against a gross result of {number(gross)} USDT."
    )
    unknown = int((~trades["funding_known"].eq(True)).sum())
    if unknown:
        finding += f" Funding of {unknown:,} trades is not known, and is not in the sums."
    return Picture(
        title=title,
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=head, rows=cells),
        note="Left of the line costs money. Fees, spread, impact and latency are charged by the code of the backtest.",
    )


def _entries(record: AccountRecord) -> Picture:
    title = "Entries beside their plans"
    head = ["entry (UTC)", "symbol", "side", "planned (USDT)", "market (USDT)", "paid (USDT)", "worse by (bps)"]
    rows = []
    for row in record.trades[record.trades["planned_entry"].notna()].itertuples(index=False):
        paid = _paid(record, row.trade)
        worse = math.nan if paid is None else 1e4 * row.side * (paid / row.planned_entry - 1.0)
        side = "long" if row.side > 0 else "short"
        time = f"{row.entry_time:%Y-%m-%d %H:%M}"
        rows.append([time, row.symbol, side, row.planned_entry, row.entry, paid, worse])
    known = [row[-1] for row in rows if not math.isnan(row[-1])]
    finding = "No fill of an entry is recorded: a backtest has none."
    if known:
        finding = (
            f"Entries cost {number(float(np.mean(known)))} bps more than their plan on average, slippage included, and "
            f"{number(max(known))} bps at most."
        )
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True)


def _paid(record: AccountRecord, trade: str) -> float | None:
    """Return the mean price of the fills of an entry, USDT; None where none is recorded."""
    fills = [row for row in record.fills if row["trade"] == trade and row.get("order") == "entry"]
    quantity = sum(row["quantity"] for row in fills)
    return sum(row["quantity"] * row["price"] for row in fills) / quantity if quantity else None


def rules(record: AccountRecord) -> Section:
    """Return the section: what the refused trades would have earned, by reason."""
    known = [row for row in record.forgone if row.get("net_r") is not None]
    total = float(sum(row["net_r"] for row in known))
    if not record.refusals:
        answer = "The gate refused nothing."
    elif not known:
        answer = f"What the {len(record.refusals):,} refused trades would have earned is not known, or not yet."
    else:
        answer = (
            f"{len(known):,} of {len(record.refusals):,} refused trades have a known result: together they would have "
            f"earned {number(total)} R, {number(total / len(known))} R each, if all of them had been taken."
        )
    found = [each for each in record.review.findings if each.about == "gate"]
    note = "Left of the line the refused trades would have lost: the rule was worth it."
    review = findings_picture(record, found, title="Rules that cost money", note=note)
    pictures = [_ledger(record, known), review]
    return Section(name="rules", question="Were its rules worth it?", answer=answer, pictures=pictures)


def _ledger(record: AccountRecord, known: list[dict[str, Any]]) -> Picture:
    title, head = (
        "Ledger of the refusals",
        ["reason", "refused", "known results", "sum (R)", "mean (R)", "share of gains"],
    )
    refused: dict[str, int] = {}
    for refusal in record.refusals:
        for code in {reason["code"] for reason in refusal["reasons"]}:
            refused[code] = refused.get(code, 0) + 1
    results: dict[str, list[float]] = {code: [] for code in refused}
    for each in known:
        for code in each["codes"].split("+"):
            results.setdefault(code, []).append(float(each["net_r"]))
    rows: list[list[Any]] = []
    for code, own in sorted(results.items(), key=lambda item: (-len(item[1]), item[0])):
        mean, gains = (float(np.mean(own)), percent(float(np.mean(np.array(own) > 0.0)))) if own else (None, "–")
        rows.append([words(code), refused.get(code, 0), len(own), float(sum(own)) if own else None, mean, gains])
    shown = [row for row in rows if row[4] is not None][:_SHOWN]
    if not shown:
        finding = "No refused trade has a known result." if rows else "The gate refused nothing."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows))
    x = Axis.around("Mean result that was refused (R per trade)", [row[4] for row in shown], include=[0.0])
    plot = rows_plot([row[0] for row in shown], x, label=title, synthetic=record.synthetic, left=190.0)
    for place, row in enumerate(shown):
        plot.bar(0.0, row[4], -place - 0.32, -place + 0.32, kind="loss" if row[4] > 0.0 else "gain")
    plot.rule(x=0.0)
    best = max(shown, key=lambda row: row[3])
    return Picture(
        title=title,
        finding=f"By its sum, most was given away for {best[0]}: {number(best[3])} R in {best[2]:,} trades."
        if best[3] > 0.0
        else "The trades that any rule refused would have lost together.",
        drawing=plot.svg(),
        table=Table(head=head, rows=rows),
        note="Right of the line the refused trades would have gained. A trade counts for each of its reasons.",
    )
