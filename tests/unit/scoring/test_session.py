"""A live session scores as history does, whatever comes between, and states or refuses what it lacks."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from slackwater.errors import (
    BundleError,
    DataError,
    DefectWarning,
    MissingDataError,
    OrderError,
    ParameterError,
    SchemaError,
)
from slackwater.market.schemas import SCHEMAS
from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.scoring.scorer import EventScore
from slackwater.scoring.session import Session
from slackwater.trading.score import CONTEXT
from tests.small_bundle import BAR, market
from tests.small_market import DECISION_LAG

pytestmark = pytest.mark.filterwarnings(
    "ignore::slackwater.errors.UniverseWarning", "ignore::slackwater.errors.DefectWarning"
)
DAYS = 24
Row = dict[str, Any]
Tables = dict[str, pd.DataFrame]


def ragged(seed: int) -> Tables:
    """The small market with bars that are missing, rows that come late, and a feed that falls silent."""
    rng = np.random.default_rng(seed)
    tables = market(days=DAYS)
    bars = tables["bars"]
    lost = (rng.random(len(bars)) < 0.02) | ((bars["symbol"] == "ETHUSDT") & bars["event_time"].dt.day.eq(9))
    tables["bars"] = bars[~lost].reset_index(drop=True)
    depth = tables["depth"]
    tables["depth"] = depth[~depth["event_time"].dt.day.isin([5, 6])].reset_index(drop=True)
    for name in ("open_interest", "liquidations", "whale_transfers", "exchange_flows", "funding"):
        table = tables[name]
        late = np.where(rng.random(len(table)) < 0.1, rng.integers(0, 4 * 3600, len(table)), 0)
        tables[name] = table.assign(available_time=table["available_time"] + pd.to_timedelta(late, unit="s"))
    return tables


TABLES = ragged(3)
HALF = pd.Timestamp("2024-01-13T00:00Z")
CLOSES = pd.date_range(TABLES["bars"]["event_time"].min(), TABLES["bars"]["event_time"].max(), freq=BAR)
NEWEST_ALONE = ("bars", "open_interest", "funding", "premium_index", "long_short_ratio", "depth")


@pytest.fixture(scope="module")
def scorer(small_bundle: Path) -> sw.ReversalScorer:
    return sw.ReversalScorer.load(small_bundle)


@pytest.fixture(scope="module")
def history(scorer: sw.ReversalScorer) -> pd.DataFrame:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        scores = scorer.score(TABLES)
    assert not any("masked" in str(each.message) for each in found), "what a rule masks, no live session can know of"
    return scores


def arriving(tables: Tables, after: pd.Timestamp | None = None) -> list[tuple[pd.Timestamp, str, Row]]:
    """The rows of all tables in the order in which they became available, after the decision of a bar."""
    rows = [
        (row["available_time"], name, row)
        for name, table in tables.items()
        for row in table.to_dict("records")
        if after is None or row["available_time"] > after + DECISION_LAG
    ]
    return sorted(rows, key=lambda item: (item[0], item[2]["event_time"]))


def fed(
    session: Session,
    rows: list[tuple[pd.Timestamp, str, Row]],
    closes: pd.DatetimeIndex,
    between: Callable[[Session], Session] = lambda session: session,
) -> Iterator[EventScore]:
    """The scores of a session that gets each row when it is available; some twice, and some too late."""
    refused: list[str] = []
    position = 0
    for number, close in enumerate(closes):
        late = rows[position - 1] if number % 50 == 49 else None
        while position < len(rows) and rows[position][0] <= close + DECISION_LAG:
            _, name, row = rows[position]
            try:
                session.push(name, row)
            except OrderError:
                assert name in NEWEST_ALONE, f"{name}: {row}"  # an older snapshot, of no use any more
            if position % 7 == 0 and SCHEMAS[name].key:
                with pytest.raises(OrderError):
                    session.push(name, row)
                refused.append(row["symbol"])
            position += 1
        scores = session.close(close)
        if late is not None and late[1] != "bars":
            with pytest.raises(OrderError, match=r"comes too late|older than the last one|repeats"):
                session.push(late[1], late[2])
        with pytest.raises(OrderError, match="not newer than the last one"):
            session.close(close)
        for symbol, score in scores.items():
            assert score.quality.refused_rows >= refused.count(symbol)
        refused = [symbol for symbol in refused if symbol not in scores]
        yield from scores.values()
        session = between(session)


def assert_equal(live: list[EventScore], expected: pd.DataFrame, names: list[str]) -> None:
    """Compare every output and every statement of quality to the last bit."""
    expected = expected.sort_values(["event_time", "symbol"], kind="stable")
    assert [(s.event_time, s.symbol) for s in live] == list(
        expected[["event_time", "symbol"]].itertuples(index=False, name=None)
    )
    np.testing.assert_array_equal([s.features for s in live], expected[names])
    for name in ("direction", "p_direction", "p_hit", "trade_edge", "trade_edge_low", *CONTEXT):
        values = [getattr(s.context if name in CONTEXT else s, name) for s in live]
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    for name in ("triggers", "missing_features", "out_of_range_features"):
        assert [getattr(s, name) for s in live] == expected[name].tolist(), name
    for name in ("history", "warm", "missing_bars", "silent_tables"):
        assert [getattr(s.quality, name) for s in live] == expected[name].tolist(), name
    for name in live[0].quality.ages:
        ages = pd.Series([s.quality.ages[name] for s in live], dtype="timedelta64[us]")
        pd.testing.assert_series_equal(ages, expected[f"age_{name}"], check_index=False, check_names=False)
    assert all(s.quality.live for s in live)
    assert not expected["live"].any()


def test_a_session_fed_row_by_row_scores_as_history(
    scorer: sw.ReversalScorer, history: pd.DataFrame, tmp_path: Path
) -> None:
    """Catches a row that is lost, counted twice or known too early, across gaps, repeats, late rows and restarts."""
    rng = np.random.default_rng(0)

    def restarted(session: Session) -> Session:
        if rng.random() > 0.05:
            return session
        session.save(tmp_path / "live.npz")
        other = Session(scorer)
        other.load(tmp_path / "live.npz")
        return other

    live = list(fed(Session(scorer), arriving(TABLES), CLOSES, restarted))
    assert_equal(live, history, scorer._engine.names)
    assert {s.quality.missing_bars for s in live} >= {0, 1, 24}
    assert {name for s in live for name in s.quality.silent_tables} >= {"depth", "liquidations"}
    assert live[-1].quality.silent_tables == (), "liquidations are fed, totals of them are not expected"
    assert sum(s.direction != 0 for s in live) > 10


def test_a_warmed_session_scores_as_history(scorer: sw.ReversalScorer, history: pd.DataFrame) -> None:
    """Catches history that is counted differently from rows that were pushed, in the frame or in the features."""
    past = {name: t[t["available_time"] <= HALF + DECISION_LAG] for name, t in TABLES.items()}
    session = Session(scorer)
    assert session.warm(past) == len(past["bars"])
    with pytest.raises(OrderError, match="the session has begun"):
        session.warm(past)
    live = list(fed(session, arriving(TABLES, HALF), CLOSES[CLOSES > HALF]))
    assert_equal(live, history[history["event_time"] > HALF], scorer._engine.names)
    assert "whale_transfers" in live[0].quality.backfilled
    assert "bars" not in live[0].quality.backfilled
    assert live[-1].quality.backfilled == ()


def test_rows_of_history_that_are_known_later_wait(scorer: sw.ReversalScorer, history: pd.DataFrame) -> None:
    """Catches tables that end later than their bars, whose last rows would be lost or known at once."""
    past = {name: t[t["event_time"] <= HALF] for name, t in TABLES.items()}
    session = Session(scorer)
    session.warm(past)
    assert session.record()["waiting"].sum() > 0
    rest = {name: t[t["event_time"] > HALF] for name, t in TABLES.items()}
    until = HALF + timedelta(days=1)
    live = list(fed(session, arriving(rest), CLOSES[(CLOSES > HALF) & (until >= CLOSES)]))
    expected = history[history["event_time"].between(HALF, until, inclusive="right")]
    assert_equal(live, expected, scorer._engine.names)


def test_ages_are_those_of_a_search_by_hand(history: pd.DataFrame) -> None:
    """Catches an age that is measured from a row that was not known, or is not the newest."""
    for name, time in (("funding", "event_time"), ("liquidations", "available_time")):
        for _, row in history.iloc[::97].iterrows():
            own = TABLES[name][TABLES[name]["symbol"] == row["symbol"]]
            known = own[own["available_time"] <= row["available_time"]]
            if known.empty:
                assert pd.isna(row[f"age_{name}"])
                assert name in row["silent_tables"]
            else:
                assert row[f"age_{name}"] == row["available_time"] - known[time].max()


def test_a_score_with_less_history_than_the_warm_up_is_flagged(scorer: sw.ReversalScorer) -> None:
    history = scorer.score({"bars": market(days=scorer.warm_up.days + 3)["bars"]})
    btc = history[history["symbol"] == "BTCUSDT"]
    spans = btc["event_time"] - btc["event_time"].iloc[0] + BAR
    assert btc["history"].tolist() == spans.tolist()
    assert btc["warm"].tolist() == (spans >= scorer.warm_up).tolist()
    assert set(btc["warm"]) == {True, False}
    assert btc["silent_tables"].map(set).map({*TABLES, "liquidation_totals"}.__sub__).eq({"bars"}).all()


@pytest.fixture
def session(scorer: sw.ReversalScorer) -> Session:
    """A session that has been warmed with a day, ready for the bars of the next hour."""
    session = Session(scorer)
    session.warm({name: t[t["available_time"] <= DAY1 + DECISION_LAG] for name, t in WHOLE.items()})
    return session


WHOLE = market(days=3)
DAY1 = pd.Timestamp("2024-01-02T00:00Z")
NEXT = DAY1 + BAR


def row_of(table: str, symbol: str = "BTCUSDT", after: pd.Timestamp = DAY1) -> Row:
    rows = WHOLE[table]
    return rows[(rows["symbol"] == symbol) & (rows["event_time"] > after)].iloc[0].to_dict()


def test_what_does_not_belong_to_the_session_is_refused_by_name(session: Session) -> None:
    bar = row_of("bars")
    for table, row, message in (
        ("bars", bar | {"symbol": "BTCUSD"}, "no symbol `BTCUSD` in this session; did you mean `BTCUSDT`"),
        ("bars", {"symbol": ["BTCUSDT"]}, "there is no symbol"),
        ("bars", {}, "there is no symbol `None`"),
        ("fundng", bar, "there is no table `fundng` in a live frame"),
        ("mark_price", bar, "there is no table `mark_price` in a live frame"),
        ("bars", 7, "must map column names to values"),
        ("bars", bar | {"high": bar["low"] / 2}, "is not a bar"),
        ("bars", bar | {"close": -1.0}, "`close` must be above 0"),
    ):
        with pytest.raises(SchemaError, match=message):
            session.push(table, row)
    with pytest.raises(DataError, match="becomes available only after the decision"):
        session.push("bars", bar | {"available_time": NEXT + BAR})
    session.push("bars", bar)
    with pytest.warns(DefectWarning, match="there is no bar of ETHUSDT"):
        scores = session.close(NEXT)
    assert scores["BTCUSDT"].quality.refused_rows == 5, "those that named the symbol"
    for time, error in ((NEXT, OrderError), (DAY1, OrderError), (NEXT + BAR / 2, OrderError), (None, SchemaError)):
        with pytest.raises(error):
            session.close(time)
    with pytest.raises(SchemaError, match="naive"):
        session.close((NEXT + BAR).tz_localize(None))


def test_a_bar_that_was_pushed_is_not_skipped(session: Session) -> None:
    """Catches a bar that is lost because the close after it was called first."""
    for table in (row_of("bars"), row_of("bars", after=NEXT)):
        session.push("bars", table)
    with pytest.raises(OrderError, match=r"BTCUSDT closing at 2024-01-02 01:00:00.00:00 was pushed and not closed"):
        session.close(NEXT + BAR)
    assert session.close(NEXT)["BTCUSDT"].quality.missing_bars == 0
    assert session.close(NEXT + BAR)["BTCUSDT"].quality.missing_bars == 0


def test_a_table_of_rows_is_taken_whole_or_not_at_all(session: Session, tmp_path: Path) -> None:
    rows = WHOLE["depth"]
    fresh = rows[(rows["event_time"] > DAY1) & (rows["event_time"] <= NEXT + 3 * BAR)]
    session.save(tmp_path / "before.npz")
    overlapping = rows[(rows["event_time"] >= DAY1) & (rows["event_time"] <= NEXT + 3 * BAR)]
    with pytest.raises(OrderError, match=r"none of 10 rows was taken: depth: the row of \w+ available at .* too late"):
        session.push("depth", overlapping)
    newest = session.record().set_index(["symbol", "table"])["newest"]
    assert newest["BTCUSDT", "depth"] == DAY1, "what the record names is where to go on"
    session.push("depth", fresh.sample(frac=1.0, random_state=0))
    with pytest.raises(SchemaError, match="missing column"):
        session.push("depth", fresh.drop(columns="event_time"))
    with pytest.raises(SchemaError, match="there more than once"):
        session.push("depth", pd.concat([fresh, fresh[["symbol"]]], axis=1).iloc[:, [0, 1, 2, 3, 4, 5]])
    other = Session(session.scorer)
    other.load(tmp_path / "before.npz")
    for row in fresh.to_dict("records"):
        other.push("depth", row)
    for each in (session, other):
        each.push("bars", WHOLE["bars"][WHOLE["bars"]["event_time"] == NEXT])
    one, two = session.close(NEXT), other.close(NEXT)
    assert list(one) == ["BTCUSDT", "ETHUSDT"]
    for symbol in one:
        np.testing.assert_array_equal(one[symbol].features, two[symbol].features)
        assert one[symbol].context.depth_bid_1pct == two[symbol].context.depth_bid_1pct > 0.0


def test_history_of_other_symbols_is_refused(scorer: sw.ReversalScorer) -> None:
    tables = market(days=2)
    with pytest.raises(SchemaError, match="no symbol `BTCUSDT` in this session"):
        Session(scorer, ["ETHUSDT"]).warm(tables)
    session = Session(scorer, ["BTCUSDT", "ETHUSDT", "XRPUSDT"])
    with pytest.warns(DefectWarning, match="the tables have no bar of XRPUSDT"):
        session.warm(tables)
    for symbols in ([], "", ["BTCUSDT", "BTCUSDT"], [7], ["BTC\x1b[2J"]):
        with pytest.raises(ParameterError, match="`symbols` must"):
            Session(scorer, symbols)


def test_a_session_of_another_bundle_is_refused_by_name(
    session: Session, small_bundle: Path, tmp_path: Path, scorer: sw.ReversalScorer
) -> None:
    """Catches a state that continues with other models, or one that was cut, mixed or edited."""
    path = tmp_path / "live.npz"
    session.save(path)
    bundle = Bundle.load(small_bundle)
    write_bundle(tmp_path / "other", bundle.manifest | {"dataset": "another"}, bundle.models)
    other = Session(sw.ReversalScorer.load(tmp_path / "other"))
    with pytest.raises(BundleError, match=f"is the session of the bundle {scorer.digest[:12]}"):
        other.load(path)
    with pytest.raises(BundleError, match=r"is a session of \['BTCUSDT', 'ETHUSDT'\], not of BTCUSDT"):
        Session(scorer, ["BTCUSDT"]).load(path)
    saved = sw.read_arrays(path)
    stream = scorer.stream("BTCUSDT").save_state()
    spoilt: dict[str, dict[str, Any]] = {
        "is damaged": saved | {"state/BTCUSDT": saved["state/BTCUSDT"] + 1.0},
        "is damaged:": {name: array for name, array in saved.items() if name != "time/ETHUSDT"},
        "is damaged: its": saved | {"session/refused": saved["session/refused"] + 1},
        "is not a saved session": stream,
    }
    fresh = Session(scorer)
    for message, arrays in spoilt.items():
        sw.write_arrays(arrays, tmp_path / "spoilt.npz")
        with pytest.raises(BundleError, match=message):
            fresh.load(tmp_path / "spoilt.npz")
    (tmp_path / "spoilt.npz").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SchemaError, match="not a readable file of arrays"):
        fresh.load(tmp_path / "spoilt.npz")
    with pytest.raises(MissingDataError):
        fresh.load(tmp_path / "nowhere.npz")
    assert fresh.record().empty
    fresh.load(path)
    pd.testing.assert_frame_equal(fresh.record(), session.record())


def test_the_state_does_not_grow(scorer: sw.ReversalScorer, tmp_path: Path) -> None:
    """Catches rows, keys or names that pile up while a session lives: the file holds all that it remembers."""
    tables, sizes = market(days=14), []
    session = Session(scorer)
    rows, position = arriving(tables), 0
    for number, close in enumerate(CLOSES[: 14 * 24 - 1]):
        while position < len(rows) and rows[position][0] <= close + DECISION_LAG:
            session.push(*rows[position][1:])
            position += 1
        session.close(close)
        if number % 24 == 20 and number > 4 * 24:
            session.save(tmp_path / "live.npz")
            sizes.append((tmp_path / "live.npz").stat().st_size)
    assert max(sizes) < 1.02 * min(sizes)


def test_a_kept_score_is_small_can_be_compared_pickled_and_printed(scorer: sw.ReversalScorer) -> None:
    """The quality of a score held the row and the settings of the frame, with arrays of all symbols and functions."""
    session = Session(scorer, ["BTCUSDT", "ETHUSDT"])
    rows = [row for _, name, row in arriving(TABLES) if name == "bars" and row["event_time"] == CLOSES[0]]
    for row in rows:
        session.push("bars", row)
    closed = session._frames.close(CLOSES[0])
    assert len(closed) == 2
    for frame_row in closed.values():
        assert frame_row.values.base is None
        quality = session._streams[frame_row.symbol].update(frame_row).quality
        again = pickle.loads(pickle.dumps(quality))  # noqa: S301 -- of this process
        assert again == quality
        assert again.to_dict() == quality.to_dict()
        assert len(repr(quality)) < 2_000
