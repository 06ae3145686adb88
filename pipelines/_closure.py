"""Import closures: the files of this repository that a module imports, directly and through others."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from slackwater.config import own_entries, read_yaml

ROOT = Path(__file__).resolve().parent.parent
_SOURCES = (ROOT / "src", ROOT)
_LOADER = ROOT / "src" / "slackwater" / "features" / "extra.py"


def import_closure(entry: Path) -> set[Path]:
    """Return the repository's files that `entry` imports, lazily or not, with the ``__init__`` of every package.

    A module that loads the families named in ``features.extra`` of ``params.yaml`` imports those too.
    """
    seen: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(_imported(path))
            if path == _LOADER:
                waiting.extend(extra_family_files())
    return seen


def stage_files() -> list[Path]:
    """Return the modules of the stages, by name."""
    return sorted(path for path in (ROOT / "pipelines").glob("*.py") if not path.name.startswith("_"))


def extra_family_files() -> set[Path]:
    """Return the files, inside the repository, of the modules that any data set names in ``features.extra``.

    The modules are found, not imported. One that is installed elsewhere has no file here.
    """
    sections = [read_yaml(ROOT / "params.yaml"), *own_entries(ROOT).values()]
    return {path for each in sections for name in _extra_names(each) for path in _files_of(name.split(":")[0])}


def code_digest(*entries: Path) -> str:
    """Return the sha256 over the import closures of some files: names and contents, nothing of this machine."""
    digest = hashlib.sha256()
    for path in sorted(set[Path]().union(*map(import_closure, entries))):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _extra_names(content: Any) -> Iterator[str]:
    """Yield the names under ``features.extra``, of the file itself and of its entries of ``datasets``."""
    for section in (content, *content.get("datasets", {}).values()):
        yield from (section.get("features") or {}).get("extra") or ()


@cache
def _imported(path: Path) -> frozenset[Path]:
    """Return the files that one file imports."""
    files: set[Path] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue  # the body never runs
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = [*path.relative_to(_source_of(path)).parts[: -node.level]] if node.level else []
            module = ".".join([*package, *filter(None, [node.module])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        files.update(file for name in names for file in _files_of(name))
    return frozenset(files)


def _source_of(path: Path) -> Path:
    return next(source for source in _SOURCES if source in path.parents)


@cache
def _files_of(module: str) -> tuple[Path, ...]:
    """Return the file of a module and the ``__init__`` of every package around it: those run too."""
    parts = module.split(".")
    found: list[Path] = []
    for depth in range(1, len(parts) + 1):
        for source in _SOURCES:
            base = source.joinpath(*parts[:depth])
            found += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return tuple(found)
