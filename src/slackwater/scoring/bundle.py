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

from slackwater.errors import BundleError, ParameterError
from slackwater.numbers import brief
from slackwater.scoring.manifest import FORMAT, check_manifest, read_manifest, to_plain
from slackwater.storage import atomic_directory, sha256_of

__all__ = ["Bundle", "write_bundle"]

_MANIFEST: Final = "manifest.json"
_SUMS: Final = "SHA256SUMS"
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+)")
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_LARGEST_SUMS: Final = 2**16
_LARGEST_MANIFEST: Final = 2**20
_LARGEST_BUNDLE: Final = 2**24  # bytes of all files together: twenty times the default one, read in two seconds


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
    def load(cls, directory: str | Path, *, sha256: str | None = None) -> Bundle:
        """Read a bundle and check every file of it.

        Parameters
        ----------
        directory
            Directory of the bundle.
        sha256
            Digest that it must have, 64 hexadecimal digits; None: any.

        Raises
        ------
        ParameterError
            If `sha256` is not a digest.
        BundleError
            If the directory or a file is missing or too large, a file is not listed or listed twice, a digest differs,
            the manifest does not fit its schema (`slackwater.scoring.manifest`), or a name leads out of the directory.
        """
        if sha256 is not None and not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
            raise ParameterError(f"`sha256` must be the 64 hexadecimal digits of a digest, was {brief(sha256)}")
        root = Path(directory)
        sums = root / _SUMS
        if sums.is_symlink() or not sums.is_file():
            raise BundleError(
                f"{root} is not a scoring bundle: {_SUMS} is missing (copied in part?) or a link; `dvc repro` makes one"
            )
        listed = _content(sums, _LARGEST_SUMS)
        digest = hashlib.sha256(listed).hexdigest()
        if sha256 is not None and digest != sha256.lower():
            raise BundleError(f"{root} is not the bundle that was asked for: its digest is {digest}, not {sha256}")
        contents = _checked_contents(root, _listed(listed, sums))
        if _MANIFEST not in contents:
            raise BundleError(f"{root}: {_MANIFEST} is missing")
        try:
            manifest = read_manifest(contents.pop(_MANIFEST))
        except BundleError as error:
            raise BundleError(f"{root / _MANIFEST}: {error}") from error
        files = {name: model["file"] for name, model in manifest["models"].items()}
        if lost := [file for file in files.values() if file not in contents]:
            raise BundleError(f"{root}: the manifest names {brief(lost[0])}, which is not in the bundle")
        if unused := sorted(set(contents) - set(files.values())):
            raise BundleError(f"{root}: the manifest names no model in {unused}")
        return cls(manifest=manifest, models={name: contents[file] for name, file in files.items()}, digest=digest)


def _listed(content: bytes, sums: Path) -> dict[str, str]:
    """Return the digests that the list of a bundle names, by file."""
    expected: dict[str, str] = {}
    *lines, rest = _text(content, sums).split("\n")
    if rest:
        raise BundleError(f"{sums} is cut short: its last line does not end")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise BundleError(f"{sums}: cannot read the line {line[:80]!r}")
        if match[2] in expected:
            raise BundleError(f"{sums} names {match[2]} twice")
        expected[match[2]] = match[1]
    return expected


def _checked_contents(root: Path, expected: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of the files of a bundle by name; sizes and digests are checked before a text is read."""
    try:
        present = {path.name for path in root.iterdir() if path.name != _SUMS}
    except OSError as error:
        raise BundleError(f"{root} cannot be read: {error}") from error
    if present != set(expected):
        lost, unknown = sorted(set(expected) - present), sorted(present - set(expected))
        raise BundleError(f"{root}: missing files {lost[:9]}, unknown files {unknown[:9]}")
    contents: dict[str, str] = {}
    left = _LARGEST_BUNDLE
    for name, digest in expected.items():
        path = root / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path} is not a plain file")
        content = _content(path, min(left, _LARGEST_MANIFEST) if name == _MANIFEST else left)
        left -= len(content)
        if hashlib.sha256(content).hexdigest() != digest:
            raise BundleError(f"{path} is damaged: its sha256 is not the one in {_SUMS}")
        contents[name] = _text(content, path)
    return contents


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not text: {error}") from error


def _content(path: Path, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if len(content) > largest:
        raise BundleError(
            f"{path} is too large: it may have {largest:,} bytes (a bundle {_LARGEST_BUNDLE:,}, its manifest "
            f"{_LARGEST_MANIFEST:,})"
        )
    return content
