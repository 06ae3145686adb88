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
from pathlib import Path
from typing import Any, Final

from slackwater.errors import BundleError
from slackwater.numbers import brief
from slackwater.scoring.manifest import FORMAT, check_manifest, read_manifest, to_plain
from slackwater.storage import atomic_directory, sha256_of

__all__ = ["Bundle", "write_bundle"]

_MANIFEST: Final = "manifest.json"
_SUMS: Final = "SHA256SUMS"
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+)")
_LARGEST_FILE: Final = 2**30


def write_bundle(directory: str | Path, manifest: Mapping[str, Any], models: Mapping[str, str]) -> None:
    """Write a bundle; it appears whole or not at all.

    Parameters
    ----------
    directory
        Directory of the bundle; one that exists is replaced.
    manifest
        Values fit for `slackwater.scoring.manifest.to_plain`, with all required keys.
    models
        Texts of the models by name.

    Raises
    ------
    BundleError
        If the manifest lacks a key, or holds what `Bundle.load` would refuse.
    """
    plain = {**to_plain(manifest), "format": FORMAT}
    check_manifest(plain)
    with atomic_directory(directory) as root:
        for name, text in models.items():
            (root / f"{name}.txt").write_text(text, encoding="utf-8")
        content = json.dumps(plain, indent=2, sort_keys=True, allow_nan=False)
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
            If the directory or a file is missing, a file is not listed or listed twice, a digest differs, the
            manifest does not fit its schema (`slackwater.scoring.manifest`), or a name leads out of the directory.
        """
        root = Path(directory)
        sums = root / _SUMS
        if sums.is_symlink() or not sums.is_file():
            raise BundleError(
                f"{root} is not a scoring bundle: {_SUMS} is missing (copied in part?) or a link; `dvc repro` makes one"
            )
        listed = _content(sums)
        expected: dict[str, str] = {}
        for line in _text(listed, sums).splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                raise BundleError(f"{sums}: cannot read the line {line[:80]!r}")
            if match[2] in expected:
                raise BundleError(f"{sums} names {match[2]} twice")
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
            content = _content(path)
            if hashlib.sha256(content).hexdigest() != digest:
                raise BundleError(f"{path} is damaged: its sha256 is not the one in {_SUMS}")
            contents[name] = _text(content, path)
        if _MANIFEST not in contents:
            raise BundleError(f"{root}: {_MANIFEST} is missing")
        try:
            manifest = read_manifest(contents.pop(_MANIFEST))
        except BundleError as error:
            raise BundleError(f"{root / _MANIFEST}: {error}") from error
        models = {}
        for name, model in manifest["models"].items():
            if model["file"] not in contents:
                raise BundleError(f"{root}: the manifest names {brief(model['file'])}, which is not in the bundle")
            models[name] = contents[model["file"]]
        if unused := sorted(set(contents) - {model["file"] for model in manifest["models"].values()}):
            raise BundleError(f"{root}: the manifest names no model in {unused}")
        return cls(manifest=manifest, models=models, digest=hashlib.sha256(listed).hexdigest())


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not text: {error}") from error


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BundleError(f"{path} is larger than {_LARGEST_FILE:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
