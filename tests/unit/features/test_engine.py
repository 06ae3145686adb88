"""The engine: bad rows leave the state as it was, and kernels give hand-computed values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import BundleError, OrderError, ParameterError, SchemaError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.families import FAMILIES
from slackwater.features.funding import FundingFamily
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUTS
from slackwater.market.spec import FrameSpec
from tests.small_market import DECISION_LAG, small_market

HOUR = timedelta(hours=1)
START = int(pd.Timestamp("2024-01-01", tz="UTC").value // 3_600_000_000_000)
ENGINE = FeatureEngine(default_families(HOUR))


def row(hour: int, symbol: str = "BTCUSDT", **inputs: float) -> FrameRow:
    price = {"open": 100.0, "high": 103.0, "low": 99.0, "close": 100.0, "volume": 5.0}
    time = pd.Timestamp("2024-01-01", tz="UTC") + hour * pd.Timedelta("1h")
    return FrameRow.from_mapping({"symbol": symbol, "event_time": time} | price | inputs)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), 1e16, 98.0, 104.0])
def test_an_impossible_price_is_refused_and_changes_nothing(price: float) -> None:
    clean, hit = FeatureEngine(ENGINE.families), FeatureEngine(ENGINE.families)
    for engine in (clean, hit):
        engine.update(row(0))
    with pytest.raises(SchemaError, match="must be positive and finite, and high and low enclose"):
        hit.update(row(1, close=price))
    np.testing.assert_array_equal(clean.update(row(1)), hit.update(row(1)))


@pytest.mark.parametrize("hour", [3, 2, -5])
def test_a_repeated_or_older_row_is_refused(hour: int) -> None:
    engine = FeatureEngine(ENGINE.families)
    engine.update(row(3))
    with pytest.raises(OrderError, match="is not newer than the last one"):
        engine.update(row(hour))
    engine.update(row(4))


def test_a_row_off_the_grid_is_refused() -> None:
    engine = FeatureEngine(ENGINE.families)
    engine.update(row(0))
    off = FrameRow("BTCUSDT", row(1).event_time + pd.Timedelta("7min"), row(1).values)
    with pytest.raises(OrderError, match="does not lie on the grid"):
        engine.update(off)


@pytest.mark.parametrize("after", [pd.Timedelta("367D"), pd.Timestamp("2262-01-01", tz="UTC") - row(0).event_time])
def test_a_row_far_ahead_is_refused_at_once(after: pd.Timedelta) -> None:
    """Catches a clock gone wrong that is filled bar by bar for hours, and then locks out every good row."""
    clean, hit = FeatureEngine(ENGINE.families), FeatureEngine(ENGINE.families)
    for engine in (clean, hit):
        engine.update(row(0))
    with pytest.raises(OrderError, match="lies more than 366 days after the last one, 2024-01-01 00:00"):
        hit.update(FrameRow("BTCUSDT", row(0).event_time + after.floor("1h"), row(1).values))
    np.testing.assert_array_equal(clean.update(row(1)), hit.update(row(1)))


def test_numbers_as_venues_write_them_are_read() -> None:
    given = {"symbol": "BTCUSDT", "event_time": pd.Timestamp("2024-01-01", tz="UTC"), "open": 1, "high": "2.50"}
    given |= {"low": Decimal("0.1"), "close": np.float32(0.5), "volume": None, "funding_rate": "-1e-4"}
    values = FrameRow.from_mapping(given).values
    assert values[:4].tolist() == [1.0, 2.5, 0.1, 0.5]
    assert np.isnan(values[INPUTS.index("volume")])
    assert values[INPUTS.index("funding_rate")] == -1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": "1,000"}, "`close` must be a number such as"),
        ({"close": "nan"}, "`close` must be a number such as"),
        ({"close": None}, "`close` must be a number"),
        ({"close": 10**400}, "`close` must be a number that a float can hold"),
        ({"volume": -1.0}, "`volume` must be at least 0, was -1.0"),
        ({"volume": True}, "`volume` must be a number, was True"),
        ({"volume": 1e16}, r"`volume` must be at most 1e\+15"),
        ({"volume": [1.0]}, r"`volume` must be a number, was \[1.0\]"),
        ({"event_time": pd.Timestamp("2024-01-01")}, "`event_time` must be a timezone-aware time .* was naive"),
        ({"event_time": datetime(9999, 1, 1, tzinfo=UTC)}, "`event_time` must be a time between 2009 and 2100"),
        ({"event_time": "2024-01-01T00:00Z"}, "`event_time` must be a timezone-aware time"),
        ({"symbol": 7}, "`symbol` of a frame row must be a name"),
        ({"oi": 1.0}, r"has no inputs \['oi'\]"),
    ],
)
def test_a_row_that_is_not_one_is_refused_by_name(change: dict[str, object], message: str) -> None:
    good = {"symbol": "BTCUSDT", "event_time": pd.Timestamp("2024-01-01", tz="UTC")}
    good |= dict.fromkeys(("open", "high", "low", "close"), 1.0)
    FrameRow.from_mapping(good)
    with pytest.raises(SchemaError, match=message):
        FrameRow.from_mapping(good | change)


def test_symbols_keep_their_own_state() -> None:
    engine, alone = FeatureEngine(ENGINE.families), FeatureEngine(ENGINE.families)
    for hour in range(60):
        engine.update(row(hour, close=100.0 + hour % 3))
        engine.update(row(hour, "ETHUSDT", close=50.0, high=60.0, low=40.0, open=50.0))
        alone.update(row(hour, close=100.0 + hour % 3))
    np.testing.assert_array_equal(engine.update(row(60)), alone.update(row(60)))


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(INPUTS[4:]),
            st.floats(allow_nan=True, allow_infinity=True) | st.just(0.0),
            max_size=13,
        ),
        min_size=1,
        max_size=40,
    )
)
def test_arbitrary_inputs_never_poison_the_state(rows: list[dict[str, float]]) -> None:
    """After any garbage, a warm-up of good rows gives finite values again, and nothing is ever infinite."""
    engine = FeatureEngine(ENGINE.families)
    for hour, inputs in enumerate(rows):
        garbage = row(hour)
        for name, value in inputs.items():
            garbage.values[INPUTS.index(name)] = value
        assert not np.isinf(engine.update(garbage)).any()
    market = small_market(("BTCUSDT", "ETHUSDT"), interval=HOUR, days=100)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    last = None
    for good in frame.rows("BTCUSDT"):
        later = FrameRow(good.symbol, good.event_time + pd.Timedelta("100D"), good.values)
        last = engine.update(later)
    assert last is not None
    assert np.isfinite(last).mean() > 0.95


def test_a_long_gap_live_is_the_same_as_in_history() -> None:
    market = small_market(("BTCUSDT",), interval=HOUR, days=50)
    market["bars"] = market["bars"].drop(index=range(600, 700)).reset_index(drop=True)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    engine = FeatureEngine(ENGINE.families)
    live = np.array([engine.update(r) for r in frame.rows("BTCUSDT")])
    np.testing.assert_array_equal(live, ENGINE.transform(frame)[ENGINE.names])


def test_an_extended_move_waits_for_its_cooldown_and_fires_on_both_sides() -> None:
    market = small_market(("BTCUSDT",), interval=HOUR, days=60, seed=3)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    out = ENGINE.transform(frame)
    for side in (1.0, -1.0):
        times = out.loc[out["extended_move"] == side, "event_time"]
        assert len(times) > 3
        assert times.diff().min() >= timedelta(hours=2)
    fired = out[out["extended_move"] != 0.0].dropna(subset="extended_move")
    assert (np.sign(fired["return_12h"]) == fired["extended_move"]).all()
    assert (fired["return_12h"].abs() >= 1.5 - 1e-9).all()


def funding_rows(settled: list[tuple[int, float, int]], hours: int, premium: float = 0.0) -> pd.DataFrame:
    """Feed an hourly funding family with (settlement hour, rate, interval)."""
    engine = FeatureEngine([FundingFamily(bar_interval=HOUR, settlements=10)])
    seen = []
    for hour in range(hours):
        time, rate, interval = [s for s in settled if s[0] <= hour][-1]
        inputs = {"funding_rate": rate, "funding_interval_hours": interval, "funding_time_hours": START + time}
        seen.append(engine.update(row(hour, premium_index=premium, **inputs)))
    return pd.DataFrame(seen, columns=engine.names)


def test_funding_acceleration_by_hand_and_never_across_an_interval_change() -> None:
    eight = [(8 * i, 1e-4, 8) for i in range(14)]
    short = [(112, 2e-4, 4), (116, 3e-4, 4), (120, 5e-4, 4)]
    out = funding_rows(eight + short, 124)
    # bps an 8 h, in the order of the settlements at 4 h: 4, 6, 10.
    assert out["funding_rate_8h"].iloc[[113, 117, 121]].tolist() == pytest.approx([4.0, 6.0, 10.0])
    assert out["funding_change_8h"].iloc[[117, 121]].tolist() == pytest.approx([2.0, 4.0])
    assert np.isnan(out["funding_change_8h"][113])
    assert out["funding_acceleration_8h"].iloc[112:120].isna().all()
    assert out["funding_acceleration_8h"][121] == pytest.approx((4.0 / 0.5 - 2.0 / 0.5) / 0.5)


def test_predicted_funding_is_the_clamped_premium_since_the_settlement() -> None:
    """Method, section 7.2: P + clamp(1 bp - P, -5 bp, 5 bp); a premium of -2 bp within the clamp settles at 1 bp."""
    settled = [(8 * i, 1e-4, 8) for i in range(20)]
    assert funding_rows(settled, 130, premium=-2e-4)["funding_predicted_8h"].iloc[-1] == pytest.approx(1.0)
    assert funding_rows(settled, 130, premium=20e-4)["funding_predicted_8h"].iloc[-1] == pytest.approx(15.0)
    assert funding_rows(settled, 130, premium=-20e-4)["funding_predicted_8h"].iloc[-1] == pytest.approx(-15.0)
    # The close at a settlement still belongs to the window that ends there.
    elapsed = funding_rows(settled, 130)["funding_elapsed"].iloc[112:121]
    assert elapsed.tolist() == pytest.approx([1.0, *(h / 8 for h in range(1, 9))])


def test_foreign_state_is_refused() -> None:
    engine = FeatureEngine(ENGINE.families)
    engine.update(row(0))
    saved = engine.save_state()
    with pytest.raises(BundleError, match="belongs to other features"):
        FeatureEngine(default_families(timedelta(minutes=30))).load_state(saved)
    del saved["time/BTCUSDT"]
    with pytest.raises(BundleError, match="incomplete"):
        engine.load_state(saved)


def test_fingerprint_follows_every_parameter() -> None:
    other = default_families(HOUR, funding={"premium_fast_half_life": timedelta(hours=2)})
    assert FeatureEngine(other).fingerprint != ENGINE.fingerprint == FeatureEngine(default_families(HOUR)).fingerprint


def test_families_may_be_left_out_but_not_what_they_need() -> None:
    """A subset gives the same values as the whole; families that lack one are refused."""
    market = small_market(("BTCUSDT",), interval=HOUR, days=40)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    some = FeatureEngine([f for f in ENGINE.families if f.name in ("volatility", "price", "order_flow")])
    pd.testing.assert_frame_equal(some.transform(frame)[some.names], ENGINE.transform(frame)[some.names])
    with pytest.raises(ParameterError, match=r"family price needs the families \['volatility'\]"):
        FeatureEngine(ENGINE.families[1:])
    with pytest.raises(ParameterError, match="at least one family"):
        FeatureEngine([])
    with pytest.raises(ParameterError, match="two families are named price"):
        FeatureEngine([*ENGINE.families, ENGINE.families[1]])


def test_the_order_of_the_families_is_that_of_the_columns_alone() -> None:
    """Catches a place in the state or the output that belongs to another family."""
    market = small_market(("BTCUSDT",), interval=HOUR, days=40)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    backwards = FeatureEngine(ENGINE.families[::-1])
    assert backwards.names != ENGINE.names
    pd.testing.assert_frame_equal(backwards.transform(frame)[ENGINE.names], ENGINE.transform(frame)[ENGINE.names])


def test_the_state_of_a_family_can_be_looked_at() -> None:
    engine = FeatureEngine(ENGINE.families)
    engine.update(row(0))
    for family in ENGINE.families:
        assert engine.state_of(family.name, "BTCUSDT").size == family.state_size()
    with pytest.raises(ParameterError, match="never saw ETHUSDT"):
        engine.state_of("price", "ETHUSDT")
    with pytest.raises(ParameterError, match="has no family prices"):
        engine.state_of("prices", "BTCUSDT")


def test_every_kind_of_family_has_a_place() -> None:
    """A family that the engine does not call would leave its outputs as they were in memory."""
    assert [type(f) for f in ENGINE.families] == list(FAMILIES)
    market = small_market(("BTCUSDT",), interval=HOUR, days=3)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    assert ENGINE.transform(frame)[ENGINE.names].isna().all(axis=None)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"unknown feature families \['prices'\]"):
        default_families(HOUR, prices={})
    with pytest.raises(ParameterError, match=r"features.triggers: .*move_windw"):
        default_families(HOUR, triggers={"move_windw": HOUR})
    with pytest.raises(ParameterError, match=r"`features.triggers.move_window` must be a positive multiple"):
        default_families(HOUR, triggers={"move_window": timedelta(minutes=90)})
    with pytest.raises(ParameterError, match=r"`features.liquidations.windows` must be distinct"):
        default_families(HOUR, liquidations={"windows": (HOUR, HOUR)})


def test_manifest_lists_what_is_unavailable() -> None:
    market = small_market(("BTCUSDT",), interval=HOUR, days=40)
    del market["whale_transfers"], market["large_trades"], market["long_short_ratio"], market["liquidations"]
    del market["exchange_flows"]
    market["bars"] = market["bars"].drop(columns="taker_buy_volume")
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    manifest = ENGINE.manifest(frame.available)
    assert manifest["unavailable_families"] == ["liquidations", "whale_flows"]
    assert "taker_imbalance_1h" in manifest["unavailable_features"]
    assert "depth_imbalance" in manifest["model_features"]
    assert not set(manifest["model_features"]) & set(manifest["unavailable_features"])


def test_a_table_keeps_its_values_when_the_engine_makes_another() -> None:
    """Catches memory that is given out twice: a table, one column of it or a view of that may still be in use."""
    engine = FeatureEngine(ENGINE.families)
    spec = FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG)
    frames = [MarketFrame.from_tables(small_market(interval=HOUR, days=6, seed=seed), spec) for seed in (1, 2)]
    name = "volume_24h"
    wanted = ENGINE.transform(frames[0])[engine.names].to_numpy()

    def held(table: pd.DataFrame) -> object:
        return table, table[name], table[engine.names].to_numpy().T[:, 1:]

    for part in range(3):
        kept = held(engine.transform(frames[0]))[part]
        for _ in range(3):
            engine.transform(frames[1])
        found = kept[engine.names] if part == 0 else kept
        np.testing.assert_array_equal(found, [wanted, wanted[:, engine.names.index(name)], wanted.T[:, 1:]][part])


@pytest.mark.parametrize("rows", [1, 7, 64, 100_000])
def test_parts_of_a_table_are_the_table(rows: int) -> None:
    """Catches a window that begins anew with a part, a row without a bar that ages none, and memory given out twice."""
    families = [*default_families(HOUR, extra=["tests.unit.features.outside_families:Outside"])]
    engine = FeatureEngine(families)
    spec = FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG)
    whole = MarketFrame.from_tables(small_market(interval=HOUR, days=12), spec)
    table = whole.table.copy()
    gaps = np.random.default_rng(0).random(len(table)) < 0.1
    table.loc[gaps, list(whole.inputs)] = np.nan
    frame = whole.with_table(table)
    parts = [*engine.transform_parts(frame, rows)]
    assert all(len({*part["symbol"]}) <= 1 and len(part) <= rows for part in parts)
    joined = pd.concat(parts, ignore_index=True).astype({"symbol": table["symbol"].dtype})
    wanted = engine.transform(frame)
    assert 0 < len(wanted) < len(table)
    pd.testing.assert_frame_equal(joined, wanted, check_exact=True)


def test_parts_share_their_memory_and_an_engine_need_not_have_a_hash() -> None:
    """Catches a part that is kept while the next one is made, so that each takes fresh memory."""

    class Equal(FeatureEngine):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return isinstance(other, FeatureEngine)

    engine = Equal(ENGINE.families)
    spec = FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG)
    frame = MarketFrame.from_tables(small_market(interval=HOUR, days=6), spec)
    found = set()
    for part in engine.transform_parts(frame, 24):
        found.add(int(part[engine.names[0]].to_numpy().ctypes.data))
        del part
    assert len(found) <= 2
    with pytest.raises(ParameterError, match="`rows` must be at least 1, was 0"):
        next(engine.transform_parts(frame, 0))


def test_the_memory_of_a_table_that_is_gone_is_used_again() -> None:
    """Fresh memory costs more than the kernel; a small table does not hold that of a large one."""
    engine = FeatureEngine(ENGINE.families)
    tables = small_market(interval=HOUR, days=6)
    frame = MarketFrame.from_tables(tables, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))

    def address(given: MarketFrame) -> int:
        return int(engine.transform(given)[engine.names[0]].to_numpy().ctypes.data)

    first = address(frame)
    assert address(frame) == first
    memory = engine.transform(frame.with_table(frame.table.iloc[:5]))[engine.names[0]].to_numpy()
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    assert memory.nbytes <= 2 * 5 * 8 * len(engine.names)
