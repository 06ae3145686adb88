"""Parameters, messages and exit status: shared by every stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipelines._closure import ROOT, extra_family_files
from slackwater.config import Params, load_params
from slackwater.errors import ParameterError, SlackwaterError


class Stage:
    """Parameters that a stage declares in ``dvc.yaml``, and its messages.

    Reading a section that the stage does not declare is an error: DVC would not notice when it changes. So is a family
    in ``features.extra`` whose file is not among the deps.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._params: Params = load_params()
        with open("dvc.yaml", encoding="utf-8") as file:
            declared = yaml.safe_load(file)["stages"][name]
        self._declared = {str(key).split(".")[0] for key in declared.get("params", [])}
        if "features" in self._declared:
            _require_extra_families({ROOT / str(dep) for dep in declared["deps"]})

    def __getattr__(self, section: str) -> Any:
        """Return a section of the effective parameters that the stage declares."""
        if section not in type(self._params).model_fields:
            raise AttributeError(section)
        if section not in self._declared:
            raise ParameterError(f"stage {self.name} reads `{section}` but does not declare it in dvc.yaml")
        return getattr(self._params, section)

    def require_families(self, tables: Collection[str]) -> None:
        """Refuse families in ``features.extra`` that a later stage could not run on the tables of some names.

        The first stage calls it, before anything long. It imports by name and not by a statement: no output depends on
        the outcome, and as a dep every edit of a kernel would run the first stage again.
        """
        if self._params.features.extra:
            import_module("pipelines._families").require_families(self._params, tables)

    def params(self) -> Params:
        """Return all sections, for a stage that declares all of them."""
        undeclared = sorted(set(type(self._params).model_fields) - self._declared)
        if undeclared:
            raise ParameterError(f"stage {self.name} reads {undeclared} but does not declare them in dvc.yaml")
        return self._params

    def say(self, message: str) -> None:
        """Write a line of progress to standard output."""
        sys.stdout.write(f"{self.name}: {message}\n")
        sys.stdout.flush()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a callback (done, total) that writes a line at every tenth of the total."""

        def report(done: int, total: int) -> None:
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                self.say(f"{done:,} of {total:,} {what}")

        return report


def _require_extra_families(deps: set[Path]) -> None:
    absent = [path for path in sorted(extra_family_files()) if deps.isdisjoint({path, *path.parents})]
    if absent:
        names = ", ".join(path.relative_to(ROOT).as_posix() for path in absent)
        raise ParameterError(f"dvc.yaml does not list {names}, which `features.extra` names: run `make deps`")


def run(name: str, main: Callable[[Stage], None]) -> None:
    """Run a stage; an error of slackwater becomes one message and exit status 1."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        main(Stage(name))
    except SlackwaterError as error:
        sys.stderr.write(f"\n{name} failed: {type(error).__name__}: {error}\n")
        raise SystemExit(1) from None
