"""A compiled kernel is used only as long as everything that was compiled into it stands."""

from __future__ import annotations

import shutil
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
