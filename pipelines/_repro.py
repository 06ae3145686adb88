"""`make repro`: run the stages, and end with the verdict and where to look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines._closure import ROOT
from pipelines._stage import outs_of
from slackwater.config import read_yaml
from slackwater.errors import ParameterError, SchemaError
from slackwater.storage import read_json, remove_leftovers

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


def repair_record(path: Path) -> bool:
    """Remove DVC's record of the stages if a process was killed while it wrote that, and return whether it was removed.

    DVC refuses to start while it is not whole. The cache of runs has what it named, so that no stage runs for it.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    if not path.is_file():
        return False
    try:
        COMPILED_LOCKFILE_SCHEMA(read_yaml(path))
    except (ParameterError, Invalid):
        path.unlink(missing_ok=True)
        return True
    return False


def remove_what_was_left(root: Path) -> None:
    """Remove the temporary files of stages that were killed, unless DVC is running a stage.

    A stage removes its own when it runs again; but DVC may restore its outputs from the cache instead of running it.
    """
    lock = root / ".dvc" / "tmp" / "rwlock"
    try:
        writers = read_json(lock).get("write", {}).values() if lock.is_file() else ()
    except SchemaError:  # DVC is writing it
        return
    if not any(_runs(writer["pid"]) for writer in writers):
        for stage in read_yaml(root / "dvc.yaml")["stages"].values():
            for out in outs_of(stage):
                remove_leftovers(root / out)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def summary(headline: dict[str, Any], verdict: dict[str, Any]) -> str:
    """Return the verdict, the main numbers and where to look."""
    lines = [f"\n{verdict['verdict']}: {verdict['sentence']}\n"]
    lines += [f"  {name:<34}{'unknown' if value is None else value}" for name, value in headline.items()]
    lines += ["\nwhere to look"] + [f"  {file:<34}{what}" for file, what in _LOOK]
    return "\n".join([*lines, f"  {'make ui':<34}all runs, compared", ""])


def main() -> None:
    """Run ``dvc repro`` with the arguments of the command line, and report."""
    for repair, name in ((repair_lock, ".dvc/tmp/rwlock"), (repair_record, "dvc.lock")):
        if repair(ROOT / name):
            sys.stdout.write(f"removed {name}, which a killed process left damaged\n")
            sys.stdout.flush()
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
    remove_what_was_left(ROOT)
    if len(sys.argv) == 1:
        sys.stdout.write(summary(read_json(ROOT / "reports/headline.json"), read_json(ROOT / "reports/verdict.json")))


if __name__ == "__main__":
    main()
