"""Market data: canonical tables, the market frame that joins them, and the facts of venues and contracts.

::

    tables.py        each canonical table once: columns, key, lag, join, inputs
      inputs.py      the inputs of a frame row and their positions
      schemas.py     validate tables and rows
      bars.py        which rows are bars; coarser bars
      quality/       detection of defects, and their ledger
    spec.py          FrameSpec, the settings of a frame
      joins.py       the compiled joins
      frame.py       MarketFrame, history
      stream.py      FrameStream, live
      frame_row.py   FrameRow, what both produce
    venues.py        each venue once: fees, contracts, sources
      contracts.py   Contract, margin tiers, liquidation price
      contract_file.py  facts from the user, merged over the built-in ones
      rounding.py    rounding to steps of price and quantity
"""
