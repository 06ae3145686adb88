"""Reconciliation: every difference between paper trading and history, each with one cause out of a closed list.

::

    differences   the causes, and what differs
    replayed      the inputs of the account once more, through a desk that remembers
    rows          rows that the account had and history has not, and the other way round
    scores        scores on paper against those of history
    decisions     plans and refusals against those of the backtest
    trades        fills, exits, fees and funding against those of the backtest
    reconcile     all of them, and the answer
"""
