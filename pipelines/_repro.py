"""`make repro`: run the stages, and end with the verdict and where to look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines._closure import ROOT
from slackwater.storage import read_json

_LOOK = (
    ("reports/trading.md", "the account and the same trades under other costs, sizes and venues"),
    ("reports/direction.md", "direction by trigger and by horizon"),
    ("reports/headline.json", "the main numbers (`dvc metrics show`, `dvc metrics diff`)"),
    ("reports/verdict.json", "every clause with its value (`slackwater inspect`)"),
    ("reports/defects.md", "what the data lack"),
    ("models/scorer", "the scoring bundle"),
)


def repair_lock(path: Path) -> bool:
    """Remove DVC's table of locks if a process was killed while it wrote that, and return whether it was removed.

    DVC refuses to start while the file is not JSON. It holds no data, and DVC makes it anew.
    """
    if not path.is_file():
        return False
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        path.unlink(missing_ok=True)
        return True
    return False


def summary(headline: dict[str, Any], verdict: dict[str, Any]) -> str:
    """Return the verdict, the main numbers and where to look."""
    lines = [f"\n{verdict['verdict']}: {verdict['sentence']}\n"]
    lines += [f"  {name:<34}{'unknown' if value is None else value}" for name, value in headline.items()]
    lines += ["\nwhere to look"] + [f"  {file:<34}{what}" for file, what in _LOOK]
    return "\n".join([*lines, f"  {'make ui':<34}all runs, compared", ""])


def main() -> None:
    """Run ``dvc repro`` with the arguments of the command line, and report."""
    if repair_lock(ROOT / ".dvc" / "tmp" / "rwlock"):
        sys.stdout.write("removed .dvc/tmp/rwlock, which a killed process left damaged\n")
    try:
        process = subprocess.Popen(["dvc", "repro", *sys.argv[1:]], cwd=ROOT)  # noqa: S603, S607
    except FileNotFoundError:
        raise SystemExit("there is no `dvc` on the path: activate .venv, or use `make repro`") from None
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # Ctrl-C reached DVC too, which first frees its locks
        raise SystemExit("\ninterrupted; `make repro` continues with the stage that was running") from None
    if status:
        raise SystemExit(status)
    if len(sys.argv) == 1:
        sys.stdout.write(summary(read_json(ROOT / "reports/headline.json"), read_json(ROOT / "reports/verdict.json")))


if __name__ == "__main__":
    main()
