"""A judge of how tables of a user's own are read after mutations, and a long run of it.

python -m tests.mutations.judge --count 2000 --seed 1
python -m tests.mutations.judge --of archives     # or whales
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SlackwaterError
from slackwater.market.quality.detectors import examine_tables
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.own_files.source import Source
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.whales.transfer_file import TransferFile
from tests.mutations import archives, whales
from tests.mutations.of_tables import OPERATORS
from tests.mutations.sheet import Sheet
from tests.small_market import small_market

SYMBOL = "BTCUSDT"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 5
KINDS = (*SCHEMAS, "transfers")
"""Every table, and transfers by the reader of transfers."""
OWN = ["event_time", "chain", "asset", "amount", "amount_usd", "tx_hash", "source"]
"""Columns of the reader of transfers."""


@cache
def tables() -> dict[str, pd.DataFrame]:
    """One symbol in every table."""
    made = small_market((SYMBOL,), days=DAYS)
    bars = made["bars"]
    stamp = bars[["symbol", "event_time", "available_time"]]
    made["fine_bars"] = bars.assign(trade_count=np.round(bars["volume"]))
    made["mark_price"] = bars.drop(columns=["volume", "taker_buy_volume"])
    made["liquidation_totals"] = stamp.assign(long_quantity=bars["volume"] / 90, short_quantity=bars["volume"] / 70)
    made["transfers"] = made["whale_transfers"].assign(chain="bitcoin")[OWN]
    return made


def judged(seed: int, directory: Path) -> tuple[str, list[str]]:
    """Return what became of one mutated table: equal, repaired or refused; and the operators.

    Raises
    ------
    AssertionError
        If the table was changed without a word. Any error that is not one of slackwater's is raised as it is.
    """
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    original = tables()[kind]
    table = "whale_transfers" if kind == "transfers" else kind
    sheet = Sheet(table=table, form=str(rng.choice(["csv", "parquet"])), cells=original.copy(), meaning=original.copy())
    while len(sheet.done) < int(rng.choice([1, 1, 2, 3])):
        operator, changed = OPERATORS[rng.integers(len(OPERATORS))], deepcopy(sheet)
        if operator.__name__ not in sheet.done and operator(changed, rng):
            changed.done.append(operator.__name__)
            sheet = changed
        if sheet.cells.empty:
            break
    options = {name: value for name, value in sheet.options.items() if not name.startswith("_")}
    file = sheet.write(directory)
    source: Source = TableFile(file=file, **options)
    if kind == "transfers":
        source = TransferFile(file=file, known_since=datetime(2020, 1, 1, tzinfo=UTC), **options)
    sources: dict[str, Source] = {table: source}
    if table not in ("bars", "fine_bars"):
        tables()["bars"].to_parquet(directory / "reference.parquet")
        sources["bars"] = TableFile(file="reference.parquet")
    lag = timedelta(0) if kind == "transfers" else (original["available_time"] - original["event_time"]).iloc[0]
    lags = {name: pd.Timedelta(lag).to_pytimedelta() for name in SCHEMAS}
    try:
        reading = read_directory(directory, sources, lags=lags, symbols=[SYMBOL], now=NOW)
        examine_tables(reading.tables, venue="binance", spacing={})
    except SlackwaterError as error:
        return "refused" if str(error) else "refused without a reason", sheet.done
    read, told = reading.tables[table], [finding for finding in reading.findings if finding.table == table]
    meaning = sheet.meaning
    if "_lag" in sheet.options:
        meaning = meaning.assign(available_time=meaning["event_time"] + lag)
    open_line = any(finding.rule == "open_line" for finding in told)
    if not sheet.broken and _rows(read, meaning) == _rows(meaning, meaning):
        return "equal", sheet.done
    strange = _rows(read, meaning) - _rows(meaning, meaning)
    assert told, f"seed {seed}: {sheet.form} {kind} after {sheet.done} was changed without a finding"
    assert strange.total() <= int(open_line), f"seed {seed}: {sheet.form} {kind} after {sheet.done}: {strange}"
    return "repaired", sheet.done


def _rows(table: pd.DataFrame, like: pd.DataFrame) -> Counter[tuple[object, ...]]:
    """Return the rows of a table with twelve digits, in the columns that it should have, however often each comes."""
    columns = []
    for name in like:
        values = table[name] if name in table else pd.Series("absent", index=table.index)
        if values.dtype == np.float64:
            columns.append([f"{value:.11e}" for value in values])
        else:
            columns.append([str(value) for value in values])
    return Counter(zip(*columns, strict=True))


JUDGES: Final = {"tables": judged, "archives": archives.judged, "whales": whales.judged}


def main() -> None:
    """Judge many mutations and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", choices=[*JUDGES], default="tables")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    by_operator: dict[str, Counter[str]] = {}
    for seed in range(asked.seed, asked.seed + asked.count):
        with tempfile.TemporaryDirectory() as directory:
            try:
                outcome, done = JUDGES[asked.of](seed, Path(directory))
            except Exception as error:
                outcome, done = f"FAILED {type(error).__name__}", []
                sys.stdout.write(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}\n")
                sys.stdout.flush()
        counts[outcome] += 1
        if len(done) == 1:
            by_operator.setdefault(done[0], Counter())[outcome] += 1
    sys.stdout.write(f"{dict(counts)}\n")
    for name, found in sorted(by_operator.items()):
        sys.stdout.write(f"  {name:20s} {dict(found)}\n")


if __name__ == "__main__":
    main()
