"""A compiled kernel is used only as long as everything that was compiled into it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slackwater import kernel_cache


@pytest.mark.parametrize(
    ("edited", "recompiled"),
    [
        ("operators.py", True),  # kernels that others call
        ("market/inputs.py", True),  # holds no kernel, but positions that are compiled into many
        ("liquidity/zones.py", True),
        ("cli.py", False),
        ("report/figures.py", False),
    ],
)
def test_an_edit_of_what_is_compiled_into_kernels_starts_a_new_cache(
    edited: str, recompiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a kernel that goes on running with the old value of a constant that it imports."""
    original = Path(kernel_cache.__file__).parent
    shutil.copytree(original, tmp_path / "slackwater", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "slackwater" / "kernel_cache.py"))
    before = kernel_cache._digest()
    with (tmp_path / "slackwater" / edited).open("a") as file:
        file.write("# edited\n")
    assert (kernel_cache._digest() != before) == recompiled


LOADED = """
import slackwater.operators, os
print(os.environ["NUMBA_CACHE_DIR"])
"""


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    """Start a process with an environment of its own, that compiles a kernel with a cache."""
    source = Path(kernel_cache.__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", LOADED],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(source), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_home_that_can_be_written_kernels_are_cached_in_a_directory_of_this_user(tmp_path: Path) -> None:
    """Catches `cannot cache function: no locator available` in a container. A file stands for a closed directory."""
    (tmp_path / "home").write_text("")
    (tmp_path / "tmp").mkdir()
    done = started(HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0, done.stderr
    own = tmp_path / "tmp" / f"slackwater-{os.getuid()}"
    assert done.stdout.startswith(f"{own}/kernels-")
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_write_is_not_taken(tmp_path: Path) -> None:
    """What is cached is run: a directory that another user prepared must not be read."""
    prepared = tmp_path / f"slackwater-{os.getuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)
    done = started(HOME="/dev/null", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"{prepared}/" not in done.stdout  # the name of one of its own may begin alike
    assert [path.name for path in tmp_path.iterdir()] == [prepared.name]


def test_a_cache_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = started(NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert "ParameterError: NUMBA_CACHE_DIR=" in done.stderr
