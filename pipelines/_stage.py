"""What every stage shares: its parameters, its messages, and its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import yaml

from slackwater.config import Params, load_params
from slackwater.errors import ParameterError, SlackwaterError


class Stage:
    """The parameters that a stage declared in ``dvc.yaml``, and a voice.

    Asking for a section that the stage did not declare is an error: DVC would not notice when it changes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._params: Params = load_params()
        with open("dvc.yaml", encoding="utf-8") as file:
            declared = yaml.safe_load(file)["stages"][name].get("params", [])
        self._declared = {str(key).split(".")[0] for key in declared}

    def __getattr__(self, section: str) -> Any:
        """Return a declared section of the effective parameters."""
        if section not in type(self._params).model_fields:
            raise AttributeError(section)
        if section not in self._declared:
            raise ParameterError(f"stage {self.name} reads `{section}` but does not declare it in dvc.yaml")
        return getattr(self._params, section)

    def params(self) -> Params:
        """Return all sections, for a stage that declares all of them."""
        undeclared = sorted(set(type(self._params).model_fields) - self._declared)
        if undeclared:
            raise ParameterError(f"stage {self.name} reads {undeclared} but does not declare them in dvc.yaml")
        return self._params

    def say(self, message: str) -> None:
        """Report progress."""
        sys.stdout.write(f"{self.name}: {message}\n")
        sys.stdout.flush()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a callback (done, total) that reports every tenth of the way."""

        def report(done: int, total: int) -> None:
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                self.say(f"{done:,} of {total:,} {what}")

        return report


def run(name: str, main: Callable[[Stage], None]) -> None:
    """Run a stage; a known error becomes one clear message and exit status 1."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        main(Stage(name))
    except SlackwaterError as error:
        sys.stderr.write(f"\n{name} failed: {type(error).__name__}: {error}\n")
        raise SystemExit(1) from None
