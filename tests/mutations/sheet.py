"""A table of a user's own as cells to write, beside what the file states."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slackwater.market.schemas import SCHEMAS

TIMES: Final = ("open_time", "bucket_start", "event_time", "available_time")
EVENTS: Final = ("liquidations", "large_trades", "whale_transfers")
BARS: Final = ("bars", "fine_bars", "mark_price")


@dataclass
class Sheet:
    """A table as cells, how its file is written, and what it means."""

    table: str
    form: str  # csv or parquet
    cells: pd.DataFrame
    meaning: pd.DataFrame
    options: dict[str, Any] = field(default_factory=dict)  # of the entry in params.yaml; `_` marks those of the judge
    broken: bool = False
    separator: str = ","
    quote_all: bool = False
    line_end: str = "\n"
    suffix: str = ""
    pack: Callable[[bytes], bytes] | None = None
    last: list[Callable[[bytes], bytes]] = field(default_factory=list)  # on the bytes of the file
    arrow: list[Callable[[pa.Table], pa.Table]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers that are still numbers."""
        return [
            column.name
            for column in SCHEMAS[self.table].columns
            if column.kind == "number" and column.name in self.cells and self.cells[column.name].dtype == np.float64
        ]

    @property
    def needed(self) -> list[str]:
        """Those of them that every row needs: elsewhere a blank means unknown, and is read as that."""
        nullable = {column.name for column in SCHEMAS[self.table].columns if column.nullable}
        return [name for name in self.numbers if name not in nullable]

    @property
    def stamps(self) -> list[str]:
        """Columns of times that are still times."""
        return [name for name in TIMES if name in self.cells and isinstance(self.cells[name].dtype, pd.DatetimeTZDtype)]

    def lost(self) -> None:
        """Note that the file has no right reading any more."""
        self.broken = True

    def same_rows(self, rows: Any) -> None:
        """Keep some rows of the cells, and of the meaning where it has the same rows."""
        aligned = len(self.cells) == len(self.meaning)
        self.cells = self.cells.iloc[rows].reset_index(drop=True)
        if aligned:
            self.meaning = self.meaning.iloc[rows].reset_index(drop=True)

    def write(self, directory: Path) -> str:
        """Write the file and return its name."""
        other = self.suffix.startswith("=")
        name = self.table + (self.suffix[1:] if other else f".{self.form}{self.suffix}")
        data = self._parquet() if self.form == "parquet" else self._csv()
        for change in [*self.last, *([self.pack] if self.pack else [])]:
            data = change(data)
        (directory / name).write_bytes(data)
        return name

    def _parquet(self) -> bytes:
        table = pq.read_table(io.BytesIO(self.cells.to_parquet(index=False)))
        for change in self.arrow:
            table = change(table)
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return buffer.getvalue()

    def _csv(self) -> bytes:
        text = self.cells.copy()
        for name in self.stamps:
            text[name] = text[name].map(lambda time: "" if time is pd.NaT else time.isoformat().replace("+00:00", "Z"))
        out = text.to_csv(
            index=False, sep=self.separator, quoting=1 if self.quote_all else 0, lineterminator=self.line_end
        )
        return out.encode()


Operator = Callable[[Sheet, np.random.Generator], bool]
"""Changes a sheet; returns False where it does not apply."""
