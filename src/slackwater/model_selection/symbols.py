"""Cross-validation on a symbol that the model has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import DataError, ParameterError
from slackwater.model_selection._purged_splitter import PurgedSplitter, require_count
from slackwater.types import Ints

__all__ = ["LeaveOneSymbolOut"]


class LeaveOneSymbolOut(PurgedSplitter):
    """The splits of a purged splitter, once per symbol: trained on the other symbols, tested on that one.

    The purge in time is that of the splitter. Without it, a cascade of the whole market would be trained on with the
    other symbols and tested with this one.

    Parameters
    ----------
    symbols : array-like of str, shape (n_samples,)
        Symbol of each row of `X`, at least two different ones.
    splitter : PurgedSplitter
        `PurgedWalkForward` or `CombinatorialPurgedCV` over the rows of all symbols.
    min_train_rows : int, default 50
        Splits with fewer training rows of other symbols are skipped, >= 1.

    Examples
    --------
    >>> import numpy as np
    >>> from datetime import timedelta
    >>> from slackwater.model_selection.walk_forward import PurgedWalkForward
    >>> events = np.datetime64("2024-01-01") + np.repeat(np.arange(300), 2) * np.timedelta64(1, "D")
    >>> inner = PurgedWalkForward(
    ...     event_times=events, label_end_times=events + np.timedelta64(1, "D"), embargo=timedelta(days=2))
    >>> symbols = np.tile(["BTCUSDT", "ETHUSDT"], 300)
    >>> splits = list(LeaveOneSymbolOut(symbols, splitter=inner).split(np.zeros((600, 1))))
    >>> len(splits), [set(symbols[rows].tolist()) for rows in splits[0]]
    (8, [{'ETHUSDT'}, {'BTCUSDT'}])
    """

    def __init__(self, symbols: Any, *, splitter: PurgedSplitter, min_train_rows: int = 50) -> None:
        self.symbols = symbols
        self.splitter = splitter
        self.min_train_rows = min_train_rows

    def _spans(self) -> tuple[Ints, Ints]:
        return self.splitter._spans()

    def _splits(self, event: Ints, end: Ints) -> Iterator[tuple[Ints, Ints]]:
        min_train_rows = require_count("min_train_rows", self.min_train_rows)
        symbols = pd.Series(self.symbols)
        if symbols.size != event.size:
            raise ParameterError(f"`symbols` must have one entry per event time, {event.size}, had {symbols.size}")
        missing = np.flatnonzero(symbols.isna().to_numpy())
        if missing.size:
            raise DataError(f"`symbols` must hold no missing symbol; rows {missing[:5].tolist()} do")
        number, names = pd.factorize(symbols, sort=True)
        if len(names) == 1:
            raise ParameterError(f"`symbols` must hold at least two symbols, held {names[0]} alone")
        for train, test in self.splitter._splits(event, end):
            for left_out in range(len(names)):
                others, own = train[number[train] != left_out], test[number[test] == left_out]
                if own.size and others.size >= min_train_rows:
                    yield others, own

    def _settings(self) -> str:
        return f"{self.splitter._settings()}, one symbol left out"
