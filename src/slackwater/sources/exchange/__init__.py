"""Interfaces of venues, through ccxt: market data, contract terms, and recorded messages.

::

    fetch        canonical tables of symbols (`fetch_exchange`)
    refresh      contract facts of today: steps, funding, margin tiers (`refresh_contract_facts`)
    messages     recorded websocket messages (`read_messages`)
    venues       the venues; find one by name
      binance, bybit, okx, gate    one object per venue
      venue, endpoint    the types of these objects
    pages        long ranges from many answers
    tables       availability of rows, and rows that cannot be used
    settlements  intervals of funding from its settlements
    client       requests, retries and errors
    listing      terms of an instrument
"""
