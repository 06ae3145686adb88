"""Families from outside of the library: how they are named, refused and run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from examples.my_features import PressureFamily
from pipelines._closure import ROOT
from slackwater.config.family_settings import family_settings
from slackwater.config.loading import resolve
from slackwater.config.sections import Params
from slackwater.errors import BundleError, ContractError, ParameterError, SchemaError
from slackwater.features.engine import FeatureEngine, default_families
from slackwater.features.extra import imported_class, load_class, spec_of
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import STAMP, TABLES, Column, Table, newest
from tests.small_market import DECISION_LAG, small_market
from tests.unit.features import outside_families as outside

HOUR = timedelta(hours=1)
HERE = "tests.unit.features.outside_families"


def frame(*names: str) -> MarketFrame:
    market = small_market(interval=HOUR, days=4)
    bars = market["bars"].drop(index=range(20, 25)).reset_index(drop=True)
    tables = {"bars": bars, **{name: market[name] for name in names}}
    return MarketFrame.from_tables(tables, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_module.MyFamily", "must be module:Class"),
        ("my module:MyFamily", "must be module:Class"),
        ("no_such_package.features:MyFamily", "no_such_package.features cannot be imported, ModuleNotFoundError"),
        (f"{HERE}:Missing", "has no such class"),
        (f"{HERE}:NotAFamily", "is not a family: derive it from"),
        (f"{HERE}:NotADataclass", "must be decorated with @dataclass"),
        (f"{HERE}:NotCompiled", "must be compiled with @slackwater.operators.family_kernel"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(spec: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        load_class(spec)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (outside.NamedAsAnother, r"NamedAsAnother takes the name `price` of a family of slackwater"),
        (outside.OutputOfAnother, r"families price and outside both name return_4h"),
        (outside.UnknownInput, r"outside.outside_close reads \['closing_price'\], which no table feeds"),
    ],
)
def test_what_collides_is_refused_before_anything_runs(family: type, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        FeatureEngine(default_families(HOUR, extra=[family]))


def test_parameters_of_an_outside_family_are_checked() -> None:
    with pytest.raises(ParameterError, match=r"`features.outside.window` must be a positive multiple"):
        default_families(HOUR, extra=[outside.Outside], extra_parameters={"outside": {"window": timedelta(minutes=90)}})
    with pytest.raises(ParameterError, match=r"features.outside: .*windw"):
        default_families(HOUR, extra=[outside.Outside], extra_parameters={"outside": {"windw": HOUR}})
    with pytest.raises(ParameterError, match=r"unknown families \['outsde'\]"):
        default_families(HOUR, extra=[outside.Outside], extra_parameters={"outsde": {}})


def test_an_outside_family_runs_live_and_in_history_and_leaves_the_others_alone() -> None:
    """Catches a place in rows, state or outputs that shifts when a family is added."""
    tables = frame("premium_index", "funding")
    alone = FeatureEngine(default_families(HOUR))
    both = FeatureEngine(default_families(HOUR, extra=[f"{HERE}:Outside"]))
    history = both.transform(tables)
    pd.testing.assert_frame_equal(history[alone.names], alone.transform(tables)[alone.names])
    np.testing.assert_array_equal(history["outside_close"], history["close"])
    live = [both.update(row) for symbol, _ in tables.symbols() for row in tables.rows(symbol)]
    np.testing.assert_array_equal(np.array(live), history[both.names].to_numpy())


def test_the_fingerprint_names_the_family_and_follows_its_parameters_and_its_source(monkeypatch) -> None:
    def fingerprint(window: timedelta = HOUR) -> str:
        parameters = {"outside": {"window": window}}
        return FeatureEngine(default_families(HOUR, extra=[outside.Outside], extra_parameters=parameters)).fingerprint

    one = fingerprint()
    assert one == fingerprint() != FeatureEngine(default_families(HOUR)).fingerprint
    assert one != fingerprint(2 * HOUR)
    monkeypatch.setattr("slackwater.features.engine.source_digest", lambda _: "changed")
    assert one != fingerprint()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (outside.AllocatesAsAKernel, r"family outside .*:AllocatesAsAKernel\) allocates, which kernels must not"),
        (outside.Allocates, r"family outside .*:Allocates\) allocates, which kernels must not"),
        (outside.Raises, r"family outside .*:Raises\) raised ValueError: the price is positive"),
        (outside.DoesNotCompile, r"family outside .*:DoesNotCompile\) does not compile"),
        (outside.Infinite, r"outside_close: infinite for BTCUSDT at 2024-01-01 01:00:00"),
    ],
)
def test_what_a_kernel_must_not_do_is_named(family: type, message: str) -> None:
    engine = FeatureEngine([family(bar_interval=HOUR)])
    with pytest.raises(ContractError, match=message):
        engine.transform(frame())
    row = FrameRow.from_mapping(frame().table.iloc[0].to_dict())
    with pytest.raises(ContractError, match=message):
        engine.update(row)
    assert len(engine.save_state()) == 1  # the fingerprint: nothing is left of the symbol


def test_inputs_that_the_data_set_lacks_are_refused() -> None:
    engine = FeatureEngine([outside.NeedsPremium(bar_interval=HOUR)])
    engine.require_fed(frame("premium_index").available)
    with pytest.raises(ParameterError, match=r"NeedsPremium can be computed, .*\['premium_index'\]; leave the family"):
        engine.require_fed(frame().available)


def test_inputs_of_a_table_from_outside_follow_the_intermediates() -> None:
    """Catches an input that lands on an intermediate, and a row of another frame that would be read beyond its end."""
    basis = Table(
        name="spot_basis",
        columns=(*STAMP, Column(name="basis", kind="number", unit="fraction")),
        key=("symbol", "event_time"),
        lag=timedelta(seconds=2),
        inputs=("spot_basis",),
        signed=("spot_basis",),
        join=newest("basis"),
        staleness=timedelta(hours=3),
    )
    spec = FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG, tables=(*TABLES, basis))
    market = small_market(interval=HOUR, days=4)
    stamps = market["premium_index"]
    rows = stamps[["symbol", "event_time", "available_time"]].assign(basis=-stamps["premium_index"])
    tables = MarketFrame.from_tables({"bars": market["bars"], "spot_basis": rows}, spec)
    families = default_families(HOUR, extra=[outside.ReadsABasis])
    engine = FeatureEngine(families, inputs=spec.inputs)
    history = engine.transform(tables)
    np.testing.assert_array_equal(history["basis"], tables.table["spot_basis"])
    assert history["basis"].notna().any()
    live = [engine.update(row) for symbol, _ in tables.symbols() for row in tables.rows(symbol)]
    np.testing.assert_array_equal(np.array(live), history[engine.names].to_numpy())
    alone = FeatureEngine(default_families(HOUR))
    with pytest.raises(SchemaError, match=r"a row has 28 inputs, the engine reads 27"):
        alone.update(next(tables.rows("BTCUSDT")))
    with pytest.raises(ParameterError, match=r"a frame row has 28 inputs, the engine reads 27"):
        alone.transform(tables)
    with pytest.raises(ParameterError, match=r"reads \['spot_basis'\], which no table feeds"):
        FeatureEngine(families)


def test_a_bundle_imports_nothing(monkeypatch) -> None:
    assert imported_class(f"{HERE}:Outside") is outside.Outside
    assert imported_class("elsewhere:Given", [type("Given", (outside.Outside,), {"__module__": "elsewhere"})])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(BundleError, match=r"import colorsys first, or pass the class: .*families=\[MyFamily\]"):
        imported_class("colorsys:MyFamily")
    assert "colorsys" not in sys.modules
    assert spec_of(outside.Outside) == f"{HERE}:Outside"


def params(change: Callable[[dict[str, Any]], object]) -> Params:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    change(content["features"])
    return resolve(content)


def test_params_yaml_names_a_family_and_its_parameters() -> None:
    def change(features: dict[str, Any]) -> None:
        features.update(extra=[f"{HERE}:Outside"], outside={"window": "6h"})

    effective = params(change)
    families = default_families(effective.market.bar_interval, **effective.features.model_dump())
    assert families[-1] == outside.Outside(bar_interval=timedelta(minutes=5), window=timedelta(hours=6))
    plain = effective.model_dump(mode="json")["features"]
    assert plain["extra_parameters"] == {"outside": {"window": "6h"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.update(extra=["examples/my_features.py"]), r"features.extra.0`: String should match pattern"),
        (lambda f: f.update(outside={"window": "6h"}), r"`features.outside`: unknown parameter"),
    ],
)
def test_what_params_yaml_must_not_hold(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        params(change)


def test_settings_on_the_command_line_are_those_of_the_class() -> None:
    assert family_settings(PressureFamily, ["windows=4h,1d"]) == {"windows": (timedelta(hours=4), timedelta(days=1))}
    for texts, message in (
        (["windows"], "must be NAME=VALUE"),
        (["window=4h"], r"has no window; it has \['windows'\]"),
        (["windows=4"], r"`--set windows.0`: must be a duration"),
    ):
        with pytest.raises(ParameterError, match=message):
            family_settings(PressureFamily, texts)


def test_a_module_that_ends_the_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a check that passes in silence, since the module called `sys.exit(0)`."""
    (tmp_path / "module_that_exits.py").write_text("import sys\n\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParameterError, match="module_that_exits cannot be imported, SystemExit"):
        load_class("module_that_exits:X")
