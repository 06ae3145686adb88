"""Aggregated trades: read in pieces, and never whole in memory; what is kept are the candidates for large trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from slackwater.sources.binance_archive.bars import contract_usd
from slackwater.sources.binance_archive.csv_rows import Columns, CsvRows, Layout
from slackwater.sources.binance_archive.screening import Screening
from slackwater.sources.large_trades import TradeSizes

__all__ = ["AGG_TRADES", "parse_trades"]

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
    """

    columns: Columns
    sizes: TradeSizes


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
    trades, first_id, last_id = 0, np.inf, -np.inf
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
        positive = (columns["price"] > 0.0) & (columns["quantity"] > 0.0)
        columns = screening.mask(columns, ~positive, "impossible_trade", "price or quantity is not positive")
        columns = screening.inside_period(columns, 0)
        if not len(columns["trade_id"]):
            continue
        columns, previous = _each_once(columns, previous, screening)
        if not len(columns["trade_id"]):
            continue
        spread.append((float(np.std(np.log(columns["price"]))), float(np.std(np.log(columns["quantity"])))))
        notional = columns["price"] * columns["quantity"]
        if screening.file.market == "cm":
            notional = columns["quantity"] * contract_usd(screening.file.symbol)
            columns["quantity"] = notional / columns["price"]
        counted += TradeSizes.of(columns["event_time"], notional)
        trades += len(notional)
        first_id, last_id = min(first_id, columns["trade_id"].min()), max(last_id, columns["trade_id"].max())
        kept = notional >= floor_usd
        pieces.append({name: values[kept] for name, values in columns.items()})
    screening.unreadable(rows.unreadable)
    prices, quantities = np.mean(spread, axis=0) if spread else (0.0, 0.0)
    if prices > _WIDE_PRICES and prices > quantities:
        raise screening.refuse("price and quantity are swapped")
    if trades:
        lost = round(last_id - first_id) + 1 - trades
        screening.count("missing_trades", max(0, lost), "ids that are not in the file")
    screening.judge(trades)
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    whole = screening.once(screening.in_order(whole, "trade_id"), ("event_time", "trade_id"))
    whole["side"] = np.where(whole.pop("sold"), "sell", "buy").astype(object)
    return _TradeCandidates(whole, counted)


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
