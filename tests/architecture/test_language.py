"""The clearest rules of docs/style.md, where a text can break them without a doubt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines._closure import ROOT

MODULES = sorted(path for room in ("src", "pipelines") for path in (ROOT / room).rglob("*.py"))
CLAUSE = re.compile(r"(What|Whether|Where|How|Which|Who|Whoever|When|Why)\b")
# "There is no table" and "is no longer than" are English; "the row is no bar" is not.
IS_NO = re.compile(
    r"(?<!there )\b(?:is|are|was|were) no (?!(?:longer|more|less|fewer|later|earlier|larger|smaller|other)\b)"
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """First lines of docstrings, and the constant parts of messages that are raised."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            described = ast.get_docstring(node)
            if described:
                yield node.body[0].lineno, described.splitlines()[0]
        elif isinstance(node, ast.Raise) and node.exc is not None:
            yield from (
                (part.lineno, part.value)
                for part in ast.walk(node.exc)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def test_a_module_begins_with_a_noun_phrase_or_a_sentence() -> None:
    """A bare clause ("What a trade costs") does not state the content of a module."""
    first = {path: (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0] for path in MODULES}
    assert [f"{path.relative_to(ROOT)}: {line}" for path, line in first.items() if CLAUSE.match(line)] == []


def test_messages_and_first_lines_deny_with_not() -> None:
    """Write "is not a bar", not "is no bar"."""
    found = [(path, line, text) for path in MODULES for line, text in texts(path) if IS_NO.search(text.lower())]
    assert [f"{path.relative_to(ROOT)}:{line}: {text}" for path, line, text in found] == []


def test_the_method_is_cited_by_its_sections() -> None:
    """A citation of a plan outside of the repository leads nowhere; see docs/method.md."""
    places = [*MODULES, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "tests").rglob("*.py")]
    word = "METH" + "OD"
    assert [str(path.relative_to(ROOT)) for path in places if re.search(rf"\b{word}\b", path.read_text("utf-8"))] == []
