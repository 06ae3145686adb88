"""The scoring bundle on disk: text models, one JSON manifest, and the digest of every file; no pickle.

::

    models/scorer/
      manifest.json    data, settings, calibrators, verdict and hashes
      direction.txt    one text per model (`slackwater.models.targets.Model.to_text`)
      hit.txt
      trade.txt
      SHA256SUMS       written last: in a bundle that was copied in part it is missing or does not agree
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from slackwater.errors import BundleError
from slackwater.storage import atomic_directory, sha256_of

__all__ = ["Bundle", "from_plain", "to_plain", "write_bundle"]

FORMAT: Final = 3
_MANIFEST: Final = "manifest.json"
_SUMS: Final = "SHA256SUMS"
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+)")
_REQUIRED: Final = (
    "dataset",
    "synthetic",
    "verdict",
    "market",
    "features",
    "labels",
    "models",
    "training_range",
    "trading",
    "hashes",
)


def to_plain(value: Any) -> Any:
    """Return a value in types of JSON; a duration becomes ``{"seconds": n}``."""
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(value: Any) -> Any:
    """Undo `to_plain`; lists become tuples.

    Examples
    --------
    >>> from_plain(to_plain({"windows": (timedelta(hours=1),)}))
    {'windows': (datetime.timedelta(seconds=3600),)}
    """
    if isinstance(value, dict):
        if set(value) == {"seconds"} and isinstance(value["seconds"], (int, float)):
            return timedelta(seconds=value["seconds"])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_plain(item) for item in value)
    return value


def write_bundle(directory: str | Path, manifest: Mapping[str, Any], models: Mapping[str, str]) -> None:
    """Write a bundle; it appears whole or not at all.

    Parameters
    ----------
    directory
        Directory of the bundle; one that exists is replaced.
    manifest
        Values fit for `to_plain`, with all required keys.
    models
        Texts of the models by name.

    Raises
    ------
    BundleError
        If the manifest lacks a key.
    """
    missing = [key for key in _REQUIRED if key not in manifest]
    if missing:
        raise BundleError(f"the manifest lacks {missing}")
    with atomic_directory(directory) as root:
        for name, text in models.items():
            (root / f"{name}.txt").write_text(text, encoding="utf-8")
        content = json.dumps({"format": FORMAT, **to_plain(manifest)}, indent=2, sort_keys=True, allow_nan=False)
        (root / _MANIFEST).write_text(content + "\n", encoding="utf-8")
        lines = [f"{sha256_of(path)}  {path.name}\n" for path in sorted(root.iterdir())]
        (root / _SUMS).write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read and whose digests agree.

    Parameters
    ----------
    manifest
        The manifest, with durations as `timedelta`.
    models
        Texts of the models by name.
    digest
        Sha256 of ``SHA256SUMS``: two bundles with one digest are the same to the last byte.
    """

    manifest: dict[str, Any]
    models: dict[str, str]
    digest: str

    @classmethod
    def load(cls, directory: str | Path) -> Bundle:
        """Read a bundle and check every file of it.

        Raises
        ------
        BundleError
            If the directory or a file is missing, a file is not listed, a digest differs, the manifest is not
            of this version, or a name leads out of the directory.
        """
        root = Path(directory)
        sums = root / _SUMS
        if not sums.is_file():
            raise BundleError(
                f"{root} is not a scoring bundle: {_SUMS} is missing (copied in part?); `dvc repro` makes one"
            )
        expected: dict[str, str] = {}
        for line in _text(sums.read_bytes(), sums).splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                raise BundleError(f"{sums}: cannot read the line {line[:80]!r}")
            expected[match[2]] = match[1]
        present = {path.name for path in root.iterdir() if path.name != _SUMS}
        if present != set(expected):
            lost, unknown = sorted(set(expected) - present), sorted(present - set(expected))
            raise BundleError(f"{root}: missing files {lost}, unknown files {unknown}")
        contents: dict[str, str] = {}
        for name, digest in expected.items():
            path = root / name
            if path.is_symlink() or not path.is_file():
                raise BundleError(f"{path} is not a plain file")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise BundleError(f"{path} is damaged: its sha256 is not the one in {_SUMS}")
            contents[name] = _text(content, path)
        manifest = _manifest(contents.pop(_MANIFEST, None), root)
        models = {}
        for name, model in manifest["models"].items():
            if model.get("file") not in contents:
                raise BundleError(f"{root}: the manifest names {model.get('file')!r}, which is not in the bundle")
            models[name] = contents[model["file"]]
        return cls(manifest=manifest, models=models, digest=sha256_of(sums))


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not text: {error}") from error


def _manifest(text: str | None, root: Path) -> dict[str, Any]:
    if text is None:
        raise BundleError(f"{root}: {_MANIFEST} is missing")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{root / _MANIFEST} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise BundleError(f"{root}: the bundle has format {found!r}, this version reads {FORMAT}")
    missing = [key for key in _REQUIRED if key not in content]
    if missing:
        raise BundleError(f"{root / _MANIFEST}: missing {missing}")
    manifest: dict[str, Any] = from_plain(content)
    return manifest
