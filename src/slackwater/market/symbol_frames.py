"""The market frame in parts: one symbol after the other, so that no more than one of them is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from slackwater.market.bar_grids import rows_of_symbols
from slackwater.market.frame import MarketFrame
from slackwater.market.moves_of_others import moves_of_others
from slackwater.market.schemas import refuse_both_kinds_of_liquidations
from slackwater.market.spec import FrameSpec

__all__ = ["SymbolFrames"]


class SymbolFrames:
    """The frame of each symbol with the rows of its tables; each is made anew whenever it is its turn.

    One after the other, the rows are those of `MarketFrame.from_tables`, to the last bit. What a symbol needs of all
    others is computed at the beginning, from the prices of the bars.

    Parameters
    ----------
    tables, spec
        As for `MarketFrame.from_tables`.

    Raises
    ------
    MissingDataError, DataError, SchemaError
        As `MarketFrame.from_tables`.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> None:
        self._others = moves_of_others(tables.get("bars", pd.DataFrame()), spec)
        refuse_both_kinds_of_liquidations(tables)
        self._tables, self._spec = tables, spec
        self._rows = {name: rows_of_symbols(table) for name, table in tables.items()}

    def __iter__(self) -> Iterator[tuple[MarketFrame, dict[str, pd.DataFrame]]]:
        """Yield the frame and the tables of each symbol that has bars; a table without a row of it is absent."""
        for symbol, others in self._others.items():
            own = {name: self._tables[name].iloc[rows[symbol]] for name, rows in self._rows.items() if symbol in rows}
            yield MarketFrame.of_one_symbol(own, self._spec, others), own
            del own
