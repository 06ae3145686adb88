"""Defects of market data: how they are found, the known ones, and the ledger that records each of them.

::

    detectors.py        clean_tables: every rule on every table, then what is left and the ledger
      order.py          stamps of a wrong unit, doubled rows, disorder, rows that contradict each other, gaps
      bars.py           bars that cannot be, bars that repeat
      stale.py          values that stand still while the market moves
      open_interest.py  recounts: changes that no trade explains
      levels.py         switches of the unit
      funding.py        rates beyond any cap, stamps off the schedule, intervals that the stamps deny
      clocks.py         tables whose clock is not that of the bars
      known_defects.py  spans that are known to be wrong
      ledger.py         Finding, DefectLedger

A rule that masks judges a row by rows up to itself wherever that can be (docs/data_quality.md has the exceptions):
history is then masked as a live feed could have been.
"""
