"""The market as an account of paper trading saw it: its history, and the rows of its log."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.errors import DefectWarning, MissingDataError, SlackwaterError, UniverseWarning
from slackwater.features.chosen_families import default_families
from slackwater.feed.items import FeedRow
from slackwater.market.schemas import RowReader
from slackwater.paper.input_log import read_inputs
from slackwater.paper.stored_account import HISTORY, LOG, account_facts, require_bundle
from slackwater.report.account.market import SeenMarket
from slackwater.report.page.trade_pictures import CHART_TABLES
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_tables

__all__ = ["seen_market"]

_FINEST: Final = ("fine_bars", "mark_price")
_READERS: Final = {name: RowReader(name) for name in (*CHART_TABLES, *_FINEST)}


def seen_market(directory: Path, scorer: ReversalScorer) -> SeenMarket:
    """Return what an account has seen, without deciding anything again.

    Parameters
    ----------
    directory
        Directory of the account.
    scorer
        Scorer of its bundle.

    Raises
    ------
    MissingDataError
        If there is no such account, or it has seen no bar yet.
    ParameterError
        If it was traded with another bundle.
    PaperError, SchemaError
        If a file is damaged.
    """
    facts = account_facts(directory)
    require_bundle(directory, facts, scorer)
    found = _recorded(directory, frozenset(facts["symbols"]))
    if "bars" not in found:
        raise MissingDataError(f"the account in {directory} has seen no bar yet")
    # A bar that came late is drawn where it belongs: the chart decides nothing.
    bars = found["bars"]
    due = bars["event_time"] + scorer.spec.decision_lag
    found["bars"] = bars.assign(available_time=bars["available_time"].where(bars["available_time"] <= due, due))
    with warnings.catch_warnings():
        # They were said, and journalled, when the rows came; and nothing is predicted here.
        for category in (DefectWarning, UniverseWarning):
            warnings.simplefilter("ignore", category)
        frame, _ = scorer.frame({name: found[name] for name in CHART_TABLES if name in found})
    interval, fine = scorer.spec.bar_interval, "fine_bars" if "fine_bars" in found else "bars"
    return SeenMarket(
        frame=frame,
        families=default_families(interval, **{**scorer.manifest["features"]["families"], "extra": ()}),
        fine_bars=found.get(fine),
        mark=found.get("mark_price"),
        horizon=scorer.manifest["labels"]["horizon"],
    )


def _recorded(directory: Path, symbols: frozenset[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of history with the rows that were taken since, those that have any; refused ones are none."""
    place = directory / HISTORY
    held = read_tables(place) if place.is_dir() else {}
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for taken in read_inputs(directory / LOG):
        what = taken.what
        if isinstance(what, FeedRow) and what.quality.usable and _is_sound(what, symbols):
            rows.setdefault(what.table, []).append(what.row)
    tables = {name: _joined(held.get(name), rows.get(name, [])) for name in (*CHART_TABLES, *_FINEST)}
    return {name: table for name, table in tables.items() if len(table)}


def _is_sound(what: FeedRow, symbols: frozenset[str]) -> bool:
    """Return whether a row is one that an account takes: what it refused is in its journal, and the log keeps it."""
    try:
        row = _READERS[what.table](what.row)
    except (SlackwaterError, KeyError):
        return False
    return row["symbol"] in symbols


def _joined(history: pd.DataFrame | None, rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Return history and what came since; of a bar that came twice, the first one counts."""
    parts = [part for part in (history, pd.DataFrame(rows)) if part is not None and len(part)]
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True).sort_values(["symbol", "event_time"], kind="stable")
    if "open_time" in table:
        table = table.drop_duplicates(["symbol", "open_time"])
    return table.reset_index(drop=True)
