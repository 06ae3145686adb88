"""What a part of the rule adds is the whole rule less the rule without it, by a loop over events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.evidence._intervals import DIFFERENCE, DIFFERENCE_AUC, DIFFERENCE_R
from slackwater.evidence.controls.paired import PairedDays
from slackwater.evidence.left_out import (
    COLUMNS,
    Variant,
    WholeRule,
    costless_families,
    findings,
    horizon_variants,
    side_variants,
    trigger_variants,
    without_families,
)
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.training import Trainer, TrainingSet

RESAMPLING = Resampling(draws=150, mean_block=timedelta(days=4))
N = 600


def events() -> pd.DataFrame:
    """Six hundred events over 150 days: short trades earn, long ones lose, and one trigger is pure loss."""
    rng = np.random.default_rng(0)
    direction = rng.choice([-1, 1], N)
    triggers = rng.choice(["cusum", "cascade", "cusum+cascade"], N)
    net = 0.2 * direction - np.where(triggers == "cascade", 0.3, 0.0) + rng.normal(0.0, 0.05, N)
    times = pd.Series(pd.date_range("2024-01-01", periods=N, freq="6h", tz="UTC", unit="us"))
    y = rng.integers(0, 2, N).astype(float)
    return pd.DataFrame(
        {
            "event_time": times,
            "direction": direction,
            "triggers": triggers,
            "net_r": net,
            "net_bps": 100.0 * net,
            "funding_known": True,
            "y_direction": y,
            "p_direction": np.where(direction > 0, y, rng.random(N)) * 0.5 + 0.25 * rng.random(N),
            "y_direction_4h": np.where(np.arange(N) % 5 == 0, np.nan, y),
            "p_direction_4h": rng.random(N),
        }
    )


EVENTS = events()
ACCEPTED = np.random.default_rng(1).random(N) < 0.5
WHOLE = WholeRule(
    events=EVENTS, accepted=ACCEPTED, calendar=PairedDays(events=EVENTS["event_time"], resampling=RESAMPLING)
)


def gone(row: dict, kept: np.ndarray, unit: str = "net_r") -> float:
    """The mean over all events of what is earned by the trades that a variant leaves out."""
    return float(sum(EVENTS[unit][i] for i in range(N) if ACCEPTED[i] and not kept[i]) / N)


def test_a_side_adds_what_its_trades_earn() -> None:
    long, short = WHOLE.rows(side_variants(EVENTS, ACCEPTED))
    kept_short, kept_long = (EVENTS["direction"] > 0).to_numpy(), (EVENTS["direction"] < 0).to_numpy()
    for row, kept in ((long, kept_short), (short, kept_long)):
        assert set(row) == set(COLUMNS)
        assert row["difference_r"] == pytest.approx(gone(row, kept))
        assert row["difference_bps"] == pytest.approx(100.0 * gone(row, kept))
        assert row["n_trades"] == (ACCEPTED & kept).sum()
        assert (row["funding_known"], row["note"]) == (True, "")
    assert long["difference_r_high"] < 0.0 < short["difference_r_low"]
    assert findings([long, short]) == {"side": "Helps: short trades. Costs: long trades."}


def test_a_part_that_predicts_nothing_anew_has_no_auc() -> None:
    """Caught: the AUC of all events against that of one side, which asks whether the probability knows the side.

    Short trades are predicted here and long ones are not, so that the two subsets differ from the whole.
    """
    for row in WHOLE.rows([*side_variants(EVENTS, ACCEPTED), *trigger_variants(EVENTS, ACCEPTED)]):
        assert np.isnan([row[name] for name in ("auc", *DIFFERENCE_AUC)]).all()


def test_intervals_per_event_are_those_of_the_bootstrap() -> None:
    long, _ = WHOLE.rows(side_variants(EVENTS, ACCEPTED))
    apart = np.where(ACCEPTED & (EVENTS["direction"] < 0), EVENTS["net_r"], 0.0)
    low, high = RESAMPLING.interval(lambda x: float(np.mean(x)), EVENTS["event_time"], apart)
    assert (long["difference_r_low"], long["difference_r_high"]) == pytest.approx((low, high))


def test_an_event_of_two_triggers_stays_without_one_of_them() -> None:
    variants = {variant.name: variant for variant in trigger_variants(EVENTS, ACCEPTED)}
    assert set(variants) == {"cascade", "cusum"}
    kept = (EVENTS["triggers"] != "cascade").to_numpy()
    assert (variants["cascade"].accepted == (ACCEPTED & kept)).all()
    (row,) = WHOLE.rows([variants["cascade"]])
    assert row["difference_r"] == pytest.approx(gone(row, kept))
    assert row["difference_r_high"] < 0.0


def test_a_part_that_was_not_measured_is_named() -> None:
    """Caught: the only trigger, which was left out without a word."""
    (row,) = WHOLE.rows(trigger_variants(EVENTS.assign(triggers="cusum"), ACCEPTED))
    assert (row["name"], row["note"]) == ("cusum", "not measured: the only trigger")
    assert np.isnan([row[name] for name in ("n_trades", "net_r_mean", *DIFFERENCE_R, *DIFFERENCE, "auc")]).all()
    assert findings([row]) == {"trigger": "Not known: cusum."}


def test_another_horizon_is_compared_where_both_are_known() -> None:
    """Caught: a horizon whose outcome is not known counted as a result of 0, or its AUC against all events."""
    net = (EVENTS[["net_r", "net_bps"]] - [0.1, 10.0]).assign(funding_known=True)
    net.loc[::7, ["net_r", "net_bps"]] = np.nan
    (row,) = WHOLE.rows(horizon_variants(EVENTS, ACCEPTED, headline="24h", net_at=lambda name: net))
    known = net["net_r"].notna().to_numpy() | ~ACCEPTED
    assert row["difference_r"] == pytest.approx(0.1 * (ACCEPTED & known).sum() / known.sum())
    assert row["name"], row["change"] == ("24h instead of 4h", "at 4h")
    rows = EVENTS["y_direction_4h"].notna().to_numpy()
    y, p = EVENTS["y_direction"].to_numpy()[rows], EVENTS["p_direction"].to_numpy()[rows]
    expected = auc(y, p) - auc(EVENTS["y_direction_4h"].to_numpy()[rows], EVENTS["p_direction_4h"].to_numpy()[rows])
    assert row["difference_auc"] == pytest.approx(expected)
    assert row["note"] == "AUC without 120 of 600 events, whose direction or prediction is not known"


def test_results_without_funding_are_no_evidence() -> None:
    """Caught: a rule that helps by results from which the funding is missing; that of one horizon alone counts too."""
    whole = replace(WHOLE, events=EVENTS.assign(funding_known=np.arange(N) >= 300))
    long, short = whole.rows(side_variants(EVENTS, ACCEPTED))
    lost, n = int(ACCEPTED[:300].sum()), int(ACCEPTED.sum())
    for row in (long, short):
        assert row["funding_known"] is False
        assert row["note"] == f"funding unknown in {lost} of {n} trades: results are before funding"
        assert not np.isnan(row["difference_r"])
    assert findings([long, short]) == {"side": "Not known: long trades, short trades."}
    net = EVENTS[["net_r", "net_bps", "funding_known"]].assign(funding_known=False)
    (row,) = WHOLE.rows(horizon_variants(EVENTS, ACCEPTED, headline="24h", net_at=lambda name: net))
    assert row["funding_known"] is False
    assert f"funding unknown in {n} of {n} trades" in row["note"]


@pytest.mark.parametrize(
    ("r", "bps", "auc_", "expected"),
    [
        (1, 1, 0, "helps"),
        (0, 1, 0, "helps"),
        (0, 0, 1, "helps"),
        (-1, 0, 0, "costs"),
        (0, -1, 0, "costs"),
        (-1, -1, 1, "mixed"),
        (1, -1, 0, "mixed"),
        (0, 0, 0, "adds nothing visible"),
        (None, None, 0, "adds nothing visible"),
        (None, None, None, "not known"),
    ],
)
def test_one_definition_of_help(r: int | None, bps: int | None, auc_: int | None, expected: str) -> None:
    """Caught: a part that helps by AUC while its results cost, and one whose basis points were not looked at."""
    row = {"part": "family", "name": "funding"}
    for names, sign in ((DIFFERENCE_R, r), (DIFFERENCE, bps), (DIFFERENCE_AUC, auc_)):
        value = float("nan") if sign is None else 2.0 * sign
        row |= dict(zip(names, (value, value - 1.0, value + 1.0), strict=True))
    assert findings([row]) == {"family": f"{expected.capitalize()}: funding."}


def test_a_change_without_effect_is_not_a_finding() -> None:
    same = Variant(part="family", name="noise", change="without it", accepted=ACCEPTED, p=WHOLE.events["p_direction"])
    row = WHOLE.rows([same])[0]
    assert (row["difference_r"], row["difference_auc"]) == (0.0, 0.0)
    assert findings([row]) == {"family": "Adds nothing visible: noise."}
    unknown = dict.fromkeys(COLUMNS, float("nan")) | {"part": "family", "name": "lost"}
    assert findings([row, unknown]) == {"family": "Adds nothing visible: noise. Not known: lost."}


TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=30, learning_rate=0.1),
)
FAMILIES = {"informed": "funding", "noise": "sweeps"}


def training() -> TrainingSet:
    rng, n = np.random.default_rng(0), 2_000
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC", unit="us"))
    features = pd.DataFrame(rng.normal(size=(n, 2)), columns=list(FAMILIES)).assign(direction=1.0)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-1.5 * features["informed"]))).astype(float)
    labels = pd.DataFrame({"symbol": "A", "event_time": times, "label_known_time": times + timedelta(hours=4)})
    labels = labels.assign(y_direction=y, payoff=y, fair_log_odds=0.0, weight=1.0, trains=True, direction=1)
    return TrainingSet(features=features, labels=labels, families=FAMILIES)


def test_the_family_that_holds_something_is_missed() -> None:
    given = training()
    y = given.labels["y_direction"].to_numpy()

    def auc_without(family: str) -> float:
        found = without_families(given, TRAINER, left_out=(family,))
        assert found is not None
        assert {"p_direction", "trade_edge", "trade_edge_low"} <= set(found)
        return auc(y[found["row"]], found["p_direction"].to_numpy())

    assert auc_without("sweeps") > 0.7
    assert abs(auc_without("funding") - 0.5) < 0.05


def test_a_model_is_not_fitted_to_nothing() -> None:
    only = TRAINER.reading(("funding",))
    assert without_families(training(), only, left_out=("funding",)) is None


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ({"funding": 0, "sweeps": -1, "price": 1}, ("funding", "sweeps")),
        ({"funding": 1, "price": 0, "regime": -1}, ("price", "regime")),
        ({"funding": 0, "price": 0, "sweeps": 0}, ("funding", "sweeps")),  # something has to be left to fit
        ({"funding": None, "price": 0, "sweeps": 0}, ("sweeps",)),
        ({"funding": 1}, ()),
    ],
)
def test_families_that_cost_nothing_alone(signs: dict[str, int | None], expected: tuple[str, ...]) -> None:
    """Caught: a family that helps, or of which nothing is known, among those that are removed together."""
    rows = [dict.fromkeys(COLUMNS, float("nan")) | {"part": "side", "name": "long trades", "difference_r": 0.0}]
    for name, sign in signs.items():
        value = float("nan") if sign is None else 2.0 * sign
        bounds = dict(zip(DIFFERENCE_AUC, (value, value - 1.0, value + 1.0), strict=True))
        rows.append(dict.fromkeys(COLUMNS, float("nan")) | {"part": "family", "name": name} | bounds)
    rows[0] |= dict(zip(DIFFERENCE_R, (0.0, -1.0, 1.0), strict=True))
    assert costless_families(rows) == expected


def test_a_family_that_the_data_do_not_feed_is_named() -> None:
    """Caught: a misspelt name beside a right one, which would train on less than was asked for."""
    with pytest.raises(ParameterError, match="no feature of sweps, but of funding, sweeps"):
        TRAINER.reading(("funding", "sweps")).columns(training())
