"""A data set with every kind of whale file: from the entry in docs/whales.md to features."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pipelines import features, ingest, validate
from pipelines._closure import ROOT
from pipelines._stage import Stage
from slackwater.cli import app
from slackwater.config import own_files, resolve
from slackwater.errors import DataError, MissingDataError, ParameterError, SlackwaterError
from slackwater.features.chosen_families import default_families
from slackwater.market.inputs import INPUT_TABLES
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.own_files.kinds import KINDS, sources_of
from tests.small_market import START, small_market

DAYS = 8
FIRST = START + pd.Timedelta("2D")
"""Time of the first row of each whale file."""


def blocks_of_yaml() -> list[Any]:
    page = (ROOT / "docs" / "whales.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def parameters(change: Callable[[dict[str, Any]], object] = lambda entry: None) -> dict[str, Any]:
    """Return the content of params.yaml with the entry of the page as the chosen data set."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    [entry] = blocks_of_yaml()[0].values()
    entry["features"] = {"whale_flows": {"windows": ["4h", "12h"], "burst_window": "1h", "usual_window": "2d"}}
    change(entry)
    return content | {"dataset": "mine", "datasets": content["datasets"] | {"mine": entry}}


def whale_alert(number: int, time: pd.Timestamp) -> dict[str, Any]:
    exchange, other = {"address": "a", "owner": "kraken", "owner_type": "exchange"}, {"address": "b"}
    chain, asset = (("bitcoin", "btc"), ("ethereum", "eth"), ("tron", "usdt"))[number % 3]
    ends = (exchange, other) if number % 2 else (other, exchange)
    return {
        "blockchain": chain,
        "symbol": asset,
        "id": str(number),
        "hash": f"h{number}",
        "from": ends[0],
        "to": ends[1],
        "timestamp": int(time.timestamp()),
        "amount": 20.0 + number,
        "amount_usd": 1e6 + 1e4 * number**2,
        "transaction_type": "transfer",
    }


def write_files(root: Path) -> None:
    root.mkdir(parents=True)
    small_market(days=DAYS)["bars"].to_parquet(root / "bars.parquet")
    times = pd.date_range(FIRST, START + pd.Timedelta(days=DAYS), freq="1h", inclusive="left")
    alerts = [whale_alert(number, time) for number, time in enumerate(times)]
    (root / "whale_alert.jsonl").write_text("\n".join(map(json.dumps, alerts)), encoding="utf-8")
    pd.DataFrame(
        {
            "block_time": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hash": [f"t{number}" for number in range(len(times))],
            "asset": "WETH",
            "value": 30.0,
            "usd": 90_000.0,
            "sender": "0xA",
            "receiver": "0xB",
            "gas": 1,
        }
    ).to_csv(root / "transfers.csv", index=False)
    (root / "labels.csv").write_text(f"address,owner,owner_type,known_since\n0xb,Okx,CEX,{START.isoformat()}\n")
    stamps = [int(time.timestamp() * 1000) for time in times]
    updates = [
        {"time": stamp, "hash": f"d{stamp}", "delta": {"type": "deposit", "usdc": "1000"}, "fee": 0} for stamp in stamps
    ]
    (root / "ledger.json").write_text(json.dumps(updates), encoding="utf-8")
    fills = [
        {
            "coin": coin,
            "px": "100",
            "sz": str(500 * 1.03**number if place == 0 else 1),
            "side": "AB"[number % 2],
            "time": stamp + 600_000 * place,
            "crossed": True,
            "tid": 100 * number + 10 * place + len(coin),
        }
        for number, stamp in enumerate(stamps)
        for place in range(6)
        for coin in ("BTC", "ETH", "DOGE1")
    ]
    fills = [fill | {"tid": number} for number, fill in enumerate(fills)]
    (root / "fills.json").write_text(json.dumps(fills), encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    write_files(root / "data" / "external" / "mine")
    return root


@pytest.fixture
def repository(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(files)
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    Path("params.yaml").write_text(yaml.safe_dump(parameters(), sort_keys=False), encoding="utf-8")
    return files


@pytest.mark.usefixtures("repository")
def test_an_entry_with_every_kind_becomes_features() -> None:
    """From files to features: known where there are rows, missing before the first of them."""
    for module in (ingest, validate, features):
        module.main(Stage(module.__name__.rsplit(".", 1)[1]))
    raw = {name: pd.read_parquet(f"data/raw/{name}.parquet") for name in ("whale_transfers", "exchange_flows")}
    assert set(raw["whale_transfers"]["source"]) == {"whale_alert", "my query"}
    assert set(raw["whale_transfers"]["symbol"]) == {"BTCUSDT", "ETHUSDT"}
    flows = raw["exchange_flows"]
    assert set(flows.loc[flows["symbol"] == "BTCUSDT", "asset"]) == {"BTC", "USDT", "USDC"}
    noted = {
        (each["table"], each["rule"], each["symbol"]) for each in json.loads(Path("data/raw/findings.json").read_text())
    }
    assert {("whale_transfers", "other_asset", "USDC"), ("large_trades", "other_asset", "DOGE1")} <= noted
    assert {rule for _, rule, _ in noted} == {"other_asset"}

    made = pd.read_parquet("data/features")
    tables = {"bars", "whale_transfers", "large_trades", "exchange_flows"}
    fed = {name for table in tables for name in INPUT_TABLES[table]}
    params = resolve(parameters())
    families = default_families(params.market.bar_interval, **params.features.model_dump())
    [family] = [each for each in families if each.name == "whale_flows"]
    names = [feature.name for feature in family.features() if set(feature.inputs) <= fed]
    assert len(names) >= 10
    before = made[made["event_time"] <= FIRST][names]
    last = made.groupby("symbol").tail(1)[names]
    assert before.isna().all(axis=None)
    assert np.isfinite(last.to_numpy()).all(), last.columns[last.isna().any()].tolist()
    assert (made[names].std() > 0.0).all()


@pytest.mark.usefixtures("repository")
def test_what_is_understood_of_each_file_is_shown() -> None:
    said = CliRunner().invoke(app, ["understand", "mine"]).output
    for line in (
        "files    whale_alert.jsonl",
        "clock    s since 1970; known 0:03:00 to 0:32:00 after the stamp",
        "unread   transaction_type",
        "column   tx_hash from hash",
        "column   source is always my query",
        "column   to_owner_type is the label file",
        "clock    ISO 8601; known 0:18:00 after the stamp",
        "unread   gas",
        "files    ledger.json",
        "unread   fee",
        "column   price from px, quote currency",
        "files    table whale_transfers",
    ):
        assert line in said, said


def test_flows_of_others_need_only_the_column_map(files: Path) -> None:
    table = blocks_of_yaml()[1]
    root = files / "data" / "external" / "mine"
    pd.DataFrame({"hour": ["2024-01-01T23:00:00Z", "2024-01-03T00:00:00Z"], "in": 5.0, "out": [1.0, 7.0]}).to_csv(
        root / "flows.csv", index=False
    )
    params = resolve(parameters(lambda entry: entry["tables"].update(table)))
    sources = sources_of(params.dataset.model_dump()["tables"])
    assert sources is not None
    wanted = {name: sources[name] for name in ("bars", "exchange_flows")}
    reading = read_directory(root, wanted, lags=params.market.lags)
    [row] = reading.tables["exchange_flows"].to_dict("records")
    assert (row["netflow_usd"], row["event_time"]) == (-2.0, pd.Timestamp("2024-01-03 01:00Z"))
    assert row["available_time"] - row["event_time"] == pd.Timedelta("40min")
    assert [each.rule for each in reading.findings if each.table == "exchange_flows"] == [
        "restated_labels",
        "no_rows",
    ]


def test_the_options_of_params_are_those_of_the_sources() -> None:
    """Catches an option that params.yaml takes and no reader has, or the other way round."""
    assert set(own_files.KINDS) == set(KINDS)
    for name, section in own_files.KINDS.items():
        assert set(section.model_fields) - {"kind"} == {each.name for each in fields(KINDS[name])}, name


def test_every_option_is_described_on_the_page() -> None:
    page = (ROOT / "docs" / "whales.md").read_text(encoding="utf-8")
    for name, section in own_files.KINDS.items():
        assert f"`{name}`" in page
        assert {option for option in section.model_fields if not re.search(rf"[`{{ ]{option}[`:]", page)} == set(), name


def first(entry: dict[str, Any], **options: Any) -> None:
    source = entry["tables"]["whale_transfers"][0]
    source.update(options)
    for name in [name for name, value in options.items() if value is None]:
        del source[name]


WRONG_PARAMETERS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown kind": (
        lambda e: first(e, kind="whalealert"),
        "no kind `whalealert` of own files; did you mean `whale_alert`",
    ),
    "unknown option": (
        lambda e: first(e, min_us=1),
        r"`datasets\.mine\.tables\.whale_transfers\.0\.min_us`: unknown parameter.*did you mean `min_usd`",
    ),
    "option of another kind": (lambda e: first(e, columns={"a": "b"}), "columns`: unknown parameter"),
    "no file": (lambda e: first(e, file=None), r"whale_transfers\.0\.file`: missing"),
    "no word on labels": (lambda e: first(e, known_since=None), "give either `known_since`, .* or `labels`"),
    "two words on labels": (lambda e: first(e, labels="labels.csv"), "give either `known_since`"),
    "naive time": (lambda e: first(e, known_since="2024-01-01"), "must carry a time zone"),
    "no time": (lambda e: first(e, known_since="always"), "must be a time such as"),
    "negative floor": (lambda e: first(e, min_usd=-1.0), "min_usd`: .*greater than or equal to 0"),
    "number of minutes": (lambda e: first(e, indexer_lag=5), "must be a duration such as"),
    "outside": (lambda e: first(e, file="../alerts.json"), "must be a path inside of the repository"),
    "labels outside": (lambda e: first(e, known_since=None, labels="/etc/labels.csv"), "must be a path inside of the"),
    "wrong table": (
        lambda e: e["tables"].update(funding=e["tables"]["large_trades"]),
        "`hyperliquid_fills` makes large_trades",
    ),
    "no transfers": (lambda e: e["tables"].pop("whale_transfers"), "`from_transfers` needs whale_transfers"),
    "no bucket": (lambda e: e["tables"]["exchange_flows"].pop("bucket"), "exchange_flows.bucket`: missing"),
    "no source": (lambda e: e["tables"].update(whale_transfers=[]), "at least 1 item"),
    "text for a source": (lambda e: e["tables"].update(whale_transfers="a.json"), "valid dictionary"),
    "another perpetual": (lambda e: first(e, symbols={"WBTC": "BTCUSD"}), "perpetuals that the data set does not have"),
    "digest of nothing": (
        lambda e: e.update(sha256={"alerts.json": "00"}),
        "files that no table reads: .'alerts.json'",
    ),
}


@pytest.mark.parametrize("case", WRONG_PARAMETERS)
def test_wrong_options_are_named_when_parameters_are_read(case: str) -> None:
    change, message = WRONG_PARAMETERS[case]
    with pytest.raises(ParameterError, match=message):
        resolve(parameters(change))


WRONG_FILES: dict[str, tuple[Callable[[dict[str, Any]], object], type[SlackwaterError], str]] = {
    "no file": (lambda e: first(e, file="none.json"), MissingDataError, "no file .*none.json .table whale_transfers"),
    "no label file": (
        lambda e: first(e, known_since=None, labels="none.csv"),
        MissingDataError,
        r"no file .*none\.csv",
    ),
    "digest": (lambda e: e.update(sha256={"fills.json": "00"}), DataError, "fills.json: its sha256 is"),
    "digest of labels": (lambda e: e.update(sha256={"labels.csv": "00"}), DataError, "labels.csv: its sha256 is"),
    "coins of another kind": (lambda e: first(e, symbols={"USDT": "BTCUSDT"}), ParameterError, "which is on BTC"),
    "half an hour": (
        lambda e: e["tables"]["large_trades"].update(window="90m"),
        ParameterError,
        "`window` and `warm_up` must be whole hours",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_wrong_files_are_named_at_the_start_of_ingest(case: str, repository: Path) -> None:
    change, error, message = WRONG_FILES[case]
    Path("params.yaml").write_text(yaml.safe_dump(parameters(change), sort_keys=False), encoding="utf-8")
    with pytest.raises(error, match=message):
        ingest.main(Stage("ingest"))


def test_digests_cover_every_file(files: Path) -> None:
    root = files / "data" / "external" / "mine"
    names = ("bars.parquet", "whale_alert.jsonl", "transfers.csv", "labels.csv", "ledger.json", "fills.json")
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}
    params = resolve(parameters(lambda entry: entry.update(sha256=digests)))
    sources = sources_of(params.dataset.model_dump()["tables"])
    assert read_directory(root, sources, lags=params.market.lags, sha256=params.dataset.sha256).tables


def test_transfers_of_no_perpetual_serve_flows_alone(files: Path) -> None:
    root = files / "data" / "external" / "mine"

    def only_ledger(entry: dict[str, Any]) -> None:
        entry["tables"]["whale_transfers"] = {"kind": "hyperliquid_ledger", "file": "ledger.json"}

    params = resolve(parameters(only_ledger))
    sources = sources_of(params.dataset.model_dump()["tables"])
    assert sources is not None
    reading = read_directory(root, sources, lags=params.market.lags, symbols=["BTCUSDT"])
    assert "whale_transfers" not in reading.tables
    assert set(reading.tables["exchange_flows"]["asset"]) == {"USDC"}
    assert ("no_rows", "BTCUSDT") in [(each.rule, each.symbol) for each in reading.findings]
    del sources["exchange_flows"]
    with pytest.raises(MissingDataError, match=r"ledger\.json .table whale_transfers.: no rows of \['BTCUSDT'\]"):
        read_directory(root, sources, lags=params.market.lags, symbols=["BTCUSDT"])
