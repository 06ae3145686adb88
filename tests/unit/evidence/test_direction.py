"""Direction by trigger and by horizon, on tables whose answers are known, and the page made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.direction import DirectionReport, hours_to_barriers
from slackwater.evidence.resampling import Resampling
from slackwater.labels.weights import average_uniqueness
from slackwater.report.direction_page import direction_page

START = pd.Timestamp("2024-01-01", tz="UTC")
REPORT = DirectionReport(headline="24h", symbol_correlation=0.6, resampling=Resampling(draws=100))
N = 600


@pytest.fixture
def scored() -> pd.DataFrame:
    """Events every eight hours of two symbols in turn; at 4 h the probability knows the outcome, else it does not."""
    rng = np.random.default_rng(0)
    times = START + pd.to_timedelta(8 * np.arange(N), unit="h")
    y, y_4h = rng.integers(0, 2, (2, N))
    table = pd.DataFrame(
        {
            "symbol": np.where(np.arange(N) % 2, "BTCUSDT", "ETHUSDT"),
            "event_time": times,
            "entry_time": times,
            "direction": np.where(np.arange(N) % 4 < 2, 1, -1),
            "label_end_time": times + pd.Timedelta("6h"),
            "y_direction": y,
            "y_direction_4h": y_4h.astype(float),
            "label_end_time_4h": times + pd.Timedelta("4h"),
            "base_direction": 0.5,
            "base_direction_4h": 0.5,
            "p_direction": rng.uniform(0.4, 0.6, N),
            "p_direction_4h": 0.5 + 0.4 * (y_4h - 0.5),
        }
    )
    return table.assign(p_direction_raw=table["p_direction"] ** 2, p_direction_4h_raw=table["p_direction_4h"])


def page(tables: dict, scored: pd.DataFrame) -> str:
    codes = scored.assign(code=1, code_4h=-1.0, time_to_reversal=6.0)
    shares = REPORT.reversals(codes, equal_barriers=True)
    hours = hours_to_barriers(codes)
    return direction_page(
        "toy, SYNTHETIC", tables, headline="24h", shares=shares, hours=hours, left_out=("horizon 1h",)
    )


def test_each_horizon_is_judged_by_its_own_labels(scored: pd.DataFrame) -> None:
    """Fails if the predictions of one horizon meet the outcomes or the spans of another."""
    at = REPORT.tables(scored)["by_horizon"]
    assert list(at) == ["4h", "24h"]
    assert at["4h"]["auc"] == at["4h"]["auc_raw"] == 1.0
    assert abs(at["24h"]["auc"] - 0.5) < at["24h"]["smallest_visible_auc"] - 0.5
    assert at["24h"]["auc"] == at["24h"]["auc_raw"] > at["24h"]["auc_low"]
    assert at["4h"]["effective_n"] == N
    spans = average_uniqueness(scored, symbol_correlation=0.6)
    assert at["24h"]["effective_n"] == pytest.approx(spans.sum())


def test_a_horizon_that_is_not_known_for_an_event_leaves_the_event_out_there(scored: pd.DataFrame) -> None:
    """Fails if an unknown outcome counts as a continuation, or drops the event at the headline too."""
    last = np.arange(N) >= N - 30
    at = REPORT.tables(scored.assign(y_direction_4h=scored["y_direction_4h"].mask(last)))["by_horizon"]
    assert (at["4h"]["n"], at["24h"]["n"]) == (N - 30, N)


def test_an_event_counts_for_every_trigger_that_fired(scored: pd.DataFrame) -> None:
    """Fails if only the first trigger of a bar gets the event, or part of a name is taken for the name."""
    names = np.array(["cusum", "cusum+cascade", "cascade", ""])[np.arange(N) % 4]
    by = REPORT.tables(scored.assign(triggers=names, trades=names != "", trains=True))["by_trigger"]
    assert {name: row["n"] for name, row in by.items()} == {
        "all": 450,
        "cascade": 300,
        "cusum": 300,
        "only_trains": 150,
    }
    joined = scored.assign(triggers=np.where(np.arange(N) % 2, "crowding_alarm", "alarm"))
    assert REPORT.tables(joined)["by_trigger"]["alarm"]["n"] == N // 2


def test_without_triggers_there_is_one_row(scored: pd.DataFrame) -> None:
    """Fails if a table of one's own needs the columns of the pipeline."""
    tables = REPORT.tables(scored)
    assert list(tables["by_trigger"]) == ["all"]
    assert tables["by_side"]["after_up_moves"]["n"] == tables["by_symbol"]["BTCUSDT"]["n"] == N // 2


def test_few_rows_say_what_they_could_have_shown(scored: pd.DataFrame) -> None:
    """Fails if four events give an interval, an error, or an AUC without a word on what it is worth."""
    few = scored.head(4).assign(y_direction=[0, 1, 1, 0], triggers=["cusum", "cusum", "cascade", "cascade"])
    tables = REPORT.tables(few)
    row = tables["by_trigger"]["cusum"]
    assert row["n"] == 2
    assert np.isnan(row["auc_low"])
    # Three standard errors, with half of the effective number on either side.
    assert row["smallest_visible_auc"] == pytest.approx(0.5 + 3.0 * np.sqrt(4.0 / row["effective_n"] / 12.0))
    assert row["smallest_visible_auc"] > 1.0
    text = page(tables, few)
    assert "none: too few rows" in text
    assert text.startswith("# toy, SYNTHETIC")
    assert "Left out: horizon 1h." in text
    one_class = REPORT.tables(few.assign(y_direction=1))["by_trigger"]["all"]
    assert np.isnan(one_class["auc"])
    assert np.isnan(one_class["smallest_visible_auc"])


def test_no_test_event_at_all_is_a_row_of_unknowns(scored: pd.DataFrame) -> None:
    """Fails if a horizon without a prediction ends the run, after all the training."""
    tables = REPORT.tables(scored.assign(p_direction_4h=np.nan, p_direction_4h_raw=np.nan))
    row = tables["by_horizon"]["4h"]
    assert (row["n"], row["effective_n"]) == (0, 0.0)
    assert all(np.isnan(value) for name, value in row.items() if name not in ("n", "effective_n"))
    assert "| 4h | 0 | 0 |" in page(tables, scored)


def test_reversals_stand_beside_what_no_drift_would_give(scored: pd.DataFrame) -> None:
    """Fails if every reversal within two days counts as evidence."""
    codes = np.tile([1, 1, -1, 0], N // 4)
    labels = scored.assign(code=codes, code_4h=np.where(codes == 1, np.nan, -1.0))
    at = REPORT.reversals(labels, equal_barriers=True)
    headline = at["24h"]
    assert (headline["reversal"], headline["continuation"], headline["time_out"]) == (0.5, 0.25, 0.25)
    assert (headline["reversal_expected"], headline["difference"]) == (0.375, 0.125)
    assert 0.1 < headline["difference_low"] < 0.125 < headline["difference_high"] < 0.15
    spread = np.std(codes / 2)
    assert headline["smallest_visible_difference"] == pytest.approx(3 * spread / np.sqrt(headline["effective_n"]))
    assert (at["4h"]["n"], at["4h"]["continuation"]) == (N // 2, 1.0)
    unequal = REPORT.reversals(labels, equal_barriers=False)
    assert np.isnan(unequal["24h"]["reversal_expected"])
    assert unequal["24h"]["reversal"] == 0.5
    assert REPORT.reversals(labels.assign(trades=codes == 1), equal_barriers=True)["24h"]["reversal"] == 1.0
    none = REPORT.reversals(labels.assign(trades=False), equal_barriers=True)["24h"]
    assert none["n"] == 0
    assert np.isnan(none["difference"])


def test_hours_to_the_two_barriers(scored: pd.DataFrame) -> None:
    """Fails if the time of a time-out counts as that of a reversal."""
    codes = np.tile([1, -1, 0, 0], N // 4)
    hours = np.where(codes == 1, 3.0, 5.0)
    end = scored["entry_time"] + pd.to_timedelta(np.where(codes == 0, 24.0, hours), unit="h")
    labels = scored.assign(code=codes, label_end_time=end, time_to_reversal=np.where(codes == 1, 3.0, np.nan))
    quantiles = hours_to_barriers(labels)
    assert quantiles["reversal"] == {"n": N // 4, **dict.fromkeys(["q10", "q25", "q50", "q75", "q90"], 3.0)}
    assert quantiles["continuation"]["q50"] == 5.0
