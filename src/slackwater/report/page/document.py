"""The report as one HTML file: no request to the net, and nothing from a file can become a script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, number

__all__ = ["document"]

_LAYERS: Final = {
    "map": "liquidation map",
    "pools": "pools",
    "sweeps": "sweeps ▲▼, glides ◇",
    "events": "signal events",
    "trades": "trades",
}
_READING: Final = (
    "Candles: hollow rises, full falls. Colour of the map is estimated mass over open interest, as known at the time: "
    "a rank, never an amount in dollars; it is erased where the price crossed. Entry: ▲ long, ▼ short. Exit: ● target, "
    "■ time, ✕ stop. Filled triangles beside the price are sweeps of a level, diamonds glides through one; both appear "
    "when zoomed in. Triangles on the time axis are signal events, pointing as the move did. Wheel, + and − zoom, drag "
    "or the arrow keys pan, N and P step through the trades, Home shows everything, Escape clears."
)


def document(sections: Sequence[Section], chart: Mapping[str, Any] | None, *, heading: str, synthetic: bool) -> str:
    """Return the page.

    Parameters
    ----------
    sections
        The questions in their order.
    chart
        Data of the price chart, which stands in the section ``trades``; None on a page without one, which has no
        script at all.
    heading
        What the page is about.
    synthetic
        Whether the market was simulated.
    """
    scripts = [] if chart is None else [_asset("lightweight-charts.js"), _asset("page.js")]
    title = f"slackwater: {heading}{', SYNTHETIC market' if synthetic else ''}"
    body = "".join(_section(i, each, synthetic, with_chart=chart is not None) for i, each in enumerate(sections, 1))
    data = "" if chart is None else f'<script type="text/plain" id="data">{_packed(chart)}</script>'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f'<link rel="icon" href="data:,"><style>{_asset("page.css")}</style></head><body>\n'
        f'<a class="skip" href="#{sections[0].name}">To the content</a>'
        f"<header><div><h1>{escape(heading)}</h1>{_banner(synthetic)}</div></header>"
        f"{_navigation(sections, synthetic)}<main>{body}</main>{_footer(with_chart=chart is not None)}{data}"
        + "".join(f"<script>{script}</script>" for script in scripts)
        + "</body></html>\n"
    )


def _asset(name: str) -> str:
    return (files("slackwater.report.page") / "assets" / name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    """Return what the page may do: run these scripts, style itself, and nothing else."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _packed(content: Any) -> str:
    """Return content as base64 of compressed JSON: it has no character that HTML reads."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def _banner(synthetic: bool) -> str:
    if not synthetic:
        return ""
    return (
        '<p class="banner" role="note">SYNTHETIC market: every number on this page was measured on simulated data. '
        "It is not evidence that anything earns money in a real market.</p>"
    )


def _navigation(sections: Sequence[Section], synthetic: bool) -> str:
    links = "".join(
        f'<li><a href="#{each.name}" title="{escape(each.question, quote=True)}">{i}. {each.name.capitalize()}</a></li>'
        for i, each in enumerate(sections, start=1)
    )
    mark = '<li class="synthetic-mark">SYNTHETIC</li>' if synthetic else ""
    return f'<nav aria-label="Questions"><ol>{mark}{links}</ol></nav>'


def _section(place: int, section: Section, synthetic: bool, *, with_chart: bool) -> str:
    chart = _chart(synthetic) if with_chart and section.name == "trades" else ""
    pictures = "".join(map(_picture, section.pictures))
    return (
        f'<section id="{section.name}"><h2>{place}. {escape(section.question)}</h2>'
        f'<p class="answer">{escape(section.answer)}</p>{chart}<div class="grid">{pictures}</div></section>\n'
    )


def _picture(picture: Picture) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", picture.title.lower()).strip("-")
    note = f'<p class="note">{escape(picture.note)}</p>' if picture.note else ""
    return (
        f'<figure id="{name}" class="{"wide" if picture.wide else "half"}"><h3>{escape(picture.title)}</h3>'
        f'<p class="finding">{escape(picture.finding)}</p>{picture.drawing}{note}'
        f"{_table(picture.table, picture.title, is_open=not picture.drawing)}</figure>\n"
    )


def _table(table: Table, title: str, *, is_open: bool) -> str:
    if not table.rows:
        return ""
    numeric = [any(_is_number(row[i]) for row in table.rows) for i in range(len(table.head))]
    head = "".join(
        f"<th scope=col{' class=n' if n else ''}>{escape(each)}</th>"
        for each, n in zip(table.head, numeric, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row, numeric))}</tr>" for row in table.rows)
    count = f"{len(table.rows):,} row{'s' * (len(table.rows) != 1)}"
    return (
        f"<details{' open' if is_open else ''}><summary>Table: {escape(title)}, {count}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title, quote=True)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any, numeric: bool) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = number(value, 4) if value is None or _is_number(value) else str(value)
    kind = (
        "pass"
        if text.startswith("✓")
        else "fail"
        if text.startswith("✗")
        else "n"
        if numeric and text != UNKNOWN
        else ""
    )
    return f"<td{f' class={kind}' if kind else ''}>{escape(text)}</td>"


def _chart(synthetic: bool) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" id="show-{name}" checked> {label}</label>' for name, label in _LAYERS.items()
    )
    buttons = "".join(
        f'<button type="button" id="{name}" title="{title}">{label}</button>'
        for name, title, label in (
            ("zoom-in", "Zoom in", "+"),
            ("zoom-out", "Zoom out", "−"),
            ("earlier", "Pan to the left", "◀"),
            ("later", "Pan to the right", "▶"),
            ("all", "Show everything", "All"),
            ("before", "Trade before", "Previous trade"),
            ("next", "Next trade", "Next trade"),
        )
    )
    stamp = '<div id="stamp">SYNTHETIC</div>' if synthetic else ""
    return (
        '<figure class="wide chart"><h3>Price, liquidation map and trades</h3>'
        f'<div class="tools"><label>Symbol <select id="symbol"></select></label>{buttons}</div>'
        f'<div class="tools">{boxes}</div>'
        '<p class="note" id="range" aria-live="polite">Price (USDT, log scale) in time (UTC)</p>'
        f'<div id="chart" tabindex="0" role="group" aria-label="Price chart with the liquidation map and the trades" '
        f'aria-describedby="reading">{stamp}</div><p id="legend" class="chart-only"></p>'
        f'<div id="trade" aria-live="polite"></div><p class="note" id="reading">{_READING}</p></figure>\n'
    )


def _footer(*, with_chart: bool) -> str:
    drawn = (
        "The chart is drawn by TradingView Lightweight Charts™, Copyright (c) 2026 TradingView, Inc., licensed under "
        "the Apache License 2.0. "
    )
    return (
        f"<footer>Made by slackwater from the files of the record. {drawn if with_chart else ''}"
        "Neither a backtest nor paper trading is advice.</footer>"
    )
