"""Metrics against scikit-learn, scipy and plain loops."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from slackwater.metrics.classification import (
    auc_from_counts,
    expected_calibration_error,
    reliability_line,
)
from slackwater.metrics.selection import probabilistic_sharpe_ratio, probability_of_backtest_overfitting

SEEDS = range(8)


def sample(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, probabilities (with ties in every other sample) and counts with zeros among them."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 400))
    p = rng.beta(2, 3, n)
    p = p.round(1 + seed % 3) if seed % 2 else p
    y = (rng.random(n) < p).astype(int)
    y[:2] = [0, 1]
    counts = rng.integers(0, 5, n)
    counts[:2] = 1
    return y, p, counts


@pytest.mark.parametrize("seed", SEEDS)
def test_ranking_against_scikit_learn(seed: int) -> None:
    """Fails on any slip in ties or weights."""
    y, p, counts = sample(seed)
    assert auc_from_counts(y, p)(counts) == pytest.approx(roc_auc_score(y, p, sample_weight=counts), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_reliability_line_against_scikit_learn(seed: int) -> None:
    """Fails if Newton's method stops early or diverges."""
    y, p, _ = sample(seed)
    p = p.clip(0.01, 0.99)
    x = np.log(p / (1 - p))[:, None]
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000).fit(x, y)
    line = reliability_line(y, p)
    assert line.slope == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert line.intercept == pytest.approx(model.intercept_[0], abs=1e-4)


def test_calibration_error_against_slices_of_the_sorted_rows() -> None:
    """Fails if the bins are not the ten equal slices where there are no ties."""
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = (rng.random(1000) < p**2).astype(int)
    order = np.argsort(p)
    expected = sum(len(part) / 1000 * abs(y[part].mean() - p[part].mean()) for part in np.split(order, 10))
    assert expected_calibration_error(y, p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_probabilistic_sharpe_ratio_against_scipy(seed: int) -> None:
    """Fails if the moments are not skewness and (non-excess) kurtosis."""
    x = np.random.default_rng(seed).standard_t(5, 300) + 0.1
    ratio = x.mean() / x.std(ddof=1)
    g3, g4 = stats.skew(x), stats.kurtosis(x, fisher=False)
    z = (ratio - 0.05) * np.sqrt(299) / np.sqrt(1 - g3 * ratio + (g4 - 1) / 4 * ratio**2)
    assert probabilistic_sharpe_ratio(x, benchmark=0.05) == pytest.approx(stats.norm.cdf(z), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_backtest_overfitting_against_a_loop_over_splits(seed: int) -> None:
    """Fails on any slip in the block sums, the choice of the best trial or its rank."""
    returns = np.random.default_rng(seed).normal(0.05, 1, size=(67, 6))
    parts = np.array_split(np.arange(67), 6)
    overfitted, lost, splits = 0, 0, 0
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([parts[k] for k in chosen])
        outside = np.setdiff1d(np.arange(67), inside)
        best = np.argmax(returns[inside].mean(0) / returns[inside].std(0))
        out_of_sample = returns[outside].mean(0) / returns[outside].std(0)
        rank = 1 + np.sum(out_of_sample < out_of_sample[best])
        w = rank / 7
        overfitted += np.log(w / (1 - w)) <= 0
        lost += out_of_sample[best] <= 0
        splits += 1
    found = probability_of_backtest_overfitting(returns, blocks=6)
    assert (found.probability, found.probability_of_loss, found.splits) == (
        overfitted / splits,
        lost / splits,
        20,
    )
