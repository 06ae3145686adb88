"""A damaged, half-copied or foreign bundle does not load."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slackwater.errors import BundleError, ParameterError
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


def link_sums(root: Path) -> None:
    (root / "SHA256SUMS").rename(root.parent / "sums")
    (root / "SHA256SUMS").symlink_to(root.parent / "sums")


def families(**parameters: dict) -> Callable[[dict], object]:
    return lambda manifest: manifest["features"]["families"].update(parameters)


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
    "digests behind a link": (link_sums, "is missing .* or a link"),
    "a file that is named twice": (
        lambda r: (r / "SHA256SUMS").write_text("0" * 64 + "  hit.txt\n" + (r / "SHA256SUMS").read_text()),
        "names hit.txt twice",
    ),
    "an end of training without a zone": (
        lambda r: edit_manifest(
            r, lambda m: m.update(training={"until": "2024-01-01", "embargo": {"seconds": 1}, "base_rates": {}})
        ),
        "`training.until`: .*must be a time with a time zone",
    ),
    "an end of training that is no time": (
        lambda r: edit_manifest(
            r, lambda m: m.update(training={"until": "then", "embargo": {"seconds": 1}, "base_rates": {}})
        ),
        "`training.until`",
    ),
    "a number for a section": (lambda r: edit_manifest(r, lambda m: m.update(labels=0)), "`labels`: .*was 0"),
    "a number for a model": (lambda r: edit_manifest(r, lambda m: m["models"].update(hit=0)), "`models.hit`: .*was 0"),
    "no bar interval": (
        lambda r: edit_manifest(r, lambda m: m["market"].pop("bar_interval_us")),
        "`market.bar_interval_us`: is missing",
    ),
    "a time in text": (
        lambda r: edit_manifest(r, lambda m: m["market"].update(staleness_us={"funding": "9h"})),
        "`market.staleness_us.funding`: .*was '9h'",
    ),
    "a truth in text": (
        lambda r: edit_manifest(r, lambda m: m.update(synthetic="false")),
        "`synthetic`: .*was 'false'",
    ),
    "a negative cap": (
        lambda r: edit_manifest(r, lambda m: m["market"].update(liquidation_cap_us=-1)),
        "`market.liquidation_cap_us`",
    ),
    "no fingerprint of text": (
        lambda r: edit_manifest(r, lambda m: m["features"].update(fingerprint=None)),
        "`features.fingerprint`: .*was None",
    ),
    "a verdict without a sentence": (lambda r: edit_manifest(r, lambda m: m.update(verdict={})), "`verdict.verdict`"),
    "a duration beyond all": (
        lambda r: edit_manifest(r, lambda m: m["labels"].update(horizon={"seconds": 1e300})),
        r"`labels.horizon.seconds`: .*was 1e\+300",
    ),
    "a window of ten thousand years": (
        lambda r: edit_manifest(r, families(price={"return_windows": [{"seconds": 3e11}]})),
        "a duration must be at most 3660 days",
    ),
    "bins too narrow for any memory": (
        lambda r: edit_manifest(r, families(liquidation_density={"bin_width": 1e-12})),
        "slots of state per symbol, the most are 134,217,728",
    ),
    "a setting of another type": (
        lambda r: edit_manifest(r, lambda m: m["trading"]["entry"].update(complete_features=0)),
        "`complete_features` must be true or false, was 0",
    ),
    "a setting that does not exist": (
        lambda r: edit_manifest(r, lambda m: m["trading"]["entry"].update(probability_treshold=0.5)),
        "entry: there is no setting `probability_treshold`; did you mean `probability_threshold`",
    ),
    "not a number": (
        lambda r: ((r / "manifest.json").write_text('{"format": "1.0", "dataset": NaN}'), rewrite_sums(r)),
        "contains NaN",
    ),
    "a key twice": (
        lambda r: (
            (r / "manifest.json").write_text('{"format": "1.0", "dataset": "a", "dataset": "b"}'),
            rewrite_sums(r),
        ),
        "names 'dataset' twice",
    ),
    "lists in lists": (
        lambda r: (
            (r / "manifest.json").write_text('{"format": "1.0", "hashes": ' + "[" * 900 + "]" * 900 + "}"),
            rewrite_sums(r),
        ),
        "is nested more than 30 deep",
    ),
    "a terminal's command": (
        lambda r: edit_manifest(r, lambda m: m["verdict"].update(sentence="fine \x1b[2J")),
        r"`verdict.sentence`: must be a text without control characters, was 'fine \\x1b",
    ),
    "a model under another name": (
        lambda r: edit_manifest(r, lambda m: m["models"]["hit"]["target"].update(name="direction")),
        "the model 'hit' of the bundle is of another target",
    ),
    "a model of other columns": (
        lambda r: (
            (r / "hit.txt").write_text((r / "hit.txt").read_text().replace(" atr_1h ", " atr_2h ")),
            rewrite_sums(r),
        ),
        "the model 'hit' of the bundle was not trained on the columns",
    ),
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


def test_a_digest_pins_the_bundle(small_bundle: Path, tmp_path: Path) -> None:
    """Catches another bundle, whole and in order, that stands where the one was that somebody has looked at."""
    digest = Bundle.load(small_bundle).digest
    assert ReversalScorer.load(small_bundle, sha256=digest.upper()).digest == digest
    root = shutil.copytree(small_bundle, tmp_path / "scorer")
    edit_manifest(root, lambda m: m["verdict"].update(verdict="eligible"))
    assert ReversalScorer.load(root).manifest["verdict"]["verdict"] == "eligible"
    with pytest.raises(BundleError, match=f"is not the bundle that was asked for: .* not {digest}"):
        ReversalScorer.load(root, sha256=digest)
    (root / "manifest.json").write_text("spoilt, and not read")
    with pytest.raises(BundleError, match="asked for"):
        ReversalScorer.load(root, sha256=digest)
    for wrong in ("", digest[:-1], "z" * 64, 7):
        with pytest.raises(ParameterError, match="`sha256` must be the 64 hexadecimal digits"):
            ReversalScorer.load(small_bundle, sha256=wrong)


def test_a_later_minor_version_reads_an_earlier_one(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slackwater.scoring.manifest.FORMAT", "1.7")
    assert Bundle.load(small_bundle).manifest["format"] == "1.0"
    monkeypatch.setattr("slackwater.scoring.manifest.FORMAT", "2.0")
    with pytest.raises(BundleError, match=r"has format 1.0, this version reads 2.x"):
        Bundle.load(small_bundle)


def test_an_incomplete_manifest_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the manifest: `symbols`: is missing"):
        write_bundle(tmp_path / "x", {"dataset": "x"}, {})
    assert not (tmp_path / "x").exists()


ENTRIES = (
    "leaf_weight",
    "leaf_count",
    "split_gain",
    "internal_value",
    "internal_weight",
    "internal_count",
    "shrinkage",
)
HOSTILE = ("", "1", "1 2 3", "x", "nan", "1e999", "9" * 30, "-1 -1 -1 -1 -1 -1 -1 -1", "0 0 0 0 0 0 0", "1 " * 100_000)


def test_no_text_of_a_model_ends_the_interpreter(small_bundle: Path, tmp_path: Path) -> None:
    """LightGBM aborts the process on a text that does not hold together; a process of its own tries all of them."""
    script = """
import sys
from pathlib import Path
import numpy as np
import slackwater as sw
from tests.unit.scoring.test_bundle import ENTRIES, HOSTILE, rewrite_sums
from tests.unit.models.test_model_text import edit_tree
from tests.small_bundle import market
root = Path(sys.argv[1])
text = (root / "direction.txt").read_text()
scores = sw.ReversalScorer.load(root).score(market())
event = scores[scores["direction"] != 0].iloc[-1]
for key in (*ENTRIES, "feature_infos", "monotone_constraints"):
    for value in HOSTILE:
        def change(block):
            lines = block.split("\\n")
            return "\\n".join(f"{key}={value}" if line.startswith(key + "=") else line for line in lines)
        spoilt = text.replace("feature_infos=", f"{key}={value}\\nfeature_infos=", 1)
        if key in ENTRIES:
            spoilt = edit_tree(text, change, tree=0)
        (root / "direction.txt").write_text(spoilt)
        rewrite_sums(root)
        try:
            table = sw.ReversalScorer.load(root).explain(event)
            assert np.isfinite(table["contribution"]).all(), (key, value[:40])
        except sw.BundleError as error:
            pass
print("alive")
"""
    root = shutil.copytree(small_bundle, tmp_path / "scorer")
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]


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
