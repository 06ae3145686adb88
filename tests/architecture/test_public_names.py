"""The face of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import slackwater


def test_every_public_name_resolves() -> None:
    for name in slackwater.__all__:
        assert getattr(slackwater, name) is not None


def test_type_checkers_and_users_see_the_same_names() -> None:
    """A name that is listed for one of them only would be missing for the other."""
    tree = ast.parse(Path(slackwater.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == slackwater._HOMES


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
