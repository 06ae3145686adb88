"""A live session: the rows of many symbols go in as they arrive, their scores come out at each bar close."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import (
    BundleError,
    DefectWarning,
    OrderError,
    ParameterError,
    SchemaError,
    SlackwaterError,
    did_you_mean,
)
from slackwater.market.columns import is_name, mapping_of, shown
from slackwater.scoring.stream import EventScore
from slackwater.storage import arrays_digest, read_arrays, write_arrays

if TYPE_CHECKING:
    from slackwater.scoring.scorer import ReversalScorer

__all__ = ["Session"]

_FORMAT: Final = 1
_OWN: Final = "session/"
_PARTS: Final = ("format", "bundle", "symbols", "refused")


class Session:
    """Scores of many symbols bar by bar: `push` what arrives, `close` each bar.

    A session fed row by row gives the scores of `ReversalScorer.score` over the same tables, to the last bit, also
    after `warm`, and after `save` and `load` at any time. Only what `score` masks (`slackwater.market.quality`) counts
    here, since those rules judge whole tables. Nothing is passed over without a word: a row that cannot count is
    refused by name, and `EventScore.quality` states what a score lacks.

    Parameters
    ----------
    scorer
        Scorer of a bundle.
    symbols
        Symbols of the session; None: those that the models learned from.

    Raises
    ------
    ParameterError
        If a symbol is not a name, there is none, or one is there twice.
    """

    def __init__(self, scorer: ReversalScorer, symbols: Iterable[str] | None = None) -> None:
        names = scorer.manifest["symbols"] if symbols is None else symbols
        names = [names] if isinstance(names, str) else list(names)
        if not names or not all(isinstance(name, str) and is_name(name) for name in names):
            raise ParameterError(f"`symbols` must be names such as 'BTCUSDT', were {names!r:.80}")
        if len(set(names)) < len(names):
            raise ParameterError(f"`symbols` must not repeat a name, were {names!r:.80}")
        self.scorer = scorer
        self.symbols = tuple(sorted(names))
        self._frames = scorer.frame_stream()
        self._streams = {symbol: scorer.stream(symbol) for symbol in self.symbols}
        self._refused = dict.fromkeys(self.symbols, 0)

    # -- rows in ---------------------------------------------------------------------------------------------

    def warm(self, tables: Mapping[str, pd.DataFrame]) -> int:
        """Advance through history and return the number of bars; tables are checked and cleaned as by `score`.

        Parameters
        ----------
        tables
            As for `ReversalScorer.score`. What became available after the decision of the last bar waits for the next.

        Raises
        ------
        SchemaError, OrderError, MissingDataError, DataError
            As `ReversalScorer.score`; if a table holds a symbol that is not one of the session; if the session has
            begun. The session is as it was.

        Warns
        -----
        DefectWarning
            As `ReversalScorer.score`, and if a symbol of the session has no bars.
        UniverseWarning
            As `ReversalScorer.score`.
        """
        if not self._frames.is_new:
            raise OrderError("the session has begun: warm a new one, before the first row is pushed")
        frame, cleaned = self.scorer.frame(tables)
        for name, table in cleaned.items():
            if others := sorted(set(table["symbol"].unique()) - set(self.symbols)):
                raise SchemaError(f"{name}: {self._unknown(others[0])}; leave its rows out, or name it in `symbols`")
        frames = self.scorer.frame_stream()
        frames.warm(cleaned)
        streams = {symbol: self.scorer.stream(symbol) for symbol in self.symbols}
        bars = {symbol: streams[symbol].advance(frame) for symbol, _ in frame.symbols()}
        self._frames, self._streams = frames, streams
        _warn_of_missing("the tables have no bar of", [name for name in self.symbols if name not in bars])
        return sum(bars.values())

    def push(self, table: str, row: Mapping[str, Any] | pd.Series | pd.DataFrame) -> None:
        """Take one row of a canonical table, or a DataFrame of rows, all of them or none.

        Parameters
        ----------
        table
            Name of a table that feeds inputs (`slackwater.market.inputs.INPUT_TABLES`).
        row
            Its columns, as in `slackwater.market.stream.FrameStream.push`. Rows of a DataFrame are taken in the order
            of their event times.

        Raises
        ------
        SchemaError, OrderError, DataError
            As `FrameStream.push`, and if the symbol is not one of the session. The session is as it was, but the next
            score of the symbol counts the row in `DataQuality.refused_rows`.
        """
        rows = row if isinstance(row, pd.DataFrame) else None
        given = mapping_of(row, f"a row of table {shown(table)}") if rows is None else {}
        symbols = [given.get("symbol")]
        if rows is not None:  # one column of that name, or the frame refuses the rows
            symbols = rows["symbol"].tolist() if list(rows.columns).count("symbol") == 1 else []
        try:
            if others := [name for name in symbols if not (isinstance(name, str) and name in self._refused)]:
                raise SchemaError(f"{shown(table)}: {self._unknown(others[0])}")
            if rows is None:
                self._frames.push(table, given)
            else:
                self._frames.push_rows(table, rows)
        except SlackwaterError:
            for name in symbols:
                if isinstance(name, str) and name in self._refused:
                    self._refused[name] += 1
            raise

    # -- scores out ------------------------------------------------------------------------------------------

    def close(self, event_time: datetime) -> dict[str, EventScore]:
        """Return the scores of the bars that close at a time, by symbol in the order of their names.

        Call it for every bar when ``event_time + decision_lag`` has come.

        Raises
        ------
        SchemaError
            If the time is naive.
        OrderError
            If it is not newer than the last close, lies off the grid of bars, or an earlier bar was pushed and not
            closed. The session is as it was.
        OrderError, ContractError
            If a bar lies more than 366 days after the last one of its symbol, or a family from outside fails. The
            other symbols have advanced.

        Warns
        -----
        DefectWarning
            If symbols of the session have no bar at this time.
        UniverseWarning
            If those that have one are not the symbols that the models learned from, once for each set.
        """
        if waiting := self._frames.unclosed_before(event_time):
            symbol, first = min(waiting.items(), key=lambda item: item[1])
            raise OrderError(f"the bar of {symbol} closing at {first} was pushed and not closed: close it first")
        scores: dict[str, EventScore] = {}
        failures: list[SlackwaterError] = []
        for symbol, row in self._frames.close(event_time).items():
            try:
                score = self._streams[symbol].update(row)
            except SlackwaterError as error:
                failures.append(error)  # the bars of the other symbols are taken out of the frame, and count
                continue
            if refused := self._refused[symbol]:
                score = replace(score, quality=score.quality._replace(refused_rows=refused))
                self._refused[symbol] = 0
            scores[symbol] = score
        if failures:
            raise failures[0]
        _warn_of_missing(f"at {event_time} there is no bar of", [name for name in self.symbols if name not in scores])
        return scores

    def record(self) -> pd.DataFrame:
        """Return what the session holds: one row per symbol and table, sorted.

        Columns: `symbol`, `table`, `newest` (event time of the newest row: what to ask a venue for next), `waiting`
        (rows that no decision has taken yet) and `backfilled` (whether every row came from `warm`).
        """
        return self._frames.summary()

    # -- checkpoints -----------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the session as one file; it appears whole or not at all, and `load` continues from it."""
        write_arrays(self.save_state(), path)

    def load(self, path: str | Path) -> None:
        """Continue from a file by `save`.

        Raises
        ------
        MissingDataError, SchemaError
            If there is no such file, or it is not one of arrays.
        BundleError
            If it is not a saved session, damaged, or that of another bundle, of other symbols or of another version.
            The session is as it was.
        """
        self.load_state(read_arrays(path), str(path))

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the session as plain arrays for `slackwater.storage.write_arrays`."""
        refused = np.array(list(self._refused.values()), dtype=np.int64)
        own = (np.array(_FORMAT), np.array(self.scorer.digest), np.array(self.symbols), refused)
        arrays: dict[str, NDArray[Any]] = {f"{_OWN}{name}": part for name, part in zip(_PARTS, own, strict=True)}
        arrays |= self._frames.save_state()
        for stream in self._streams.values():
            arrays |= stream.save_state()
        return arrays | {f"{_OWN}digest": np.array(_digest(arrays))}

    def load_state(self, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
        """Continue from what `save_state` returned.

        Parameters
        ----------
        arrays
            Those arrays and no others.
        where
            Where they are from, for messages.

        Raises
        ------
        BundleError
            As `load`.
        """
        arrays = dict(arrays)
        if f"{_OWN}digest" not in arrays:
            raise BundleError(f"{where} is not a saved session: it lacks `{_OWN}digest`")
        if str(arrays.pop(f"{_OWN}digest")) != _digest(arrays):
            raise BundleError(f"{where} is damaged: its values are not those that were saved")
        try:
            kind, bundle, symbols, refused = (arrays[f"{_OWN}{name}"].tolist() for name in _PARTS)
        except KeyError as error:
            raise BundleError(f"{where} is not a saved session: it lacks {error}") from error
        if kind != _FORMAT:
            raise BundleError(f"{where} has format {kind!r:.20}, this version reads {_FORMAT}; warm a new session")
        if bundle != self.scorer.digest:
            raise BundleError(
                f"{where} is the session of the bundle {str(bundle)[:12]}…, and this scorer is of "
                f"{self.scorer.digest[:12]}…; load that bundle, or warm a new session"
            )
        if symbols != list(self.symbols) or not isinstance(refused, list) or len(refused) != len(symbols):
            raise BundleError(f"{where} is a session of {symbols!r:.200}, not of {', '.join(self.symbols)}")
        frames = self.scorer.frame_stream()
        frames.load_state(arrays)
        streams = {symbol: self.scorer.stream(symbol) for symbol in self.symbols}
        for symbol, stream in streams.items():
            if f"state/{symbol}" in arrays:  # a symbol without a bar so far has none
                stream.load_state(arrays)
        self._frames, self._streams = frames, streams
        self._refused = dict(zip(self.symbols, refused, strict=True))

    def _unknown(self, symbol: object) -> str:
        return f"there is no symbol `{shown(symbol)}` in this session{did_you_mean(shown(symbol), self.symbols)}"


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    names = sorted(arrays)
    return arrays_digest("\0".join(names), *(np.asarray(arrays[name]) for name in names))


def _warn_of_missing(what: str, symbols: list[str]) -> None:
    """Warn the caller of the caller, if symbols are missing."""
    if symbols:
        warnings.warn(
            f"{what} {', '.join(symbols)}: no score, and their next one states the gap in `quality.missing_bars`",
            DefectWarning,
            stacklevel=3,
        )
