"""An account that loses trades less, then not at all, and never more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import OrderError, ParameterError
from slackwater.trading.drawdown_control import RECOVERY_WINS, TrackRecord, halts, throttle
from slackwater.trading.rules import DrawdownRules

FRIDAY = datetime(2024, 3, 1, 12, tzinfo=UTC)  # of the week of Monday 2024-02-26
HOUR = timedelta(hours=1)
OFF = DrawdownRules.off()
NAN, INF = float("nan"), float("inf")

PROPERTY = settings(deadline=None, max_examples=1_500)


def record(**changes: Any) -> TrackRecord:
    return replace(TrackRecord.start(10_000.0, FRIDAY), **changes)


def codes(of: TrackRecord, equity: float, now: datetime, rules: DrawdownRules) -> list[str]:
    return [reason.code for reason in halts(of, equity, now, rules)]


def play(outcomes: str, equity: float = 9_000.0) -> TrackRecord:
    """A record after trades, an hour apart, that lost (L), won (W) or did neither (0), below the peak."""
    played = record()
    for hour, outcome in enumerate(outcomes):
        played = played.closed(FRIDAY + hour * HOUR, {"L": -1.0, "W": 1.0, "0": 0.0}[outcome], equity)
    return played


# -- The record ---------------------------------------------------------------------------------------------------


def test_a_new_record_has_no_past() -> None:
    """Catches a record that starts in a drawdown, on the local day, or in the week of another Monday."""
    east = timezone(timedelta(hours=9))
    assert TrackRecord.start(10_000.0, datetime(2024, 3, 4, 8, tzinfo=east)) == TrackRecord(
        peak_equity=10_000.0,
        worst_drawdown=0.0,
        day=date(2024, 3, 3),  # in Tokyo it is Monday morning, in UTC still Sunday night
        week=date(2024, 2, 26),
        day_start_equity=10_000.0,
        week_start_equity=10_000.0,
        losing_trades_today=0,
        loss_streak=0,
        worst_streak=0,
        win_streak=0,
        last_loss_time=None,
    )


def test_peak_and_worst_drawdown_outlast_what_follows() -> None:
    """Catches a drawdown measured from the last value or from the final peak, and one that heals."""
    seen = record().observed(FRIDAY, 12_000.0).observed(FRIDAY, 9_000.0).observed(FRIDAY, 20_000.0)
    assert (seen.peak_equity, seen.worst_drawdown) == (20_000.0, 0.25)
    seen = seen.observed(FRIDAY, 18_000.0)
    assert (seen.peak_equity, seen.worst_drawdown) == (20_000.0, 0.25)


def test_an_observation_leaves_the_old_record_alone() -> None:
    """Catches a record that is changed in place: the backtest would see the future."""
    before = record()
    before.closed(FRIDAY, -100.0, 9_900.0)
    assert before == record()


def test_the_day_and_the_week_start_with_their_first_observation() -> None:
    """Catches a start that moves within the day, a week that rolls with the day, and a week of seven days from now."""
    lost = record().closed(FRIDAY, -100.0, 9_900.0)
    assert (lost.day_start_equity, lost.week_start_equity, lost.losing_trades_today) == (10_000.0, 10_000.0, 1)
    saturday = lost.observed(datetime(2024, 3, 2, tzinfo=UTC), 9_800.0)
    assert (saturday.day, saturday.week) == (date(2024, 3, 2), date(2024, 2, 26))
    assert (saturday.day_start_equity, saturday.week_start_equity) == (9_800.0, 10_000.0)
    assert (saturday.losing_trades_today, saturday.loss_streak) == (0, 1)
    monday = saturday.observed(datetime(2024, 3, 4, tzinfo=UTC), 9_700.0)
    assert (monday.day, monday.week) == (date(2024, 3, 4), date(2024, 3, 4))
    assert (monday.day_start_equity, monday.week_start_equity) == (9_700.0, 9_700.0)
    assert monday.observed(datetime(2024, 3, 4, 23, 59, tzinfo=UTC), 1.0).day_start_equity == 9_700.0


def test_a_trade_that_ends_on_a_new_day_counts_there() -> None:
    """Catches a loss that is booked on the old day, or lost when the day rolls over it."""
    lost = record(losing_trades_today=2).closed(FRIDAY + 24 * HOUR, -100.0, 9_900.0)
    assert (lost.day, lost.losing_trades_today, lost.day_start_equity) == (date(2024, 3, 2), 1, 9_900.0)


def test_streaks_of_losses_and_wins() -> None:
    """Catches a streak that a win does not end, a worst streak that it does, and a zero that counts as either."""
    lost = play("LLL")
    assert (lost.loss_streak, lost.worst_streak, lost.win_streak) == (3, 3, 0)
    assert lost.losing_trades_today == 3
    assert lost.last_loss_time == FRIDAY + 2 * HOUR
    flat = play("LLL0")
    assert flat == lost
    won = play("LLLW")
    assert (won.loss_streak, won.worst_streak, won.win_streak) == (0, 3, 1)
    assert play("W0W").win_streak == 2
    again = play("LLLWL")
    assert (again.loss_streak, again.worst_streak, again.win_streak) == (1, 3, 0)


def test_an_earlier_loss_that_is_booked_late_does_not_move_the_last_one() -> None:
    """Catches a pause that gets shorter by one more loss."""
    lost = record().closed(FRIDAY + HOUR, -1.0, 9_999.0).closed(FRIDAY, -1.0, 9_998.0)
    assert lost.last_loss_time == FRIDAY + HOUR


def test_three_wins_in_a_row_are_a_recovery() -> None:
    """Catches a recovery after two wins, or after three that a loss interrupts."""
    assert RECOVERY_WINS == 3
    assert play("LLLWW").worst_streak == 3
    assert play("LLLWWLW").worst_streak == 3
    assert play("LLLWWW").worst_streak == 0
    assert play("LLLWWWL").worst_streak == 1


@pytest.mark.parametrize(
    ("net_usd", "equity", "streaks"),
    [
        (50.0, 10_000.01, (0, 0)),
        (0.0, 10_000.01, (0, 0)),
        (50.0, 10_000.0, (0, 4)),  # at the peak is not above it
        (0.0, 10_000.0, (4, 4)),
        (-50.0, 10_000.01, (5, 5)),  # another position made the high
    ],
)
def test_a_new_high_is_a_recovery_unless_the_trade_lost(
    net_usd: float, equity: float, streaks: tuple[int, int]
) -> None:
    """Catches a peak that is compared with itself, and a loss that is forgiven because another position gained."""
    after = record(loss_streak=4, worst_streak=4).closed(FRIDAY, net_usd, equity)
    assert (after.loss_streak, after.worst_streak) == streaks


def test_an_open_high_is_no_recovery() -> None:
    """Catches a streak that is forgotten while the gain is not yet realised."""
    seen = record(loss_streak=4, worst_streak=4).observed(FRIDAY, 11_000.0)
    assert (seen.loss_streak, seen.worst_streak) == (4, 4)
    assert seen.closed(FRIDAY, 900.0, 10_990.0).worst_streak == 4


@pytest.mark.parametrize("equity", [0.0, -500.0])
def test_a_ruined_account_is_recorded_and_stopped(equity: float) -> None:
    """Catches a division by the equity of a day that starts with nothing, and a debt that counts as a gain."""
    next_week = datetime(2024, 3, 4, tzinfo=UTC)
    ruined = record().closed(FRIDAY, equity - 10_000.0, equity).observed(next_week, equity)
    assert ruined.worst_drawdown == 1.0 - equity / 10_000.0
    assert throttle(ruined, equity, DrawdownRules()).multiplier == 0.0
    expected = ["drawdown_stop", "daily_halt", "weekly_halt"]
    assert codes(ruined, equity, next_week, DrawdownRules()) == expected
    assert codes(ruined, equity, next_week, OFF) == []


def test_time_does_not_run_backwards() -> None:
    """Catches a day that is counted twice; within the day the order of exits is free."""
    midnight = datetime(2024, 3, 1, tzinfo=UTC)
    assert record().observed(midnight, 10_000.0) == record()
    yesterday = midnight - timedelta(microseconds=1)
    with pytest.raises(OrderError, match=r"`time` must not lie before the day .* 2024-03-01, was 2024-02-29"):
        record().observed(yesterday, 10_000.0)
    with pytest.raises(OrderError, match="2024-03-01"):
        record().closed(yesterday, 1.0, 10_000.0)
    with pytest.raises(OrderError, match="2024-03-01"):
        halts(record(), 10_000.0, yesterday, OFF)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    """Catches a NaN that compares as neither a loss nor a drawdown, and so would switch every rule off."""
    with pytest.raises(ParameterError, match="`equity` must be"):
        TrackRecord.start(bad, FRIDAY)
    with pytest.raises(ParameterError, match="`equity` must be finite"):
        record().observed(FRIDAY, bad)
    with pytest.raises(ParameterError, match="`equity` must be finite"):
        record().closed(FRIDAY, 1.0, bad)
    with pytest.raises(ParameterError, match="`net_usd` must be finite"):
        record().closed(FRIDAY, bad, 10_000.0)
    with pytest.raises(ParameterError, match="`equity` must be finite"):
        throttle(record(), bad, OFF)
    with pytest.raises(ParameterError, match="`equity` must be finite"):
        halts(record(), bad, FRIDAY, OFF)


@pytest.mark.parametrize("naive", [datetime(2024, 3, 1, 12), pd.NaT])
def test_times_without_a_zone_are_refused(naive: datetime) -> None:
    """Catches a local midnight that ends the halt hours early."""
    with pytest.raises(ParameterError, match="`time` must have a time zone"):
        TrackRecord.start(10_000.0, naive)
    with pytest.raises(ParameterError, match="`time` must have a time zone"):
        record().observed(naive, 10_000.0)
    with pytest.raises(ParameterError, match="`time` must have a time zone"):
        record().closed(naive, 1.0, 10_000.0)
    with pytest.raises(ParameterError, match="`now` must have a time zone"):
        halts(record(), 10_000.0, naive, OFF)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("peak_equity", 0.0),
        ("peak_equity", INF),
        ("worst_drawdown", -0.1),
        ("worst_drawdown", NAN),
        ("day_start_equity", NAN),
        ("week_start_equity", INF),
        ("losing_trades_today", -1),
        ("loss_streak", -1),
        ("loss_streak", 0.5),
        ("worst_streak", -1),
        ("win_streak", -1),
        ("week", date(2024, 3, 4)),
        ("last_loss_time", datetime(2024, 3, 1)),
    ],
)
def test_impossible_records_are_refused(name: str, bad: Any) -> None:
    """Catches a record restored from a damaged file, which would trade on."""
    with pytest.raises(ParameterError, match=f"`{name}` must"):
        record(**{name: bad})


def test_the_worst_streak_is_at_least_the_present_one() -> None:
    """Catches a record that throttles less than its own losses in a row ask for."""
    with pytest.raises(ParameterError, match=r"`worst_streak` must be a whole number in \[3, inf\), was 2"):
        record(loss_streak=3, worst_streak=2)


# -- The rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["throttle_drawdown", "max_drawdown", "max_daily_loss", "max_weekly_loss"])
@pytest.mark.parametrize("bad", [0.0, -0.1, 1.01, NAN])
def test_fractions_outside_of_their_range_are_refused(name: str, bad: float) -> None:
    """Catches 15 for 15 %, a limit that no loss can reach."""
    with pytest.raises(ParameterError, match=rf"`{name}` must be > 0 and <= 1, was {bad}"):
        DrawdownRules(**{name: bad})
    assert getattr(DrawdownRules(**{name: 1.0}), name) == 1.0


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("streak_grace", -1),
        ("streak_grace", 1.5),
        ("max_daily_losing_trades", 0),
        ("cool_off_streak", 0),
        ("cool_off", timedelta(0)),
        ("cool_off", -HOUR),
    ],
)
def test_counts_and_pauses_outside_of_their_range_are_refused(name: str, bad: Any) -> None:
    """Catches a rule that is on and never bites, or always does."""
    with pytest.raises(ParameterError, match=f"`{name}` must be"):
        DrawdownRules(**{name: bad})


def test_off_switches_everything_off() -> None:
    """Catches a rule that is forgotten in `off`: the baseline of the backtest would not be one."""
    wrecked = record(worst_drawdown=0.9, losing_trades_today=50, loss_streak=50, worst_streak=50, last_loss_time=FRIDAY)
    assert halts(wrecked, 100.0, FRIDAY, OFF) == ()
    assert throttle(wrecked, 100.0, OFF).multiplier == 1.0


# -- The throttle -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equity", "drawdown", "factor"),
    [
        (10_000.0, 0.0, 1.0),
        (9_700.0, 0.03, 0.8),
        (9_250.0, 0.075, 0.5),
        (8_500.0, 0.15, 0.0),
        (5_000.0, 0.5, 0.0),
        (12_000.0, 0.0, 1.0),  # above the recorded peak
    ],
)
def test_the_size_shrinks_with_the_drawdown(equity: float, drawdown: float, factor: float) -> None:
    """Catches a negative size beyond the limit, and a size above its base at a new high."""
    answer = throttle(record(), equity, DrawdownRules(streak_grace=None))
    assert answer.drawdown == pytest.approx(drawdown)
    assert answer.drawdown_factor == pytest.approx(factor)
    assert answer.multiplier == answer.drawdown_factor
    assert answer.streak_factor == 1.0


def test_an_old_drawdown_does_not_throttle() -> None:
    """Catches the sticky drawdown of the stop in the throttle, from which no account would come back."""
    assert throttle(record(worst_drawdown=0.12), 10_000.0, DrawdownRules()).multiplier == 1.0


@pytest.mark.parametrize(("streak", "factor"), [(0, 1.0), (2, 1.0), (3, 0.5), (4, 0.25), (6, 0.0625), (5_000, 0.0625)])
def test_the_size_halves_with_each_loss_beyond_the_grace(streak: int, factor: float) -> None:
    """Catches a size that grows by the losses that are free, and an off-by-one in what is free."""
    answer = throttle(record(worst_streak=streak), 10_000.0, DrawdownRules())
    assert (answer.streak_factor, answer.multiplier) == (factor, factor)


def test_a_floor_of_nothing_lets_a_streak_end_the_account() -> None:
    assert throttle(record(worst_streak=5_000), 10_000.0, DrawdownRules(streak_floor=0.0)).multiplier == 0.0
    for floor in (-0.1, 1.1, float("nan")):
        with pytest.raises(ParameterError, match="streak_floor"):
            DrawdownRules(streak_floor=floor)


def test_one_win_does_not_restore_the_size() -> None:
    """Catches the present streak in place of the worst."""
    rules = DrawdownRules(throttle_drawdown=None)
    assert [throttle(play(outcomes), 9_000.0, rules).multiplier for outcomes in ("LLLL", "LLLLW", "LLLLWWW")] == [
        0.25,
        0.25,
        1.0,
    ]


def test_both_factors_multiply() -> None:
    """Catches the smaller of the two in place of their product, and a rule that is on though it is None."""
    lost = record(worst_streak=3)
    assert throttle(lost, 9_250.0, DrawdownRules()).multiplier == pytest.approx(0.25)
    assert throttle(lost, 9_250.0, DrawdownRules(throttle_drawdown=None)).multiplier == 0.5
    assert throttle(lost, 9_250.0, DrawdownRules(streak_grace=None)).multiplier == pytest.approx(0.5)


# -- The halts ----------------------------------------------------------------------------------------------------


def test_a_calm_account_trades() -> None:
    """Catches a halt without a cause."""
    assert halts(record(), 10_000.0, FRIDAY, DrawdownRules()) == ()


def test_the_drawdown_stop_is_met_at_its_limit_and_stays() -> None:
    """Catches a limit that rounding moves, a stop that the present equity lifts, and one that midnight lifts."""
    rules = replace(OFF, max_drawdown=0.1)  # 1 - 9000 / 10000 rounds to less than 0.1
    assert codes(record(), 9_000.01, FRIDAY, rules) == []
    (reason,) = halts(record(), 9_000.0, FRIDAY, rules)
    assert reason.code == "drawdown_stop"
    assert reason.message == (
        "the account was 10.00% below its peak, the stop is at 10.00%: it goes back to paper until a new record is "
        "started"
    )
    rebound = record().observed(FRIDAY, 9_000.0).observed(FRIDAY + 30 * 24 * HOUR, 11_000.0)
    assert codes(rebound, 11_000.0, FRIDAY + 30 * 24 * HOUR, rules) == ["drawdown_stop"]
    assert codes(rebound, 11_000.0, FRIDAY + 30 * 24 * HOUR, OFF) == []


def test_the_daily_loss_halts_until_the_next_day() -> None:
    """Catches a limit counted from the peak, a halt that is late by rounding, and one that outlasts its day."""
    rules = replace(OFF, max_daily_loss=0.03)
    seen = record(peak_equity=12_000.0)
    assert codes(seen, 9_700.01, FRIDAY, rules) == []
    (reason,) = halts(seen, 9_700.0, FRIDAY, rules)
    assert reason.code == "daily_halt"
    assert reason.message == (
        "equity is 9,700.00 USDT after 10,000.00 at the start of the UTC day, the limit is a loss of 3.00%: no new "
        "trade until 2024-03-02 00:00 UTC"
    )
    assert codes(seen, 9_700.0, datetime(2024, 3, 1, 23, 59, tzinfo=UTC), rules) == ["daily_halt"]
    assert codes(seen, 9_700.0, datetime(2024, 3, 2, tzinfo=UTC), rules) == []


def test_losing_trades_halt_until_the_next_day() -> None:
    """Catches a count that includes the trade to come, and one that is carried over midnight."""
    rules = replace(OFF, max_daily_losing_trades=3)
    assert codes(record(losing_trades_today=2), 10_000.0, FRIDAY, rules) == []
    (reason,) = halts(record(losing_trades_today=3), 10_000.0, FRIDAY, rules)
    assert reason.code == "daily_halt"
    assert reason.message == "3 trades lost today, the limit is 3: no new trade until 2024-03-02 00:00 UTC"
    assert codes(record(losing_trades_today=3), 10_000.0, datetime(2024, 3, 2, tzinfo=UTC), rules) == []


def test_two_causes_of_one_day_are_one_reason() -> None:
    """Catches a day that a count of refusals by code would count twice, and a cause that hides the other."""
    (reason,) = halts(
        record(losing_trades_today=3), 9_700.0, FRIDAY, replace(OFF, max_daily_loss=0.03, max_daily_losing_trades=3)
    )
    assert "9,700.00" in reason.message
    assert "3 trades lost" in reason.message


def test_the_weekly_loss_halts_until_monday() -> None:
    """Catches a halt that the next day lifts, one that lasts seven days, and a limit counted from the day."""
    rules = replace(OFF, max_weekly_loss=0.07)  # 0.07 * 10000 rounds to more than 700
    seen = record(day_start_equity=9_400.0)
    assert codes(seen, 9_300.01, FRIDAY, rules) == []
    (reason,) = halts(seen, 9_300.0, FRIDAY, rules)
    assert reason.code == "weekly_halt"
    assert reason.message == (
        "equity is 9,300.00 USDT after 10,000.00 at the start of the UTC week, the limit is a loss of 7.00%: no new "
        "trade until 2024-03-04 00:00 UTC"
    )
    assert codes(seen, 9_300.0, datetime(2024, 3, 3, 23, 59, tzinfo=UTC), rules) == ["weekly_halt"]
    assert codes(seen, 9_300.0, datetime(2024, 3, 4, tzinfo=UTC), rules) == []


def test_losses_in_a_row_are_followed_by_a_pause() -> None:
    """Catches a pause after every loss, one that ends a moment late, and one that a third loss does not renew."""
    rules = replace(OFF, cool_off=6 * HOUR)
    assert codes(play("L"), 9_000.0, FRIDAY + HOUR, rules) == []
    twice = play("LL")
    (reason,) = halts(twice, 9_000.0, FRIDAY + 2 * HOUR, rules)
    assert reason.code == "cooling_off"
    assert reason.message == (
        "2 losses in a row, the last at 2024-03-01 13:00:00+00:00: no new trade until 2024-03-01 19:00:00+00:00"
    )
    end = FRIDAY + 7 * HOUR
    assert codes(twice, 9_000.0, end - timedelta(microseconds=1), rules) == ["cooling_off"]
    assert codes(twice, 9_000.0, end, rules) == []
    assert codes(play("LLL"), 9_000.0, end, rules) == ["cooling_off"]
    assert codes(play("LLW"), 9_000.0, FRIDAY + 3 * HOUR, rules) == []
    assert codes(twice, 9_000.0, FRIDAY + 2 * HOUR, replace(rules, cool_off=None)) == []


def test_the_pause_lasts_over_midnight() -> None:
    """Catches a pause that ends with the day."""
    late = datetime(2024, 3, 1, 23, tzinfo=UTC)
    lost = record(loss_streak=1, worst_streak=1).closed(late, -1.0, 9_999.0)
    assert codes(lost, 9_999.0, late + 2 * HOUR, replace(OFF, cool_off=6 * HOUR)) == ["cooling_off"]


def test_the_pause_starts_with_its_streak() -> None:
    """Catches a pause that counts from a fixed streak."""
    rules = replace(OFF, cool_off=6 * HOUR, cool_off_streak=1)
    assert codes(play("L"), 9_000.0, FRIDAY + HOUR, rules) == ["cooling_off"]


def test_every_reason_is_named() -> None:
    """Catches a halt that hides the others: the trader would wait for midnight, and again for Monday."""
    wrecked = play("LLL", equity=8_000.0)
    assert codes(wrecked, 8_000.0, FRIDAY + 3 * HOUR, DrawdownRules()) == [
        "drawdown_stop",
        "daily_halt",
        "weekly_halt",
        "cooling_off",
    ]


@pytest.mark.parametrize(
    "name",
    ["max_drawdown", "max_daily_loss", "max_daily_losing_trades", "max_weekly_loss", "cool_off"],
)
def test_each_rule_is_switched_off_alone(name: str) -> None:
    """Catches a None that is read as zero, or that switches off another rule as well."""
    wrecked, now = play("LLL", equity=8_000.0), FRIDAY + 3 * HOUR
    alone = replace(OFF, **{name: getattr(DrawdownRules(), name)})
    (reason,) = halts(wrecked, 8_000.0, now, alone)
    assert {
        "max_drawdown": "back to paper",
        "max_daily_loss": "the start of the UTC day",
        "max_daily_losing_trades": "trades lost today",
        "max_weekly_loss": "the start of the UTC week",
        "cool_off": "in a row",
    }[name] in reason.message
    others = halts(wrecked, 8_000.0, now, replace(DrawdownRules(), **{name: None}))
    assert reason not in others
    assert len({other.code for other in others} | {reason.code}) == 4


# -- Whatever happens ---------------------------------------------------------------------------------------------

EQUITIES = st.floats(-2_000.0, 30_000.0)
GAPS = st.integers(0, 3 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))
STEPS = st.lists(
    st.tuples(GAPS, st.one_of(st.none(), st.sampled_from([-1.0, -1.0, 0.0, 1.0, 1.0])), EQUITIES), max_size=12
)
FRACTIONS = st.none() | st.floats(0.01, 1.0)
RULES = st.builds(
    DrawdownRules,
    throttle_drawdown=FRACTIONS,
    streak_grace=st.none() | st.integers(0, 4),
    max_drawdown=FRACTIONS,
    max_daily_loss=FRACTIONS,
    max_daily_losing_trades=st.none() | st.integers(1, 4),
    max_weekly_loss=FRACTIONS,
    cool_off=st.none() | st.integers(1, 48).map(lambda hours: timedelta(hours=hours)),
    cool_off_streak=st.integers(1, 4),
)


def lived(steps: list[tuple[timedelta, float | None, float]]) -> list[tuple[datetime, float, TrackRecord]]:
    """Time, equity and record after each step: an observation, or (with a result) a trade that ended."""
    history = [(FRIDAY, 10_000.0, record())]
    for gap, net_usd, equity in steps:
        time, _, before = history[-1]
        time += gap
        after = before.observed(time, equity) if net_usd is None else before.closed(time, net_usd, equity)
        history.append((time, equity, after))
    return history


@PROPERTY
@given(steps=STEPS, rules=RULES, loss=st.floats(0.01, 5_000.0), booked=GAPS, wait=GAPS)
def test_a_loss_never_frees(
    steps: list[tuple[timedelta, float | None, float]],
    rules: DrawdownRules,
    loss: float,
    booked: timedelta,
    wait: timedelta,
) -> None:
    """Catches any way in which losing makes the next trade larger or lifts a halt: both at one and the same time."""
    time, equity, before = lived(steps)[-1]
    ended = time + booked
    now = ended + wait
    after = before.closed(ended, -loss, equity - loss)
    freer, tighter = throttle(before, equity, rules), throttle(after, equity - loss, rules)
    assert tighter.multiplier <= freer.multiplier
    assert tighter.drawdown_factor <= freer.drawdown_factor
    assert tighter.streak_factor <= freer.streak_factor
    assert set(codes(before, equity, now, rules)) <= set(codes(after, equity - loss, now, rules))


@PROPERTY
@given(steps=STEPS, rules=RULES, equity=EQUITIES)
def test_the_size_is_never_above_its_base_and_the_extremes_never_heal(
    steps: list[tuple[timedelta, float | None, float]], rules: DrawdownRules, equity: float
) -> None:
    """Catches a size below zero or above its base, a peak that falls, and a drawdown stop that is forgotten."""
    history = lived(steps)
    for (_, _, earlier), (time, seen, later) in pairwise(history):
        assert later.peak_equity >= max(earlier.peak_equity, seen)
        assert later.worst_drawdown >= earlier.worst_drawdown
        stops = ["drawdown_stop" in codes(of, seen, time, rules) for of in (earlier, later)]
        assert stops[1] >= stops[0]
    for _, _, any_record in history:
        answer = throttle(any_record, equity, rules)
        assert 0.0 <= answer.multiplier <= 1.0
        assert answer.drawdown >= 0.0
