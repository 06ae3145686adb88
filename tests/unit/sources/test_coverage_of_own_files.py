"""Coverage of own files: every row that is due is delivered, missing or masked, wherever it lies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.market.quality.detectors import examine_tables
from slackwater.market.quality.known_defects import KnownDefect
from slackwater.sources.own_files.coverage import coverage, ends_apart
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.own_files.understanding import understanding
from tests.small_market import small_market

HALF_HOUR = timedelta(minutes=30)
SYMBOL = "BTCUSDT"


def known(start: pd.Timestamp, end: pd.Timestamp) -> KnownDefect:
    return KnownDefect(
        venue="here", symbol=SYMBOL, table="open_interest", start=start, end=end, reason="sparse after the listing"
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_row_that_is_due_is_delivered_missing_or_masked(seed: int) -> None:
    """Gaps lie anywhere: next to a masked row, inside a span known to be wrong, at its edge, at both ends."""
    rng = np.random.default_rng(seed)
    tables = small_market((SYMBOL,), days=10)
    due = tables["open_interest"]
    start, length = int(rng.integers(0, len(due) - 40)), int(rng.integers(1, 40))
    defect = known(*due["event_time"].iloc[[start, start + length]])
    zero = due.index.isin(rng.integers(0, len(due), 3))
    gone = np.zeros(len(due), dtype=bool)
    for first in (0, max(start - 3, 0), start + 1, start + length - 1, len(due) - 6):  # ends and edges
        if rng.random() < 0.6:
            gone[first : first + int(rng.integers(2, 12))] = True
    for neighbour in np.flatnonzero(zero):
        gone[neighbour + 1 : neighbour + 1 + int(rng.integers(0, 3))] = True
    gone &= ~zero
    if gone[-2] and not gone[-1]:  # a single row at an end may be due to the phase of the table
        gone[-1] = True
    given = due.assign(open_interest=due["open_interest"].mask(zero, 0.0))[~gone].reset_index(drop=True)
    tables = {"bars": tables["bars"], "open_interest": given}
    cleaned, ledger = examine_tables(tables, venue="here", spacing={"bars": HALF_HOUR}, known=[defect])
    findings = [*ends_apart(tables, "bars"), *ledger.findings]
    [line] = [each for each in coverage(cleaned, findings, [SYMBOL]) if each.table == "open_interest"]
    assert line.missing == gone.sum()
    assert line.rows + line.missing + line.masked == len(due)


def test_a_gap_in_a_span_that_is_known_to_be_wrong_carries_its_reason() -> None:
    interest = small_market((SYMBOL,), days=10)["open_interest"]
    table = interest.drop(index=range(51, 90)).reset_index(drop=True)
    defect = known(*interest["event_time"].iloc[[40, 89]])
    _, ledger = examine_tables({"open_interest": table}, venue="here", spacing={}, known=[defect])
    assert [(each.rule, each.rows, each.note) for each in ledger.findings] == [
        ("gap", 39, "sparse after the listing"),
        ("known_defect", 11, "sparse after the listing"),
    ]


def test_blank_cells_of_a_column_that_may_be_unknown_are_recorded(tmp_path: Path) -> None:
    """Their features were unknown, and nobody was told why."""
    bars = small_market((SYMBOL,), days=3)["bars"]
    blank = bars.index.isin([5, 6, 90])
    bars.assign(taker_buy_volume=bars["taker_buy_volume"].mask(blank)).to_csv(tmp_path / "bars.csv", index=False)
    reading = read_directory(tmp_path)
    [found] = reading.findings
    assert (found.rule, found.rows, found.action, found.symbol) == ("blank_value", 3, "recorded", SYMBOL)
    assert "`taker_buy_volume` is blank: unknown in these rows" in found.note
    assert reading.tables["bars"]["taker_buy_volume"].isna().sum() == 3
    [line] = [each for each in coverage(reading.tables, reading.findings, [SYMBOL]) if each.table == "bars"]
    assert (line.missing, line.masked, line.why) == (0, 0, "blank_value 3")


def test_rates_that_stand_out_are_counted_and_no_finding(tmp_path: Path) -> None:
    tables = small_market((SYMBOL,), days=10)
    rates = tables["funding"].assign(funding_rate=1e-4)
    rates.loc[7, "funding_rate"] = -3e-4
    tables["bars"].to_parquet(tmp_path / "bars.parquet")
    rates.to_parquet(tmp_path / "funding.parquet")
    reading = read_directory(tmp_path)
    page = "\n".join(understanding(reading, [], reading.tables))
    assert "findings: none" in page
    assert "flagged: table funding: BTCUSDT 1 of 30 rates are three times their neighbours" in page
    assert "(-0.0003)" in page
