"""The page and the plots of the controls: what is not known is empty, named, and never zero."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from slackwater.evidence._intervals import DIFFERENCE_AUC
from slackwater.evidence.left_out import COLUMNS
from slackwater.evidence.unseen_symbols import COLUMNS as UNSEEN
from slackwater.report._plots import write_plots
from slackwater.report.control_figures import control_drawings
from slackwater.report.controls_page import controls_page
from slackwater.storage import read_json, write_report

NUMBERS = ("net_r_mean", "net_r_low", "net_r_high", "net_bps_mean", "net_bps_low", "net_bps_high")
DIFFERENCES = tuple(f"difference_{unit}{end}" for unit in ("r", "bps", "auc") for end in ("", "_low", "_high"))


def row(value: float, n_trades: int | None, beaten: bool | None = None, note: str = "") -> dict[str, Any]:
    numbers = dict.fromkeys((*NUMBERS, *DIFFERENCES), value)
    return {"rule": "in words", "n_trades": n_trades, "auc": value, "beaten": beaten, "note": note} | numbers


def unseen(name: str, symbols: list[str], value: float, note: str = "") -> dict[str, Any]:
    return dict.fromkeys(UNSEEN, value) | {"name": name, "symbols": symbols, "note": note}


def report(depth: str = "quick") -> dict[str, Any]:
    part = dict.fromkeys(COLUMNS, 0.01) | {"part": "side", "name": "long trades", "change": "without them"}
    part |= dict.fromkeys(("auc", *DIFFERENCE_AUC), math.nan) | {"funding_known": True, "note": ""}
    unknown = dict.fromkeys(COLUMNS, math.nan) | {"part": "rule", "name": "require_sweep", "change": "with it"}
    unknown |= {"funding_known": None, "note": "not measured: why"}
    return {
        "depth": depth,
        "draws_per_trade": 7,
        "left_out": {"ablation": ["the rule without funding"]} if depth == "quick" else {},
        "sentence": "One sentence.",
        "controls": {
            "model": row(0.1, 33),
            "never": row(0.2, 0, beaten=True),
            "playbook": row(math.nan, None, note="not measured: no open interest"),
        },
        "ablation": [part, unknown],
        "ablation_findings": {"side": "Helps: long trades."},
        "unseen_symbols": [
            unseen("all", list("ABCDEF"), 0.5),
            unseen("group 1 of 5", ["A", "F"], math.nan, "not measured: why"),
        ],
        "unseen_symbols_finding": "Another sentence.",
        "families": [{"family": "funding", "n_features": 2, "gain_share": 0.4, "shap_share": 0.6}],
        "dependence": {
            name: {"family": "whale flows", "value": [0.0, 1.0], "log_odds": [-0.1, 0.1]}
            for name in ("a", "b", "c", "d")
        },
    }


def test_the_page_names_what_is_not_measured_and_what_is_left_out(tmp_path: Path) -> None:
    write_report(report(), tmp_path / "controls.json")
    for content in (report(), read_json(tmp_path / "controls.json")):  # NaN becomes null in the file
        page = controls_page("a data set", content)
        assert page.startswith("# Controls: a data set\n\n**One sentence.**\n")
        assert "Left out are rows whose models have to be fitted again: the rule without funding." in page
        assert "| never | 0 | 0.2 (0.2 to 0.2) |" in page
        assert "| playbook |  |  |  |  |  |  |  |  | not measured: no open interest |" in page
        assert "| rule | require_sweep | with it |  |  |  |  |  |  |  | not measured: why |" in page
        assert "## Symbols that the models have not seen\n\n**Another sentence.**" in page
        assert "| all | 6: A, B, C, … | 0.5 | 0.5 | 0.5 | 0.5 (0.5 to 0.5) |  |" in page
        assert "| group 1 of 5 | 2: A, F |  |  |  |  | not measured: why |" in page
        assert "0.01 (0.01 to 0.01) | 0.01 (0.01 to 0.01) |  |  |  |" in page  # a side has no AUC
    assert "nothing is left out" in controls_page("a data set", report("full"))


@pytest.mark.parametrize("emptied", [(), ("dependence", "families", "ablation")])
def test_every_plot_is_drawn(tmp_path: Path, emptied: tuple[str, ...]) -> None:
    content = report() | {name: type(report()[name])() for name in emptied}
    drawings = {
        name: lambda figure, d=draw: d(figure, "a data set") for name, draw in control_drawings(content).items()
    }
    write_plots(tmp_path / "plots", drawings, {})
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {
        "controls",
        "ablation",
        "families",
        "partial_dependence",
    }
    assert all(path.stat().st_size > 5_000 for path in (tmp_path / "plots").iterdir())
