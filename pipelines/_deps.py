"""The code dependencies in ``dvc.yaml``: written from the imports, so that nobody has to keep them by hand.

In every stage, the rows of ``deps`` between the line ``# code`` and the end of the list belong to ``make deps``;
those above it are the data that the stage reads, and belong to whoever edits the stage.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipelines._closure import ROOT, import_closure
from slackwater.config import broken_entries, load_params
from slackwater.errors import SlackwaterError
from slackwater.storage import atomic_file

_DVC = ROOT / "dvc.yaml"
_STAGE = re.compile(r"  (\w+):")
_ROW = re.compile(r"      - (\S+)")
_MARK = "      # code"


def with_code_deps(text: str) -> str:
    """Return the text of ``dvc.yaml`` with the code rows of every stage as the imports require them."""
    out: list[str] = []
    stage, by_hand, generated = "", set[str](), False
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if generated and row:
            continue
        generated = line == _MARK
        if match := _STAGE.fullmatch(line):
            stage, by_hand = match[1], set()
        elif row:
            by_hand.add(row[1])
        out.append(line)
        if generated:
            out += [f"      - {name}" for name in code_deps(stage) if not _covered(name, by_hand)]
    return "\n".join(out) + "\n"


def code_deps(stage: str) -> list[str]:
    """Return the files that a stage runs, as paths from the root; a room of which it runs many files is one path.

    A whole room costs a rerun now and then for a file that the stage does not reach; single files cost rows.
    """
    reached = import_closure(ROOT / "pipelines" / f"{stage}.py")
    library = ROOT / "src" / "slackwater"
    names = {path for path in reached if library not in path.parents or path.parent == library}
    for room in (path for path in library.iterdir() if path.is_dir()):
        names |= _fewest(room, reached)
    return sorted(path.relative_to(ROOT).as_posix() for path in names)


def _fewest(folder: Path, reached: set[Path]) -> set[Path]:
    """Return `folder` if more than a quarter of its files are reached, else what is reached of each of its parts."""
    inside = {path for path in reached if folder in path.parents}
    if 4 * len(inside) > len(list(folder.rglob("*.py"))):
        return {folder}
    parts = (_fewest(part, reached) for part in folder.iterdir() if part.is_dir())
    return {path for path in inside if path.parent == folder}.union(*parts)


def _covered(name: str, by_hand: set[str]) -> bool:
    return any(name == row or name.startswith(f"{row}/") for row in by_hand)


def main() -> None:
    """Rewrite ``dvc.yaml`` where its code rows are not what the imports require."""
    try:
        load_params(ROOT / "params.yaml")
        for name, error in broken_entries(ROOT / "params.yaml").items():
            sys.stdout.write(
                f"the data set {name} cannot be chosen, and the files of its families are not listed as deps: {error}\n"
            )
    except SlackwaterError as error:
        raise SystemExit(f"make deps failed: {type(error).__name__}: {error}") from None
    text = _DVC.read_text(encoding="utf-8")
    wanted = with_code_deps(text)
    if wanted != text:
        with atomic_file(_DVC) as path:
            Path(path).write_text(wanted, encoding="utf-8")
        sys.stdout.write("dvc.yaml: code deps rewritten\n")


if __name__ == "__main__":
    main()
