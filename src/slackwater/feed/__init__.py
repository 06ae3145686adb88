"""The live feed: rows of the canonical tables from the streams of a venue, each with a word on its quality.

::

    live        the feed of one venue: its connections and what is due (`Feed`)
    requests    bars that lack, tables without a stream, trades of a lost connection
    settings    what a feed is asked for (`FeedSettings`)
    items       what it yields: rows with their quality, and faults
    record      raw messages as JSON lines, and their replay
    assembly    rows from raw messages; the same for a live feed and a replay
      bars        when a bar is final, and what is missing
      events      trades and liquidations, each once
      polled      tables that are requested: addresses and answers
    watchdog    streams that are silent for longer than their rhythm
    mock_clock  the clock of a mock venue
    client      ccxt's client of a venue, whose messages are tapped
    readers     one module per venue: subscriptions and messages

A feed has no keys and places no orders.
"""
