"""Section 4: costs, capacity and venues."""

from __future__ import annotations

import math
from typing import Any, Final

from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, known, number, percent
from slackwater.report.page.drawing import Axis, Plot, rows_plot
from slackwater.report.page.forest import Row, forest
from slackwater.report.run.run_files import RunFiles

__all__ = ["costs"]

_NONE: Final = "There is no trade, so there is nothing to draw."
_MEAN: Final = {"net_bps_mean": "net (bps per trade)", "net_bps_low": "low, 95 %", "net_bps_high": "high, 95 %"}


def costs(run: RunFiles) -> Section:
    """Return the section: what trades pay, results at multiples of the costs, at larger sizes, and by venue."""
    venues = {row["venue"]: row for row in run.sensitivity["venues"]}
    own = next(iter(venues.values()), None)
    answer = "Nothing could be measured: there is no trade."
    if own is not None and own["cost_bps"] is not None:
        answer = (
            f"A trade pays {number(own['cost_bps'])} bps of notional for fees, slippage and funding together on "
            f"{number(own['gross_bps'])} bps of gross result, at the costs of the venue {own['venue']}."
        )
    pictures = [_parts(run), _multiples(run), _capacity(run), _venues(run)]
    return Section(
        name="costs", question="What does it cost, and how big can it get?", answer=answer, pictures=pictures
    )


def _parts(run: RunFiles) -> Picture:
    trades = run.unit_risk_trades
    title, head = "Costs by kind", ["part", "bps of notional per trade"]
    if trades.empty:
        return Picture(title=title, finding=_NONE, drawing="", table=Table(head=head, rows=[]))
    signs = {"gross_usd": 1.0, "fees_usd": -1.0, "slippage_usd": -1.0, "funding_usd": -1.0, "net_usd": 1.0}
    names = ("gross result", "fees", "slippage and impact", "funding", "net result")
    means = [sign * float((1e4 * trades[name] / trades["notional_usd"]).mean()) for name, sign in signs.items()]
    x = Axis.around("Mean (bps of notional per trade; a cost is negative)", means, include=[0.0])
    plot = rows_plot(names, x, label=title, synthetic=run.synthetic)
    for place, mean in enumerate(means):
        plot.bar(0.0, mean, -place - 0.32, -place + 0.32, kind="gain" if mean > 0.0 else "loss")
    plot.rule(x=0.0)
    finding = (
        f"Of {number(means[0])} bps of gross result per trade at unit risk, fees take {number(-means[1])} bps, "
        f"slippage {number(-means[2])} bps and funding {number(-means[3])} bps (negative: received): "
        f"{number(means[4])} bps remain."
    )
    if unknown := int((~trades["funding_known"].astype(bool)).sum()):
        finding += f" The funding of {unknown:,} of {len(trades):,} trades is not known and left out of these means."
    return Picture(
        title=title,
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=head, rows=[list(row) for row in zip(names, means, strict=True)]),
    )


def _band(run: RunFiles, rows: list[dict[str, Any]], x: Axis, place: str, label: str) -> str:
    """Draw mean net results with their interval against a setting."""
    columns = {name: [known(row[name]) for row in rows] for name in _MEAN}
    at = [float(row[place]) for row in rows]
    y = Axis.around("Net result (bps per trade), 95 %", *columns.values(), include=[0.0])
    plot = Plot(label=label, x=x, y=y, synthetic=run.synthetic, height=270.0)
    plot.band(at, columns["net_bps_low"], columns["net_bps_high"], kind="plain")
    plot.rule(y=0.0)
    plot.line(at, columns["net_bps_mean"], kind="plain")
    plot.points(at, columns["net_bps_mean"], kind="plain")
    return plot.svg()


def _multiples(run: RunFiles) -> Picture:
    rows = run.sensitivity["cost"]
    table = Table.of(
        rows, {"multiple": "multiple of costs", "n_trades": "trades", **_MEAN, "profit_factor": "profit factor"}
    )
    if not any(row["n_trades"] for row in rows):
        return Picture(title="Cost sensitivity", finding=_NONE, drawing="", table=table)
    even = run.sensitivity["venues"][0]["break_even_multiple"] if run.sensitivity["venues"] else None
    free = next((row for row in rows if row["multiple"] == 0.0), rows[0])
    finding = (
        f"Without fees and slippage the mean is {number(free['net_bps_mean'])} bps per trade; it reaches 0 at "
        f"{number(even)} times the assumed costs."
    )
    x = Axis.around("Multiple of the assumed fees and slippage", [row["multiple"] for row in rows])
    drawing = _band(run, rows, x, "multiple", "Net result by multiple of costs")
    return Picture(title="Cost sensitivity", finding=finding, drawing=drawing, table=table)


def _capacity(run: RunFiles) -> Picture:
    rows = run.sensitivity["capacity"]
    columns = {
        "notional_usd": "notional (USDT)", "n_trades": "trades", **_MEAN,
        "round_trip_slippage_bps_mean": "slippage, round trip (bps)", "share_within_depth": "share within depth limit",
    }  # fmt: skip
    table = Table.of(rows, columns)
    if not any(row["n_trades"] for row in rows):
        return Picture(title="Capacity", finding=_NONE, drawing="", table=table)
    first, last = rows[0], rows[-1]
    even = next((row["break_even_usd"] for row in rows if row["break_even_usd"] is not None), None)
    size = f"The mean is above 0 up to {number(even)} USDT" if even is not None else "No size has a mean above 0"
    if even is None and any(known(row["net_bps_mean"]) > 0.0 for row in rows):
        size = "The mean stays above 0 at every size measured"
    finding = (
        f"{size}. From {number(first['notional_usd'], 6)} to {number(last['notional_usd'], 7)} USDT per trade, "
        f"slippage rises from {number(first['round_trip_slippage_bps_mean'])} to "
        f"{number(last['round_trip_slippage_bps_mean'])} bps, "
        f"and the share of trades within the depth limit falls to {percent(last['share_within_depth'])}."
    )
    low, high = first["notional_usd"], last["notional_usd"]
    x = Axis(title="Notional per trade (USDT, log scale)", low=0.9 * low, high=1.1 * high, log=True)
    return Picture(
        title="Capacity",
        finding=finding,
        drawing=_band(run, rows, x, "notional_usd", "Net result by size"),
        table=table,
    )


def _venues(run: RunFiles) -> Picture:
    found = run.sensitivity["venues"]
    rows = [Row.of(row["venue"], row["net_bps_mean"], row["net_bps_low"], row["net_bps_high"]) for row in found]
    columns = {
        "venue": "venue", **_MEAN, "fee_bps": "fees (bps)", "spread_bps": "spread (bps)", "impact_bps": "impact (bps)",
        "funding_bps": "funding (bps)", "confirmed": "facts confirmed", "assumed": "assumed",
    }  # fmt: skip
    costs_of = [(known(row["cost_bps"]), row["venue"]) for row in found]
    priced = sorted(each for each in costs_of if not math.isnan(each[0]))
    finding = _NONE
    if priced:
        unconfirmed = sum(not row["confirmed"] for row in found)
        finding = (
            f"Costs after funding run from {number(priced[0][0])} bps ({priced[0][1]}) to {number(priced[-1][0])} bps "
            f"({priced[-1][1]}) per trade; the facts of {unconfirmed} of {len(found)} venues are partly assumed."
        )
    elif found:
        finding = f"The costs by venue are {UNKNOWN}: no venue takes all trades."
    drawing = forest(
        rows, title="Net result (bps per trade), 95 %", label="Net result by venue", synthetic=run.synthetic
    )
    return Picture(title="Venues", finding=finding, drawing=drawing if priced else "", table=Table.of(found, columns))
