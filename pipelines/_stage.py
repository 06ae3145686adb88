"""Parameters, messages and exit status: shared by every stage."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipelines._closure import ROOT, extra_family_files
from pipelines._watch import AGAIN, ENOUGH_MEMORY, is_short_of_memory
from slackwater.config import Params, load_params, place_of
from slackwater.errors import ParameterError, SlackwaterError
from slackwater.interrupts import interrupt_between_compilations
from slackwater.parallel import TASK_NOTE, TimeLeft, use_workers
from slackwater.storage import remove_leftovers

EFFECTIVE = "reports/effective_params.yaml"
"""What the stage `configure` writes, and what all others declare their parameters of."""


class Stage:
    """Parameters that a stage declares in ``dvc.yaml``, and its messages.

    Reading a key that the stage does not declare is an error: DVC would not notice when it changes. So is a family in
    ``features.extra`` whose file is not among the deps.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._params: Params = load_params()
        with open("dvc.yaml", encoding="utf-8") as file:
            declared = yaml.safe_load(file)["stages"][name]
        rows = [row for each in declared.get("params", []) for row in each[EFFECTIVE]]
        self._declared = _by_section(rows) if rows else dict.fromkeys(Params.model_fields)
        self.purpose: str = declared["desc"]
        self.outs = outs_of(declared)
        if "features" in self._declared and rows:
            _require_extra_families({ROOT / str(dep) for dep in declared["deps"]})

    def __getattr__(self, section: str) -> Any:
        """Return a section of the effective parameters that the stage declares, or those of its keys that it does."""
        if section not in type(self._params).model_fields:
            raise AttributeError(section)
        if section not in self._declared:
            raise ParameterError(f"stage {self.name} reads `{section}` but does not declare it in dvc.yaml")
        whole, keys = getattr(self._params, section), self._declared[section]
        return whole if keys is None else _Declared(whole, f"stage {self.name}", section, keys)

    def require_known_triggers(self) -> None:
        """Refuse names in `labels` that are not those of triggers.

        The first stages call this and `require_families`, before anything long. They import by name and not by a
        statement: no output depends on the outcome, and as a dep every edit of a kernel would run them again.
        """
        import_module("pipelines._families").require_known_triggers(self._params)

    def require_families(self, tables: Collection[str]) -> None:
        """Refuse families and triggers that a later stage could not run on the tables of some names; say which rest."""
        for sentence in import_module("pipelines._families").require_families(self._params, tables):
            self.say(sentence)

    def params(self) -> Params:
        """Return all sections, for a stage that declares all of them."""
        undeclared = sorted(name for name in Params.model_fields if self._declared.get(name, ()) is not None)
        if undeclared:
            raise ParameterError(f"stage {self.name} reads {undeclared} but does not declare them in dvc.yaml")
        return self._params

    @property
    def for_checks(self) -> Params:
        """All parameters, declared or not: what a stage writes must not depend on them."""
        return self._params

    @property
    def entry(self) -> str:
        """Where the keys of the data set's entry stand, for messages."""
        return place_of(self._params.dataset.name)

    def say(self, message: str) -> None:
        """Write a line of progress to standard output."""
        sys.stdout.write(f"{self.name}: {message}\n")
        sys.stdout.flush()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a callback (done, total) that writes a line at every tenth of the total."""
        told, left = 0, TimeLeft()

        def report(done: int, total: int) -> None:
            nonlocal told
            if done == total or done * 10 // total > told:
                self.say(f"{done:,} of {total:,} {what}, {left.after(done, total)}")
            told = done * 10 // total

        return report


class _Declared:
    """Those keys of a section that a stage declares."""

    def __init__(self, whole: Any, stage: str, section: str, keys: frozenset[str]) -> None:
        self._whole, self._stage, self._section, self._keys = whole, stage, section, keys

    def __getattr__(self, key: str) -> Any:
        """Return the value of a declared key; a property such as `synthetic` needs the keys that it is made of."""
        of = getattr(type(self._whole), "READS", {}).get(key, (key,))
        undeclared = sorted(set(of) - self._keys)
        if undeclared:
            names = ", ".join(f"`{self._section}.{name}`" for name in undeclared)
            raise ParameterError(f"{self._stage} reads {names} but does not declare it in dvc.yaml")
        return getattr(self._whole, key)

    def model_dump(self) -> dict[str, Any]:
        """Return the declared keys with their values."""
        return dict(self._whole.model_dump(include=set(self._keys)))


def outs_of(declared: Mapping[str, Any]) -> list[str]:
    """Return the paths that a stage writes, from its section of ``dvc.yaml``."""
    outs = [*declared.get("outs", []), *declared.get("metrics", [])]
    return [next(iter(out)) if isinstance(out, dict) else str(out) for out in outs]


def _by_section(rows: Iterable[str]) -> dict[str, frozenset[str] | None]:
    """Return the declared keys of each section; None is all of them."""
    declared: dict[str, frozenset[str] | None] = {}
    for row in rows:
        section, _, key = str(row).partition(".")
        known = declared.get(section, frozenset())
        declared[section] = known | {key} if key and known is not None else None
    return declared


def _require_extra_families(deps: set[Path]) -> None:
    absent = [path for path in sorted(extra_family_files()) if deps.isdisjoint({path, *path.parents})]
    if absent:
        names = ", ".join(path.relative_to(ROOT).as_posix() for path in absent)
        raise ParameterError(f"dvc.yaml does not list {names}, which `features.extra` names: run `make deps`")


def run(name: str, main: Callable[[Stage], None]) -> None:
    """Run a stage; what the user or the machine can be the cause of becomes one message and exit status 1."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    interrupt_between_compilations()
    stage = None
    try:
        stage = Stage(name)
        for out in stage.outs:  # DVC lets one process run a stage, so nobody is writing them
            remove_leftovers(out)
        stage.say(stage.purpose)
        _announce_compilation(stage)
        with use_workers(None, tell=stage.say):
            main(stage)
    except SlackwaterError as error:
        message = f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        message = "it was interrupted; `dvc repro` continues with this stage"
    except Exception as error:
        found = _of_the_machine(error)
        if found is None:
            _record_failure(stage, f"{type(error).__name__}: {error}")
            raise
        tasks = [note for note in getattr(error, "__notes__", ()) if note.startswith(TASK_NOTE)]
        message = f"{', '.join([found, *tasks])}; {AGAIN}"
    else:
        return
    sys.stderr.write(f"\n{name} failed: {message}\n")
    _record_failure(stage, message)
    raise SystemExit(1)


def _record_failure(stage: Stage | None, reason: str) -> None:
    """Record the queued experiment that a stage ends as a failed trial; refused parameters (no stage) are none.

    Imported by name, as in `Stage.require_known_triggers`: no output depends on it.
    """
    if stage is None:
        return
    try:
        import_module("pipelines._queue").record_failure(stage.for_checks, f"{stage.name}: {reason}")
    except (OSError, SlackwaterError) as error:
        sys.stderr.write(f"{stage.name}: the failed experiment is not in trials.jsonl ({error})\n")


def _announce_compilation(stage: Stage) -> None:
    """Write one line when numba first compiles a kernel instead of loading it from its cache: it takes minutes."""
    if "numba" not in sys.modules:
        return
    from numba.core import event

    class Announcement(event.Listener):
        made = False

        def on_start(self, _: Any) -> None:
            if not self.made:
                self.made = True
                stage.say("compiling kernels, for a minute or two; those of the library once per checkout and version")

        def on_end(self, _: Any) -> None:
            pass

    event.register("numba:compile", Announcement())  # type: ignore[no-untyped-call]


_DO = {
    errno.ENOSPC: "the disk is full: free space",
    errno.EDQUOT: "the quota of the disk is used up: free space",
    errno.EFBIG: "a file may not grow that large here: raise the limit (`ulimit -f`)",
    errno.EROFS: "the file system can only be read: make it writable",
    errno.EACCES: "permission denied: make the directory and its files writable",
    errno.EPERM: "permission denied: make the directory and its files writable",
    errno.EMFILE: "too many files are open: raise the limit (`ulimit -n`)",
    errno.ENOMEM: f"the memory is used up: {ENOUGH_MEMORY}",
    errno.EIO: "the disk cannot be read or written: check it",
}


_OUT_OF_MEMORY = (
    *("bad_alloc", "out of memory", "annot allocate memory", "malloc of size", "failed to map"),
    "can't start new thread",
)


def _of_the_machine(error: BaseException | None) -> str | None:
    """Return what to do about an error of the disk or of the memory, also of one inside of another; None for others."""
    for each in _chain(error):
        text = " ".join(str(each).split())
        out_of_memory = any(words in text for words in _OUT_OF_MEMORY)
        if isinstance(each, MemoryError) or out_of_memory:
            return _DO[errno.ENOMEM]
        if isinstance(each, OSError):
            where = f" ({each.filename})" if each.filename else ""
            told = re.search(r"[Ee]rrno (\d+)", text)  # pyarrow gives the number in the text only
            number = each.errno or (int(told[1]) if told else 0)
            return _DO.get(number, f"{each.strerror or text}: make sure that it can be read and written") + where
    if error is not None and is_short_of_memory():
        return f"{_DO[errno.ENOMEM]} (the error was {type(error).__name__}: {' '.join(str(error).split())})"
    return None


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return an error and those that led to it: its cause, and what was being handled when it was raised.

    A library that runs out of memory while it writes its own message raises from one error while it handles another.
    """
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if each is not None and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return found
