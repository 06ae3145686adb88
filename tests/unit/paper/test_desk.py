"""The desk: inputs become scores, decisions, orders and events, also across a checkpoint and after an outage."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import BundleError, MissingDataError, SchemaError, SlackwaterError
from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Print, Quality
from slackwater.journal.event import Event, Kind
from slackwater.journal.store import writing
from slackwater.market.inputs import INPUT_TABLES
from slackwater.paper.checkpoint import load_checkpoint, save_checkpoint
from slackwater.paper.desk import Desk
from slackwater.paper.errors import PaperError
from slackwater.paper.hourly_closes import HourlyCloses
from slackwater.paper.input_log import LoggedInput, Place, Tick
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_arrays, write_arrays
from slackwater.times import DAY_US, HOUR, HOUR_US, SECOND_US, epoch_us, timestamp
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.score import CONTEXT, OF_MODELS
from tests.small_bundle import market
from tests.unit.paper.desks import SYMBOLS, desk_of, inputs_of, taken_by

PLACE = Place("2024-06-01.jsonl", 7)
LAG_US = 5 * SECOND_US


@dataclass(frozen=True, eq=False)
class Stand:
    """A desk that was warmed once; `desk` makes it again from its checkpoint."""

    scorer: ReversalScorer
    tables: dict[str, pd.DataFrame]
    start: pd.Timestamp
    file: Path
    made: Desk
    kept: dict[tuple[float, float], list[LoggedInput]] = field(default_factory=dict)

    def desk(self, file: Path | None = None) -> Desk:
        session = type(self.made.session)(self.scorer, SYMBOLS)
        desk = Desk(session, self.made.gate, self.made.settings)
        assert load_checkpoint(file or self.file, desk) == PLACE
        return desk

    def inputs(self, hours: float, begin: float = 0.0) -> list[LoggedInput]:
        span = (begin, hours)
        if span not in self.kept:
            self.kept[span] = inputs_of(self.tables, self.start + begin * HOUR, self.start + hours * HOUR)
        return list(self.kept[span])


@pytest.fixture(scope="module")
def stand(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    scorer, tables = ReversalScorer.load(small_bundle), market()
    start = tables["bars"]["event_time"].max() - timedelta(days=8)
    made = desk_of(scorer, tables, start)
    file = tmp_path_factory.mktemp("desk") / "start.npz"
    save_checkpoint(file, made, PLACE)
    return Stand(scorer, tables, start, file, made)


@pytest.fixture(scope="module")
def lived(stand: Stand) -> list[Event]:
    """Two and a half days without a fault."""
    return taken_by(stand.desk(), stand.inputs(60))


def said(events: list[Event]) -> list[str]:
    return [repr(event) for event in events]


def faults(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.payload["table"], e.payload["rule"]) for e in events if e.kind is Kind.DATA_FAULT]


def codes(events: list[Event]) -> Counter[str]:
    """How often a reason refused."""
    return Counter(each["code"] for e in events if e.kind is Kind.REFUSAL for each in e.payload["reasons"])


def is_row(taken: LoggedInput, table: str, symbol: str | None = None) -> bool:
    what = taken.what
    return isinstance(what, FeedRow) and what.table == table and symbol in (None, what.row["symbol"])


# -- a sound market ------------------------------------------------------------------------------------------


def test_a_sound_market_is_scored_and_traded(lived: list[Event]) -> None:
    """Catches a desk that decides nothing, so that every other test here would pass; and a fault that is none."""
    kinds = Counter(event.kind for event in lived)
    assert faults(lived) == []
    assert kinds[Kind.SCORE] == kinds[Kind.PLAN] + kinds[Kind.REFUSAL] >= 10
    assert kinds[Kind.PLAN] == kinds[Kind.ORDER] / 3 >= 4
    assert min(kinds[each] for each in (Kind.FILL, Kind.EXIT, Kind.FUNDING, Kind.ALARM, Kind.FORGONE)) >= 1
    live = {"late_decision", "not_warm", "missing_bars", "silent_tables", "unproven_rows", "refused_rows"}
    assert not live & set(codes(lived))


def test_the_events_of_a_run_are_those_that_a_journal_takes(lived: list[Event], tmp_path: Path) -> None:
    """Catches two events with one key, and a value that the journal refuses."""
    assert len({event.key for event in lived}) == len(lived)
    with writing(tmp_path / "journal.db", by="test") as writer:
        writer.append_all(lived)


def test_decisions_fall_when_they_are_due_and_orders_after_them(lived: list[Event]) -> None:
    """Catches a decision before the lag of its bar, and a fill before the latency of its order."""
    for event in lived:
        if event.kind in (Kind.PLAN, Kind.REFUSAL):
            close = epoch_us(pd.Timestamp(event.payload["event_time"]))
            assert event.ts_ns // 1000 == close + LAG_US


@pytest.mark.parametrize("cut", [1, 402, 640, 903, 1_300])
def test_a_checkpoint_at_any_input_changes_nothing(stand: Stand, lived: list[Event], tmp_path: Path, cut: int) -> None:
    """Catches state that a restart loses: a bar that waits, a note, an order, an episode, a refusal, a close."""
    inputs, first = stand.inputs(60), stand.desk()
    assert cut < len(inputs)
    events = taken_by(first, inputs[:cut])
    save_checkpoint(tmp_path / "checkpoint.npz", first, PLACE)
    events += taken_by(stand.desk(tmp_path / "checkpoint.npz"), inputs[cut:])
    assert said(events) == said(lived)


def test_a_checkpoint_holds_all_that_a_desk_has(stand: Stand) -> None:
    """Catches a part that every desk of these tests would lack alike, such as the closes of a month."""
    assert json.dumps(stand.desk().save_state()[1]) == json.dumps(stand.made.save_state()[1])


# -- bars that are late, missing, repeated, out of order -----------------------------------------------------


def test_a_bar_that_is_late_is_waited_for(stand: Stand) -> None:
    """Catches a close that is scored without a symbol whose bar came within the patience, or that is traded late."""
    inputs = stand.inputs(60)
    late_us = 20 * SECOND_US
    moved = [
        taken._replace(now_us=taken.now_us + late_us, what=replace(taken.what, quality=Quality.LATE))
        if is_row(taken, "bars", "ETHUSDT")
        else taken
        for taken in inputs
    ]
    ticks = [taken._replace(now_us=taken.now_us + late_us) for taken in inputs if isinstance(taken.what, Tick)]
    desk = stand.desk()
    events = taken_by(desk, sorted([*moved, *ticks], key=lambda taken: (taken.now_us, isinstance(taken.what, Tick))))
    assert faults(events) == []
    assert sum(event.kind is Kind.PLAN for event in events) == 0
    found = codes(events)
    assert found["late_decision"] == sum(event.kind is Kind.REFUSAL for event in events) >= 5
    assert found["unproven_rows"] == sum(e.kind is Kind.REFUSAL and e.symbol == "ETHUSDT" for e in events) >= 1


def test_a_bar_that_never_comes_does_not_stop_the_others(stand: Stand) -> None:
    """Catches a desk that waits for ever, and one that trades the symbol across its hole."""
    hole = [stand.start + hour * HOUR for hour in (3, 4, 5)]
    inputs = [t for t in stand.inputs(40) if not (is_row(t, "bars", "ETHUSDT") and t.what.row["event_time"] in hole)]  # type: ignore[union-attr]
    seconds = [LoggedInput(epoch_us(time) + LAG_US + 40 * SECOND_US, Tick({})) for time in hole]
    desk = stand.desk()
    events = taken_by(desk, sorted([*inputs, *seconds], key=lambda taken: taken.now_us))
    said_of = [event.payload["message"] for event in events if event.kind is Kind.DATA_FAULT]
    assert sum("there is no bar of ETHUSDT" in text for text in said_of) == 3
    assert len(said_of) == 4  # and once that the universe is another one
    assert desk.next_decision_us == epoch_us(stand.start + 40 * HOUR) + LAG_US
    assert {event.symbol for event in events if event.kind is Kind.SCORE} == set(SYMBOLS)


def test_a_silent_market_is_not_scored(stand: Stand) -> None:
    """Catches closes that are passed over while no bar comes at all."""
    desk = stand.desk()
    due = desk.next_decision_us
    events = taken_by(desk, [LoggedInput(due + hour * HOUR_US, Tick({})) for hour in range(5)])
    assert events == []
    assert desk.next_decision_us == due


def test_rows_that_come_again_or_too_late_are_refused_by_name(stand: Stand) -> None:
    """Catches a row that counts twice, one that is dropped without a word, and two faults with one key."""
    inputs, desk = stand.inputs(10), stand.desk()
    taken_by(desk, inputs)
    bars = [taken for taken in inputs if is_row(taken, "bars", "BTCUSDT")]
    again = [bars[-1]._replace(now_us=desk.now_us), bars[3]._replace(now_us=desk.now_us), bars[3]]
    events = taken_by(desk, again)
    assert faults(events) == [("bars", "refused_row")] * 3
    assert len({event.key for event in events}) == 3
    assert desk.newest["bars"]["BTCUSDT"] == epoch_us(bars[-1].what.row["event_time"])  # type: ignore[union-attr]
    after = taken_by(desk, stand.inputs(40, 10))
    assert codes(after)["refused_rows"] <= 1  # the next score of the symbol alone
    assert desk.scores["BTCUSDT"].quality.refused_rows == 0


def test_duplicates_of_the_feed_are_dropped(stand: Stand, lived: list[Event]) -> None:
    """Catches a row that the feed has marked as seen before, and that is counted."""
    inputs = []
    for taken in stand.inputs(60):
        inputs.append(taken)
        if isinstance(taken.what, FeedRow):
            dropped = (Quality.DUPLICATE, Quality.STALE)
            inputs.extend(taken._replace(what=replace(taken.what, quality=quality)) for quality in dropped)
    assert said(taken_by(stand.desk(), inputs)) == said(lived)


def test_the_order_of_symbols_does_not_matter(stand: Stand, lived: list[Event]) -> None:
    """Catches scores that depend on which bar of a close came first."""
    inputs = stand.inputs(60)
    places = [at for at, taken in enumerate(inputs) if is_row(taken, "bars")]
    turned = list(inputs)
    for one, other in zip(places[::2], places[1::2], strict=False):
        if inputs[one].now_us == inputs[other].now_us:
            turned[one], turned[other] = inputs[other], inputs[one]
    assert turned != inputs
    score_plan = (Kind.SCORE, Kind.PLAN, Kind.REFUSAL)
    ours, theirs = ([repr(e) for e in each if e.kind in score_plan] for each in (taken_by(stand.desk(), turned), lived))
    assert ours == theirs


# -- an outage -----------------------------------------------------------------------------------------------


def after_outage(inputs: list[LoggedInput], begin: pd.Timestamp, end: pd.Timestamp) -> Iterator[LoggedInput]:
    """What came while nobody listened is asked for afterwards, table by table, and known only then."""
    first, last = epoch_us(begin), epoch_us(end)
    lost = [taken for taken in inputs if first <= taken.now_us < last]
    rows = [taken for taken in lost if isinstance(taken.what, FeedRow)]
    yield from (taken for taken in inputs if taken.now_us < first)
    for taken in sorted(rows, key=lambda each: (each.what.table, each.now_us)):  # type: ignore[union-attr]
        row = taken.what.row | {"available_time": timestamp(last)}  # type: ignore[union-attr]
        yield LoggedInput(last, replace(taken.what, row=row, quality=Quality.BACKFILLED))  # type: ignore[type-var]
    yield LoggedInput(last, Tick({}))
    yield from (taken for taken in inputs if taken.now_us >= last)


def test_after_an_outage_of_hours_the_features_have_no_hole(stand: Stand, lived: list[Event]) -> None:
    """Catches features that lack the rows of an outage, or have them at another bar; and trades on them."""
    snapshots = {event.key: event.payload for event in lived if event.kind is Kind.SCORE}
    times = sorted({payload["event_time"] for payload in snapshots.values()})
    begin, end = times[4] - 2.5 * HOUR, times[4] + 4.6 * HOUR
    desk = stand.desk()
    events = taken_by(desk, after_outage(stand.inputs(60), begin, end))
    assert faults(events) == []
    decided = [e for e in events if e.kind in (Kind.PLAN, Kind.REFUSAL)]
    inside = [e for e in decided if begin <= pd.Timestamp(e.payload["event_time"]) <= end - HOUR]
    assert inside
    assert max(pd.Timestamp(event.payload["event_time"]) for event in inside) > begin + HOUR
    for event in inside:
        assert event.kind is Kind.REFUSAL
        assert {"late_decision", "unproven_rows"} <= {each["code"] for each in event.payload["reasons"]}
    ours = {event.key: event.payload for event in events if event.kind is Kind.SCORE}
    assert ours.keys() == snapshots.keys()
    for key, payload in ours.items():
        assert repr(payload["features"]) == repr(snapshots[key]["features"]), key


def test_scores_are_those_of_the_tables_to_the_last_bit(stand: Stand, lived: list[Event]) -> None:
    """Catches rows that reach the session late, early or not at all."""
    end = stand.start + 60 * HOUR
    known = {name: table[table["event_time"] <= end] for name, table in stand.tables.items() if name in INPUT_TABLES}
    scores = stand.scorer.score(known).set_index(["symbol", "event_time"])
    snapshots = [event for event in lived if event.kind is Kind.SCORE]
    assert ((scores["direction"] != 0) & (scores.index.get_level_values(1) >= stand.start)).sum() == len(snapshots)
    for event in snapshots:
        row = scores.loc[event.symbol, event.payload["event_time"]]
        values = event.payload | event.payload["context"]
        for name in ("direction", *OF_MODELS, *CONTEXT):
            assert repr(float(values[name])) == repr(float(row[name])), (event.key, name)


# -- rows that are none --------------------------------------------------------------------------------------


def bar_row(stand: Stand, **changes: Any) -> dict[str, Any]:
    bars = stand.tables["bars"]
    row = bars[(bars["symbol"] == "BTCUSDT") & (bars["event_time"] == stand.start)].iloc[0].to_dict()
    return row | changes


@pytest.mark.parametrize(
    ("table", "changes", "rule"),
    [
        ("bars", {"symbol": "DOGEUSDT"}, "unknown_row"),
        ("mark_price", {"symbol": "DOGEUSDT"}, "unknown_row"),
        ("bars", {"symbol": ["BTCUSDT"]}, "unknown_row"),
        ("candles", {}, "unknown_row"),
        ("mark_price", {"low": math.nan}, "impossible_bar"),
        ("mark_price", {"low": 0.0}, "impossible_bar"),
        ("mark_price", {"high": 1.0}, "impossible_bar"),
    ],
)
@pytest.mark.parametrize("quality", [Quality.LIVE, Quality.LATE])
def test_a_row_that_cannot_count_is_named(
    stand: Stand, table: str, changes: dict[str, Any], rule: str, quality: Quality
) -> None:
    """Catches a row of another symbol or table, or without prices, that ends the process or is passed over."""
    desk = stand.desk()
    before = json.dumps([desk.broker.values(), desk.forgone.values()])
    events = desk.take(LoggedInput(desk.now_us, FeedRow(table, bar_row(stand, **changes), quality)))
    assert faults(events) == [(table, rule)]
    assert json.dumps([desk.broker.values(), desk.forgone.values()]) == before


def test_an_unknown_rate_is_named_and_nobody_pays(stand: Stand) -> None:
    """Catches cash that becomes NaN."""
    desk = stand.desk()
    funding = stand.tables["funding"].iloc[-1].to_dict() | {"symbol": "BTCUSDT", "funding_rate": math.nan}
    assert ("funding", "unknown_rate") in faults(
        desk.take(LoggedInput(desk.now_us, FeedRow("funding", funding, Quality.POLLED)))
    )


@pytest.mark.parametrize(("price", "quantity"), [(math.nan, 1.0), (0.0, 1.0), (50_000.0, math.nan), (math.inf, 1.0)])
def test_a_trade_that_is_none_is_named(stand: Stand, price: float, quantity: float) -> None:
    """Catches a price that nobody has paid, as the last one or as a fill."""
    desk = stand.desk()
    events = desk.take(LoggedInput(desk.now_us, Print("BTCUSDT", desk.now_us, price, quantity)))
    assert faults(events) == [("trades", "impossible_trade")]
    desk.take(LoggedInput(desk.now_us, Tick({"BTCUSDT": price if not price > 1.0 else math.nan})))
    assert "BTCUSDT" not in desk.broker.prices


def test_faults_of_the_feed_are_journalled(stand: Stand) -> None:
    """Catches a fault that nobody hears of, and two of one moment that have one key."""
    desk = stand.desk()
    each = [FeedFault(FaultKind.SILENT, timestamp(desk.now_us), "bars", "BTCUSDT", f"text {n}\nmore") for n in (1, 2)]
    events = taken_by(desk, [LoggedInput(desk.now_us, fault) for fault in each])
    assert [event.payload["message"] for event in events] == ["text 1 more", "text 2 more"]
    assert len({event.key for event in events}) == 2
    assert faults(events) == [("bars", "silent")] * 2


# -- the day -------------------------------------------------------------------------------------------------


def test_the_day_begins_before_its_first_trade_is_booked(stand: Stand) -> None:
    """Catches a loss just after midnight that is part of the equity at the start of the day."""
    desk = stand.desk()
    for taken in stand.inputs(60):
        desk.take(taken)
        if any(each.is_open for each in desk.broker.positions.values()):
            break
    (position,) = [each for each in desk.broker.positions.values() if each.is_open][:1]
    side, midnight = int(position.plan.side), (desk.now_us // DAY_US + 1) * DAY_US
    before = desk.broker.equity()
    ruin = position.plan.stop * (1.0 - 0.01 * side)
    events = desk.take(LoggedInput(midnight + 1, Print(position.plan.symbol, midnight + 1, ruin, 1.0)))
    assert [event.kind for event in events] == [Kind.FILL, Kind.EXIT]
    assert desk.broker.record.day == timestamp(midnight).date()
    assert desk.broker.record.day_start_equity == before > desk.broker.equity()
    assert desk.broker.record.losing_trades_today == 1


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(minutes=5), HOUR])
def test_hourly_closes_of_a_month_are_kept_whatever_the_bars(step: timedelta) -> None:
    """Catches a warm-up by a number of bars: bars of a minute gave two days, too few for a correlation."""
    count = int(timedelta(days=40) / step)
    times = pd.Timestamp("2024-03-01", tz="UTC") + step * np.arange(1, count + 1)
    walk = {
        name: np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-3, count))) for seed, name in enumerate("ab")
    }
    bars = pd.concat([pd.DataFrame({"symbol": name, "event_time": times, "close": walk[name]}) for name in "ab"])
    closes, whole = HourlyCloses(), HourlyCloses()
    closes.warm(bars)
    for symbol, time, close in zip(bars["symbol"], bars["event_time"], bars["close"], strict=True):
        if time.minute == 0:
            whole.add(symbol, epoch_us(time), close)
    now = epoch_us(times[-1])
    assert (
        HourlyCorrelations.of(closes.paths()).at(now, closes.paths())
        == HourlyCorrelations.of(whole.paths()).at(now, closes.paths())
        != {}
    )
    again = HourlyCloses()
    again.take_values(json.loads(json.dumps(closes.values())))
    assert repr(again.paths()) == repr(closes.paths())


# -- damaged checkpoints -------------------------------------------------------------------------------------


def broken(file: Path, **content: Any) -> Path:
    arrays = read_arrays(file)
    desk = json.loads(str(arrays.pop("desk"))) | content
    path = file.parent / "broken.npz"
    write_arrays({**arrays, "desk": np.array(json.dumps(desk))}, path)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": 99}, "format 99, this version reads"),
        ({"desk": {}}, "is not a checkpoint of paper trading"),
        ({"desk": []}, "is not a checkpoint of paper trading"),
        ({"place": []}, "is not a checkpoint of paper trading"),
        ({"desk": None}, "is not a checkpoint of paper trading"),
    ],
)
def test_a_checkpoint_of_something_else_is_named(stand: Stand, content: dict[str, Any], message: str) -> None:
    """Catches a traceback, or a desk that begins with nothing."""
    with pytest.raises(PaperError, match=message):
        stand.desk(broken(stand.file, **content))


def test_a_damaged_or_missing_checkpoint_is_named(stand: Stand, tmp_path: Path) -> None:
    """Catches a bit that is off, half a file and none, which must not pass for a state."""
    whole = stand.file.read_bytes()
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(MissingDataError, match=r"checkpoint\.npz"):
        stand.desk(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SchemaError, match=r"checkpoint\.npz"):
        stand.desk(path)
    for at in (len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(SlackwaterError, match=r"checkpoint\.npz"):
            stand.desk(path)


def test_the_checkpoint_of_another_account_is_refused(stand: Stand) -> None:
    """Catches symbols that are mixed up: the session of others."""
    session = type(stand.made.session)(stand.scorer, ("BTCUSDT",))
    with pytest.raises(BundleError, match="session of"):
        load_checkpoint(stand.file, Desk(session, stand.made.gate, stand.made.settings))


def test_a_checkpoint_that_fails_leaves_the_one_before(stand: Stand, tmp_path: Path) -> None:
    """Catches half a file in the place of a whole one."""
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, stand.desk(), PLACE)
    whole = path.read_bytes()
    desk = stand.desk()
    desk.broker.prices["BTCUSDT"] = object()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        save_checkpoint(path, desk, PLACE)
    assert path.read_bytes() == whole
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_decision_knows_the_correlations_with_what_is_open(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a position that counts as one cluster with every other, as its correlation was not asked for."""
    desk = stand.desk()
    monkeypatch.setattr(desk.broker, "positions", {SYMBOLS[1]: None})
    assert set(desk._correlations(SYMBOLS[0]) or ()) == {(SYMBOLS[0], SYMBOLS[1])}
    monkeypatch.setattr(desk.broker, "positions", {})
    assert desk._correlations(SYMBOLS[0]) is None
