"""Models that read some families of features: from the parameters to the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines._stage import Stage
from pipelines._trading import read_backtest
from slackwater.errors import ParameterError
from slackwater.models.targets import PRICE_FAMILIES
from slackwater.run.training import read_training_set
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_json, read_parquet, write_parquet
from slackwater.trading.backtest import Backtest
from tests.small_bundle import market
from tests.small_run import STAGES, edit_entry, inside, make_small_run, run_stages


def read_alone(names: list[str] | None) -> Any:
    return lambda entry: entry["model"].update(families=names)


def read_backtest_reading_everything(root: Path) -> Backtest:
    edit_entry(root, read_alone(None))
    run_stages(root, "configure")
    with inside(root):
        return read_backtest(Stage("backtest"))


def test_models_of_price_alone_reach_the_bundle(tmp_path: Path) -> None:
    """Caught: features that no model reads among those that a score lacks, in the training range or in the bundle."""
    root = make_small_run(tmp_path, "configure", "ingest")
    edit_entry(root, read_alone(list(PRICE_FAMILIES)))
    funding = read_parquet(root / "data/small/funding.parquet")
    write_parquet(funding.iloc[: len(funding) // 4], root / "data/small/funding.parquet")  # later it is not known
    told = run_stages(root, *STAGES, "evaluate", "export")
    scorer = ReversalScorer.load(root / "models/scorer")
    names = scorer.manifest["features"]["model_features"]
    with inside(root):
        training, backtest = read_training_set(), read_backtest(Stage("backtest"))
    assert {training.families[name] for name in names} == set(PRICE_FAMILIES)
    assert {"funding", "open_interest"} <= set(training.families.values())  # the others are built all the same
    assert f"{len(names) + 1} columns" in told
    assert read_json(root / "models/fitted/training_range.json").keys() == scorer.manifest["training_range"].keys()
    assert len(scorer.manifest["training_range"]["lower"]) == len(names) + 1

    assert len(scorer.manifest["training_shares"]["families"]) == len(names) + 1

    scores = scorer.score(market(160))
    events = scores[scores["direction"] != 0]
    assert set(np.concatenate(events["missing_features"].to_numpy())) <= set(names)
    predictions = read_parquet(root / "data/predictions.parquet")
    assert set(np.concatenate(predictions["out_of_range_features"].to_numpy())) <= set(names)
    assert {name for event in backtest.events for name in event.missing_features} <= set(names)
    unread = read_backtest_reading_everything(root)
    assert any(set(event.missing_features) - set(names) for event in unread.events)  # else the line above says nothing
    controls = read_parquet(root / "data/control_predictions.parquet")
    # The control of price alone is this very model: it must not be a stranger to it.
    np.testing.assert_array_equal(controls["p_price_only"], predictions["p_direction"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["pricee"], "unknown family 'pricee'.*price"),
        (["triggers"], "unknown family 'triggers'"),
        ([], "different names of volatility, price.*was none"),
        (["price", "price"], "different names .* was price, price"),
        (["price", "liquidations"], "no table of this data set feeds liquidations, which needs liq"),
    ],
)
def test_families_that_models_cannot_read_are_refused_before_anything_runs(
    names: list[str], said: str, tmp_path: Path
) -> None:
    root = make_small_run(tmp_path, "configure")
    edit_entry(root, read_alone(names))
    (root / "data/small/liquidations.parquet").unlink()
    with pytest.raises(ParameterError, match=f"`model.families`.*{said}"):
        run_stages(root, "configure", "ingest")
    assert not (root / "data/tables").exists()
