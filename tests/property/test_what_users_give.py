"""Whatever a user gives is read as it was meant, repaired, or refused by name: no bare error, no silent change.

Each campaign draws mutations from a seed. The suite runs a few of them; run this file with more as
``python -m tests.property.test_what_users_give 2000``.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from slackwater.errors import DefectWarning, UniverseWarning
from slackwater.market.inputs import INPUT_TABLES, INPUTS
from slackwater.market.schemas import SCHEMAS
from slackwater.market.stream import FrameStream
from slackwater.trading.score import CONTEXT, Score
from tests.mutations.of_values import EXACT, HOSTILE, TABLE, any_of, spoil_arrays, spoil_bytes, spoil_json
from tests.small_bundle import BAR, SPEC, make_bundle, market

pytestmark = pytest.mark.filterwarnings(
    "ignore::slackwater.errors.UniverseWarning", "ignore::slackwater.errors.DefectWarning"
)

Rng = np.random.Generator
TABLES = {name: t for name, t in market(days=12).items() if name in INPUT_TABLES}
ROWS = {name: t[t["symbol"] == "BTCUSDT"].iloc[0].to_dict() for name, t in TABLES.items()}


class Lab:
    """A scorer, and the right answers to what is then spoilt."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.scorer = sw.ReversalScorer.load(bundle)
        self.scores = self.scorer.score(TABLES)
        self.warmed = self.warm(TABLES)
        frame, _ = self.scorer.frame(TABLES)
        row = frame.table[frame.table["symbol"] == "BTCUSDT"].iloc[-1]
        self.row = {"symbol": "BTCUSDT"} | {name: float(row[name]) for name in INPUTS}
        self.row["event_time"] = row["event_time"] + 2 * BAR
        self.event = self._event()
        self.account = sw.Account(equity=1e6)

    def warm(self, tables: Any) -> dict[str, Any]:
        stream = self.scorer.stream("BTCUSDT")
        stream.warm(tables)
        return stream.save_state()

    def _event(self) -> Score:
        prices = dict.fromkeys(CONTEXT, 0.02) | {"close": 100.0, "volume_24h": 1e9}
        prices |= {"depth_bid_1pct": 1e6, "depth_ask_1pct": 1e6, "trend_efficiency_72h": 0.1}
        of_models = {"p_direction": 0.6, "p_hit": 0.5, "trade_edge": 1.0, "trade_edge_low": 0.9}
        row = self.scores.iloc[-1].to_dict() | prices | of_models
        return Score.from_row(
            row | {"direction": 1, "missing_features": (), "out_of_range_features": (), "triggers": ()}
        )


@pytest.fixture(scope="module")
def lab(small_bundle: Path) -> Lab:
    return Lab(small_bundle)


def same_arrays(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(
        np.asarray(one[k]).tobytes() == np.asarray(other[k]).tobytes() for k in one
    )


def attempt(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return "taken" with the result, or the name of one of our errors; any other error is a failure of the test."""
    try:
        return "taken", call()
    except sw.SlackwaterError as error:
        refused = error
    assert str(refused), "an error must say something"
    assert "\x1b" not in str(refused), "a message must not reach the terminal as a command"
    return type(refused).__name__, refused


def may_be_missing(name: str, table: pd.DataFrame) -> bool:
    """Return whether only columns lack values that may, such as the quantity of a liquidation in a feed that failed."""
    return (
        not table[[c.name for c in SCHEMAS[name].columns if c.name in table and not c.nullable]].isna().any(axis=None)
    )


def tables(lab: Lab, rng: Rng, *, through: str) -> str:
    """Spoil one table; `score` and `warm` must come to the same."""
    name, what = any_of(rng, TABLES), any_of(rng, TABLE)
    outcome, spoil = TABLE[what]
    given = TABLES | {name: spoil(rng, TABLES[name].copy())}
    call: Callable[[], Any] = (lambda: lab.scorer.score(given)) if through == "score" else (lambda: lab.warm(given))
    answer, result = attempt(call)
    if outcome == "refused" and not (what == "missing" and may_be_missing(name, given[name])):
        assert answer != "taken", f"{what} of {name} was taken"
    if outcome == "equal":
        assert answer == "taken", f"{what} of {name}: {result}"
        if through == "score":
            pd.testing.assert_frame_equal(result, lab.scores)
        else:
            assert same_arrays(result, lab.warmed), f"{what} of {name} gave another state"
    return answer


def pushed(lab: Lab, rng: Rng) -> str:
    """Spoil one value of a row that arrives; a refused row leaves no trace."""
    table = any_of(rng, ROWS)
    row = dict(ROWS[table])
    name = any_of(rng, row)
    sound = FrameStream(SPEC)
    sound.push(table, row)
    exact = isinstance(row[name], float) and rng.random() < 0.4
    given: Any = row | {name: any_of(rng, EXACT)(row[name]) if exact else any_of(rng, HOSTILE)}
    if not exact and rng.random() < 0.2:
        given = any_of(rng, (None, [], list(row.values()), "row", 7, {}, {7: 1}, row | {None: 1}, pd.Series(row)))
    live = FrameStream(SPEC)
    empty = live.save_state()
    answer, _ = attempt(lambda: live.push(table, given))
    if answer != "taken":
        assert same_arrays(live.save_state(), empty), f"{table}.{name}: a refused row left a trace"
        assert not exact, f"{table}.{name}: {given[name]!r} is exact"
    elif exact:
        assert same_arrays(live.save_state(), sound.save_state()), f"{table}.{name}: {given[name]!r}"
    return answer


def updated(lab: Lab, rng: Rng) -> str:
    """Spoil one value of a live row; a refused row leaves the state as it was."""
    stream, sound = lab.scorer.stream("BTCUSDT"), lab.scorer.stream("BTCUSDT")
    for each in (stream, sound):
        each.load_state(lab.warmed)
    name = any_of(rng, lab.row)
    exact = isinstance(lab.row[name], float) and math.isfinite(lab.row[name]) and rng.random() < 0.4
    given: Any = lab.row | {name: any_of(rng, EXACT)(lab.row[name]) if exact else any_of(rng, HOSTILE)}
    if not exact and rng.random() < 0.2:
        given = any_of(rng, (None, [], "row", 7, {}, {7: 1}, lab.row | {None: 1}, lab.row | {"oi": 1}))
    answer, result = attempt(lambda: stream.update(given))
    if answer != "taken":
        assert same_arrays(stream.save_state(), lab.warmed), f"{name}: a refused row left a trace"
        assert not exact, f"{name}: {given[name]!r} is exact"
    elif exact:
        np.testing.assert_array_equal(result.features, sound.update(lab.row).features)
    return answer


def gated(lab: Lab, rng: Rng) -> str:
    """Spoil one thing that a decision is made on."""
    position = {
        "symbol": "ETHUSDT",
        "side": 1,
        "quantity": 1.0,
        "entry": 9.0,
        "mark": 9.5,
        "leverage": 2.0,
        "risk_usd": 1.0,
    }
    value, of = any_of(rng, HOSTILE), any_of(rng, ("equity", "account", "position", "score", "context", "price", "now"))
    exact = rng.random() < 0.3
    options: dict[str, Any] = {}
    account: dict[str, Any] = {"equity": 1e6, "open_positions": (sw.OpenPosition(**position),)}
    score = lab.event
    sound = lab.scorer.gate(score, sw.Account(**account), price=100.5)
    options["price"] = 100.5

    def decide() -> Any:
        nonlocal score
        number = any_of(rng, EXACT)
        if of == "equity":
            account["equity"] = number(1e6) if exact else value
        elif of == "account":
            account[any_of(rng, ("open_positions", "record", "correlations"))] = value
        elif of == "position":
            field = any_of(rng, position)
            wanted = number(position[field]) if exact and isinstance(position[field], float) else value
            account["open_positions"] = (sw.OpenPosition(**position | {field: wanted}),)
        elif of == "score":
            field = any_of(rng, ("symbol", "event_time", "direction", "context", "p_direction", "p_hit", "trade_edge"))
            score = replace(score, **{field: value})
        elif of == "context":
            score = replace(score, context=replace(score.context, **{any_of(rng, CONTEXT): value}))
        else:
            options[of] = number(100.5) if exact and of == "price" else value
        return lab.scorer.gate(score, sw.Account(**account), **options)

    answer, result = attempt(decide)
    if answer == "taken":
        assert isinstance(result, (sw.TradePlan, sw.Refusal))
        json.dumps(result.to_dict())
        if exact and of in ("equity", "price"):
            assert result.to_dict() == sound.to_dict()
    else:
        assert not (exact and of in ("equity", "price")), str(result)
    return answer


def write_sums(root: Path) -> None:
    names = sorted(p.name for p in root.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (root / "SHA256SUMS").write_text("".join(lines))


def manifested(lab: Lab, rng: Rng) -> str:
    """Spoil one value of a manifest whose digests agree; what loads must score and decide."""
    with tempfile.TemporaryDirectory() as directory:
        root = shutil.copytree(lab.bundle, Path(directory) / "scorer")
        content = json.loads((root / "manifest.json").read_text())
        (root / "manifest.json").write_text(json.dumps(spoil_json(rng, content)))
        write_sums(root)
        answer, loaded = attempt(lambda: sw.ReversalScorer.load(root))
    assert answer in ("taken", "BundleError"), f"{answer}: {loaded}"
    if answer == "taken":
        attempt(lambda: loaded.gate(lab.event, lab.account))
        attempt(lambda: loaded.stream("BTCUSDT").update(lab.row))
    return answer


def restored(lab: Lab, rng: Rng) -> str:
    """Spoil a saved state, as arrays or as bytes of its file; it is refused, or nothing of it has changed."""
    saved = lab.warmed
    frames = FrameStream(SPEC)
    for name, row in ROWS.items():
        frames.push(name, row)
    whole = frames.save_state() | saved
    if rng.random() < 0.5:
        given: Any = spoil_arrays(rng, whole) if rng.random() < 0.95 else any_of(rng, (None, [], 7, {}))
    else:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "state.npz"
            sw.write_arrays(whole, path)
            path.write_bytes(spoil_bytes(rng, path.read_bytes()))
            answer, given = attempt(lambda: sw.read_arrays(path))
        if answer != "taken":
            return answer
    stream, live = lab.scorer.stream("BTCUSDT"), FrameStream(SPEC)
    answers = set()
    for each, sound in ((stream, saved), (live, frames.save_state())):
        before = each.save_state()
        answer, _ = attempt(lambda each=each: each.load_state(given))
        assert same_arrays(each.save_state(), sound if answer == "taken" else before), (
            "a change that nobody was told of"
        )
        answers.add(answer)
    return "taken" if answers == {"taken"} else "BundleError"


CAMPAIGNS: dict[str, Callable[[Lab, Rng], str]] = {
    "score": lambda lab, rng: tables(lab, rng, through="score"),
    "warm": lambda lab, rng: tables(lab, rng, through="warm"),
    "push": pushed,
    "update": updated,
    "gate": gated,
    "manifest": manifested,
    "saved state": restored,
}
IN_THE_SUITE = {"score": 60, "warm": 30, "push": 150, "update": 100, "gate": 150, "manifest": 40, "saved state": 40}


def run(campaign: str, lab: Lab, count: int) -> Counter[str]:
    """Run mutations 0 to `count`; the failure of one names its number."""
    answers: Counter[str] = Counter()
    for number in range(count):
        try:
            answers[CAMPAIGNS[campaign](lab, np.random.default_rng([number, 1]))] += 1
        except Exception as error:
            raise AssertionError(f"{campaign} {number}: {type(error).__name__}: {error}") from error
    return answers


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_nothing_is_bare_and_nothing_changes_in_silence(campaign: str, lab: Lab) -> None:
    answers = run(campaign, lab, IN_THE_SUITE[campaign])
    assert len(answers) > 1, f"a campaign that does not refuse or take anything tests nothing: {answers}"


def test_there_are_enough_operators() -> None:
    assert len(TABLE) >= 25
    assert {outcome for outcome, _ in TABLE.values()} == {"equal", "refused", "either"}
    assert len(HOSTILE) >= 25


def main() -> None:
    count, wanted = int(sys.argv[1]), sys.argv[2:] or list(CAMPAIGNS)
    for kind in (DefectWarning, UniverseWarning):
        warnings.simplefilter("ignore", kind)
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(make_bundle(Path(directory) / "scorer"))
        for campaign in wanted:
            answers: Counter[str] = Counter()
            failures = []
            for number in range(count):
                try:
                    answers[CAMPAIGNS[campaign](lab, np.random.default_rng([number, 1]))] += 1
                except Exception as error:
                    failures.append(f"{number}: {type(error).__name__}: {str(error).splitlines()[0][:300]}")
            sys.stdout.write(f"{campaign}: {count} mutations, {dict(answers)}, {len(failures)} failures\n")
            sys.stdout.writelines(f"    {failure}\n" for failure in failures[:12])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
