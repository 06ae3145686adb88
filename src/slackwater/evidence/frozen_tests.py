"""The tests of frozen bundles that are on record: every test is a look at its data, and the best of several is luck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from slackwater.evidence.trials import daily_series

__all__ = ["FrozenTests"]


@dataclass(frozen=True, kw_only=True)
class FrozenTests:
    """A frozen test among the recorded ones on the same data.

    Parameters
    ----------
    bundle_sha256
        Digest of its bundle.
    earlier
        Lines of the ledger (`slackwater.evidence.trial_ledger.read_trials`) of tests on overlapping data; of those of
        one bundle, the last is the one that is compared.
    """

    bundle_sha256: str
    earlier: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(
        cls, rows: Iterable[Mapping[str, Any]], *, bundle_sha256: str, dataset: str, data_sha256: str
    ) -> FrozenTests:
        """Return a test among the recorded ones that have the name of its data, or its events and labels.

        A line without a name counts for every data set.
        """
        own = [row for row in rows if row.get("dataset", dataset) == dataset or row.get("data_sha256") == data_sha256]
        # The same events come last: a test on them says more than one on another period.
        return cls(
            bundle_sha256=bundle_sha256,
            earlier=tuple(sorted(own, key=lambda row: row.get("data_sha256") == data_sha256)),
        )

    @property
    def number(self) -> int:
        """Return which test on these data it is, from 1."""
        return len(self.earlier) + 1

    @property
    def bundles(self) -> int:
        """Return how many different bundles were tested on these data, its own included."""
        return len(self._others) + 1

    @property
    def sentence(self) -> str:
        """Return both in words."""
        plural = "" if self.bundles == 1 else "s"
        return f"This is test {self.number:,} on these data, of {self.bundles:,} different bundle{plural}."

    def returns(self, group: str, own: Mapping[str, Any]) -> pd.DataFrame | None:
        """Return the daily net R of a group of events by bundle, as `slackwater.evidence.verdict.verdict` reads it.

        Parameters
        ----------
        group
            ``"known"`` or ``"unseen"``.
        own
            Compact returns of this test (`slackwater.evidence.trials.compact_returns`).

        Returns
        -------
        DataFrame or None
            This bundle first, then the others that had events of the group; None where there is no other.
        """
        measured = [(row.get("groups") or {}).get(group) or {} for row in self._others.values()]
        found = [own, *(each["returns"] for each in measured if "returns" in each)]
        columns = {number: daily_series(returns) for number, returns in enumerate(found)}
        return pd.DataFrame(columns).sort_index() if len(columns) > 1 else None

    @property
    def _others(self) -> dict[str, Mapping[str, Any]]:
        """Return the last test of every other bundle; a line without its bundle is one of its own."""
        last = {row.get("bundle_sha256", f"line {at}"): row for at, row in enumerate(self.earlier)}
        return {bundle: row for bundle, row in last.items() if bundle != self.bundle_sha256}
