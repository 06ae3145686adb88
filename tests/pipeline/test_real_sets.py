"""The entries of params.yaml on real files, where these are linked under ``data/external``."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from pipelines._closure import ROOT
from slackwater.config import Params, load_params
from slackwater.market.contract_file import merge_contracts
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.quality.ledger import Finding
from slackwater.report.account_page import starved_sentences
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.own_files.kinds import sources_of

EXTERNAL = ROOT / "data" / "external"
FOLDERS = {
    "bybit_1h": ("bybit_1h",),
    "bybit_1h_whales": ("bybit_1h", "whales"),
    "binance_5m": ("binance_5m",),
    "btc_1h_liquidations": ("cq_btc_binance_1h", "binance_basis_1h"),
    "binance_1h_2024_summer": ("binance_1h_2024_summer",),
    "perp_bars_4h": ("perp_bars_4h",),
}
HOURLY = "cq_btc_binance_1h/cq_btc_binance_1h_20230416_20241231.parquet"
pytestmark = pytest.mark.real_data


class Cleaned(NamedTuple):
    params: Params
    tables: dict[str, pd.DataFrame]
    findings: list[Finding]

    def rows(self, table: str, rule: str) -> int:
        return sum(each.rows for each in self.findings if (each.table, each.rule) == (table, rule))


@cache
def cleaned(name: str) -> Cleaned:
    """Read and clean a data set as the stages `ingest` and `validate` do."""
    absent = [folder for folder in FOLDERS[name] if not (EXTERNAL / folder).is_dir()]
    if absent:
        pytest.skip(f"data/external/{absent[0]} is not linked (see docs/datasets.md)")
    params = load_params(ROOT / "params.yaml", name)
    entry, market = params.dataset, params.market
    spacing = {"bars": market.bar_interval, "fine_bars": market.fine_bar_interval}
    sources = sources_of(entry.model_dump()["tables"])
    reading = read_directory(ROOT / str(entry.path), sources, lags=market.lags, symbols=entry.symbols, spacing=spacing)
    tables, ledger = clean_tables(reading.tables, venue=entry.venue, spacing={"bars": market.bar_interval})
    return Cleaned(params, tables, [*reading.findings, *ledger.findings])


@pytest.mark.parametrize(
    ("name", "bars", "symbols"),
    [
        ("bybit_1h", 140_861, 4),
        ("bybit_1h_whales", 77_966, 2),
        ("binance_5m", 287_801, 2),
        ("btc_1h_liquidations", 13_918, 1),
        ("binance_1h_2024_summer", 4_393, 3),
        ("perp_bars_4h", 533_580, 320),
    ],
)
def test_an_entry_reads_its_files_and_no_rule_of_it_lacks_its_table(name: str, bars: int, symbols: int) -> None:
    found = cleaned(name)
    held = {table: set(rows["symbol"]) for table, rows in found.tables.items()}
    assert (len(found.tables["bars"]), len(held["bars"])) == (bars, symbols)
    assert not list(starved_sentences(found.params.trading, held, held["bars"]))
    entry = found.params.dataset
    assert held["bars"] <= set(merge_contracts(entry.contract_facts, entry.venue, held["bars"]))


def test_hundreds_of_symbols_have_facts_only_because_they_are_assumed() -> None:
    """Without, the first stage refuses them by name; with, none of the facts may pass for a known one."""
    found = cleaned("perp_bars_4h")
    symbols, facts = set(found.tables["bars"]["symbol"]), found.params.dataset.contract_facts
    assert facts is not None
    assert len(symbols - set(merge_contracts(None, "binance", symbols))) == 316
    merged = merge_contracts(facts, "binance", symbols)
    assert not merged["1000BONKUSDT"].confirmed
    assert {"fees", "half_spread", "margin_tiers", "order_steps"} <= set(merged["1000BONKUSDT"].assumed)
    # Nor does it override what is known.
    assert merged["BTCUSDT"] == merge_contracts(None, "binance")["BTCUSDT"]


def test_the_dead_hours_of_liquidations_are_found_without_the_flags_of_the_file() -> None:
    found = cleaned("btc_1h_liquidations")
    file = pd.read_parquet(EXTERNAL / HOURLY)
    flagged = set(file["t_open_utc"][file["liq_outage"]] + pd.Timedelta("1h"))
    totals = found.tables["liquidation_totals"]
    masked = set(totals["event_time"][totals["long_quantity"].isna() & totals["short_quantity"].isna()])
    assert len(flagged) == 561
    assert flagged <= masked
    assert len(masked - flagged) == 2  # at the edges of the spans
    frozen = set(file["t_open_utc"][file["oi_frozen"]] + pd.Timedelta("1h"))
    assert found.rows("open_interest", "frozen_value") == len(frozen) == 196
    assert frozen.isdisjoint(found.tables["open_interest"]["event_time"])


def test_what_is_made_of_usd_agrees_with_another_set_in_coin() -> None:
    own, other = cleaned("btc_1h_liquidations").tables, cleaned("binance_1h_2024_summer").tables

    def side_by_side(table: str, column: str) -> tuple[pd.Series, pd.Series]:
        both = [tables[table].query("symbol == 'BTCUSDT'").set_index("event_time")[column] for tables in (own, other)]
        joined = pd.concat(both, axis=1, join="inner").dropna()
        return joined.iloc[:, 0], joined.iloc[:, 1]

    prices = side_by_side("bars", "close")
    assert len(prices[0]) > 1_400
    assert (prices[0] == prices[1]).all()
    volume = side_by_side("bars", "volume")
    assert np.corrcoef(np.log(volume[0]), np.log(volume[1]))[0, 1] > 0.99
    assert 0.9 < (volume[0] / volume[1]).median() < 1.0
    # An hour early or late there is no correlation.
    interest = side_by_side("open_interest", "open_interest")
    changes = [np.log(each).diff() for each in interest]
    assert changes[0].corr(changes[1]) > 0.9
    assert abs(changes[0].corr(changes[1].shift(1))) < 0.2
    assert abs(changes[0].corr(changes[1].shift(-1))) < 0.2
    liquidated = side_by_side("liquidation_totals", "long_quantity")
    assert liquidated[0].corr(liquidated[1]) > 0.99


def test_a_rate_that_was_spread_over_its_hours_is_the_settled_one() -> None:
    own = cleaned("btc_1h_liquidations").tables["funding"].set_index("event_time")["funding_rate"]
    other = cleaned("binance_5m").tables["funding"].query("symbol == 'BTCUSDT'")
    settled = other.set_index(other["event_time"].dt.floor("h"))["funding_rate"]
    both = pd.concat([own, settled], axis=1, join="inner")
    assert len(both) > 1_000
    assert np.allclose(both.iloc[:, 0], both.iloc[:, 1], atol=1e-9)
