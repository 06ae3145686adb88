"""Venues through ccxt: bars, funding, open interest, ratios, liquidations, and what a contract says.

======== ====================================================================================
module   what it knows
======== ====================================================================================
fetch    which tables of which symbols, and what to say where there are none
binance, what each venue has, how to ask for it, and where its rows hold what
bybit,
okx, gate
endpoint how an answer becomes rows
pages    how a long range becomes many answers
tables   when a row could be known, and which rows cannot be used
client   how to ask politely, and what an error means
refresh  what a contract says today: steps, funding, margin tiers
messages what recorded websocket messages say
======== ====================================================================================
"""

from slackwater.sources.exchange.fetch import ExchangeTables, fetch_exchange
from slackwater.sources.exchange.messages import read_messages
from slackwater.sources.exchange.refresh import contract_facts_entry, refresh_contract_facts

__all__ = ["ExchangeTables", "contract_facts_entry", "fetch_exchange", "read_messages", "refresh_contract_facts"]
