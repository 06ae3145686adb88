"""The documented entry for a data set is one that the parameters take and that can trade."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.report.account_page import starved_sentences

README, OWN_DATA = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/own_data.md"))


def own_entry() -> dict[str, Any]:
    """The content of `datasets/mine.yaml`, with the contract facts that the page shows apart."""
    blocks = re.findall(r"```yaml\n(.*?)```", OWN_DATA, flags=re.DOTALL)
    (entry,) = (yaml.safe_load(block) for block in blocks if block.startswith("# datasets/mine.yaml"))
    (facts,) = (yaml.safe_load(block) for block in blocks if "contract_facts:" in block)
    return {"mine": entry | facts}


def test_the_own_entry_is_taken_and_no_rule_of_it_lacks_its_table(tmp_path: Path) -> None:
    """It left a rule on that needs a table which it does not have: every event was refused."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["datasets"] |= own_entry()
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    params = load_params(path, "mine")
    tables, symbols = params.dataset.tables, params.dataset.symbols
    assert tables is not None
    assert symbols is not None
    assert not list(starved_sentences(params.trading, dict.fromkeys(tables, symbols), symbols))


def test_the_first_look_is_a_small_market_and_otherwise_the_default_run() -> None:
    """`make quick` shows the pipeline as it is: smaller, without rules that need more history, and SYNTHETIC."""
    quick, default = (load_params(ROOT / "params.yaml", name) for name in ("quick", "simulated"))
    assert quick.dataset.synthetic
    assert quick.dataset.simulate is not None
    assert quick.dataset.simulate.end - quick.dataset.simulate.start <= timedelta(days=90)
    assert quick.model.n_estimators < default.model.n_estimators
    assert quick.evaluation.draws < default.evaluation.draws
    assert quick.evaluation.depth == "quick"
    assert quick.features == default.features
    assert quick.costs == default.costs
    assert quick.labels.triggers == default.labels.triggers


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 120


def test_the_documented_fetch_is_long_enough_to_train() -> None:
    span = re.search(r"slackwater fetch .*--from (\d{4})-01-01 --to (\d{4})-01-01", README)
    assert span is not None
    assert int(span[2]) - int(span[1]) >= 1
