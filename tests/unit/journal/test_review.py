"""The review of a journal: it finds what is consistently wrong, and rarely anything else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.evidence.resampling import Resampling
from slackwater.journal.event import Origin
from slackwater.journal.kinds import forgone_event
from slackwater.journal.review import Finding, Review, review_tables
from slackwater.journal.store import reading, writing
from slackwater.journal.trades import DAY_NS, forgone_by_day
from slackwater.metrics.selection import bootstrap_interval

FIRST_DAY = 19_700
QUICK = Resampling(draws=300, mean_block=timedelta(days=3))
NO_RULES = pd.DataFrame({"codes": [], "day": [], "n": [], "net_r": []}).astype(
    {"codes": "str", "day": "int64", "n": "int64", "net_r": "float64"}
)


def trades(seed: int, n: int = 600, days: int = 200) -> pd.DataFrame:
    """Closed trades that earn what the model promised, nothing, whatever their group."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, days, n))
    hour = rng.integers(0, 24, n)
    ts_ns = (FIRST_DAY + day) * DAY_NS + hour * 3_600 * 10**9
    return pd.DataFrame(
        {
            "ts_ns": ts_ns,
            "event_time": [time.isoformat() for time in pd.to_datetime(ts_ns, utc=True)],
            "triggers": rng.choice(["cusum", "cascade", "cusum+cascade", "crowding_alarm"], n),
            "side": rng.choice([1, -1], n),
            # The market of a day is in all of its trades.
            "net_r": rng.normal(size=days)[day] * 0.5 + rng.choice([-1.0, 1.0], n),
            "expected_r": 0.0,
            "volatility_daily": rng.uniform(0.01, 0.05, n),
            "state_of_mind": rng.choice(["calm", "angry", "tired"], n),
            "plan_followed": rng.choice([True, False], n),
            "noted_late": True,
        }
    )


def reviewed(table: pd.DataFrame, forgone: pd.DataFrame = NO_RULES, resampling: Resampling = QUICK) -> Review:
    return review_tables(table, forgone, account="paper", synthetic=False, resampling=resampling)


def finding(review: Review, dimension: str, group: str, measure: str) -> Finding:
    (found,) = (
        each for each in review.findings if (each.dimension, each.group, each.measure) == (dimension, group, measure)
    )
    return found


def test_without_anything_wrong_a_review_rarely_finds_anything() -> None:
    """Catches intervals that hold one by one: of 35 groups and measures, one would then look wrong in most accounts."""
    alarms = [any(each.low > 0.0 or each.high < 0.0 for each in reviewed(trades(seed)).findings) for seed in range(40)]
    assert reviewed(trades(0)).looked_at > 30
    assert sum(alarms) <= 6  # 2 are expected; more than 6 in one of 200 samples


def test_what_is_wrong_is_found_and_named() -> None:
    """Catches a turned sign, and a group that is looked at under another name."""
    table = trades(1)
    mind, trigger = table["state_of_mind"] == "angry", table["triggers"].str.contains("cascade")
    review = reviewed(table.assign(net_r=table["net_r"] - 1.0 * mind - 1.0 * trigger))
    angry = finding(review, "state of mind", "angry", "difference_r")
    assert angry.verdict == "does worse than the other noted trades"
    cascade = finding(review, "trigger", "cascade", "net_r")
    assert cascade.verdict == "loses"
    assert cascade.high < 0.0
    assert finding(review, "trigger", "cascade", "surprise_r").verdict == "earns less than the model promised"
    assert finding(review, "state of mind", "calm", "difference_r").verdict == ""
    assert review.findings[0].verdict  # wrong ones come first
    assert (review.noted, review.noted_late) == (600, 600)
    better = reviewed(table.assign(expected_r=-1.0))
    assert finding(better, "all", "all trades", "surprise_r").verdict == "earns more than the model promised"


def test_estimates_are_plain_means() -> None:
    """Catches a trade that counts for a group it is not in, an unknown result that counts as zero, and a wrong hour."""
    table = trades(2)
    table.loc[:9, "net_r"] = np.nan
    review, known = reviewed(table), table.iloc[10:]
    assert review.trades == 590
    both = known[known["triggers"].str.contains("cusum")]
    assert finding(review, "trigger", "cusum", "net_r").mean == pytest.approx(both["net_r"].mean())
    assert finding(review, "trigger", "cusum", "net_r").trades == len(both)
    night = known[pd.to_datetime(known["event_time"]).dt.hour < 4]
    assert finding(review, "hour (UTC)", "00:00-04:00", "net_r").mean == pytest.approx(night["net_r"].mean())
    short = known[known["side"] == -1]
    assert finding(review, "side", "short", "net_r").mean == pytest.approx(short["net_r"].mean())
    broken, kept = (known[known["plan_followed"] == followed]["net_r"].mean() for followed in (False, True))
    assert finding(review, "plan followed", "no", "difference_r").mean == pytest.approx(broken - kept)


def test_one_group_alone_has_the_interval_of_the_project() -> None:
    """Catches draws that are not those of the block bootstrap, such as ones of single trades."""
    table = trades(3)[["ts_ns", "event_time", "net_r"]].assign(
        triggers="", side=0, expected_r=np.nan, volatility_daily=np.nan, state_of_mind=None, plan_followed=None
    )
    table = table.assign(noted_late=None, event_time="2024-01-01T00:00:00+00:00")
    review = reviewed(table, resampling=Resampling(draws=2000, mean_block=timedelta(days=3)))
    found = finding(review, "all", "all trades", "net_r")
    assert review.looked_at == 2  # the hour is the same group
    times = pd.Series(pd.to_datetime(table["ts_ns"], utc=True))
    expected = bootstrap_interval(np.mean, times, table["net_r"], mean_block=timedelta(days=3))
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.1)


def test_a_small_sample_is_named_and_has_no_interval() -> None:
    """Catches an interval of a handful of trades, and a short account in which everything looks certain."""
    table = trades(4)
    table.loc[table.index[:7], "triggers"] = "sweep_confirmation"
    small = finding(reviewed(table), "trigger", "sweep_confirmation", "net_r")
    assert "7 trades on" in small.too_small
    assert np.isnan(small.low)
    assert small.verdict == ""
    short = reviewed(trades(4, days=15))
    assert short.looked_at == 0
    assert {each.too_small for each in short.findings} == {"15 days, 18 are needed for blocks of 3"}
    assert reviewed(table.iloc[:0]).findings == ()
    with pytest.raises(ParameterError, match="mean_block"):
        reviewed(table, resampling=Resampling(mean_block=timedelta(hours=1)))


def test_a_rule_that_costs_money_is_found(tmp_path: Path) -> None:
    """Catches sums of the database that differ from those of the events, and a rule that is praised for its costs."""
    rng = np.random.default_rng(5)
    origin = Origin(account="paper", synthetic=False)
    rows = []
    for number in range(900):
        at = pd.Timestamp("2024-01-01", tz="UTC") + timedelta(hours=4 * number)
        codes = [("stale", "throttled"), ("stale",), ("throttled", "leverage_exceeded")][number % 3]
        rows.append((at, codes, float(rng.normal(1.0 if "leverage_exceeded" in codes else -0.5, 1.0))))
    with writing(tmp_path / "journal.db", by="test") as writer:
        writer.append_all(
            forgone_event(symbol="BTCUSDT", event_time=at, known_time=at, codes=codes, net_r=net_r, origin=origin)
            for at, codes, net_r in rows
        )
    with reading(tmp_path / "journal.db") as journal:
        by_day = forgone_by_day(journal, "paper")
    expected = pd.DataFrame(rows, columns=["at", "codes", "net_r"])
    expected["codes"] = ["+".join(sorted(codes)) for codes in expected["codes"]]
    expected["day"] = expected["at"].dt.floor("D").astype("datetime64[ns, UTC]").astype("int64") // DAY_NS
    sums = expected.groupby(["codes", "day"])["net_r"].agg(["size", "sum"]).reset_index()
    assert by_day["n"].tolist() == sums["size"].tolist()
    np.testing.assert_allclose(by_day["net_r"], sums["sum"], rtol=1e-12)
    review = reviewed(trades(6).iloc[:0], by_day)
    assert review.refused == 900
    assert (
        finding(review, "rule", "leverage_exceeded", "forgone_r").verdict == "would have earned: the rule costs money"
    )
    assert finding(review, "rule", "stale", "forgone_r").verdict == ""
    assert finding(review, "rule", "stale", "forgone_r").high < 0.0
