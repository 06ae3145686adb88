"""Processes that share one cache of kernels compile one after the other."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from pipelines._closure import ROOT
from slackwater.parallel.compile_lock import CompileLock

COMPILING = """
import sys
from pathlib import Path
from numba.core.compiler_lock import global_compiler_lock
from slackwater.parallel.compile_lock import CompileLock
CompileLock(Path(sys.argv[1])).install()
with global_compiler_lock, global_compiler_lock:
    print("compiling", flush=True)
    sys.stdin.readline()
"""


def test_a_process_waits_until_another_has_compiled(tmp_path: Path) -> None:
    """Catches workers that overwrite each other's index of the cache, and then run the code of another signature."""
    path = tmp_path / "lock"
    command = [sys.executable, "-c", COMPILING, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "compiling\n"
        lock, held = CompileLock(path), threading.Event()

        def compile_here() -> None:
            lock.on_start(None)
            held.set()
            lock.on_end(None)

        here = threading.Thread(target=compile_here)
        here.start()
        waited = not held.wait(0.3)
        other.communicate("\n")
        here.join(timeout=30)
        assert waited
        assert held.is_set()
        assert other.returncode == 0
