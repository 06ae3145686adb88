"""Whales: kinds of own files for transfers between wallets and exchanges, flows of exchanges, and fills of wallets.

::

    transfer_file.py   TransferFile: a table of one's own, through a column map
    whale_alert.py     WhaleAlert: the JSON of Whale Alert
    hyperliquid.py     HyperliquidFills, HyperliquidLedger: wallets of Hyperliquid
    flows.py           FlowsFromTransfers: transfers summed by buckets of time
      transfers.py     the options of all transfers; their rows become canonical, or are masked with a reason
      labels.py        owners of addresses, and since when they were known
      availability.py  how long a transfer takes to be certain, and to be reported
"""
