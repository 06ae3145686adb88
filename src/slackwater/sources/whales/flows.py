"""Transfers summed by buckets of time: how many USD went onto exchanges, and how many off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.market.contracts import base_asset
from slackwater.market.schemas import validate
from slackwater.market.tables import STABLECOINS
from slackwater.sources.own_files.source import ReadFile, Request, Source

__all__ = ["FlowsFromTransfers", "flows_from_transfers"]


@dataclass(frozen=True, kw_only=True)
class FlowsFromTransfers(Source):
    """Flows computed from the ``whale_transfers`` of the same data set: the kind ``from_transfers``.

    Parameters
    ----------
    bucket
        Length of a bucket; buckets begin at multiples of it since 1970.

    Raises
    ------
    ParameterError
        If `bucket` is not positive.
    """

    bucket: timedelta

    needs: ClassVar[tuple[str, ...]] = ("whale_transfers",)

    @property
    def files(self) -> tuple[str, ...]:
        """No file."""
        return ()

    def __post_init__(self) -> None:
        """Check the length."""
        if self.bucket <= timedelta(0):
            raise ParameterError(f"`bucket` must be positive, was {self.bucket}")

    def read(self, request: Request) -> list[ReadFile]:
        """Return canonical ``exchange_flows``; see `flows_from_transfers`."""
        flows = flows_from_transfers(request.tables["whale_transfers"], self.bucket, request.symbols or ())
        made = dict.fromkeys(flows, "from the transfers")
        made |= {"symbol": "the perpetual of the coin; of stablecoins each perpetual"}
        made |= {"event_time": "the end of the bucket", "available_time": "that and the longest wait for a transfer"}
        return [ReadFile(table=flows, origin="table whale_transfers", columns=made, clock="that of the transfers")]


def flows_from_transfers(transfers: pd.DataFrame, bucket: timedelta, symbols: Sequence[str]) -> pd.DataFrame:
    """Sum transfers between exchanges and others.

    Parameters
    ----------
    transfers
        Canonical ``whale_transfers``.
    bucket
        Length of a bucket, positive; buckets begin at multiples of it since 1970.
    symbols
        Perpetuals. Each has the flows of its own coin and of all stablecoins; other assets are left out.

    Returns
    -------
    DataFrame
        Canonical ``exchange_flows``. Transfers between two exchanges, or between two others, are not flows. A bucket
        without transfers has no row.

    Notes
    -----
    A bucket is known when the last transfer that could fall into it is: its end, and the longest time that a transfer
    of the table took. So it is later than each of its transfers, and its own time does not reveal how many there were.
    """
    onto, off = transfers["to_owner_type"] == "exchange", transfers["from_owner_type"] == "exchange"
    step, usd = pd.Timedelta(bucket), transfers["amount_usd"]
    moved = pd.DataFrame(
        {
            # A transfer at the very end of a bucket is in it, as the stamp of a bar is its close.
            "event_time": transfers["event_time"].dt.ceil(step),
            "asset": transfers["asset"],
            "source": transfers["source"],
            "inflow_usd": usd.where(onto, 0.0),
            "outflow_usd": usd.where(off, 0.0),
        }
    )[onto ^ off]
    of_coins = [(base_asset(symbol), symbol) for symbol in symbols]
    of_stablecoins = [(asset, symbol) for asset in STABLECOINS for symbol in symbols if (asset, symbol) not in of_coins]
    assets = pd.DataFrame([*of_coins, *of_stablecoins], columns=["asset", "symbol"], dtype="str")
    sums = moved.merge(assets, on="asset").groupby(["symbol", "event_time", "asset", "source"], as_index=False).sum()
    wait = (transfers["available_time"] - transfers["event_time"]).max()
    sums = sums.assign(
        bucket_start=sums["event_time"] - step,
        available_time=sums["event_time"] + wait,
        netflow_usd=sums["inflow_usd"] - sums["outflow_usd"],
    )
    return validate(sums, "exchange_flows", origin="flows of the transfers")
