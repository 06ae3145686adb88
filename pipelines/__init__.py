"""The DVC stages: each reads, calls the library once, and writes."""

import sys
from pathlib import Path
from types import TracebackType

# The sources beside the stages run, and their digests are what is recorded: an environment that came with a copied
# checkout has the sources of the original installed.
_SOURCES = Path(__file__).resolve().parent.parent / "src"
if sys.argv[:1] == ["-m"]:  # a stage starts: memory may not even suffice for its imports, outside of `_stage.run`

    def _in_one_sentence(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, MemoryError) or (issubclass(kind, ImportError) and "failed to map" in str(error)):
            sys.stderr.write(f"\nthe memory does not suffice to start ({error}): free some, or raise `ulimit -v`\n")
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = _in_one_sentence

if _SOURCES.is_dir() and sys.path[:1] != [str(_SOURCES)]:
    sys.path.insert(0, str(_SOURCES))
