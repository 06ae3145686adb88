"""The DVC stages: each reads, calls the library once, and writes."""

import sys
from pathlib import Path

from pipelines._watch import watch

# The sources beside the stages run, and their digests are what is recorded: an environment that came with a copied
# checkout has the sources of the original installed.
_SOURCES = Path(__file__).resolve().parent.parent / "src"
if _SOURCES.is_dir() and sys.path[:1] != [str(_SOURCES)]:
    sys.path.insert(0, str(_SOURCES))

# `python -m pipelines.…` starts, and has imported nothing else yet.
if sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv:
    _package, _, _name = sys.orig_argv[sys.orig_argv.index("-m") + 1].partition(".")
    if _package == __name__ and not _name.startswith("_"):
        watch(_name)
