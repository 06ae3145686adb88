"""Recorded websocket messages: who was liquidated, and who traded as the aggressor.

Venues name sides by different things. Here the side of a liquidation is that of the position:

======== =================================== ============================ ======================================
venue    message                             side in it                   a liquidated long reads
======== =================================== ============================ ======================================
binance  ``forceOrder``                      of the order                 SELL
bybit    ``allLiquidation``, ``liquidation`` of the position              Buy
okx      ``liquidation-orders``              of the position and order    ``posSide`` long, or ``side`` sell
======== =================================== ============================ ======================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pandas as pd

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contracts import base_asset
from slackwater.market.schemas import validate
from slackwater.sources.exchange.endpoint import number

__all__ = ["VENUES", "read_messages"]

VENUES: Final = ("binance", "bybit", "okx")
#: From the venue's stamp of a message to its arrival, where the record does not say when it arrived.
LAG: Final = pd.Timedelta(seconds=1)

Row = dict[str, Any]


def read_messages(
    lines: Iterable[str], venue: str, *, contract_sizes: Mapping[str, float] | None = None
) -> dict[str, pd.DataFrame]:
    """Read liquidations and trades out of recorded messages.

    Parameters
    ----------
    lines
        One message each: JSON, or the nanoseconds since 1970 at which it arrived, a space, and JSON. Messages of
        other kinds are passed over.
    venue
        One of `VENUES`.
    contract_sizes
        Coins of one contract by canonical symbol; OKX counts liquidations in contracts.

    Returns
    -------
    dict of DataFrame
        ``liquidations`` and ``trades`` (columns of ``large_trades``; of Binance alone), those that have rows, sorted
        by symbol and `event_time`. `available_time` is the arrival, or a second after the venue's stamp.

    Raises
    ------
    ParameterError
        If the venue has no reader.
    SchemaError
        If a line is no message, a number is none, or the size of a contract is needed and not given; with the line.

    Examples
    --------
    >>> line = '{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","q":"0.014","p":"9910",'
    >>> line += '"ap":"9910","z":"0.014","T":1568014460893}}'
    >>> read_messages([line], "binance")["liquidations"]["side"].item()
    'long'
    """
    if venue not in VENUES:
        raise ParameterError(f"`venue` must be one of {', '.join(VENUES)}, was {venue!r}")
    rows: dict[str, list[Row]] = {"liquidations": [], "trades": []}
    for place, line in enumerate(_readable(lines), start=1):
        if not line.strip():
            continue
        try:
            arrived, message = _split(line)
            for table, row in _READERS[venue](message, contract_sizes or {}):
                rows[table].append(_stamped(row, arrived))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SchemaError(f"line {place} is no message of {venue} ({error}): {line.strip()[:100]}") from None
    out = {}
    for table, found in rows.items():
        if found:
            frame = pd.DataFrame(found).sort_values(["symbol", "event_time"], kind="stable", ignore_index=True)
            out[table] = validate(frame, "liquidations" if table == "liquidations" else "large_trades", origin=venue)
    return out


def _readable(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a file that may have been opened as text and be none."""
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise SchemaError(f"the lines are no UTF-8 ({error})") from None


def _split(line: str) -> tuple[int | None, Any]:
    head, _, rest = line.partition(" ")
    if head.isdigit() and rest:
        return int(head), json.loads(rest)
    return None, json.loads(line)


def _stamped(row: Row, arrived: int | None) -> Row:
    if not isinstance(row["symbol"], str):
        raise TypeError(f"symbol {row['symbol']!r}")
    row["symbol"].encode()  # half of a character is none
    event = pd.Timestamp(int(row.pop("time")), unit="ms", tz="UTC")
    sent = pd.Timestamp(int(row.pop("sent")), unit="ms", tz="UTC")
    known = max(sent, event) + LAG if arrived is None else pd.Timestamp(arrived, unit="ns", tz="UTC")
    # The clock of the recorder may be behind that of the venue; nothing is known before it happened.
    return row | {"event_time": event.as_unit("us"), "available_time": max(known, event).as_unit("us")}


def _binance(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, Row]]:
    content = message.get("data", message)
    if not isinstance(content, dict):
        return
    if content.get("e") == "forceOrder":
        order = content["o"]
        # What was filled and for how much, not what was ordered.
        quantity, price = number(order.get("z", order["q"])), number(order.get("ap", order["p"]))
        yield (
            "liquidations",
            {
                "symbol": order["s"],
                "side": {"SELL": "long", "BUY": "short"}[order["S"]],
                "price": price if price > 0.0 else number(order["p"]),
                "quantity": quantity if quantity > 0.0 else number(order["q"]),
                "time": order["T"],
                "sent": content["E"],
            },
        )
    elif content.get("e") in ("trade", "aggTrade") and content.get("X", "MARKET") == "MARKET":
        yield (
            "trades",
            {
                "symbol": content["s"],
                "side": "sell" if content["m"] else "buy",  # the buyer was the maker: the seller crossed
                "price": number(content["p"]),
                "quantity": number(content["q"]),
                "time": content["T"],
                "sent": content["E"],
            },
        )


def _bybit(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, Row]]:
    topic = str(message.get("topic", ""))
    if topic.startswith("allLiquidation."):
        for each in message["data"]:
            yield "liquidations", _of_bybit(each["s"], each["S"], each["p"], each["v"], each["T"], message["ts"])
    elif topic.startswith("liquidation."):
        each = message["data"]
        time = each["updatedTime"]
        yield (
            "liquidations",
            _of_bybit(each["symbol"], each["side"], each["price"], each["size"], time, message["ts"]),
        )


def _of_bybit(symbol: str, side: str, price: Any, quantity: Any, time: Any, sent: Any) -> Row:
    row = {"symbol": symbol, "side": {"Buy": "long", "Sell": "short"}[side], "time": time, "sent": sent}
    return row | {"price": number(price), "quantity": number(quantity)}


def _okx(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, Row]]:
    if message.get("arg", {}).get("channel") != "liquidation-orders":
        return
    for each in message.get("data", ()):
        if not str(each["instId"]).endswith("-USDT-SWAP"):
            continue
        symbol = str(each["instId"]).removesuffix("-SWAP").replace("-", "")
        if symbol not in contract_sizes:
            raise SchemaError(
                f"OKX counts contracts: name the coins of one contract of {symbol} ({base_asset(symbol)})"
            )
        for detail in each["details"]:
            by_order = {"sell": "long", "buy": "short"}[detail["side"]]
            position = detail.get("posSide", "net")
            yield (
                "liquidations",
                {
                    "symbol": symbol,
                    "side": position if position in ("long", "short") else by_order,
                    "price": number(detail["bkPx"]),
                    "quantity": number(detail["sz"]) * contract_sizes[symbol],
                    "time": detail["ts"],
                    "sent": detail["ts"],
                },
            )


_READERS: Final = {"binance": _binance, "bybit": _bybit, "okx": _okx}
