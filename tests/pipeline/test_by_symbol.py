"""The stages before the models hold one symbol at a time, and find what examining everything at once finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines._closure import ROOT
from slackwater.errors import SchemaError
from slackwater.market.bars import resample_bars
from slackwater.market.quality.detectors import examine_tables
from slackwater.parallel import use_workers
from slackwater.run.tables import with_bars
from slackwater.simulation.defects import inject_defects
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.storage import json_line, read_json, read_tables, write_json
from slackwater.symbol_tables import split_by_symbol, write_symbol
from tests.small_run import run_stages

START = datetime(2023, 1, 1, tzinfo=UTC)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
MINUTE, FIVE = timedelta(minutes=1), timedelta(minutes=5)


@pytest.fixture(scope="module")
def market() -> dict[str, pd.DataFrame]:
    request = MarketRequest(symbols=SYMBOLS, start=START, end=START + timedelta(days=20), seed=5)
    return simulate(request).tables


def raw(root: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """Write what `ingest` leaves to `validate`."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"dataset": "simulated"}
    content["datasets"]["simulated"]["symbols"] = SYMBOLS
    (root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    run_stages(root, "configure")
    (root / "data" / "raw").mkdir(parents=True)
    for symbol, rows in split_by_symbol(tables):
        write_symbol(symbol, rows, root / "data" / "raw")
    write_json([], root / "data" / "raw" / "findings.json")
    return root


def test_symbols_examined_one_by_one_give_the_tables_and_findings_of_all_at_once(
    market: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """Catches a rule that needs more than one symbol, and a finding or a row that is lost on the way."""
    tables, planted = inject_defects(market, seed=3)
    refused = {finding.table for finding in examine_tables(tables, venue="simulated", spacing={})[1].refused}
    tables = {name: market[name] if name in refused else table for name, table in tables.items()}
    spacing = {"fine_bars": MINUTE, "bars": FIVE}
    wanted, ledger = examine_tables(tables, venue="simulated", spacing=spacing)
    assert not ledger.refused
    assert len(ledger.findings) > len(SYMBOLS), planted
    with use_workers("2"):
        run_stages(raw(tmp_path, tables), "validate")
    found = read_json(tmp_path / "reports" / "defects.json")["findings"]
    of_all = [finding.to_dict() for finding in ledger.findings]
    assert sorted(map(json_line, found)) == sorted(map(json_line, of_all))
    back, wanted = read_tables(tmp_path / "data" / "tables"), with_bars(wanted, FIVE)
    assert set(back) == set(wanted)
    for name, table in wanted.items():
        in_order = table.sort_values("symbol", kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(back[name], in_order, check_exact=True)


def test_a_table_that_is_refused_for_one_symbol_leaves_no_tables_and_all_findings(
    market: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """Catches a run that goes on with two of three symbols."""
    rates = market["funding"].copy()
    rates.loc[rates["symbol"] == "ETHUSDT", "funding_rate"] = 40.0
    root = raw(tmp_path, market | {"funding": rates})
    with pytest.raises(SchemaError, match=r"table funding: ETHUSDT"):
        run_stages(root, "validate")
    assert not (root / "data" / "tables").exists()
    assert not list((root / "data").glob(".tables.*"))
    listed = read_json(root / "reports" / "defects.json")
    assert [each["symbol"] for each in listed["findings"] if each["action"] == "refused"] == ["ETHUSDT"]
    assert "funding" in listed["absent_tables"]


@pytest.mark.parametrize("workers", ["serial", "2"])
def test_a_symbol_without_rows_in_a_table_does_not_change_the_table(
    market: dict[str, pd.DataFrame], tmp_path: Path, workers: str
) -> None:
    """Catches columns that differ by symbol: a file that cannot be read together with the others."""
    tables = market | {"depth": market["depth"].query("symbol == 'SOLUSDT'")}
    tables["fine_bars"] = market["fine_bars"].query("symbol != 'BTCUSDT'")
    with use_workers(workers):
        run_stages(raw(tmp_path, tables), "validate")
    made = read_tables(tmp_path / "data" / "tables")
    assert set(made["depth"]["symbol"]) == {"SOLUSDT"}
    assert made["depth"].dtypes.equals(market["depth"].dtypes)
    bars = resample_bars(tables["fine_bars"], FIVE)
    assert made["bars"].dtypes.to_dict() == bars.dtypes.to_dict()
    assert len(made["bars"]) == len(bars)


def test_ingest_writes_the_simulated_market_by_symbol(tmp_path: Path, market: dict[str, pd.DataFrame]) -> None:
    """Catches a market that depends on the symbols made beside it, or on who made it."""
    raw(tmp_path, {})
    path = tmp_path / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    made = {"start": START.isoformat(), "end": (START + timedelta(days=20)).isoformat(), "seed": 5}
    content["datasets"]["simulated"]["simulate"] |= made | {"signal": MarketRequest.signal}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with use_workers("2"):
        run_stages(tmp_path, "configure", "ingest")
    for name, table in read_tables(tmp_path / "data" / "raw").items():
        pd.testing.assert_frame_equal(table, market[name], check_exact=True)
