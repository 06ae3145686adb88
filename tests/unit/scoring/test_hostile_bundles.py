"""No damaged bundle loads, and none that somebody made to do harm: each is refused, at once, with BundleError.

A process of its own tries them all, since a bundle could end it; one that takes two seconds of processor time ends it
too. ``python -m tests.unit.scoring.test_hostile_bundles BUNDLE`` prints what became of each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slackwater.errors import BundleError
from tests.unit.models.test_model_text import edit_tree

FILES = ("SHA256SUMS", "direction.txt", "hit.txt", "manifest.json", "trade.txt")
Change = Callable[[Path], object]


def sums(root: Path) -> None:
    """Make the digests agree again."""
    from tests.unit.scoring.test_bundle import rewrite_sums

    rewrite_sums(root)


# -- damaged by accident ---------------------------------------------------------------------------------------


def flipped(name: str, share: float) -> Change:
    def change(root: Path) -> None:
        content = bytearray((root / name).read_bytes())
        content[min(int(share * len(content)), len(content) - 1)] ^= 1
        (root / name).write_bytes(content)

    return change


def cut(name: str, share: float) -> Change:
    def change(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: min(int(share * len(content)), len(content) - 1)])

    return change


def replaced(name: str, make: Callable[[Path], object]) -> Change:
    def change(root: Path) -> None:
        (root / name).unlink()
        make(root / name)

    return change


def edited(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda root: (root / name).write_bytes(change((root / name).read_bytes()))


def swapped(one: str, other: str) -> Change:
    def change(root: Path) -> None:
        content = (root / one).read_bytes()
        (root / one).write_bytes((root / other).read_bytes())
        (root / other).write_bytes(content)

    return change


DAMAGED: dict[str, Change] = {
    **{f"{name} flipped at {share}": flipped(name, share) for name in FILES for share in (0.0, 0.31, 0.5, 0.77, 1.0)},
    **{f"{name} cut at {share}": cut(name, share) for name in FILES for share in (0.0, 0.5, 1.0)},
    **{f"{name} with a byte more": edited(name, lambda text: text + b"\n") for name in FILES[1:]},
    **{f"{name} lost": lambda root, name=name: (root / name).unlink() for name in FILES},
    **{f"{name} renamed": lambda root, name=name: (root / name).rename(root / f"{name}.bak") for name in FILES},
    **{f"{name} is a directory": replaced(name, Path.mkdir) for name in FILES},
    **{f"{name} is a broken link": replaced(name, lambda path: path.symlink_to("nowhere")) for name in FILES},
    **{f"{name} is a pipe": replaced(name, os.mkfifo) for name in FILES},
    "models swapped": swapped("hit.txt", "trade.txt"),
    "manifest and model swapped": swapped("hit.txt", "manifest.json"),
    "digests swapped with a model": swapped("SHA256SUMS", "hit.txt"),
    "a line of digests lost": edited("SHA256SUMS", lambda text: text.split(b"\n", 1)[1]),
    "a line of digests twice": edited("SHA256SUMS", lambda text: text + text.split(b"\n", 1)[0] + b"\n"),
    "digests in capitals": edited("SHA256SUMS", bytes.upper),
    "digests with other ends of lines": edited("SHA256SUMS", lambda text: text.replace(b"\n", b"\r\n")),
    "digests with one blank": edited("SHA256SUMS", lambda text: text.replace(b"  ", b" ")),
    "a file beside": lambda root: (root / ".hidden").write_text("x"),
    "a directory beside": lambda root: (root / "more").mkdir(),
}


# -- made to do harm -------------------------------------------------------------------------------------------


def manifest(change: Callable[[dict[str, Any]], object]) -> Change:
    def edit(root: Path) -> None:
        content = json.loads((root / "manifest.json").read_text())
        change(content)
        (root / "manifest.json").write_text(json.dumps(content))

    return edit


def raw(text: Callable[[str], str]) -> Change:
    """Change the text of the manifest, which need not be JSON any more."""
    return lambda root: (root / "manifest.json").write_text(text((root / "manifest.json").read_text()))


def value(key: str, literal: str) -> Change:
    """Put a literal in the place of the data set."""
    return raw(lambda text: text.replace('"dataset": "small"', f'"{key}": {literal}', 1))


def section(*keys: str, **values: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for key in keys:
            content = content[key]
        content.update(values)

    return manifest(change)


def model(change: Callable[[str], str]) -> Change:
    return lambda root: (root / "hit.txt").write_text(change((root / "hit.txt").read_text()))


def entry(key: str, change: Callable[[list[str]], list[str]]) -> Change:
    """Change the numbers of one entry of the second tree."""

    def edit(block: str) -> str:
        lines = block.split("\n")
        for i, line in enumerate(lines):
            if line.startswith(f"{key}="):
                lines[i] = f"{key}=" + " ".join(change(line.removeprefix(f"{key}=").split(" ")))
        return "\n".join(lines)

    return model(lambda text: edit_tree(text, edit))


def header(key: str, new: str) -> Change:
    return model(
        lambda text: "\n".join(
            f"{key}={new}" if line.startswith(f"{key}=") and at < 20 else line
            for at, line in enumerate(text.split("\n"))
        )
    )


def first(new: str) -> Callable[[list[str]], list[str]]:
    return lambda numbers: [new, *numbers[1:]]


def chain(root: Path) -> None:
    """Write a model whose only tree is a chain of 20,000 splits."""
    n = 20_000
    text = (root / "hit.txt").read_text()
    head = text.split("\n\n", 1)[0].split("\n")
    entries = {
        "num_leaves": [n + 1],
        "num_cat": [0],
        "split_feature": [0] * n,
        "split_gain": [1] * n,
        "threshold": list(range(n)),
        "decision_type": [0] * n,
        "left_child": [*range(1, n), -n - 1],
        "right_child": [-i - 1 for i in range(n)],
        "leaf_value": [0.1] * (n + 1),
        "leaf_weight": [1] * (n + 1),
        "leaf_count": [1] * (n + 1),
        "internal_value": [0] * n,
        "internal_weight": [1] * n,
        "internal_count": [n + 1 - i for i in range(n)],
        "is_linear": [0],
        "shrinkage": [1],
    }
    block = "Tree=0\n" + "".join(f"{key}={' '.join(map(str, numbers))}\n" for key, numbers in entries.items()) + "\n\n"
    head[-1] = f"tree_sizes={len(block)}"
    end = text[text.index("end of trees") :]
    (root / "hit.txt").write_text("\n".join(head) + "\n\n" + block + end)


def sparse(name: str) -> Change:
    """Make a file of ten GB that takes no space."""
    return lambda root: os.truncate(root / name, 10**10)


MANY = ", ".join(f'"key{i}": 0' for i in range(60_000))

OF_TREES: dict[str, Change] = {
    "a tree that is a circle": entry("left_child", first("0")),
    "a tree that leads back": entry("right_child", lambda numbers: [*numbers[:-1], "0"]),
    "a child beyond the nodes": entry("left_child", first("99999")),
    "a child beyond all integers": entry("left_child", first("9" * 40)),
    "a leaf beyond the leaves": entry("left_child", first("-99999")),
    "two parents of one node": entry("right_child", lambda numbers: [numbers[-1]] * len(numbers)),
    "a column that is not there": entry("split_feature", first("100000")),
    "a column before the first": entry("split_feature", first("-1")),
    "a threshold that is not a number": entry("threshold", first("nan")),
    "a threshold in hexadecimal": entry("threshold", first("0x1p3")),
    "a leaf that is not a number": entry("leaf_value", first("nan")),
    "an infinite leaf": entry("leaf_value", first("-inf")),
    "an enormous leaf": entry("leaf_value", first("1e308")),
    "a leaf beyond a float": entry("leaf_value", first("1e999")),
    "a categorical split": entry("decision_type", first("1")),
    "an unknown split": entry("decision_type", first("255")),
    "more leaves than there are": entry("num_leaves", first("2147483647")),
    "less than no leaves": entry("num_leaves", first("-5")),
    "digits of another alphabet": entry("split_feature", first("１")),
    "a linear tree": entry("is_linear", first("1")),
    "no weight": entry("leaf_weight", first("-1")),
    "a count of no rows": entry("leaf_count", first("0")),
    "a chain of 20,000 splits": chain,
    "columns beyond memory": header("max_feature_idx", "1099511627776"),
    "trees of a negative size": header("tree_sizes", "-100"),
    "trees beyond the text": header("tree_sizes", "99999999999"),
    "no trees": header("tree_sizes", ""),
    "a million trees": header("tree_sizes", " ".join(["1"] * 1_000_000)),
    "another objective": header("objective", "regression"),
    "several classes": header("num_class", "1000000"),
    "an unknown entry": model(lambda text: text.replace("num_class=1\n", "num_class=1\nplugin=os.system\n", 1)),
    "a pickle for a model": lambda root: (root / "hit.txt").write_bytes(b"cposix\nsystem\n(S'true'\ntR."),
    "a model of 20 MB": model(lambda text: text + " " * 20_000_000),
    "a model of 10 GB": sparse("hit.txt"),
}

OF_MANIFESTS: dict[str, Change] = {
    "100,000 lists in lists": value("x", "[" * 100_000 + "]" * 100_000),
    "100,000 sections in sections": value("x", '{"a":' * 100_000 + "1" + "}" * 100_000),
    "40 lists in lists": value("x", "[" * 40 + "]" * 40),
    "a key twice": value("dataset", '"a", "dataset": "b"'),
    "a key twice among 60,000": value("x", "{" + MANY + ', "key59999": 1}'),
    "not a number": value("x", "NaN"),
    "infinity": value("x", "-Infinity"),
    "a number beyond a float": value("x", "1e999"),
    "an integer of 5,000 digits": value("x", "9" * 5_000),
    "an integer of 30 digits": value("x", "9" * 30),
    "half a character": value("dataset", '"\\ud800"'),
    "a terminal's command": value("dataset", '"\\u001b[2J"'),
    "a terminal's command as a key": value("\\u001b[2J", "1"),
    "marks of direction": value("dataset", '"a\\u202eb"'),
    "a manifest of 2 MB": value("x", '"' + "a" * 2_000_000 + '"'),
    "a manifest of 10 GB": sparse("manifest.json"),
    "not a section": lambda root: (root / "manifest.json").write_text("[]"),
    "another encoding": lambda root: (root / "manifest.json").write_bytes("{}".encode("utf-16")),
    **{
        f"format {version!r}": section(format=version)
        for version in (5, 1, 1.0, True, None, "", "1", "01.0", "0.9", "1.1", "2.0", "1.0.0", " 1.0", "１.0", [1, 0])
    },
    "a symbol twice": section(symbols=["BTCUSDT", "BTCUSDT"]),
    "a symbol of blanks": section(symbols=[" "]),
    "a file above": section("models", "hit", file="../hit.txt"),
    "an absolute file": section("models", "hit", file="/etc/passwd"),
    "the manifest as a model": section("models", "hit", file="manifest.json"),
    "the digests as a model": section("models", "hit", file="SHA256SUMS"),
    "one file for two models": lambda root: (
        section("models", "hit", file="trade.txt")(root),
        (root / "hit.txt").unlink(),
    ),
    "a reader that was not given": section("models", "hit", format="pickle"),
    "an enormous slope": section(
        "models",
        "hit",
        calibrator={
            "method": "sigmoid",
            "slope": 1e308,
            "intercept": -1e308,
            **dict.fromkeys(("slope_variance", "covariance", "intercept_variance"), 1e308),
        },
    ),
    "an unknown calibrator": section("models", "hit", calibrator={"method": "os.system"}),
    "no training range": section(training_range={}),
    "a training range upside down": manifest(
        lambda m: m["training_range"].update(lower=m["training_range"]["upper"], upper=m["training_range"]["lower"])
    ),
    "bars of a microsecond": section("market", bar_interval_us=1),
    "bars of ten years": section("market", bar_interval_us=315_360_000_000_000),
    "a decision a year later": section("market", decision_lag_us=31_536_000_000_000),
    "40,000 windows": section(
        "features", "families", price={"return_windows": [{"seconds": 3600 * n} for n in range(1, 40_000)]}
    ),
    "windows beyond memory": section("features", "families", liquidation_density={"bin_width": 1e-12}),
    "a family from a module": section("features", "families", extra=["os:system"]),
    "a family by a path": section("features", "families", extra=["../evil:Family"]),
    "a trigger that is not there": section("labels", triggers=["__class__"]),
    "a horizon backwards": section("labels", horizon={"seconds": -1}),
    "half of the equity at risk": section("trading", "rules", risk_fraction=0.5),
    "a hundredfold leverage": section("trading", "rules", max_leverage=100.0),
    "an unknown venue": section("trading", venue="__import__('os')"),
}

HOSTILE = OF_TREES | OF_MANIFESTS


def outcome(bundle: Path, change: Change, *, agree: bool) -> str:
    """Return "refused", or what else became of a bundle that was changed."""
    from slackwater.scoring.scorer import ReversalScorer

    with tempfile.TemporaryDirectory() as directory:
        root = shutil.copytree(bundle, Path(directory) / "scorer")
        change(root)
        if agree and max(path.stat().st_size for path in root.iterdir()) < 10**9:
            sums(root)
        signal.setitimer(signal.ITIMER_PROF, 2.0)  # unhandled, it ends the process
        try:
            ReversalScorer.load(root)
        except BundleError as error:
            return "refused" if str(error) and "\x1b" not in str(error) else f"badly worded: {error!r:.200}"
        except BaseException as error:
            return f"{type(error).__name__}: {error!s:.200}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
    return "loaded"


def main() -> None:
    bundle = Path(sys.argv[1])
    from slackwater.scoring.scorer import ReversalScorer

    ReversalScorer.load(bundle)  # what is imported and read once does not count
    for kind, changes in (("damaged", DAMAGED), ("hostile", HOSTILE)):
        for name, change in changes.items():
            sys.stdout.write(f"{kind}\t{name}\t")
            sys.stdout.flush()
            start = time.process_time()
            sys.stdout.write(f"{outcome(bundle, change, agree=kind == 'hostile')}\t{time.process_time() - start:.2f}\n")


def test_no_damaged_or_hostile_bundle_loads(small_bundle: Path) -> None:
    """Catches a bundle that loads with what nobody exported, waits for ever, or ends the process of who loads it."""
    command = [sys.executable, "-m", "tests.unit.scoring.test_hostile_bundles", str(small_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {lines[-1:]}: {done.stderr[-2000:]}"
    assert [line[:3] for line in lines if line[2] != "refused"] == []
    assert [line[0] for line in lines].count("damaged") >= 60
    assert [line[0] for line in lines].count("hostile") >= 40


if __name__ == "__main__":
    main()
