"""Pages of the site that are not files of docs/: files that pages link, the decisions in order, the command line.

A file outside of docs/ that a page links is a page below ``repository/``, and links to it are rewritten, so that the
same text works in the checkout and on the site.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "repository"
LINK = re.compile(r"(\]\()([\w./-]+)((?:#[\w.-]*)?\))")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the folder of the decisions in the navigation by its pages."""
    decisions = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/decisions").glob("0*.md"))
    config.nav = _replaced(config.nav, ["decisions/README.md", *decisions])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link."""
    waiting = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    for file in files.documentation_pages():
        waiting += _outside(f"docs/{file.src_uri}", file.content_string)
    while waiting:
        name = waiting.pop()
        uri = _uri(name)
        if files.get_file_from_path(uri) is None:
            text = (ROOT / name).read_text(encoding="utf-8")
            page = text if name.endswith(".md") else f"# `{name}`\n\n````{LANGUAGES[Path(name).suffix]}\n{text}````\n"
            files.append(File.generated(config, uri, content=page))
            waiting += _outside(name, text if name.endswith(".md") else "")
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links of the checkout at the pages of the site, and list every command with its options."""
    here = page.file.src_uri
    name = here.removeprefix(f"{OUTSIDE}/") if here.startswith(f"{OUTSIDE}/") else f"docs/{here}"

    def of_the_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[2]))
        if not (ROOT / target).is_file():
            return link[0]
        return f"{link[1]}{posixpath.relpath(_uri(target), posixpath.dirname(here) or '.')}{link[3]}"

    return LINK.sub(of_the_site, markdown) + (_every_command() if here == "commands.md" else "")


def _replaced(entry: Any, decisions: list[str]) -> Any:
    """Return a part of the navigation with the decisions in the place of their folder."""
    if isinstance(entry, list):
        return [_replaced(each, decisions) for each in entry]
    if isinstance(entry, dict):
        return {title: _replaced(each, decisions) for title, each in entry.items()}
    return decisions if entry == "decisions/" else entry


def _outside(name: str, markdown: str) -> Iterator[str]:
    """Yield the files outside of docs/ that a text links; `name` is the path of its file in the repository."""
    for link in LINK.finditer(markdown):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[2]))
        if not target.startswith(("docs/", "../")) and (ROOT / target).is_file():
            yield target


def _uri(name: str) -> str:
    """Return the place on the site of a file of the repository."""
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return f"{OUTSIDE}/{name}" if name.endswith((".md", ".png", ".svg")) else f"{OUTSIDE}/{name}.md"


def _every_command() -> str:
    """Return the part of a page that lists every command with its arguments and options."""
    import typer

    from slackwater.cli import app

    return "\n".join(["", *_commands(typer.main.get_command(app), "slackwater")])


def _commands(group: Any, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        full = f"{above} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
            continue
        yield from (f"## `{full}`", "", " ".join((command.help or "").split("\n\n")[0].split()), "")
        rest = [" ".join(part.split()) for part in (command.help or "").split("\n\n")[1:]]
        yield from (line for part in rest for line in (part, ""))
        if command.params:
            yield from ("| argument or option | meaning | default |", "|---|---|---|")
            yield from (_row(each) for each in command.params)
            yield ""


def _row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    name = parameter.metavar or parameter.name.upper() if argument else ", ".join(parameter.opts)
    default = "" if parameter.default in (None, False, "") else f"`{parameter.default}`"
    meaning = " ".join((parameter.help or "").split())
    return f"| `{name}` | {meaning} | {'required' if parameter.required else default} |"
