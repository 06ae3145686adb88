"""Price paths that are read when they are asked for, and which of them are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Final

from slackwater.trading.price_path import PricePath

__all__ = ["PathsThatAreRead", "RecentPaths"]

_MOST_BARS: Final = 5_000_000
"""Bars of whole paths that are kept, about 350 MB."""


class RecentPaths:
    """The paths, or parts of paths, that were used last.

    Parameters
    ----------
    most_bars
        Number of bars up to which they are kept; one is kept in any case.
    """

    def __init__(self, most_bars: int) -> None:
        self.most_bars, self.bars, self.went = most_bars, 0, 0
        self._lengths = Counter[int]()
        self._kept: dict[Hashable, PricePath] = {}

    def __contains__(self, key: object) -> bool:
        """Return whether a path is kept."""
        return key in self._kept

    def of(self, key: Hashable, make: Callable[[], PricePath]) -> PricePath:
        """Return the path of a key, which is made where it is not kept."""
        path = self._kept.pop(key, None)
        if path is None:
            # Room first, for one as long as the longest: unless it is longer, those that go are not held beside it.
            longest = max(self._lengths, default=0)
            while self._kept and self.bars + longest > self.most_bars:
                self._count(self._kept.pop(next(iter(self._kept))), -1)
                self.went += 1
            path = make()
            self._count(path, 1)
        self._kept[key] = path
        return path

    def _count(self, path: PricePath, change: int) -> None:
        """Count a path that came or went; there are few lengths, and may be thousands of paths."""
        bars = len(path.open_time)
        self.bars += change * bars
        self._lengths[bars] += change
        if not self._lengths[bars]:
            del self._lengths[bars]


class PathsThatAreRead(Mapping[str, PricePath]):
    """Paths that are read when they are asked for; all are kept while they are few bars, from then on the last one."""

    def __init__(self) -> None:
        self._recent = RecentPaths(_MOST_BARS)

    @abstractmethod
    def _read(self, symbol: str) -> PricePath:
        """Return the path of a symbol that is there."""

    @abstractmethod
    def only(self, symbol: str) -> PathsThatAreRead:
        """Return the path of one symbol alone, for a task: it keeps none that another task needs."""

    def between(self, symbol: str, start_us: int, end_us: int) -> PricePath:
        """Return what `PricePath.between` does of a symbol; the whole path need not be read for it."""
        return self[symbol].between(start_us, end_us)

    def __contains__(self, symbol: object) -> bool:
        """Return whether there are prices of a symbol; none is read."""
        return any(symbol == each for each in self)

    def __getitem__(self, symbol: str) -> PricePath:
        """Return the path of a symbol."""
        if symbol not in self:
            raise KeyError(symbol)
        path = self._recent.of(symbol, lambda: self._read(symbol))
        if self._recent.went:
            # One symbol is done after the other: before the first comes again, it would have gone.
            self._recent.most_bars = 0
        return path
