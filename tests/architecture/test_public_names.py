"""The face of the package."""

from __future__ import annotations

import subprocess
import sys

import slackwater


def test_every_public_name_resolves() -> None:
    for name in slackwater.__all__:
        assert getattr(slackwater, name) is not None


def test_lazy_names_and_all_agree() -> None:
    """A name that is listed but has no home would fail only when somebody uses it."""
    assert set(slackwater._HOMES) | {"__version__"} == set(slackwater.__all__)


def test_unknown_names_are_refused() -> None:
    assert not hasattr(slackwater, "no_such_name")


def test_importing_the_package_imports_nothing_heavy() -> None:
    """The face is lazy: a script that needs one name must not pay for LightGBM or MLflow."""
    code = (
        "import sys, slackwater; print([m for m in ('numpy','pandas','lightgbm','mlflow','numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_does_not_import_lightgbm() -> None:
    """Live scoring reads text models by itself; LightGBM costs seconds at the start of a process."""
    code = (
        "import sys; from slackwater import ReversalScorer\n"
        "print([m for m in ('lightgbm', 'mlflow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
