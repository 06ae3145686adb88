"""The report of an account, from its journal to the file."""

from __future__ import annotations

from pathlib import Path

from slackwater.journal.store import Journal
from slackwater.report.account.costs import costs, rules
from slackwater.report.account.inputs import inputs
from slackwater.report.account.market import SeenMarket, chart
from slackwater.report.account.record import AccountRecord
from slackwater.report.account.survival import survival
from slackwater.report.account.trades import trades
from slackwater.report.account.trust import trust
from slackwater.report.page.document import document
from slackwater.storage import atomic_file

__all__ = ["write_account"]


def write_account(
    journal: Journal,
    out: str | Path,
    *,
    account: str,
    synthetic: bool,
    market: SeenMarket | None = None,
    no_chart: str = "",
) -> str:
    """Write the report of an account as one HTML file, and return what it says of the record.

    Parameters
    ----------
    journal
        Open for reading.
    out
        File to write; it appears whole or not at all. A journal whose chain is broken is shown too, and the page begins
        with that.
    account, synthetic
        As `slackwater.journal.trades.chosen_account` returns them.
    market
        What the account saw, for the price chart; None: there is no chart.
    no_chart
        Why there is no chart.

    Raises
    ------
    JournalError
        If the journal is damaged.
    SchemaError, OrderError, DataError
        If the rows of the market are.
    """
    record = AccountRecord.read(journal, account, synthetic=synthetic)
    drawn = None if market is None else chart(record, market)
    sections = [
        trust(record),
        trades(record, no_chart if drawn is None else ""),
        survival(record),
        costs(record),
        rules(record),
        inputs(record),
    ]
    page = document(sections, drawn, heading=f"Report of the account {account}", synthetic=synthetic)
    with atomic_file(out) as path:
        path.write_text(page, encoding="utf-8")
    return sections[0].answer
