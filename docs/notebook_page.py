"""The page docs/first_hour.md: `python -m docs.notebook_page` executes the notebook on the run of the checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "first_hour.py"
PAGE = ROOT / "docs" / "first_hour.md"
PICTURES = "pictures/first_hour"
NOTE = """
Every output of this page is SYNTHETIC: `python -m docs.notebook_page` has executed
[`examples/first_hour.py`](../examples/first_hour.py) on the default run.
"""


def execute(root: Path) -> Any:
    """Return the notebook after all of its cells have run in a directory with a run.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    client = NotebookClient(jupytext.read(NOTEBOOK), timeout=600, resources={"metadata": {"path": str(root)}})
    return client.execute(env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})


def page_of(notebook: Any) -> tuple[str, dict[str, bytes]]:
    """Return the page of an executed notebook, and its pictures by their place beside the page."""
    body, resources = MarkdownExporter().from_notebook_node(notebook)
    pictures = {}
    for number, name in enumerate(re.findall(r"!\[png\]\((.*?)\)", body), start=1):
        place = f"{PICTURES}/{number}.png"
        body = body.replace(f"![png]({name})", f"![Figure {number}: the code above draws it. SYNTHETIC]({place})")
        pictures[place] = resources["outputs"][name]
    body = re.sub(r"\n\s*\n(?=!\[Figure)", "\n\n", body)
    title, _, rest = body.strip().partition("\n")
    # Relative to the page, not to the root of the repository.
    rest = re.sub(r"\(docs/([\w/]+\.md)\)", r"([\1](\1))", rest)
    return f"{title}\n{NOTE}{rest}\n", pictures


def main() -> None:
    """Write the page and its pictures."""
    page, pictures = page_of(execute(ROOT))
    for place, content in pictures.items():
        (PAGE.parent / place).parent.mkdir(parents=True, exist_ok=True)
        (PAGE.parent / place).write_bytes(content)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
