"""The library on real market data, where it is at hand under ``data/external``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
import yaml

from pipelines._closure import ROOT
from slackwater.config import Params, resolve
from slackwater.errors import SchemaError
from slackwater.features import checks
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.contracts import venue_contracts
from slackwater.market.frame import MarketFrame
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.quality.ledger import DefectLedger
from slackwater.market.spec import FrameSpec
from slackwater.metrics.classification import auc
from slackwater.models.targets import TARGETS
from slackwater.models.training import Trainer, TrainingSet
from slackwater.sources.own_files.directory import Reading, read_directory
from slackwater.sources.own_files.kinds import sources_of
from slackwater.sources.own_files.source import Request
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.own_files.understanding import clock_against
from slackwater.trading.price_path import price_paths

EXTERNAL = ROOT / "data" / "external"
DIRECTORY = EXTERNAL / "bybit_1h"
NATIVE = EXTERNAL / "native"
SUMMER = EXTERNAL / "binance_1h_2024_summer"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DIRECTORY.is_dir(), reason="data/external/bybit_1h is not linked (see the README)"),
]
needs_native = pytest.mark.skipif(not NATIVE.is_dir(), reason="data/external/native is not linked (see the README)")
needs_summer = pytest.mark.skipif(not SUMMER.is_dir(), reason=f"data/external/{SUMMER.name} is not linked")


@pytest.fixture(scope="module")
def params() -> Params:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    return resolve(content | {"dataset": "bybit_1h"})


@pytest.fixture(scope="module")
def cleaned(params: Params) -> tuple[dict[str, pd.DataFrame], DefectLedger]:
    files = sources_of(params.dataset.model_dump()["tables"])
    lags, symbols = params.market.lags, params.dataset.symbols
    raw = read_directory(DIRECTORY, files, lags=lags, symbols=symbols).tables
    return clean_tables(raw, venue=params.dataset.venue, spacing={"bars": params.market.bar_interval})


def test_the_recount_of_2021_is_masked_and_nothing_else_is_missing(
    cleaned: tuple[dict[str, pd.DataFrame], DefectLedger],
) -> None:
    tables, ledger = cleaned
    assert len(tables["bars"]) == 140_861
    found = {(f.symbol, f.rule, f.rows, f.start.isoformat(" ", "hours")) for f in ledger.findings}
    assert found == {
        ("BTCUSDT", "recount", 2, "2021-05-19 15+00:00"),  # by the detector, before the list of known defects
        ("ETHUSDT", "recount", 1, "2021-05-19 15+00:00"),  # the same hour of the same venue: 40.9k to 63.0k
        ("BTCUSDT", "known_defect", 1, "2020-07-20 08+00:00"),
        ("BTCUSDT", "gap", 359, "2020-07-20 08+00:00"),  # one snapshot, and the next ones two weeks later
    }
    bitcoin = tables["open_interest"].query("symbol == 'BTCUSDT'")["event_time"]
    assert not bitcoin.between("2021-05-19T15:00Z", "2021-05-19T16:00Z").any()
    assert bitcoin.between("2021-05-19T13:00Z", "2021-05-19T18:00Z").sum() == 4


def test_live_equals_history_on_real_bars(
    params: Params, cleaned: tuple[dict[str, pd.DataFrame], DefectLedger]
) -> None:
    tables = {name: t[t["symbol"] == "BTCUSDT"].head(6_000) for name, t in cleaned[0].items()}
    engine = FeatureEngine(default_families(params.market.bar_interval, **params.features.model_dump()))
    frame = MarketFrame.from_tables(
        tables, FrameSpec(bar_interval=params.market.bar_interval, decision_lag=params.market.decision_lag)
    )
    found = checks.check_parity(engine, frame)
    unknown = {name for name, violation in found.items() if violation.verdict == "not examined"}
    assert set(found) == unknown, "only what no table feeds, or one symbol has not, may stay unexamined"
    assert len(unknown) < len(engine.names) / 2
    fed = {f.name for f in engine.features if not f.lacking(frozenset(frame.available))}
    assert {name for name in unknown & fed if not name.startswith("others_")} == set()


def test_an_honest_model_finds_next_to_nothing(
    params: Params, cleaned: tuple[dict[str, pd.DataFrame], DefectLedger]
) -> None:
    """A direction AUC outside of .47-.55 on these data is a leak or a bug."""
    tables, _ = cleaned
    market = params.market
    frame = MarketFrame.from_tables(
        tables, FrameSpec(bar_interval=market.bar_interval, decision_lag=market.decision_lag)
    )
    engine = FeatureEngine(default_families(market.bar_interval, **params.features.model_dump()))
    features = engine.transform(frame)
    wanted = set(engine.manifest(frame.available)["model_features"])
    labels, report = build_labels(
        features,
        price_paths(tables["bars"], tables["funding"]),
        trade=TradeRules(contracts=venue_contracts(params.dataset.venue)),
        decision_lag=market.decision_lag,
        fine_bar_interval=market.fine_bar_interval,
        **params.labels.model_dump(exclude={"reference_notional_usd"}),
    )
    assert report.labelled > 3_000
    assert report.tie_share < 0.02
    training = TrainingSet.join(labels, [features], [f for f in engine.features if f.name in wanted])
    # A fifth of the trees find what a leak would hold, too.
    model = replace(params.model.build(), n_estimators=50, learning_rate=0.1)
    trainer = Trainer(validation=params.validation.build(), model=model, targets=TARGETS[:1])
    predictions = trainer.predict_out_of_fold(training)
    y = training.labels["y_direction"].to_numpy()[predictions["row"]]
    assert 0.47 < auc(y, predictions["p_direction"]) < 0.55


# -- an export of Coinalyze as found: no header, a clock at UTC+6, gaps filled by repetition -------------------

COINALYZE = NATIVE / "coinalyze_raw_dirty"
HOUR = timedelta(hours=1)


def export(kind: str, *columns: str, offset: int | None) -> TableFile:
    """The `kind` of the export, hourly and stamped at the opening, on a clock declared `offset` hours ahead."""
    return TableFile(
        file=f"{{symbol}}_PERP.A_{kind}-history.csv",
        columns={name: i for i, name in enumerate(("open_time", *columns))},
        bar_length=HOUR,
        utc_offset=None if offset is None else offset * HOUR,
    )


def coinalyze(offset: int | None) -> dict[str, TableFile]:
    return {
        "bars": export("ohlcv", "open", "high", "low", "close", "volume", "taker_buy_volume", offset=offset),
        "liquidation_totals": export("liquidation", "long_quantity", "short_quantity", offset=offset),
        "open_interest": replace(
            export("open-interest", "open_interest", offset=offset),
            columns={"event_time": 0, "open_interest": 1},
            bar_length=None,
        ),
    }


def read_coinalyze(params: Params, offset: int | None) -> Reading:
    return read_directory(COINALYZE, coinalyze(offset), lags=params.market.lags, symbols=["BTCUSDT"])


@needs_native
def test_coinalyze_says_by_name_what_it_lacks(params: Params) -> None:
    lags = params.market.lags
    nameless = {"bars": TableFile(file="{symbol}_PERP.A_ohlcv-history.csv")}
    with pytest.raises(SchemaError, match=r"has no header and no position for .*first row is 2024-06-20 03:00:00"):
        read_directory(COINALYZE, nameless, lags=lags, symbols=["BTCUSDT"])
    with pytest.raises(SchemaError, match=r"must hold timezone-aware times \(UTC\), holds naive times"):
        read_coinalyze(params, None)


@needs_native
def test_coinalyze_fills_gaps_by_repetition(params: Params) -> None:
    [copies, *others] = read_coinalyze(params, 6).findings
    assert others == []
    assert (copies.table, copies.rule, copies.rows, copies.action) == (
        "liquidation_totals",
        "doubled_rows",
        19,
        "repaired",
    )
    assert "gaps were filled by repetition" in copies.note


@needs_native
def test_the_clock_of_coinalyze_is_six_hours_ahead(
    params: Params, cleaned: tuple[dict[str, pd.DataFrame], DefectLedger]
) -> None:
    """The export agrees with itself: another source tells, to the hour."""
    [found] = clock_against(read_coinalyze(params, 0).tables["bars"], cleaned[0]["bars"])
    assert (found.rule, found.rows) == ("clock_shift", 1465)
    assert "its clock is 6h late" in found.note
    assert clock_against(read_coinalyze(params, 6).tables["bars"], cleaned[0]["bars"]) == []


@needs_native
def test_a_declared_clock_makes_coinalyze_usable(params: Params) -> None:
    tables, ledger = clean_tables(read_coinalyze(params, 6).tables, venue="binance", spacing={"bars": HOUR})
    assert len(tables["bars"]) == 1465
    assert {f.rule for f in ledger.findings} == {"gap"}  # the hours whose place the copies had taken
    assert sum(f.rows for f in ledger.findings) == 19


@needs_native
@needs_summer
def test_one_shifted_table_among_good_ones_is_refused(params: Params) -> None:
    """Six hours of clock between liquidations and bars would teach a model that cascades come after their price."""
    summer = TableFile(file="bars.parquet", columns={"event_time": "close_time"})
    lags = params.market.lags
    tables = read_directory(SUMMER, {"bars": summer}, lags=lags, symbols=["BTCUSDT"]).tables
    tables["liquidation_totals"] = read_coinalyze(params, 0).tables["liquidation_totals"]
    with pytest.raises(SchemaError, match=r"liquidation_totals: BTCUSDT clock_shift .*refused: its clock is 6h late"):
        clean_tables(tables, venue="binance", spacing={"bars": HOUR})


@needs_native
def test_seconds_since_1970_and_names_of_coinalyze_are_understood() -> None:
    source = TableFile(
        file="coinalyze_liq_1min_2026-09-25_excerpt.csv",
        columns={"event_time": "t", "long_quantity": "l", "short_quantity": "s"},
    )
    request = Request(root=NATIVE / "binance_vision_excerpts", table="liquidation_totals", lag=timedelta(seconds=5))
    [read] = source.read(request)
    assert (read.origin, read.clock, len(read.table)) == (source.file, "s since 1970", 24)
    assert read.table["event_time"].iloc[0] == pd.Timestamp("2026-09-25 00:01Z")


@needs_summer
def test_a_summer_of_binance_raises_no_false_alarm(params: Params) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    entry = resolve(content | {"dataset": SUMMER.name}).dataset
    files = sources_of(entry.model_dump()["tables"])
    reading = read_directory(SUMMER, files, lags=params.market.lags, symbols=entry.symbols)
    tables, ledger = clean_tables(reading.tables, venue="binance", spacing={"bars": HOUR})
    # Whoever repaired the set marked these two bars as filled.
    assert [(f.symbol, f.rule, f.rows) for f in ledger.findings] == [("SOLUSDT", "repeated_bar", 2)]
    marked = pd.read_parquet(SUMMER / "bars.parquet").query("filled")
    assert marked["close_time"].between(ledger.findings[0].start, ledger.findings[0].end).all()
    # An hour for its neighbour, the slip of joining the close of an hour to its opening time.
    late = tables["open_interest"].copy()
    late[["event_time", "available_time"]] += HOUR
    with pytest.raises(SchemaError, match=r"open_interest: BTCUSDT clock_shift .* its clock is 1h late"):
        clean_tables(tables | {"open_interest": late}, venue="binance", spacing={"bars": HOUR})
