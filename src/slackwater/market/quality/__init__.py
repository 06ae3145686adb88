"""Defects of market data: detection, known defects, and the ledger that records each of them.

::

    detectors.py        clean_tables: every rule on every table, then what is left and the ledger
      rules.py          the rules that mask rows, and the share of rows above which they refuse a table
      order.py          stamps of a wrong unit, doubled rows, disorder, contradicting rows, gaps
      stale.py          bars that repeat, values that do not change while the market trades
      halts.py          contracts that no longer trade
      dead_feed.py      feeds of liquidations that are dead
      open_interest.py  recounts: changes that trades do not explain
      levels.py         changes of the unit
      units.py          units that are wrong in every row
      prints.py         highs and lows that nothing confirms
      funding.py        rates beyond any cap, stamps off the schedule, intervals that contradict stamps
      clocks.py         tables whose clock is not that of the bars
      known_defects.py  spans that are known to be wrong
      ledger.py         Finding, DefectLedger

A masking rule uses only rows up to the one it judges wherever possible (docs/data_quality.md lists the exceptions), so
that history is masked as a live feed could have been.
"""
