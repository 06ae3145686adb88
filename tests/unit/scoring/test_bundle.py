"""A damaged, half-copied or foreign bundle does not load."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slackwater.errors import BundleError
from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.scoring.scorer import ReversalScorer
from tests.small_bundle import make_bundle


def rewrite_sums(root: Path) -> None:
    """Make the digests agree again, as somebody would who edits a bundle on purpose."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n"
        for p in sorted(root.iterdir())
        if p.name != "SHA256SUMS"
    ]
    (root / "SHA256SUMS").write_text("".join(lines))


def edit_manifest(root: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((root / "manifest.json").read_text())
    change(content)
    (root / "manifest.json").write_text(json.dumps(content))
    rewrite_sums(root)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link_out(root: Path) -> None:
    (root.parent / "outside.txt").write_text((root / "hit.txt").read_text())
    (root / "hit.txt").unlink()
    (root / "hit.txt").symlink_to(root.parent / "outside.txt")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no digests": (lambda r: (r / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
    "a lost model": (lambda r: (r / "hit.txt").unlink(), r"missing files \['hit.txt'\]"),
    "an extra file": (lambda r: (r / "model.pkl").write_bytes(b"x"), r"unknown files \['model.pkl'\]"),
    "a flipped byte": (lambda r: flip_a_byte(r / "direction.txt"), "direction.txt is damaged"),
    "a truncated model": (lambda r: (r / "hit.txt").write_text("tree\n"), "hit.txt is damaged"),
    "an edited manifest": (lambda r: flip_a_byte(r / "manifest.json"), "manifest.json is damaged"),
    "a link": (link_out, "is not a plain file"),
    "digests that name a path": (
        lambda r: (r / "SHA256SUMS").write_text("0" * 64 + "  ../../secret\n"),
        "cannot read the line",
    ),
    "digests that are no text": (lambda r: (r / "SHA256SUMS").write_bytes(b"\xff\xfe"), "is not text"),
    "another format": (lambda r: edit_manifest(r, lambda m: m.update(format=99)), "has format 99"),
    "no fingerprint": (lambda r: edit_manifest(r, lambda m: m["features"].update(fingerprint="0")), "other features"),
    "unknown features": (
        lambda r: edit_manifest(r, lambda m: m["features"]["model_features"].append("tomorrow")),
        "does not compute",
    ),
    "a model that is named and not there": (
        lambda r: edit_manifest(r, lambda m: m["models"]["hit"].update(file="../hit.txt")),
        "which is not in the bundle",
    ),
    "a missing section": (lambda r: edit_manifest(r, lambda m: m.pop("trading")), "`trading`: is missing"),
    "a model of another kind": (lambda r: ((r / "hit.txt").write_text("pickle"), rewrite_sums(r)), "model"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused(damage: str, small_bundle: Path, tmp_path: Path) -> None:
    root = shutil.copytree(small_bundle, tmp_path / "scorer")
    change, message = DAMAGE[damage]
    change(root)
    with pytest.raises(BundleError, match=message):
        ReversalScorer.load(root)


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a scoring bundle"):
        ReversalScorer.load(tmp_path / "nothing")


def test_the_same_inputs_give_the_same_bytes(small_bundle: Path, tmp_path: Path) -> None:
    """No clock, no host, no random seed may reach the bundle."""
    again = make_bundle(tmp_path / "again")
    assert Bundle.load(again).digest == Bundle.load(small_bundle).digest


def test_an_incomplete_manifest_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the manifest: `symbols`: is missing"):
        write_bundle(tmp_path / "x", {"dataset": "x"}, {})
    assert not (tmp_path / "x").exists()


def test_loading_a_bundle_imports_no_module_that_it_names(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a bundle from elsewhere can run the code of a module by naming a family of it."""
    root = tmp_path / "scorer"
    shutil.copytree(small_bundle, root)
    (tmp_path / "named_by_a_bundle.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    edit_manifest(root, lambda m: m["features"]["families"].update(extra=["named_by_a_bundle:MyFamily"]))
    with pytest.raises(BundleError, match="import named_by_a_bundle first"):
        ReversalScorer.load(root)
    assert "named_by_a_bundle" not in sys.modules
