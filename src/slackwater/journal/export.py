"""Events of a journal as CSV, as parquet, or as one page of HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.journal.event import Kind
from slackwater.journal.page import journal_page
from slackwater.journal.review import review_account
from slackwater.journal.store import COLUMNS, Journal
from slackwater.journal.trades import closed_trades, payloads
from slackwater.storage import SYNTHETIC, atomic_file, write_parquet

__all__ = ["FORMATS", "export_journal"]

FORMATS: Final = (".csv", ".parquet", ".html")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def export_journal(journal: Journal, out: Path, *, account: str, synthetic: bool, kind: str = "") -> int:
    """Write an account of a journal to a file, whole or not at all, and return the number of its rows.

    Parameters
    ----------
    journal
        Open for reading.
    out
        File whose ending is one of `FORMATS`. The page of HTML contains the review and the trades.
    account, synthetic
        As `slackwater.journal.trades.chosen_account` returns them.
    kind
        One of `Kind`: one row per event of it, and one column per name of its payload. Empty: one row per event,
        with the payload as text, exactly as it is stored.

    Raises
    ------
    ParameterError
        If the ending or the kind is unknown, or a page is asked for of one kind.
    """
    if out.suffix not in FORMATS:
        raise ParameterError(f"the file must end in {', '.join(FORMATS)}, was {out}")
    if kind and kind not in list(Kind):
        raise ParameterError(f"`--kind` must be one of {', '.join(Kind)}, was {kind!r:.40}")
    if out.suffix == ".html":
        if kind:
            raise ParameterError("a page shows the whole account: leave `--kind` away, or write .csv or .parquet")
        trades = closed_trades(journal, account)
        page = journal_page(review_account(journal, account, synthetic=synthetic), trades)
        with atomic_file(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return len(trades)
    table = _of_kind(journal, account, Kind(kind)) if kind else _all(journal, account)
    table["time"] = pd.to_datetime(table.pop("ts_ns"), unit="ns", utc=True)
    table.attrs[SYNTHETIC] = synthetic
    if out.suffix == ".parquet":
        write_parquet(table, out)
    else:
        with atomic_file(out) as temporary:
            _harmless(table).to_csv(temporary, index=False)
    return len(table)


def _all(journal: Journal, account: str) -> pd.DataFrame:
    rows = journal.rows(f"SELECT {', '.join(COLUMNS)} FROM event WHERE account = ? ORDER BY id", account)  # noqa: S608
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_kind(journal: Journal, account: str, kind: Kind) -> pd.DataFrame:
    """Return a table of one kind; what is itself a list or a mapping becomes JSON."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in payloads(journal, account, kind)]
    return pd.DataFrame(rows) if rows else pd.DataFrame({"symbol": [], "ts_ns": []})


def _cell(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict)) else value


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without texts that a spreadsheet would take for a formula; those get an apostrophe in front."""
    texts = [name for name in table if pd.api.types.is_string_dtype(table[name]) or table[name].dtype == object]
    quoted = {
        name: [f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for value in table[name]]
        for name in texts
    }
    return table.assign(**quoted)
