"""A contract that was settled, in an archive that goes on without trades: from the files to the labels."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines import features, ingest, label, validate
from pipelines._closure import ROOT
from pipelines._stage import Stage
from slackwater.sources.fetch import fetch
from slackwater.sources.request import FetchRequest
from tests.mirror.archive import KLINES, archive_file, csv_text, zipped
from tests.mirror.faults import QUICK
from tests.mirror.server import Mirror, running

SETTLED = pd.Timestamp("2024-02-10 09:00", tz="UTC")
HORIZON = pd.Timedelta("12h")
ENTRY = {
    "source": "parquet",
    "venue": "binance",
    "path": "data/external/settled",
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "market": {"bar_interval": "1h", "fine_bar_interval": "1h"},
    "features": {
        "volatility": {"half_life": "24h", "fast_half_life": "6h", "slow_half_life": "72h", "atr_window": "14h"},
        "regime": {"variance_ratio_horizon": "4h"},
        "liquidation_density": {"bin_width": 0.0025},
        "sweeps": {"reclaim_window": "3h", "approach": "6h"},
        "triggers": {
            "move_window": "24h",
            "extended_floor": 0.001,
            "extended_threshold": 0.2,
            "extended_cooldown": "1h",
        },
    },
    "labels": {"horizon": "12h", "reversal_multiple": 9.0, "continuation_multiple": 9.0},
}


def settled_archive(path: str) -> bytes | None:
    """Return the files of the mirror; ETHUSDT has flat bars without a trade since its settlement."""
    if "/klines/ETHUSDT/" not in path or path.endswith(".CHECKSUM"):
        return archive_file(path)
    stamp = path.rsplit("ETHUSDT-1h-", 1)[1].removesuffix(".zip")
    text = csv_text("klines", "ETHUSDT", "1h", stamp)
    if text is None:
        return None
    rows = list(csv.DictReader(io.StringIO(text)))
    for before, row in zip([*rows[:1], *rows], rows, strict=False):
        if int(row["open_time"]) >= SETTLED.timestamp() * 1000:
            row |= dict.fromkeys(("open", "high", "low", "close"), before["close"])
            amounts = ("volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume")
            row |= dict.fromkeys(amounts, "0")
    lines = [KLINES, *(",".join(row.values()) for row in rows)]
    return zipped(path.rsplit("/", 1)[1].replace(".zip", ".csv"), "\n".join([*lines, ""]).encode())


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content = content | {"dataset": "settled", "datasets": content["datasets"] | {"settled": ENTRY}}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    wanted = FetchRequest(
        venue="binance",
        symbols=["BTCUSDT", "ETHUSDT"],
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 3, 1, tzinfo=UTC),
        tables=["fine_bars", "funding"],
        interval="1h",
    )
    with running(Mirror(settled_archive)) as mirror:
        fetch(wanted, Path(ENTRY["path"]), mirror=mirror.url, politeness=QUICK)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_nothing_reaches_past_a_settlement() -> None:
    """Catches a label, a trade, a feature or a payment on bars that nobody traded."""
    for module in (ingest, validate, features, label):
        module.main(Stage(module.__name__.rsplit(".", 1)[1]))
    defects = json.loads(Path("reports/defects.json").read_text())
    found = {(each["symbol"], each["rule"]) for each in defects["findings"]}
    assert {("ETHUSDT", "without_trades"), ("ETHUSDT", "after_settlement")} <= found
    made = {"features": pd.read_parquet("data/features"), "labels": pd.read_parquet("data/labels.parquet")}
    tables = {name: pd.read_parquet(f"data/tables/{name}.parquet") for name in ("bars", "fine_bars", "funding")}
    for name, table in (made | tables).items():
        last = table.groupby("symbol", observed=True)["event_time"].max()
        assert last["ETHUSDT"] <= SETTLED < last["BTCUSDT"], name
    labels = made["labels"]
    assert (labels["code"] == 0).mean() > 0.5  # most would end with the horizon, on whatever bars there are
    ends = labels[labels["symbol"] == "ETHUSDT"]
    assert len(ends) > 100
    assert (ends["label_end_time"] <= SETTLED).all()
    assert (ends["trade_end_time"].dropna() <= SETTLED).all()
    assert (ends["entry_time"] + HORIZON <= SETTLED).all()
    assert ends["event_time"].max() > SETTLED - 2 * HORIZON  # and no more is lost than must be
