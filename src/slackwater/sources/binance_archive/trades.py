"""Aggregated trades: read in pieces, and never whole in memory; what is kept are the candidates for large trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from slackwater.sources.binance_archive.bars import contract_usd
from slackwater.sources.binance_archive.csv_rows import Columns, CsvRows, Layout
from slackwater.sources.binance_archive.screening import Screening
from slackwater.sources.large_trades import TradeSizes
from slackwater.times import HOUR, microseconds
from slackwater.types import Ints

__all__ = ["AGG_TRADES", "HOLE", "parse_trades"]

AGG_TRADES: Final = Layout(
    {
        "agg_trade_id": "number",
        "price": "number",
        "quantity": "number",
        "first_trade_id": "unused",
        "last_trade_id": "unused",
        "transact_time": "time",
        "is_buyer_maker": "flag",
    }
)
#: Shortest time without a trade that is a hole if ids of trades are missing in it.
HOLE: Final = HOUR
#: Spread of the logarithms of a column above which it is suspicious for a price.
_WIDE_PRICES: Final = 0.5


@dataclass(frozen=True)
class _TradeCandidates:
    """Trades of a file that may be large, and the sizes of all its trades.

    Parameters
    ----------
    columns
        Trades of at least the floor, sorted by time: `event_time`, `side`, `price`, `quantity` (coin), `trade_id`.
    sizes
        Number of trades by size and hour, of all trades.
    runs
        Runs of trades without a hole, as `_Runs.table` returns them.
    """

    columns: Columns
    sizes: TradeSizes
    runs: Ints


class _Runs:
    """Runs of trades between holes: a hole takes `HOLE` or longer, and ids are missing in it."""

    def __init__(self) -> None:
        self._rows: list[list[int]] = []
        self._ids = [0, -1]
        self._seen = 0

    def add(self, columns: Columns) -> None:
        """Continue with the trades of a block."""
        if not len(columns["trade_id"]):
            return
        order = np.argsort(columns["trade_id"], kind="stable")
        time, ids = columns["event_time"][order], columns["trade_id"][order].astype(np.int64)
        first, last = int(ids[0]), int(ids[-1])
        self._ids = [min(self._ids[0], first), max(self._ids[1], last)] if self._seen else [first, last]
        self._seen += len(ids)
        cuts = np.flatnonzero((np.diff(time) >= microseconds(HOLE)) & (np.diff(ids) > 1))
        for start, stop in zip([0, *(cuts + 1)], [*cuts, len(ids) - 1], strict=True):
            run = [int(time[start]), int(time[stop]), int(ids[start]), int(ids[stop])]
            before = self._rows[-1] if self._rows else None
            if before and start == 0 and not (run[0] - before[1] >= microseconds(HOLE) and run[2] - before[3] > 1):
                before[1], before[3] = max(before[1], run[1]), max(before[3], run[3])
            else:
                self._rows.append(run)

    @property
    def lost(self) -> int:
        """Number of ids between the first and the last one that no trade has."""
        return max(0, self._ids[1] - self._ids[0] + 1 - self._seen)

    def table(self) -> Ints:
        """Return the runs, ordered, shape (runs, 4): time of the first and last trade (us), first and last id."""
        return np.array(self._rows, dtype=np.int64).reshape(-1, 4)


def parse_trades(rows: CsvRows, screening: Screening, *, floor_usd: float) -> _TradeCandidates:
    """Return the trades that may be large, and the sizes of all trades.

    Parameters
    ----------
    rows
        The csv.
    screening
        Of the table `large_trades`.
    floor_usd
        Least notional of a trade that is kept; smaller ones are counted only.

    Raises
    ------
    SchemaError
        If price and quantity are swapped, or too many rows cannot be used.
    """
    pieces: list[Columns] = []
    counted = TradeSizes.of(np.zeros(0, dtype=np.int64), np.zeros(0))
    trades, runs = 0, _Runs()
    previous: Columns | None = None
    spread: list[tuple[float, float]] = []
    for block in rows:
        columns = {
            "event_time": block["transact_time"],
            "price": block["price"],
            "quantity": block["quantity"],
            "trade_id": block["agg_trade_id"],
            "sold": block["is_buyer_maker"],
        }
        columns = screening.finite(columns, ("price", "quantity", "trade_id"))
        columns = screening.inside_period(columns, 0)
        if not len(columns["trade_id"]):
            continue
        columns, previous = _each_once(columns, previous, screening)
        runs.add(columns)
        nothing = columns["quantity"] == 0.0
        columns = screening.without(columns, nothing, "zero_quantity", "nothing was traded", action="masked")
        positive = (columns["price"] > 0.0) & (columns["quantity"] > 0.0)
        columns = screening.mask(columns, ~positive, "impossible_trade", "price or quantity is not positive")
        if not len(columns["trade_id"]):
            continue
        spread.append((float(np.std(np.log(columns["price"]))), float(np.std(np.log(columns["quantity"])))))
        notional = columns["price"] * columns["quantity"]
        if screening.file.market == "cm":
            notional = columns["quantity"] * contract_usd(screening.file.symbol)
            columns["quantity"] = notional / columns["price"]
        counted += TradeSizes.of(columns["event_time"], notional)
        trades += len(notional)
        kept = notional >= floor_usd
        pieces.append({name: values[kept] for name, values in columns.items()})
    screening.unreadable(rows.unreadable)
    prices, quantities = np.mean(spread, axis=0) if spread else (0.0, 0.0)
    if prices > _WIDE_PRICES and prices > quantities:
        raise screening.refuse("price and quantity are swapped")
    screening.count("missing_trades", runs.lost, "ids that are not in the file")
    screening.judge(trades)
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    whole = screening.once(screening.in_order(whole, "trade_id"), ("event_time", "trade_id"))
    whole["side"] = np.where(whole.pop("sold"), "sell", "buy").astype(object)
    return _TradeCandidates(whole, counted, runs.table())


def _each_once(columns: Columns, previous: Columns | None, screening: Screening) -> tuple[Columns, Columns]:
    """Return the trades of a block without those whose id has just been, and its last trade for the next block."""
    joined = columns if previous is None else {name: np.append(previous[name], columns[name]) for name in columns}
    skipped = len(joined["trade_id"]) - len(columns["trade_id"])
    again = np.append(False, joined["trade_id"][1:] == joined["trade_id"][:-1])
    same = np.append(False, np.logical_and.reduce([values[1:] == values[:-1] for values in joined.values()]))
    last = {name: values[-1:] for name, values in joined.items()}
    again, same = again[skipped:], same[skipped:]
    if same.any():
        screening.repaired({"event_time": columns["event_time"][same]}, "doubled_rows", "the same trade again")
    columns = screening.mask(
        {name: values[~same] for name, values in columns.items()},
        (again & ~same)[~same],
        "conflicting_rows",
        "another trade of that id came before",
    )
    return columns, last
