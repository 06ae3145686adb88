"""The record of frozen tests, ``frozen_tests.jsonl`` of a project: no test of a bundle is forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slackwater.evidence.frozen_tests import FrozenTests
from slackwater.evidence.trial_ledger import append_trial, mend_torn_line, read_trials

__all__ = ["GROUPS", "FrozenLedger"]

GROUPS = ("known", "unseen")
"""Groups of events by their symbols: those that the bundle was trained on, and others."""


@dataclass(frozen=True, kw_only=True)
class FrozenLedger:
    """The recorded tests of a project.

    Parameters
    ----------
    path
        The file; it is made with the first test.
    rows
        Its lines when it was read.
    say
        Called with what was mended.
    """

    path: Path
    rows: tuple[Mapping[str, Any], ...]
    say: Callable[[str], None]

    @classmethod
    def read(cls, project: Path, say: Callable[[str], None]) -> FrozenLedger:
        """Read the record in the directory of a project; there may be none.

        Raises
        ------
        SchemaError
            If a line is damaged; with its number.
        """
        path = project / "frozen_tests.jsonl"
        if mended := mend_torn_line(path):
            say(mended)
        return cls(path=path, rows=tuple(read_trials(path)) if path.is_file() else (), say=say)

    def tests(self, bundle_sha256: str, data: str, data_sha256: str) -> FrozenTests:
        """Return a test among the recorded ones on the same data: a directory or data set, or the same events."""
        return FrozenTests.of(self.rows, bundle_sha256=bundle_sha256, dataset=self._name(data), data_sha256=data_sha256)

    def add(self, result: Mapping[str, Any]) -> None:
        """Record a test, from the result of `slackwater.study.frozen.frozen_test`."""
        data = result["data"]
        row = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "bundle_sha256": result["bundle"]["digest"],
            "bundle_dataset": result["bundle"]["dataset"],
            "dataset": self._name(data["name"]),
            "data_sha256": data["sha256"],
            "first_event": data["first_event"],
            "last_event": data["last_event"],
            "synthetic": result["synthetic"],
            "groups": {name: None if result[name] is None else _headline(result[name]) for name in GROUPS},
        }
        if mended := append_trial(row, self.path):
            self.say(mended)

    def _name(self, data: str) -> str:
        """Return the name of data in the record: a directory has one, however it is spelt and from wherever."""
        if not Path(data).is_dir():
            return data
        return Path(os.path.relpath(Path(data).resolve(), self.path.parent.resolve())).as_posix()


def _headline(found: Mapping[str, Any]) -> dict[str, Any]:
    sample = found["backtest"]["unit_risk"]
    return {
        "n_events": found["n_events"],
        **{name: found["direction"][name] for name in ("auc", "auc_low", "auc_high")},
        "n_trades": sample["n_trades"],
        "net_r": sample.get("net_r_mean"),
        "returns": found["returns"],
    }
