"""The page of tables: what is unknown is empty, and nothing is rounded to a lie."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.report.markdown import markdown_table
from slackwater.report.trading_page import trading_page

RUIN = ("ruin", "ruin_without_limits")


def test_cells_by_kind() -> None:
    table = pd.DataFrame(
        {
            "rule": ["a", ""],
            "n": [12_345, 0],
            "net": [-0.00012345, np.nan],
            "equity": [123_456.7, 9_999.0],
            "helps": [np.True_, None],
        }
    )
    lines = markdown_table(table).splitlines()
    assert lines[0] == "| rule | n | net | equity | helps |"
    assert lines[1] == "|---|---|---|---|---|"
    assert lines[2] == "| a | 12,345 | -0.0001234 | 123,457 | yes |"
    assert lines[3] == "|  | 0 |  | 9999 |  |"


def test_a_table_without_rows_keeps_its_head() -> None:
    assert markdown_table(pd.DataFrame({"venue": []})).splitlines() == ["| venue |", "|---|"]


def test_a_page_names_its_data() -> None:
    names = "triggers brackets bracket_results cost capacity leverage counterfactual ruin ruin_without_limits stress "
    names += "rules drawdown_control"
    facts = ["taker_fee_bps", "half_spread_bps", "relative_depth", "funding_interval_hours", "confirmed", "assumed"]
    tables = {name: pd.DataFrame({"x": [1]}) for name in names.split()}
    venues = pd.DataFrame({"venue": ["okx"], "net_bps": [1.0]} | {fact: [0.0] for fact in facts})
    page = trading_page(
        "simulated, SYNTHETIC market", "## Account\n", tables | {"venues": venues}, ["gate, without a lot"]
    )
    assert page.startswith(
        "# simulated, SYNTHETIC market\n\n## Account\n\n## Suggested trades\n\nThe trade that every event"
    )
    assert page.count("\n## ") == 15
    noted = trading_page("mine", "## Account\n", tables | {"venues": venues}, notes=["No trade was taken."])
    assert noted.startswith("# mine\n\n**No trade was taken.**\n\n## Account")
    assert "| venue | net_bps |" in page
    assert "| venue | taker_fee_bps |" in page
    assert "Left out: gate, without a lot." in page


def test_a_table_of_no_trade_is_a_sentence() -> None:
    """Catches a page of empty cells, and a table of settings in the place of results."""
    names = "triggers brackets bracket_results cost capacity leverage counterfactual stress rules drawdown_control"
    tables = {name: pd.DataFrame({"n_trades": [0, 0], "net_bps_mean": [np.nan, np.nan]}) for name in names.split()}
    tables |= {name: pd.DataFrame({"years": [1], "ruin_probability": [np.nan]}) for name in RUIN}
    facts = ["taker_fee_bps", "half_spread_bps", "relative_depth", "funding_interval_hours", "confirmed", "assumed"]
    tables["venues"] = pd.DataFrame({"venue": ["okx"], "n_trades": [0]} | {fact: [0.0] for fact in facts})
    page = trading_page("mine", "## Account\n", tables)
    assert page.count("Nothing could be measured") == 13
    assert "| venue | taker_fee_bps |" in page  # facts are no results
    tables["rules"].loc[1, "n_trades"] = 1
    assert trading_page("mine", "## Account\n", tables).count("Nothing could be measured") == 12
