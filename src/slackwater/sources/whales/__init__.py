"""Whales: transfers between wallets and exchanges, flows of exchanges, and fills of wallets.

::

    files.py         read_transfers, read_flows: a table of one's own, through a column map
    whale_alert.py   read_whale_alert: transfers as Whale Alert tells them
    hyperliquid.py   read_fills, read_ledger: wallets of Hyperliquid
    flows.py         flows_from_transfers: transfers summed by buckets of time
      labels.py      who owns an address, and since when one could know
      availability.py  how long a transfer takes to be certain, and to be seen
      transfers.py   rows of any of them become canonical, or are named
"""

from slackwater.sources.whales.availability import Availability
from slackwater.sources.whales.files import FlowColumns, TransferColumns, read_flows, read_transfers
from slackwater.sources.whales.flows import flows_from_transfers
from slackwater.sources.whales.hyperliquid import read_fills, read_ledger
from slackwater.sources.whales.labels import AddressBook, Labels
from slackwater.sources.whales.transfers import WhaleTable
from slackwater.sources.whales.whale_alert import read_whale_alert

__all__ = [
    "AddressBook",
    "Availability",
    "FlowColumns",
    "Labels",
    "TransferColumns",
    "WhaleTable",
    "flows_from_transfers",
    "read_fills",
    "read_flows",
    "read_ledger",
    "read_transfers",
    "read_whale_alert",
]
