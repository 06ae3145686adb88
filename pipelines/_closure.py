"""What a stage runs: the files that its module imports, directly and through others."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SOURCES = (ROOT / "src", ROOT)
_PACKAGES = ("slackwater", "pipelines")


def import_closure(entry: Path) -> set[Path]:
    """Return the project's files that `entry` imports, lazily or not, with every package's ``__init__``."""
    seen: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            for module in _imported(path):
                waiting.extend(_files_of(module))
    return seen


def code_digest(entry: Path) -> str:
    """Return the sha256 over the import closure of `entry`: names and contents, nothing of this machine."""
    digest = hashlib.sha256()
    for path in sorted(import_closure(entry)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue  # never runs
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in _PACKAGES}


def _files_of(module: str) -> list[Path]:
    """Return the file of a module and the ``__init__`` of every package around it: those run too."""
    parts = module.split(".")
    found = []
    for depth in range(1, len(parts) + 1):
        for source in _SOURCES:
            base = source.joinpath(*parts[:depth])
            found += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return found
