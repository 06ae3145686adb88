"""The DVC stages: each reads, calls the library once, and writes."""

import sys
from pathlib import Path

# The sources beside the stages run, and their digests are what is recorded: an environment that came with a copied
# checkout has the sources of the original installed.
_SOURCES = Path(__file__).resolve().parent.parent / "src"
if _SOURCES.is_dir() and sys.path[:1] != [str(_SOURCES)]:
    sys.path.insert(0, str(_SOURCES))
