"""Transfers summed by buckets of time: how many USD went onto exchanges, and how many off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.market.schemas import validate

__all__ = ["flows_from_transfers"]


def flows_from_transfers(
    transfers: pd.DataFrame, bucket: timedelta, *, symbols: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Sum transfers between exchanges and others.

    Parameters
    ----------
    transfers
        Canonical ``whale_transfers``.
    bucket
        Length of a bucket; buckets begin at multiples of it since 1970.
    symbols
        Asset to perpetual, where it is another one than that of the transfers, such as ``{"USDT": "BTCUSDT"}``: flows
        are USD, so any asset may belong to any. Other assets are passed over then.

    Returns
    -------
    DataFrame
        Canonical ``exchange_flows``. Transfers between two exchanges, or between two others, are no flow. A bucket
        without transfers has no row.

    Raises
    ------
    ParameterError
        If `bucket` is not positive.

    Notes
    -----
    A bucket is known when the last transfer that could fall into it is: its end, and the longest time that a transfer
    of the table took. So it is later than each of its transfers, and does not tell by its own time how many there were.
    """
    if bucket <= timedelta(0):
        raise ParameterError(f"`bucket` must be positive, was {bucket}")
    if symbols is not None:
        upper = {asset.upper(): symbol for asset, symbol in symbols.items()}
        symbol = transfers["asset"].str.upper().map(upper)
        transfers = transfers.assign(symbol=symbol)[symbol.notna()]
    onto, off = transfers["to_owner_type"] == "exchange", transfers["from_owner_type"] == "exchange"
    moved = transfers[onto ^ off]
    if moved.empty:
        columns = ["symbol", "event_time", "available_time", "bucket_start", "asset", "inflow_usd", "outflow_usd"]
        return transfers.iloc[:0].reindex(columns=[*columns, "netflow_usd", "source"])
    usd, step = moved["amount_usd"], pd.Timedelta(bucket)
    # A transfer at the very end of a bucket is in it, as the stamp of a bar is its close.
    end = moved["event_time"].dt.ceil(step)
    wait = (transfers["available_time"] - transfers["event_time"]).max()
    sums = (
        pd.DataFrame(
            {
                "symbol": moved["symbol"],
                "event_time": end,
                "asset": moved["asset"],
                "source": moved["source"],
                "inflow_usd": usd.where(onto[moved.index], 0.0),
                "outflow_usd": usd.where(off[moved.index], 0.0),
            }
        )
        .groupby(["symbol", "event_time", "asset", "source"], as_index=False)
        .sum()
    )
    sums["bucket_start"] = sums["event_time"] - step
    sums["available_time"] = sums["event_time"] + wait
    sums["netflow_usd"] = sums["inflow_usd"] - sums["outflow_usd"]
    return validate(sums, "exchange_flows")
