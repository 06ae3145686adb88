"""One compiled call against the objects that it is made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pandas as pd
import pytest

from slackwater.features.family import Feature
from slackwater.features.orientation import Orientation
from slackwater.models.calibration import AnchoredCalibrator, IdentityCalibrator, calibrator_from_dict
from slackwater.models.compiled import CompiledModels, StoredModel
from slackwater.models.logistic import RankLogistic
from slackwater.models.mean import ReadMean
from slackwater.models.platt import SigmoidCalibrator
from slackwater.models.predictor import FlattenedTrees
from slackwater.models.targets import TARGETS, Target, TextModel
from slackwater.models.training_range import TrainingRange
from tests.toys import ToyModel

RNG = np.random.default_rng(3)
SYMMETRIES = ("odd", "even", "pair", "pair", "odd", "even", "even", "odd")
FEATURES = [
    Feature(
        name=f"f{at}",
        family="toy",
        formula="",
        unit="",
        symmetry=symmetry,
        inputs=(),
        partner={2: "f3", 3: "f2"}.get(at),
    )
    for at, symmetry in enumerate(SYMMETRIES)
]
ORIENTATION = Orientation(FEATURES)
POSITIONS = np.array([9, 0, 4, 2, 7, 1, 5, 11])
"""Where the features stand among twelve."""


def market_rows(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    rows = RNG.normal(size=(n_rows, 12)) * RNG.choice([1e-36, 1.0, 1e3], (n_rows, 1), p=[0.1, 0.8, 0.1])
    rows[RNG.random(rows.shape) < 0.15] = np.nan
    rows[RNG.random(rows.shape) < 0.02] = RNG.choice([np.inf, -np.inf, 0.0, -0.0])
    return rows, RNG.choice([-1.0, 1.0], n_rows)


def oriented(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return ORIENTATION.apply(rows[:, POSITIONS], direction)


X = oriented(RNG.normal(size=(600, 12)), RNG.choice([-1.0, 1.0], 600))
Y = X[:, 0] + 2.0 * RNG.normal(size=600) > 0.0
RANGE = TrainingRange(tail=0.05).fit(np.where(np.arange(9) == 6, np.nan, X))


def trees(num_leaves: int) -> FlattenedTrees:
    parameters = {"objective": "binary", "num_leaves": num_leaves, "min_data_in_leaf": 2, "verbosity": -1}
    data = lightgbm.Dataset(pd.DataFrame(X, columns=ORIENTATION.columns), label=Y)
    return FlattenedTrees.from_text(lightgbm.train(parameters, data, num_boost_round=12).model_to_string())


def regression(c: float) -> RankLogistic:
    return RankLogistic(c=c).fit(pd.DataFrame(X, columns=ORIENTATION.columns), Y)


def calibrators() -> dict[str, object]:
    raw = RNG.normal(size=2_000)
    happened = RNG.random(2_000) < 1.0 / (1.0 + np.exp(-0.5 * raw))
    fitted = AnchoredCalibrator(anchor=-0.3).fit(raw, happened, blocks=np.arange(2_000) // 200)
    return {
        "identity": IdentityCalibrator(),
        "anchored": fitted,
        "anchored without rows": AnchoredCalibrator().fit([], []),
        "sigmoid": SigmoidCalibrator().fit(raw, happened),
    }


CALIBRATORS = {name: calibrator_from_dict(each.to_dict()) for name, each in calibrators().items()}
MODELS: dict[str, tuple[TextModel, ...]] = {
    "trees": (trees(8), trees(31), trees(5)),
    "wide trees": (trees(100), trees(8), trees(2)),
    "regressions": (regression(0.01), regression(1.0), regression(0.1)),
    "means": (ReadMean([trees(8), regression(0.1)]), ReadMean([regression(1.0), trees(4), trees(9)]), trees(8)),
    "outside": (trees(8), ToyModel(0.3), ReadMean([trees(8), regression(0.1)])),
}


def compiled_and_stored(models: str, calibrator: str) -> tuple[CompiledModels, list[StoredModel]]:
    targets = (*TARGETS[:2], Target(name="edge", column="y", offset="o")) if models == "trees" else TARGETS
    stored = [
        StoredModel(target, model, CALIBRATORS[calibrator])
        for target, model in zip(targets, MODELS[models], strict=True)
    ]
    return CompiledModels(stored, ORIENTATION, POSITIONS, RANGE), stored


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("models", MODELS)
def test_every_bit_is_that_of_the_parts(models: str, calibrator: str) -> None:
    """Catches another order of sums, a leaf of another model, a mirrored column, a bound of the range on its own side,
    a row that is lost where blocks meet, a bound where nothing was measured."""
    compiled, stored = compiled_and_stored(models, calibrator)
    for n_rows in (1, 8, 9, 400):
        rows, direction = market_rows(n_rows)
        found = compiled(rows, direction)
        X = oriented(rows, direction)
        wanted = {name: v for s in stored for name, v in s.target.outputs(s.calibrator, s.model.predict_raw(X)).items()}
        assert compiled.columns == tuple(wanted)
        for name, column in zip(compiled.columns, found.T, strict=False):
            np.testing.assert_array_equal(column, wanted[name], err_msg=name)
        np.testing.assert_array_equal(found[:, -2], RANGE.share_outside(X))
        np.testing.assert_array_equal(found[:, -1], np.isnan(rows[:, POSITIONS]).sum(axis=1))
    assert 0.0 < RANGE.share_outside(X).mean() < 1.0


def test_nothing_known_is_outside_of_everything() -> None:
    """Catches 0 / 0, and zero for unknown."""
    compiled, _ = compiled_and_stored("trees", "anchored")
    (row,) = compiled(np.full((1, 12), np.nan), np.ones(1))
    assert row[-2:].tolist() == [0.0, 8.0]  # the direction is known, and inside
    assert np.isfinite(row[:-2]).all()


def test_no_row_is_no_row() -> None:
    """Catches a block of rows that does not exist."""
    compiled, _ = compiled_and_stored("outside", "sigmoid")
    assert compiled(np.empty((0, 12)), np.empty(0)).shape == (0, len(compiled.columns) + 2)


def test_threads_may_share_the_models() -> None:
    """Catches memory that two calls use at once."""
    compiled, _ = compiled_and_stored("means", "anchored")
    rows, direction = market_rows(3_000)
    alone = compiled(rows, direction)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: compiled(rows, direction), range(24)):
            np.testing.assert_array_equal(together, alone)
