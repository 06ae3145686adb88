"""The first compilation of the families, shared by a process per processor: numba itself uses one.

1. Without a cache of kernels, each process takes one family after the other and compiles it into its own directory.
2. What they made is moved into the cache. A kernel that two of them needed is taken from one.
3. The loop over all families finds them there (`slackwater.features.families.advance_families`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from numba import float64
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from slackwater.features.families import FAMILIES, advance_families
from slackwater.parallel import say

__all__ = ["compile_families"]

_SIGNATURE: Final = (float64[::1],) * 4
"""State, constants, row and outputs of one family, as the loop over all of them passes them."""


@cache
def compile_families() -> None:
    """Compile the families of the library in several processes, unless they are in the cache.

    What such a process cannot compile is left to this one, at the first call, where an error is seen.
    """
    loop: Any = advance_families
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if processors == 1 or not isinstance(loop, CPUDispatcher):  # NUMBA_DISABLE_JIT
        return
    with global_compiler_lock:  # other threads wait, and other processes that share the cache
        root = Path(os.environ["NUMBA_CACHE_DIR"])
        if list(Path(str(loop.stats.cache_path)).glob("families.advance_families-*.nbi")):
            return
        say("compiling the features, once per version: about half a minute")
        with tempfile.TemporaryDirectory(dir=root, prefix="compiling-") as made:
            own = [Path(made) / str(n) for n in range(min(processors, len(FAMILIES)))]
            running = [_started(directory) for directory in own]
            try:
                for each in running:
                    each.wait()
            finally:
                for each in running:
                    each.kill()
            for directory in own:
                _move(directory, root)


def _started(directory: Path) -> subprocess.Popen[bytes]:
    """Start a process that compiles families into a directory."""
    directory.mkdir()
    path = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(  # noqa: S603  (this module)
        [sys.executable, "-m", __name__, str(directory.parent)],
        env=os.environ | {"NUMBA_CACHE_DIR": str(directory), "PYTHONPATH": os.pathsep.join(path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _move(made: Path, root: Path) -> None:
    """Move kernels whose index the cache does not have: their code first, then the index that names it."""
    for index in sorted(made.rglob("*.nbi")):
        to = root / index.relative_to(made)
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.exists():
            continue
        for code in sorted(index.parent.glob(f"{index.stem}.*.nbc")):
            code.replace(to.with_name(code.name))
        index.replace(to)


def _compile(claims: Path) -> None:
    """Compile the families that no other process has taken."""
    for family in FAMILIES:
        try:
            (claims / family.name).touch(exist_ok=False)
        except FileExistsError:
            continue
        kernel: Any = family.advance
        kernel.compile(_SIGNATURE)


if __name__ == "__main__":
    _compile(Path(sys.argv[1]))
