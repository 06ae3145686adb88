"""The notebook of the first hour: it runs on a run, and its page is what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import jupytext
import pytest

from docs.notebook_page import NOTEBOOK, PAGE, execute, page_of
from slackwater.storage import read_json
from tests.small_run import STAGES, make_small_run


def code_cells(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_small_run(tmp_path_factory.mktemp("run"), *STAGES, "evaluate", "export")
    shutil.copytree(root / "data/reports", root / "reports", dirs_exist_ok=True)  # as the stage `report` does
    return root


def test_the_notebook_runs_and_ends_with_the_verdict_of_the_run(run: Path) -> None:
    """A column that was renamed, or a file that a run no longer writes, would stop a reader in the first hour."""
    notebook = execute(run)
    page, pictures = page_of(notebook)
    verdict = read_json(run / "reports/verdict.json")
    assert f"{verdict['verdict']}: {verdict['sentence']}" in page
    assert "small (SYNTHETIC), symbols BTCUSDT, ETHUSDT" in page
    assert page.count("![Figure ") == len(pictures) == 3
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert str(run) not in page
    assert "ipykernel" not in page  # a warning would name the place of a temporary file


def test_the_page_has_the_code_of_the_notebook() -> None:
    """An edit of the notebook without `python -m docs.notebook_page` would leave outputs of other code."""
    shown = re.findall(r"```python\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert shown == code_cells(jupytext.read(NOTEBOOK))


def test_every_picture_of_the_page_is_there_and_is_called_synthetic() -> None:
    named = re.findall(r"!\[(.*?)\]\((.*?)\)", PAGE.read_text(encoding="utf-8"))
    assert len(named) == 3
    assert all((PAGE.parent / place).is_file() and "SYNTHETIC" in text for text, place in named)
