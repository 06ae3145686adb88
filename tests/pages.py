"""The documents of the repository, and the blocks and commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from pipelines._closure import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "datasets").glob("*.md")])
    if path.name != "CHANGELOG.md"
}
"""Text by the path in the repository; the changes speak of commands as they were."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"^(?: {4}|\t)(.*)$", flags=re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_FIRST = re.compile(r"(?:[A-Z_]+=\S+ )*(slackwater|dvc|make|python -m) ")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language on a page."""
    return [text for name, text in _FENCE.findall(PAGES[page]) if name == language]


def command_lines(page: str) -> Iterator[list[str]]:
    """Yield the words of every command that stands in a block of a page, without comments."""
    fenced = [text for name, text in _FENCE.findall(PAGES[page]) if name in ("", "sh")]
    indented = _INDENTED.findall(_FENCE.sub("", PAGES[page]))
    for line in [*"".join(fenced).replace("\\\n", " ").splitlines(), *indented]:
        for part in line.split(" && "):
            if _FIRST.match(f"{part.strip()} "):
                yield [word for word in _words(part) if not re.fullmatch(r"[A-Z_]+=\S+", word) or word[:4] == "PORT"]


def mentioned(page: str) -> Iterator[list[str]]:
    """Yield the words of every command that stands in a sentence of a page; they may be a part of a command."""
    for text in _INLINE.findall(_FENCE.sub("", PAGES[page])):
        if _FIRST.match(f"{text} "):
            yield [word for word in _words(text) if not re.fullmatch(r"[A-Z_]+=\S+", word)]


def _words(text: str) -> list[str]:
    return shlex.split(re.sub(r"<[^>]*>", "PLACE", text), comments=True)
