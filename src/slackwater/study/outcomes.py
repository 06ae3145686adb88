"""The outcome of a trial, in this process or in one that reads the tables of the run itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightgbm.basic import LightGBMError

from slackwater.config import Params
from slackwater.errors import DataError, MissingDataError, SchemaError, SlackwaterError
from slackwater.parallel import WorkerError, directory_for_workers
from slackwater.study.spec import trial_params
from slackwater.study.trial import LastRun

__all__ = ["Trials"]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Makes trials on the tables of the last run; sent to another process, it reads the tables there.

    Parameters
    ----------
    root
        The repository of the run, as a worker finds it (`for_workers`).
    params, last
        Parameters and tables of the run.
    objective
        Name of the metric that counts.
    """

    root: os.PathLike[str]
    params: Params
    last: LastRun
    objective: str

    def __reduce__(self) -> tuple[Callable[..., Trials], tuple[Any, ...]]:
        """Send where the tables are and their digest, and the parameters as plain values."""
        return _read_again, (self.root, self.params.model_dump(mode="json"), self.objective, self.last.data_sha256)

    @contextmanager
    def for_workers(self) -> Iterator[Trials]:
        """Yield the same with a directory that workers can read: that of the run, or one that a store takes to them.

        Raises
        ------
        SourceError
            If the store refuses or cannot be reached.
        """
        root = Path(self.root)
        with directory_for_workers(root, self.last.files(root)) as there:
            yield replace(self, root=there)

    def outcome(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``state``, ``reason`` and, if it is complete, the results of a trial, as the ledger holds them.

        Raises
        ------
        MissingDataError, SchemaError
            If a file is missing or damaged, which is not the trial's fault.
        WorkerError
            If workers were lost.
        """
        try:
            measured = self.last.measured(trial_params(self.params, point))
        except (MissingDataError, SchemaError, WorkerError):
            raise
        except (SlackwaterError, LightGBMError, ValueError, ArithmeticError) as error:
            return {"state": "failed", "reason": f"{type(error).__name__}: {error}"}
        name = self.objective
        value = measured["metrics"][name]
        trades, unknown = (measured["metrics"][key] for key in ("n_unit_risk_trades", "n_funding_unknown"))
        net = not name.startswith("direction.")
        known = value == value and not (net and unknown)
        why = f"with {trades:,} trades at unit risk"
        why += f", of which {unknown:,} have unknown funding" if net and unknown else ""
        reason = "" if known else f"{name} is not known, {why}"
        objective = {"name": name, "value": value if known else None}
        return {"state": "complete", "reason": reason, "objective": objective, **measured}


def _read_again(root: os.PathLike[str], params: dict[str, Any], objective: str, data_sha256: str) -> Trials:
    last = LastRun.read(Path(root) / "data")
    if last.data_sha256 != data_sha256:
        raise DataError(
            f"{Path(root)}/data on the worker holds other tables than those of the study: share the directory"
        )
    return Trials(root=root, params=Params.model_validate(params), last=last, objective=objective)
