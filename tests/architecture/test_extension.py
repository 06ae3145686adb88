"""Each seam used from outside of the library: a family, a table, a label with its model, a gate rule and a venue.

CONTRIBUTING.md counts the places that such an addition needs; here each is one object, and nothing in ``src`` changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import FIRST_EXTRA
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.contracts import venue_contracts
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import TABLES
from slackwater.market.venues import ContractFacts, FactSource, OrderSteps, VenueFacts
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.targets import TARGETS, Target
from slackwater.models.training import Trainer, TrainingSet
from slackwater.operators import family_kernel
from slackwater.trading.account import Account
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import PricePath, price_paths
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import DrawdownRules, EntryRules, SizingRules
from slackwater.trading.score import Score, event_scores, score_context
from tests.small_market import DECISION_LAG, small_market
from tests.toys import SPOT_BASIS, ToyModel

BAR = timedelta(hours=1)
HORIZON = timedelta(hours=12)
SOURCE = FactSource("invented for a test")

# A table is one object with its columns, key, lag and join; this one has a place of its own for other tests.
SPEC = FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG, tables=(*TABLES, SPOT_BASIS))


# -- a family: one kernel, its constants and a description of its output ---------------------------------------


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = constants[0] * row[FIRST_EXTRA]


@dataclass(frozen=True, kw_only=True)
class BasisFamily(Family):
    """Premium of the perpetual over spot, as a multiple of the usual one."""

    usual_bps: float = 5.0

    name: ClassVar[str] = "basis"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ()

    def features(self) -> tuple[Feature, ...]:
        return (self.odd("spot_basis_ratio", "basis / usual basis", "usual basis", inputs=("close", "spot_basis")),)

    def constants(self) -> np.ndarray:
        return np.array([1e4 / self.usual_bps])

    def state_size(self) -> int:
        return 1

    @property
    def warm_up(self) -> timedelta:
        return timedelta(0)


# -- a label, and a model of its own ---------------------------------------------------------------------------


class ClosedHigher:
    """Whether the price closed higher than at the event when its barriers were decided."""

    name = "y_closed_higher"

    def compute(self, events: pd.DataFrame, paths: Mapping[str, PricePath]) -> tuple[Any, Any]:
        return (events["log_return"] > 0.0).astype(np.float64), events["label_end_time"]


TARGET = Target(name="closed_higher", column="y_closed_higher", model=ToyModel)


# -- a rule of the gate ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuietHours:
    """Refuses what is decided within an hour of midnight UTC."""

    name: str = "quiet_hours"

    def reasons(self, score: Score, account: Account, now: datetime) -> Iterator[Reason]:
        if now.hour in (23, 0):
            yield Reason("quiet_hours", f"no trades between 23:00 and 01:00 UTC, decided at {now:%H:%M}")


# -- a venue: its fees, its liquidation formula and its contracts ----------------------------------------------

VENUE = VenueFacts(
    name="harbour",
    maker_fee=0.0,
    taker_fee=0.001,
    fee_source=SOURCE,
    liquidation="notional",
    contracts={
        symbol: ContractFacts(steps=OrderSteps(0.1, 0.001, 5.0), half_spread=1e-4) for symbol in ("BTCUSDT", "ETHUSDT")
    },
)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """A small market, with the table from outside."""
    made = small_market(days=160, interval=BAR, seed=7)
    stamps = made["premium_index"][["symbol", "event_time", "available_time"]]
    basis = 5e-4 * np.random.default_rng(0).standard_normal(len(stamps))
    return made | {"spot_basis": stamps.assign(basis=basis)}


@pytest.fixture(scope="module")
def frame(tables: dict[str, pd.DataFrame]) -> MarketFrame:
    return MarketFrame.from_tables(tables, SPEC)


@pytest.fixture(scope="module")
def engine() -> FeatureEngine:
    return FeatureEngine(default_families(BAR, extra=[BasisFamily]), inputs=SPEC.inputs)


@pytest.fixture(scope="module")
def training(tables: dict[str, pd.DataFrame], frame: MarketFrame, engine: FeatureEngine) -> TrainingSet:
    features = engine.transform(frame)
    labels, _ = build_labels(
        features,
        price_paths(tables["bars"], tables["funding"], ("BTCUSDT", "ETHUSDT")),
        trade=TradeRules(contracts=venue_contracts(VENUE)),
        horizon=HORIZON,
        decision_lag=DECISION_LAG,
        fine_bar_interval=BAR,
        extra=[ClosedHigher()],
    )
    wanted = set(engine.manifest(frame.available)["model_features"])
    return TrainingSet.join(labels, [features], [f for f in engine.features if f.name in wanted])


TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=10, min_child_samples=10, n_jobs=1),
    targets=(*TARGETS, TARGET),
)


def test_a_table_reaches_the_frame(tables: dict[str, pd.DataFrame], frame: MarketFrame) -> None:
    """Catches a list of tables or inputs that is written a second time, without the one from outside."""
    assert frame.inputs[-1] == "spot_basis"
    assert "spot_basis" in frame.available
    known = frame.table.merge(tables["spot_basis"], on=["symbol", "event_time"])
    np.testing.assert_array_equal(known["spot_basis"], known["basis"])


def test_a_family_keeps_the_feature_contract(frame: MarketFrame, engine: FeatureEngine) -> None:
    """Catches a family that the engine runs for history and not live, or leaves out of the manifest."""
    values = engine.transform(frame)["spot_basis_ratio"].to_numpy()
    inputs = frame.values[~np.isnan(frame.values[:, frame.inputs.index("close")]), frame.inputs.index("spot_basis")]
    np.testing.assert_array_equal(values, inputs * (1e4 / 5.0))
    assert "spot_basis_ratio" in engine.manifest(frame.available)["model_features"]
    live = FeatureEngine(engine.families, inputs=SPEC.inputs)
    at = engine.names.index("spot_basis_ratio")
    rows = [float(live.update(row)[at]) for row in frame.rows("BTCUSDT")]
    np.testing.assert_array_equal(rows, engine.transform(frame).query("symbol == 'BTCUSDT'")["spot_basis_ratio"])


def test_a_label_and_its_model_are_trained_beside_the_others(training: TrainingSet) -> None:
    """Catches a target that is fitted, predicted or purged only if its name is written in the library."""
    assert {"y_closed_higher", "y_closed_higher_known_time"} <= set(training.labels)
    assert (training.label_known_time >= training.labels["y_closed_higher_known_time"]).all()
    predicted = TRAINER.predict_out_of_fold(training)
    assert {"p_direction", "p_hit", "trade_edge", "p_closed_higher"} <= set(predicted)
    per_fold = predicted.groupby("fold")["p_closed_higher"].nunique()
    assert (per_fold == 1).all()
    assert TRAINER.fit(training, TARGET).to_text() == repr(TRAINER.fit(training, TARGET).constant)


def test_a_small_pipeline_runs_with_all_of_them(
    tables: dict[str, pd.DataFrame], frame: MarketFrame, engine: FeatureEngine, training: TrainingSet
) -> None:
    """Catches a seam that holds alone and not beside the others."""
    assert "spot_basis_ratio" in training.features
    predicted = pd.concat([TRAINER.predict_out_of_fold(training), TRAINER.training_facts(training)], axis=1)
    backtest = Backtest.of(
        event_scores(predicted, training.labels, score_context(engine.transform(frame), ["spot_basis_ratio"])),
        price_paths(tables["bars"], tables["funding"]),
        initial_equity=10_000.0,
        decision_lag=DECISION_LAG,
        horizon=HORIZON,
        fine_bar_interval=BAR,
    )
    gate = Gate(
        contracts=venue_contracts(VENUE),
        entry=EntryRules(probability_threshold=0.0, in_range_features=False),
        rules=SizingRules(min_expectancy=None, kelly_fraction=None, depth_fraction=None, min_reward_risk=0.0),
        drawdown_control=DrawdownRules.off(),
        horizon=HORIZON,
    )
    always = backtest.run(gate)
    quiet = backtest.run(replace(gate, extra_rules=(QuietHours(),)))
    hours = [set(pd.DatetimeIndex(run.trades["event_time"]).hour) for run in (always, quiet)]
    assert {23, 0} & hours[0]
    assert not {23, 0} & hours[1]
    assert "quiet_hours" in set(quiet.refusals["code"])
    # The target is a resting order and pays the maker fee, the rest pays the taker fee of the venue.
    at_stop = always.trades.query("exit_reason == 'stop'")
    turnover = at_stop["quantity"] * (at_stop["entry"] + at_stop["exit"])
    np.testing.assert_allclose(at_stop["fees_usd"], 0.001 * turnover)
