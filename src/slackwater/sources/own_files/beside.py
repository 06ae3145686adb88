"""Two files whose rows are of the same times, read as one wider file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.api.types import is_integer_dtype, is_string_dtype

from slackwater.errors import SchemaError
from slackwater.sources.own_files.raw_columns import Name, RawFile

__all__ = ["WideFile"]


@dataclass(frozen=True, kw_only=True)
class WideFile:
    """The rows of a file, with the columns of a second one beside them.

    A row without a counterpart in the second file has no values there. The members are those of `RawFile`.

    Parameters
    ----------
    first
        The file with the rows.
    other
        The file beside it; at most one row for each of its keys.
    on
        The column of the second file that holds the same values, for each column that identifies a row.

    Raises
    ------
    SchemaError
        If a file has no names of columns, lacks one of `on`, or both have a column of one name.
    """

    first: RawFile
    other: RawFile
    on: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that every column has one meaning."""
        for raw, keys in ((self.first, self.on.keys()), (self.other, self.on.values())):
            lost = sorted(set(keys) - set(map(str, raw.names)))
            if raw.headless or lost:
                raise SchemaError(
                    f"{raw.path}: `beside_on` names its columns {', '.join(lost or keys)}, and it has "
                    f"{'no names of columns' if raw.headless else ', '.join(map(str, raw.names))}"
                )
        both = sorted(set(map(str, self.first.names)) & set(map(str, self.other.names)) - self._shared)
        if both:
            raise SchemaError(f"{self.first.path} and {self.other.path} both have {', '.join(both)}: which is meant?")

    @property
    def _shared(self) -> set[str]:
        return {ours for ours, theirs in self.on.items() if ours == theirs}

    @property
    def path(self) -> Path:
        """Where the rows are."""
        return self.first.path

    @property
    def names(self) -> tuple[Name, ...]:
        """Columns of both files."""
        return tuple(dict.fromkeys((*self.first.names, *self.other.names)))

    @property
    def headless(self) -> bool:
        """False: columns are matched by their names."""
        return False

    @property
    def first_row(self) -> tuple[str, ...]:
        """Empty, because the columns have names."""
        return ()

    @property
    def form(self) -> str | None:
        """Form of the file that holds numbers as text, if one does."""
        return "csv" if "csv" in (self.first.form, self.other.form) else self.first.form

    def may_be_cut(self) -> bool:
        """Return whether one of the files may have lost its end."""
        return self.first.may_be_cut() or self.other.may_be_cut()

    def position(self, name: Name) -> Name | None:
        """Return the column of a name; None if there is none."""
        return name if name in self.names else None

    def read(self, wanted: Collection[Name], *, as_text: Collection[Name] = ()) -> pd.DataFrame:
        """Return some columns of both files, one row for each of the first.

        Raises
        ------
        SchemaError
            If a file cannot be read, the second one has two rows for one key, or none of the rows has a counterpart.
        """
        ours = self._columns(self.first, {*wanted, *self.on}, as_text)
        # A key that is text in one file is text in both.
        text = {*as_text, *(self.on[column] for column in self.on if column in as_text)}
        theirs = self._columns(self.other, {*wanted, *self.on.values()} - {*self.first.names} | self._shared, text)
        keys = {column: f"key {place}" for place, column in enumerate(self.on)}
        alike = {key: _comparable(ours[column], theirs[self.on[column]]) for column, key in keys.items()}
        left = ours.assign(**{key: values for key, (values, _) in alike.items()})
        right = theirs.assign(**{key: values for key, (_, values) in alike.items()})
        right = right.drop(columns=[*self._shared])
        names = list(keys.values())
        if right.duplicated(names).any():
            raise SchemaError(f"{self.other.path}: rows repeat {', '.join(self.on.values())}, which must identify one")
        try:
            out = left.merge(right, how="left", on=names, indicator="found", sort=False)
        except ValueError as error:
            raise SchemaError(f"{self.other.path}: {', '.join(self.on.values())} cannot be compared: {error}") from None
        if len(out) and (out["found"] == "left_only").all():
            raise SchemaError(
                f"{self.other.path}: no row of {self.first.path} has its {', '.join(self.on)} among "
                f"{', '.join(self.on.values())}: are both clocks in UTC, and stamps of openings or closes alike?"
            )
        return out[sorted(set(wanted), key=self.names.index)]

    @staticmethod
    def _columns(raw: RawFile, wanted: Collection[Name], as_text: Collection[Name]) -> pd.DataFrame:
        chosen = [name for name in raw.names if name in wanted]
        return raw.read(chosen, as_text=[name for name in as_text if name in chosen])


def _comparable(*keys: pd.Series) -> list[pd.Series]:
    """Return keys of two files: times in one unit and zone, whole numbers as text where the other file has text."""
    text = any(is_string_dtype(values) for values in keys)
    out = []
    for values in keys:
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            out.append(values.dt.tz_convert("UTC").dt.as_unit("us"))
        else:
            out.append(values.astype("str") if text and is_integer_dtype(values) else values)
    return out
