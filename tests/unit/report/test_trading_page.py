"""The page of tables: what is unknown is empty, and nothing is rounded to a lie."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.report.trading_page import markdown_table, trading_page


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
    page = trading_page("simulated, SYNTHETIC market", {"Costs": ("What they take.", pd.DataFrame({"x": [1]}))})
    assert page.startswith("# simulated, SYNTHETIC market\n\n## Costs\n\nWhat they take.\n\n| x |")
