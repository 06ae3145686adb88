"""The DVC stages: each reads, calls the library once, and writes.

Compiled kernels are cached by the content of all of them: numba looks at the file of a kernel alone, and would run
an old version of a kernel that this one calls from another file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def _kernels_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted((_ROOT / "src" / "slackwater").rglob("*.py")):
        content = path.read_bytes()
        if b"njit" in content or path.name == "inputs.py":
            digest.update(path.name.encode() + content)
    return digest.hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(_ROOT / ".numba_cache" / _kernels_digest()))
