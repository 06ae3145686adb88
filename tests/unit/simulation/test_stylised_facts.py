"""Stylised facts: each measured where its answer is known, and all that settle within weeks on the simulated market."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError
from slackwater.report.facts_page import facts_page
from slackwater.simulation.facts import (
    autocorrelation,
    facts_hold,
    hill_exponent,
    stylised_facts,
    variance_ratio,
)
from slackwater.simulation.market import MarketRequest, simulate

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = 1440


def autoregression(memory: float, length: int) -> np.ndarray:
    shocks = np.random.default_rng(1).standard_normal(length)
    out = np.empty(length)
    out[0] = shocks[0]
    for i in range(1, length):
        out[i] = memory * out[i - 1] + shocks[i]
    return out


def table(symbol: str, minutes: np.ndarray, **columns: object) -> pd.DataFrame:
    """A table whose rows are so many minutes (fractions allowed) after the start."""
    stamps = pd.Timestamp(START) + pd.to_timedelta(np.asarray(minutes) * 60.0, unit="s")
    return pd.DataFrame({"symbol": symbol, "event_time": stamps.as_unit("us"), **columns})


def path(symbol: str, log_prices: np.ndarray, *, volume: float = 1.0) -> pd.DataFrame:
    return table(symbol, 1 + np.arange(len(log_prices)), close=np.exp(log_prices), volume=volume)


def walk(days: int, *, sd: float = 0.04, seed: int = 1) -> np.ndarray:
    """A Gaussian walk of log prices, `sd` a day."""
    return np.cumsum(np.random.default_rng(seed).normal(0.0, sd / np.sqrt(DAY), days * DAY))


def measured(*args: Mapping[str, pd.DataFrame], **options: bool) -> pd.DataFrame:
    return stylised_facts(*args, **options).set_index("name")


class TestMeasures:
    @pytest.mark.parametrize("lag", [1, 2, 5])
    def test_the_autocorrelation_of_an_autoregression_is_a_power(self, lag):
        assert autocorrelation(autoregression(0.6, 100_000), lag) == pytest.approx(0.6**lag, abs=0.015)

    def test_the_autocorrelation_of_too_little_or_of_a_constant_is_unknown(self):
        assert np.isnan(autocorrelation(np.arange(10.0), 5))
        assert np.isnan(autocorrelation(np.ones(100), 1))

    @pytest.mark.parametrize("exponent", [1.2, 3.0])
    def test_hill_finds_the_exponent_of_pareto_draws(self, exponent):
        draws = 1.0 + np.random.default_rng(2).pareto(exponent, 1_000_000)
        assert hill_exponent(draws) == pytest.approx(exponent, rel=0.03)

    def test_hill_knows_no_unit_and_no_zeros(self):
        draws = 1.0 + np.random.default_rng(2).pareto(1.5, 10_000)
        with_zeros = np.concatenate([np.zeros(500), 7.0 * draws])
        assert hill_exponent(with_zeros) == pytest.approx(hill_exponent(draws))

    def test_hill_by_hand(self):
        """Sizes e^0 … e^4, the three largest as the tail: logs over the fourth are 1, 2 and 3."""
        assert hill_exponent(np.exp(np.arange(5.0)), share=0.6, fewest=3) == pytest.approx(0.5)

    def test_hill_of_too_few_or_of_equal_sizes_is_unknown(self):
        assert np.isnan(hill_exponent(np.ones(50)))
        assert np.isnan(hill_exponent(np.ones(5000)))

    def test_the_variance_ratio_of_a_walk_is_one(self):
        assert variance_ratio(walk(200), 60) == pytest.approx(1.0, abs=0.06)

    @pytest.mark.parametrize("memory", [0.3, -0.3])
    def test_the_variance_ratio_of_autoregressive_returns(self, memory):
        lags = np.arange(1, 10)
        expected = 1.0 + 2.0 * np.sum((1.0 - lags / 10.0) * memory**lags)
        assert variance_ratio(np.cumsum(autoregression(memory, 200_000)), 10) == pytest.approx(expected, rel=0.04)

    def test_the_variance_ratio_of_too_little_is_unknown(self):
        assert np.isnan(variance_ratio(walk(1), 60))


class TestPriceFacts:
    def test_of_a_gaussian_walk(self):
        """Fails when a tail, spread or ratio is taken over the wrong spacing: a normal law has known quantiles."""
        facts = measured({"fine_bars": pd.concat([path("A", walk(400)), path("B", walk(400, sd=0.03, seed=2))])})
        assert facts.loc["daily_sd_least", "value"] == pytest.approx(0.03, rel=0.1)
        assert facts.loc["daily_sd_most", "value"] == pytest.approx(0.04, rel=0.1)
        for name, known, tolerance in (("tail_5m", 2.861, 0.03), ("tail_1h", 2.861, 0.12), ("tail_1d", 2.239, 0.25)):
            assert facts.loc[name, "value"] == pytest.approx(known, rel=tolerance)
            assert not facts.loc[name, "holds"]
        assert facts.loc["skew_1h", "value"] == pytest.approx(1.0, abs=0.06)
        assert facts.loc["return_correlation_1h", "value"] == pytest.approx(0.0, abs=0.05)
        assert facts.loc["acf_move_1m", "value"] == pytest.approx(0.0, abs=0.01)
        assert facts.loc[["variance_ratio_1h", "variance_ratio_1d", "acf_return_1m"], "holds"].all()

    def test_the_correlation_of_symbols_is_taken_at_the_same_times(self):
        """Symbols that list on different days still share their hours."""
        common, own = walk(100), walk(100, seed=2)
        mixed = path("B", 0.6 * common + 0.8 * own).iloc[10 * DAY :]
        facts = measured({"fine_bars": pd.concat([path("A", common), mixed])})
        assert facts.loc["return_correlation_1h", "value"] == pytest.approx(0.6, abs=0.04)
        assert facts.loc["return_correlation_1h", "holds"]

    def test_falls_that_outrun_rises_are_skew(self):
        returns = np.diff(walk(100), prepend=0.0).reshape(-1, 60)
        falls = returns * np.where(returns.sum(axis=1) < 0.0, 1.2, 1.0)[:, None]
        tables = {"fine_bars": path("A", np.cumsum(falls))}
        without, with_skew = measured(tables), measured(tables, skewed=True)
        assert without.loc["skew_1h", "value"] == pytest.approx(1.2, abs=0.08)
        assert not without.loc["skew_1h", "holds"]
        assert with_skew.loc["skew_1h", "holds"]

    def test_moves_of_a_quarter_of_an_hour_are_counted_a_year(self):
        moves = np.zeros(73 * DAY)
        moves[[100 * 15 - 2, 200 * 15 - 2]] = 0.05, 0.04
        moves[300 * 15 - 2] = -0.06
        facts = measured({"fine_bars": path("A", np.cumsum(moves + 1e-9 * walk(73)))})
        assert facts.loc["rises_15m_a_year", "value"] == pytest.approx(10.0)
        assert facts.loc["falls_15m_a_year", "value"] == pytest.approx(5.0)
        assert facts.loc["rises_15m_a_year", "holds"] is pd.NA


class TestFundingFacts:
    @staticmethod
    def _facts(rates: np.ndarray, hours: float = 8.0) -> pd.DataFrame:
        funding = table("A", 480 * np.arange(len(rates)), funding_rate=rates, interval_hours=hours)
        return measured({"fine_bars": path("A", walk(2)), "funding": funding})

    def test_spread_quantiles_and_plateau(self):
        rates = np.random.default_rng(3).permutation(np.repeat([1e-4, -4e-4, 9e-4], [500, 250, 250]))
        facts = self._facts(rates)
        assert facts.loc["funding_sd", "value"] == pytest.approx(np.std(rates))
        assert facts.loc["funding_at_1bp", "value"] == pytest.approx(0.5)
        assert facts.loc["funding_q01", "value"] == pytest.approx(-4e-4)
        assert facts.loc["funding_q99", "value"] == pytest.approx(9e-4)
        assert facts.loc["acf_funding_1", "value"] == pytest.approx(0.0, abs=0.1)

    def test_memory_is_counted_in_settlements(self):
        facts = self._facts(1e-4 * autoregression(0.9, 20_000))
        for lag in (1, 3, 9, 21):
            assert facts.loc[f"acf_funding_{lag}", "value"] == pytest.approx(0.9**lag, abs=0.05)

    def test_settlements_of_four_hours_are_left_out(self):
        assert "too little data" in self._facts(np.full(1000, 1e-4), hours=4.0).loc["funding_at_1bp", "note"]


class TestInterestAndLiquidations:
    def test_by_hand(self):
        """Interest of 100, halved and restored hourly; one coin liquidated a day; ten coin of volume a minute."""
        days = 40
        minutes = 5 * np.arange(1, 288 * days + 1)
        interest = np.where((minutes // 60) % 2 == 0, 100.0, 50.0)
        tables = {
            "fine_bars": path("A", walk(days), volume=10.0),
            "open_interest": table("A", minutes, open_interest=interest),
            "liquidations": table("A", DAY * np.arange(days) + 30.0, quantity=1.0),
        }
        facts = measured(tables)
        assert facts.loc["interest_per_volume", "value"] == pytest.approx(75.0 / 14_400.0, rel=0.01)
        assert facts.loc["liquidated_a_day", "value"] == pytest.approx(1.0 / 75.0, rel=0.01)
        assert facts.loc["liquidated_of_decreases", "value"] == pytest.approx(1.0 / (12 * 50.0), rel=0.01)
        assert facts.loc["interest_sd_1d", "value"] == 0.0

    def test_the_daily_change_of_log_interest(self):
        changes = np.random.default_rng(5).normal(0.0, 0.06, 2000)
        interest = table("A", DAY * np.arange(2000), open_interest=np.exp(np.cumsum(changes)))
        facts = measured({"fine_bars": path("A", walk(2)), "open_interest": interest})
        assert facts.loc["interest_sd_1d", "value"] == pytest.approx(np.std(changes[1:]))

    def test_orders_sizes_and_seconds(self):
        sizes = 1.0 + np.random.default_rng(6).pareto(1.4, 200_000)
        seconds = np.cumsum(np.tile([0.5, 10.0, 10.0, 10.0], 50_000))  # two of four are neighbours
        facts = measured({"fine_bars": path("A", walk(10)), "liquidations": table("A", seconds / 60.0, quantity=sizes)})
        assert facts.loc["hill_order", "value"] == pytest.approx(1.4, rel=0.06)
        assert facts.loc["liquidated_within_1s", "value"] == pytest.approx(0.5, abs=0.01)

    def test_the_truth_takes_the_place_of_the_feed(self):
        tables = {
            "fine_bars": path("A", walk(40)),
            "open_interest": table("A", 5 * np.arange(1, 288 * 40), open_interest=100.0),
            "liquidations": table("A", DAY * np.arange(40) + 30.0, quantity=0.1),
        }
        truth = {"liquidations": table("A", DAY * np.arange(40) + 30.0, quantity=1.0), "latent": pd.DataFrame()}
        assert measured(tables).loc["liquidated_a_day", "value"] == pytest.approx(0.001)
        assert measured(tables, truth).loc["liquidated_a_day", "value"] == pytest.approx(0.01)

    def test_cascades_of_symbols_in_the_same_hours(self):
        hours = np.random.default_rng(7).choice(24 * 40, 200, replace=False)
        events = [table(name, 60 * hours + 5.0, quantity=1.0) for name in ("A", "B")]
        tables = {"fine_bars": pd.concat([path("A", walk(40)), path("B", walk(40))]), "liquidations": pd.concat(events)}
        assert measured(tables).loc["cascades_together", "value"] == pytest.approx(1.0)


class TestTable:
    def test_medians_over_symbols(self):
        """A third symbol that is out of line moves a mean, not a median."""
        funding = [
            table(name, 480 * np.arange(100), funding_rate=np.where(np.arange(100) < share, 1e-4, 2e-4))
            for name, share in (("A", 50), ("B", 60), ("C", 0))
        ]
        tables = {
            "fine_bars": pd.concat([path(name, walk(2)) for name in "ABC"]),
            "funding": pd.concat(funding).assign(interval_hours=8.0),
        }
        assert measured(tables).loc["funding_at_1bp", "value"] == pytest.approx(0.5)

    def test_absent_tables_are_said_to_be_absent(self):
        facts = measured({"fine_bars": path("A", walk(2))})
        assert facts.loc["liquidated_a_day", "note"].startswith("absent (no open_interest, liquidations)")
        assert facts.loc["liquidated_a_day", "holds"] is pd.NA
        assert np.isnan(facts.loc["funding_sd", "value"])
        assert facts.loc["tail_1d", "note"].startswith("absent (too little data)")

    def test_a_symbol_without_a_table_is_passed_over(self):
        funding = table("B", 480 * np.arange(100), funding_rate=1e-4, interval_hours=8.0)
        tables = {"fine_bars": pd.concat([path("A", walk(2)), path("B", walk(2))]), "funding": funding}
        assert measured(tables).loc["funding_at_1bp", "value"] == 1.0

    def test_without_bars_there_are_no_facts(self):
        with pytest.raises(MissingDataError, match="no table `fine_bars`"):
            stylised_facts({})

    def test_the_tables_are_not_changed(self):
        tables = {"fine_bars": path("A", walk(2))}
        before = tables["fine_bars"].copy()
        stylised_facts(tables)
        pd.testing.assert_frame_equal(tables["fine_bars"], before)


def verdict(*holds: bool | None) -> pd.DataFrame:
    rows = [(f"f{i}", np.nan if each is None else 1.0, 0.0, 2.0, each, "a note") for i, each in enumerate(holds)]
    rows.append(("extra", 5.0, -np.inf, np.inf, None, "reported, not tested"))
    facts = pd.DataFrame(rows, columns=["name", "value", "low", "high", "holds", "note"])
    return facts.astype({"name": "str", "holds": "boolean", "note": "str"})


class TestSeeds:
    @pytest.mark.parametrize(("good", "hold"), [(5, True), (4, True), (3, False)])
    def test_four_of_five_seeds_must_hold(self, good, hold):
        by_seed = {seed: verdict(True, seed < good) for seed in range(5)}
        assert facts_hold(by_seed) == hold

    def test_an_absent_fact_does_not_hold(self):
        assert facts_hold({1: verdict(True, True)})
        assert not facts_hold({1: verdict(True, None)})

    def test_the_page_marks_misses(self):
        lines = facts_page({3: verdict(True, False), 4: verdict(True, None)}, holding=0, share=0.8).splitlines()
        assert "seed 3" in lines[0]
        assert "2 of 2 " in lines[2]
        assert "MISS" not in lines[2]
        assert "1 MISS" in lines[3]
        assert "absent" in lines[3]
        assert "0 of 2  MISS" in lines[3]
        assert "MISS" not in lines[4]
        assert lines[-1] == "All facts hold on 0 of 2 seeds."

    def test_no_seed_is_refused(self):
        with pytest.raises(ParameterError, match="at least one seed"):
            facts_hold({})


# Facts that settle within weeks. Far tails and whatever has a long memory need years: `campaigns/stylised_facts.py`.
QUICK = (
    "daily_sd_least",
    "daily_sd_most",
    "tail_5m",
    "hill_1m",
    "acf_return_1m",
    "variance_ratio_1h",
    "variance_ratio_1d",
    "return_correlation_1h",
    "funding_sd",
    "funding_q99",
    "interest_per_volume",
    "interest_sd_1d",
    "liquidated_a_day",
    "liquidated_of_decreases",
    "hill_order",
)


@cache
def simulated_facts(signal: float) -> pd.DataFrame:
    """Medians over five seeds of the facts of 60 days of two symbols."""
    facts = [
        stylised_facts(
            *simulate(
                MarketRequest(
                    symbols=["ETHUSDT", "SOLUSDT"],
                    start=START,
                    end=START + timedelta(days=60),
                    seed=seed,
                    signal=signal,
                )
            )
        ).set_index("name")
        for seed in (1, 2, 3, 4, 5)
    ]
    return facts[0].assign(value=pd.concat([each["value"] for each in facts], axis=1).median(axis=1))


@pytest.mark.parametrize("signal", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", QUICK)
def test_the_simulated_market_shows_it(name, signal):
    fact = simulated_facts(signal).loc[name]
    assert fact["low"] <= fact["value"] <= fact["high"]
