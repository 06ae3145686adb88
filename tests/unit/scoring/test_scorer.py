"""The scorer: history and stream agree, and bad input is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from slackwater.errors import (
    BundleError,
    DefectWarning,
    MissingDataError,
    OrderError,
    ParameterError,
    SchemaError,
    UniverseWarning,
    UnprovenEdgeError,
)
from slackwater.features.orientation import Orientation
from slackwater.labels.events import sample_events
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.models.calibration import calibrator_from_dict
from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.scoring.scorer import UNPROVEN_EDGE
from slackwater.storage import read_arrays, write_arrays
from slackwater.trading.reasons import Reason
from slackwater.trading.score import CONTEXT
from tests.small_bundle import BAR, market
from tests.small_market import DECISION_LAG


@pytest.fixture(scope="module")
def scorer(small_bundle: Path) -> sw.ReversalScorer:
    return sw.ReversalScorer.load(small_bundle)


@pytest.fixture(scope="module")
def scores(scorer: sw.ReversalScorer) -> pd.DataFrame:
    return scorer.score(market())


def test_probabilities_stand_at_events_and_nowhere_else(scores: pd.DataFrame) -> None:
    events = scores["direction"] != 0
    of_models = ["p_direction", "p_hit", "trade_edge", "trade_edge_low"]
    assert 50 < events.sum() < len(scores) / 4
    assert scores.loc[events, ["p_direction", "p_hit"]].to_numpy().min() > 0.0
    assert (scores.loc[events, "trade_edge_low"] < scores.loc[events, "trade_edge"]).all()
    assert scores.loc[~events, of_models].isna().all(axis=None)
    assert not scores.loc[~events, "out_of_range_features"].map(len).any()


def test_the_stream_gives_the_scores_of_history(scorer: sw.ReversalScorer, scores: pd.DataFrame) -> None:
    """Paper trading and research must see the same numbers, to the last bit."""
    frame = MarketFrame.from_tables(market(), FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    stream = scorer.stream("ETHUSDT")
    live = [stream.update(row) for row in frame.rows("ETHUSDT")]
    history = scores[scores["symbol"] == "ETHUSDT"]
    for name in (
        "direction",
        "p_direction",
        "p_hit",
        "trade_edge",
        "trade_edge_low",
        "close",
        "atr_1h",
        "depth_bid_1pct",
        "volume_24h",
    ):
        np.testing.assert_array_equal([getattr(s.context if name in CONTEXT else s, name) for s in live], history[name])
    assert [s.triggers for s in live] == history["triggers"].tolist()
    assert [s.missing_features for s in live] == history["missing_features"].tolist()
    assert [s.out_of_range_features for s in live] == history["out_of_range_features"].tolist()
    assert [s.available_time for s in live] == history["available_time"].tolist()


def test_threads_share_a_scorer_each_with_its_own_stream(scorer: sw.ReversalScorer) -> None:
    """Catches memory of the scorer that two streams use at once."""
    frame = MarketFrame.from_tables(market(), FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    rows = {symbol: list(frame.rows(symbol)) for symbol in ("BTCUSDT", "ETHUSDT")}

    def streamed(symbol: str) -> list[str]:
        stream = scorer.stream(symbol)
        return [repr(stream.update(row)) for row in rows[symbol]]

    alone = {symbol: streamed(symbol) for symbol in rows}
    with ThreadPoolExecutor(4) as pool:
        for symbol, together in zip([*rows] * 2, pool.map(streamed, [*rows] * 2), strict=True):
            assert together == alone[symbol]


def test_the_events_are_those_of_the_labels(scorer: sw.ReversalScorer, scores: pd.DataFrame) -> None:
    """Catches a precedence of triggers that differs between training and scoring."""
    named = list(scorer.manifest["labels"]["triggers"])
    events = sample_events(scores.drop(columns=["direction", "triggers"]), triggers=named, sampling=named)
    scored = scores[scores["direction"] != 0].reset_index(drop=True)
    assert scored["direction"].tolist() == events["direction"].tolist()
    assert scored["triggers"].map("+".join).tolist() == events["triggers"].tolist()
    assert {"extended_move", "cusum", "extended_move+cusum"} == set(events["triggers"])


def test_a_bundle_names_triggers_that_there_are(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(small_bundle)
    manifest = bundle.manifest | {"labels": bundle.manifest["labels"] | {"triggers": ["return_24h"]}}
    write_bundle(tmp_path / "bundle", manifest, bundle.models)
    with pytest.raises(BundleError, match=r"labels.triggers of the bundle`: there is no trigger `return_24h`"):
        sw.ReversalScorer.load(tmp_path / "bundle")


def test_a_warmed_or_restored_stream_continues(scorer: sw.ReversalScorer, tmp_path: Path) -> None:
    frame = MarketFrame.from_tables(market(), FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    rows = list(frame.rows("BTCUSDT"))
    whole = scorer.stream("BTCUSDT")
    expected = [whole.update(row).features for row in rows][-1]
    warmed = scorer.stream("BTCUSDT")
    cut = {name: t[t["available_time"] <= rows[-2].event_time + DECISION_LAG] for name, t in market().items()}
    assert warmed.warm(cut) == len(rows) - 1
    write_arrays(warmed.save_state(), tmp_path / "state.npz")
    restored = scorer.stream("BTCUSDT")
    restored.load_state(read_arrays(tmp_path / "state.npz"))
    np.testing.assert_array_equal(restored.update(rows[-1]).features, expected)


def test_live_rows_from_push_to_score_and_across_a_restart(
    scorer: sw.ReversalScorer, scores: pd.DataFrame, tmp_path: Path
) -> None:
    """Rows assembled live, with the bundle's lags and limits, score as history does; one file restores it all."""
    tables = market()
    closes = sorted(tables["bars"]["event_time"].unique())
    start, last = closes[-30], closes[-1] + DECISION_LAG
    history = {name: t[t["available_time"] <= start + DECISION_LAG] for name, t in tables.items()}
    frames, stream = scorer.frame_stream(), scorer.stream("BTCUSDT")
    stream.warm(history)
    rest = []
    for name, table in tables.items():
        for row in table[table["available_time"] <= last].to_dict("records"):
            if row["available_time"] <= start + DECISION_LAG:
                frames.push(name, row)
            else:
                rest.append((row["available_time"], name, row))
    rest.sort(key=lambda item: item[0])
    frames.close(start)
    live = []
    for close in closes[-29:]:
        while rest and rest[0][0] <= close + DECISION_LAG:
            _, name, row = rest.pop(0)
            frames.push(name, row)
        live.append(stream.update(frames.close(close)["BTCUSDT"]))
        write_arrays(frames.save_state() | stream.save_state(), tmp_path / "live.npz")
        saved = read_arrays(tmp_path / "live.npz")
        frames, stream = scorer.frame_stream(), scorer.stream("BTCUSDT")
        frames.load_state(saved)
        stream.load_state(saved)
    expected = scores[scores["symbol"] == "BTCUSDT"].tail(29)
    names = sw.FeatureEngine(scorer._engine.families).names
    np.testing.assert_array_equal([s.features for s in live], expected[names])
    np.testing.assert_array_equal([s.p_direction for s in live], expected["p_direction"])


def test_the_bundle_says_how_rows_are_assembled(small_bundle: Path, tmp_path: Path) -> None:
    """A cap that got lost on the way into the bundle would change the live rows, and nothing would say so."""
    bundle = Bundle.load(small_bundle)
    manifest = {key: value for key, value in bundle.manifest.items() if key != "format"}
    manifest["market"] = manifest["market"] | {"liquidation_cap_us": 1_000_000}
    write_bundle(tmp_path / "capped", manifest, bundle.models)
    for path, cap in ((small_bundle, None), (tmp_path / "capped", timedelta(seconds=1))):
        made = sw.ReversalScorer.load(path).frame_stream().save_state()
        wanted = FrameStream(FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG, liquidation_cap=cap)).save_state()
        assert made["frame/parameters"] == wanted["frame/parameters"]


def test_scores_are_those_of_lightgbm(scorer: sw.ReversalScorer, scores: pd.DataFrame, small_bundle: Path) -> None:
    """The flattened trees, the orientation and the calibrator against the libraries that they stand for."""
    events = scores[scores["direction"] != 0]
    wanted = scorer.manifest["features"]["model_features"]
    described = [f for f in sw.FeatureEngine(scorer._engine.families).features if f.name in set(wanted)]
    oriented = Orientation(described).frame(events, events["direction"])
    for name in ("direction", "hit"):
        booster = lightgbm.Booster(model_file=small_bundle / f"{name}.txt")
        calibrator = calibrator_from_dict(scorer.manifest["models"][name]["calibrator"])
        expected = calibrator.predict(booster.predict(oriented.to_numpy(), raw_score=True))
        np.testing.assert_allclose(events[f"p_{name}"], expected, rtol=1e-12)
    raw = lightgbm.Booster(model_file=small_bundle / "trade.txt").predict(oriented.to_numpy(), raw_score=True)
    calibrator = calibrator_from_dict(scorer.manifest["models"]["trade"]["calibrator"])
    np.testing.assert_allclose(events["trade_edge"], calibrator.log_odds(raw), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(events["trade_edge_low"], calibrator.log_odds_low(raw), rtol=1e-9, atol=1e-12)


def test_a_row_unlike_the_training_rows_is_named_and_refused(small_bundle: Path, tmp_path: Path) -> None:
    """Trees answer with a constant beyond their last split, and look as sure as ever."""
    bundle = Bundle.load(small_bundle)
    manifest = {key: value for key, value in bundle.manifest.items() if key != "format"}
    known = manifest["training_range"]
    elsewhere = [None if value is None else value + 1e9 for value in known["upper"]]
    manifest["training_range"] = known | {"lower": elsewhere, "upper": elsewhere}
    write_bundle(tmp_path / "elsewhere", manifest, bundle.models)
    scorer = sw.ReversalScorer.load(tmp_path / "elsewhere")
    scores = scorer.score(market())
    event = scores[scores["direction"] != 0].iloc[-1]
    assert len(event["out_of_range_features"]) > 50
    refused = scorer.gate(event, sw.Account(equity=10_000.0))
    assert isinstance(refused, sw.Refusal)
    (reason,) = (reason for reason in refused.reasons if reason.code == "out_of_distribution")
    assert all(name in reason.message for name in event["out_of_range_features"])


def test_a_bundle_without_the_odds_or_with_a_foreign_range_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(small_bundle)
    manifest = {key: value for key, value in bundle.manifest.items() if key != "format"}
    lacking = manifest | {"models": {name: m for name, m in manifest["models"].items() if name != "trade"}}
    write_bundle(tmp_path / "lacking", lacking, {n: text for n, text in bundle.models.items() if n != "trade"})
    with pytest.raises(BundleError, match=r"lacks the models.*trade"):
        sw.ReversalScorer.load(tmp_path / "lacking")
    known = manifest["training_range"]
    short = manifest | {"training_range": known | {"lower": known["lower"][1:], "upper": known["upper"][1:]}}
    write_bundle(tmp_path / "short", short, bundle.models)
    with pytest.raises(BundleError, match="training range"):
        sw.ReversalScorer.load(tmp_path / "short")


def test_the_gate_answers_rows_and_stream_scores_alike(scorer: sw.ReversalScorer, scores: pd.DataFrame) -> None:
    account = sw.Account(equity=10_000.0)
    events = scores[scores["direction"] != 0]
    answers = [scorer.gate(row, account) for _, row in events.iterrows()]
    plans = [a for a in answers if isinstance(a, sw.TradePlan)]
    assert plans
    assert all(isinstance(a, sw.TradePlan | sw.Refusal) for a in answers)
    assert max(p.sizing.risk_fraction for p in plans) <= 0.01
    quiet = scores[scores["direction"] == 0].iloc[-1]
    refused = scorer.gate(quiet, account)
    assert isinstance(refused, sw.Refusal)
    assert "no_event" in refused.codes


@pytest.mark.parametrize(
    ("verdict", "synthetic", "proven"),
    [
        ("eligible", False, True),
        ("eligible", True, False),
        ("paper_only", False, False),
        ("not_evaluable", False, False),
    ],
)
def test_real_money_needs_an_edge_or_words(
    small_bundle: Path, tmp_path: Path, verdict: str, synthetic: bool, proven: bool
) -> None:
    """Catches a bundle without a demonstrated edge that trades live because nobody looked at its verdict."""
    bundle = Bundle.load(small_bundle)
    said = bundle.manifest["verdict"] | {"verdict": verdict, "sentence": "What was shown."}
    changes = {"verdict": said, "synthetic": synthetic, "labels": {**bundle.manifest["labels"]}}
    manifest = {key: value for key, value in bundle.manifest.items() if key != "format"} | changes
    write_bundle(tmp_path / "bundle", manifest, bundle.models)
    scorer = sw.ReversalScorer.load(tmp_path / "bundle")
    if proven:
        assert scorer.live_gate().rules == scorer.live_gate(UNPROVEN_EDGE).rules
        return
    for words in ("", "yes", UNPROVEN_EDGE.lower()):
        with pytest.raises(UnprovenEdgeError, match=rf"verdict of the bundle is {verdict}.*What was shown"):
            scorer.live_gate(words)
    assert isinstance(scorer.live_gate(UNPROVEN_EDGE), sw.Gate)


def test_the_gate_trades_on_the_facts_of_the_bundle(small_bundle: Path, scores: pd.DataFrame, tmp_path: Path) -> None:
    """Catches a live gate that sizes by the built-in facts what the backtest sized by the user's."""
    bundle = Bundle.load(small_bundle)
    facts = {"lot_size": 0.5, "min_quantity": 0.5}
    said = {"venue": "simulated", "as_of": "2026-11-25", "source": "mine", "contracts": {"BTCUSDT": facts}}
    said["contracts"]["BTCUSDT"]["tiers"] = [
        {"notional_cap_usd": 1e9, "maintenance_rate": 0.005, "max_leverage": 50.0},
    ]
    manifest = bundle.manifest | {"trading": bundle.manifest["trading"] | {"contract_facts": said}}
    write_bundle(tmp_path / "mine", manifest, bundle.models)
    account, events = sw.Account(equity=1e6), scores[(scores["direction"] != 0) & (scores["symbol"] == "BTCUSDT")]

    def quantities(path: Path) -> list[float]:
        scorer = sw.ReversalScorer.load(path)
        answers = [scorer.gate(row, account) for _, row in events.iterrows()]
        return [answer.quantity for answer in answers if isinstance(answer, sw.TradePlan)]

    assert {quantity % 0.5 for quantity in quantities(tmp_path / "mine")} == {0.0}
    assert any(quantity % 0.5 for quantity in quantities(small_bundle))


class NoBitcoin:
    """A rule as a user would write it."""

    name = "no_bitcoin"

    def reasons(self, score: Any, account: sw.Account, now: datetime) -> Iterator[Reason]:
        if score.symbol == "BTCUSDT":
            yield Reason("bitcoin", f"{score.symbol} is not traded")


def test_the_gate_of_a_bundle_takes_rules_from_outside(
    small_bundle: Path, scorer: sw.ReversalScorer, scores: pd.DataFrame
) -> None:
    """Catches a rule that is taken and not asked, one that replaces those of the bundle, and blame on the bundle."""
    strict = sw.ReversalScorer.load(small_bundle, extra_rules=(NoBitcoin(),))
    account = sw.Account(equity=10_000.0)
    for _, event in scores[scores["direction"] != 0].tail(40).iterrows():
        own, ours = strict.gate(event, account), scorer.gate(event, account)
        if event["symbol"] != "BTCUSDT":
            assert own == ours
        else:
            assert isinstance(own, sw.Refusal)
            others = ours.codes if isinstance(ours, sw.Refusal) else ()
            assert set(own.codes) == {*others, "bitcoin"}
    for rules, message in (
        ([NoBitcoin()], "`extra_rules` must be a tuple of rules"),
        ((NoBitcoin,), r"not the class NoBitcoin: give NoBitcoin\(\)"),
        ((NoBitcoin(), NoBitcoin()), "`extra_rules` must have different names"),
    ):
        with pytest.raises(ParameterError, match=message):
            sw.ReversalScorer.load(small_bundle, extra_rules=rules)  # type: ignore[arg-type]


def test_contributions_add_up_to_the_raw_score(scorer: sw.ReversalScorer, scores: pd.DataFrame) -> None:
    event = scores[scores["direction"] != 0].iloc[-1]
    why = scorer.explain(event)
    raw = why["contribution"].sum()
    calibrator = calibrator_from_dict(scorer.manifest["models"]["direction"]["calibrator"])
    assert float(calibrator.predict(np.array([raw]))[0]) == pytest.approx(event["p_direction"], rel=1e-9)
    assert why["feature"].iloc[-1] == "(base)"
    assert why["contribution"].abs()[:-1].is_monotonic_decreasing
    with pytest.raises(SchemaError, match="is not an event"):
        scorer.explain(scores[scores["direction"] == 0].iloc[-1])


def test_a_feature_that_is_unknown_at_an_event_is_listed(scorer: sw.ReversalScorer) -> None:
    tables = market()
    del tables["depth"]
    scores = scorer.score(tables)
    event = scores[scores["direction"] != 0].iloc[-1]
    assert "depth_imbalance" in event["missing_features"]
    refused = scorer.gate(event, sw.Account(equity=10_000.0))
    assert isinstance(refused, sw.Refusal)
    assert "missing_features" in refused.codes


def test_bad_rows_are_refused(scorer: sw.ReversalScorer) -> None:
    frame = MarketFrame.from_tables(market(), FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    first, second, *_ = frame.rows("BTCUSDT")
    stream = scorer.stream("BTCUSDT")
    stream.update(second)
    with pytest.raises(OrderError, match="not newer"):
        stream.update(first)
    with pytest.raises(MissingDataError, match="this stream is of BTCUSDT, the row is of ETHUSDT"):
        stream.update(next(frame.rows("ETHUSDT")))
    with pytest.raises(SchemaError, match="a frame row needs"):
        stream.update({"symbol": "BTCUSDT"})


def test_bad_tables_are_refused(scorer: sw.ReversalScorer) -> None:
    tables = market()
    with pytest.raises(MissingDataError, match="needs a table `bars`"):
        scorer.score({"depth": tables["depth"]})
    with pytest.raises(SchemaError, match="table bars: missing column close"):
        scorer.score(tables | {"bars": tables["bars"].drop(columns="close")})
    with pytest.raises(SchemaError, match="no canonical table `openinterest`; did you mean `open_interest`"):
        scorer.score(tables | {"openinterest": tables["open_interest"]})
    half = tables["bars"].assign(open_time=tables["bars"]["event_time"] - pd.Timedelta("30min"))
    with pytest.raises(SchemaError, match=r"reads bars of 1:00:00, .* have another length, the first 0 days 00:30"):
        scorer.score(tables | {"bars": half})


def test_warm_takes_what_score_takes_and_no_more(scorer: sw.ReversalScorer) -> None:
    """A state made from naive times, percent or a page twice differs in silence, and so does every score after it."""
    tables = market()
    last = tables["bars"]["event_time"].max()
    history = {name: t[t["available_time"] <= last - BAR + DECISION_LAG] for name, t in tables.items()}
    interest, settled, hit = (history[name] for name in ("open_interest", "funding", "liquidations"))
    moved = history["whale_transfers"]
    naive = {c: interest[c].dt.tz_localize(None) for c in ("event_time", "available_time")}
    for spoilt, message in (
        ({"open_interest": interest.assign(**naive)}, "naive times"),
        ({"liquidations": hit.assign(side=hit["side"].str.upper())}, "`side` must be one of long, short"),
        ({"funding": settled.assign(funding_rate=10.0 * settled["funding_rate"] + 0.05)}, "percent"),
        ({"depth": None}, "table depth: must be a DataFrame, was a NoneType"),
    ):
        stream = scorer.stream("BTCUSDT")
        for take in (scorer.score, stream.warm):
            with pytest.raises(SchemaError, match=message):
                take(history | spoilt)
        assert list(stream.save_state()) == ["fingerprint"]
    zero = interest.assign(open_interest=interest["open_interest"].where(interest.index != interest.index[-30], 0.0))
    streams = scorer.stream("ETHUSDT"), scorer.stream("ETHUSDT")
    with pytest.warns(
        DefectWarning, match=r"ETHUSDT zero_open_interest in 1 rows.*masked(?s:.*)doubled_rows in 200 rows"
    ):
        streams[0].warm(history | {"open_interest": zero, "whale_transfers": pd.concat([moved, moved.tail(200)])})
    with pytest.warns(DefectWarning, match="ETHUSDT gap in 1 rows"):
        streams[1].warm(history | {"open_interest": zero[zero["open_interest"] > 0]})
    of_both = [{name: array.tobytes() for name, array in each.save_state().items()} for each in streams]
    assert of_both[0] == of_both[1]


def test_two_symbols_in_one_file_go_on_as_if_there_had_been_no_restart(
    scorer: sw.ReversalScorer, tmp_path: Path
) -> None:
    """A stream that carries copies of the others' states writes them over the others' own in the union of a file."""
    frame = MarketFrame.from_tables(market(), FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    rows = {symbol: list(frame.rows(symbol))[-60:] for symbol in ("BTCUSDT", "ETHUSDT")}
    whole, streams = ({symbol: scorer.stream(symbol) for symbol in rows} for _ in range(2))
    for at in range(60):
        for symbol, of_symbol in rows.items():
            expected = whole[symbol].update(of_symbol[at])
            np.testing.assert_array_equal(streams[symbol].update(of_symbol[at]).features, expected.features)
        if at in (20, 40):
            state = scorer.frame_stream().save_state()
            for each in streams.values():
                state |= each.save_state()
            write_arrays(state, tmp_path / "live.npz")
            streams = {symbol: scorer.stream(symbol) for symbol in rows}
            for each in streams.values():
                each.load_state(read_arrays(tmp_path / "live.npz"))
    late = scorer.stream("SOLUSDT")
    with pytest.raises(BundleError, match="has no SOLUSDT, it has BTCUSDT, ETHUSDT; warm up from history"):
        late.load_state(read_arrays(tmp_path / "live.npz"))
    damaged = read_arrays(tmp_path / "live.npz")
    damaged["state/BTCUSDT"][7] += 1.0
    with pytest.raises(BundleError, match="the saved state of BTCUSDT is incomplete or damaged"):
        streams["BTCUSDT"].load_state(damaged)


def test_other_company_is_named(scorer: sw.ReversalScorer) -> None:
    """Features that are means over the other symbols move with them, and no input of the symbol itself shows it."""
    tables = market()
    alone = {name: t[t["symbol"] == "BTCUSDT"] for name, t in tables.items()}
    more = tables | {"bars": pd.concat([tables["bars"], alone["bars"].assign(symbol="ALTUSDT")])}
    with pytest.warns(UniverseWarning, match=r"this market lacks ETHUSDT\. others_return_24h, .* are means over"):
        scorer.score(alone)
    with (
        pytest.warns(UniverseWarning, match="this market adds ALTUSDT"),
        pytest.warns(DefectWarning, match="depth: ALTUSDT silent .* the table has BTCUSDT, ETHUSDT"),
    ):
        scorer.stream("BTCUSDT").warm(more)
    frames = scorer.frame_stream()
    closes = alone["bars"].head(2)
    for row in closes.to_dict("records"):
        frames.push("bars", row)
    with pytest.warns(UniverseWarning, match="this market lacks ETHUSDT"):
        frames.close(closes["event_time"].iloc[0])
    frames.close(closes["event_time"].iloc[1])  # the same symbols are named once


def test_gate_and_explain_take_rows_as_mappings_and_refuse_by_name(
    scorer: sw.ReversalScorer, scores: pd.DataFrame
) -> None:
    event, account = scores[scores["direction"] != 0].iloc[-1], sw.Account(equity="10000.0")
    assert scorer.gate(event.to_dict(), account, price="21000.5") == scorer.gate(event, account, price=21_000.5)
    pd.testing.assert_frame_equal(scorer.explain(event.to_dict()), scorer.explain(event))
    for options, message in (
        ({"now": "2024-01-01T00:00Z"}, "`now` must be a time with a time zone, was '2024"),
        ({"now": 1.7e9}, "`now` must be a time"),
        ({"price": "21,000"}, "`price` must be a number"),
    ):
        with pytest.raises(ParameterError, match=message):
            scorer.gate(event, account, **options)
    for wrong in ("directoin", ["hit"], None):
        with pytest.raises(ParameterError, match="`model` must be one of"):
            scorer.explain(event, model=wrong)
    with pytest.raises(SchemaError, match="lacks the columns"):
        scorer.explain(event.drop("atr_1h"))
    with pytest.raises(SchemaError, match="must map column names to values, was a str"):
        scorer.gate("BTCUSDT", account)
