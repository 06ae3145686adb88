"""Families from outside of the library: how they are named, refused and run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from examples.my_features import PressureFamily
from pipelines._closure import ROOT
from pipelines._families import settings_of
from pipelines._stage import Stage
from slackwater.cli import app
from slackwater.config.family_settings import family_settings, settings_of_texts
from slackwater.config.loading import resolve
from slackwater.config.sections import Params
from slackwater.errors import BundleError, ContractError, ParameterError, SchemaError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.extra import imported_class, load_class, source_digest, spec_of
from slackwater.features.members import RESERVED_OUTPUTS, RESERVED_STARTS
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUTS
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import TABLES
from slackwater.trading.score import CONTEXT, SCORE_COLUMNS
from tests.small_market import DECISION_LAG, small_market
from tests.toys import SPOT_BASIS
from tests.unit.features import hostile_families as hostile
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
    basis = replace(SPOT_BASIS, staleness=timedelta(hours=3))  # of hourly bars
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
    with pytest.raises(SchemaError, match=r"a row has 30 inputs, the engine reads 29"):
        alone.update(next(tables.rows("BTCUSDT")))
    with pytest.raises(ParameterError, match=r"a frame row has 30 inputs, the engine reads 29"):
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
    families = default_families(effective.market.bar_interval, **settings_of(effective.features))
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
    windows = {"windows": (timedelta(hours=4), timedelta(days=1))}
    for text in ("windows=4h,1d", "windows=[4h, 1d]", "pressure.windows=4h,1d"):
        assert settings_of_texts([PressureFamily], [text]) == {"pressure": windows}
    both = settings_of_texts([PressureFamily, outside.Outside], ["outside.window=2h"])
    assert both == {"pressure": {}, "outside": {"window": 2 * HOUR}}
    for texts, message in (
        (["windows"], "must be NAME=VALUE"),
        (["=4h"], "must be NAME=VALUE"),
        (["window=4h"], r"`features.pressure.window`: unknown parameter; did you mean `windows`"),
        (["windows=4"], r"`features.pressure.windows.0`: must be a duration"),
        (["windows=4h", "windows=1h"], "windows is given twice"),
        (["windows=[4h"], "is not YAML"),
        (["other.windows=4h"], "must name one of the families"),
        (["bar_interval=1h"], "`features.pressure.bar_interval`: unknown parameter"),
    ):
        with pytest.raises(ParameterError, match=message):
            settings_of_texts([PressureFamily], texts)
    with pytest.raises(ParameterError, match=r"must name one of the families, as pressure\|outside.window=VALUE"):
        settings_of_texts([PressureFamily, outside.Outside], ["window=4h"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`features.outside.count`: missing"),
        ({"count": 3.0}, r"`features.outside.count`: .*integer, was 3.0"),
        ({"count": True}, r"`features.outside.count`: .*integer, was True"),
        ({"count": "3"}, r"`features.outside.count`: .*integer, was '3'"),
        ({"count": 3, "share": 1.5}, r"`features.outside.share`: .*less than or equal to 1"),
        ({"count": 3, "share": float("nan")}, r"`features.outside.share`"),
        ({"count": 3, "loud": "yes"}, r"`features.outside.loud`: .*boolean, was 'yes'"),
        ({"count": 3, "window": 4}, r"`features.outside.window`: must be a duration"),
        ({"count": 3, "window": "0h"}, r"`features.outside.window`"),
        ({"count": 3, "lable": "x"}, r"`features.outside.lable`: unknown parameter; did you mean `label`"),
        ({"count": 3, "bar_interval": "5m"}, r"`features.outside.bar_interval`: unknown parameter"),
    ],
)
def test_parameters_of_a_family_from_outside_are_as_strict_as_the_others(given: dict[str, Any], message: str) -> None:
    """Catches a text that becomes a duration, a number that becomes a truth, and a key that is passed over."""

    def change(features: dict[str, Any]) -> None:
        features.update(extra=["tests.unit.features.hostile_families:Typed"], outside=given)

    with pytest.raises(ParameterError, match=message):
        settings_of(params(change).features)


def test_a_text_that_looks_like_a_duration_stays_a_text() -> None:
    assert family_settings(hostile.Typed, {"count": 1, "label": "24h"}) == {"count": 1, "label": "24h"}
    with pytest.raises(ParameterError, match=r"features.outside: ValueError: too loud"):
        default_families(HOUR, extra=[hostile.Typed], extra_parameters={"outside": {"count": 9, "loud": True}})
    for call in (
        lambda: family_settings(hostile.Unreadable, {"width": 3}),
        lambda: default_families(HOUR, extra=[hostile.Unreadable]),
    ):
        with pytest.raises(ParameterError, match="the type hints of Unreadable cannot be read: name 'Widht'"):
            call()


@pytest.mark.parametrize("name", hostile.WRONG)
def test_what_a_family_states_of_itself_is_checked(name: str) -> None:
    """Catches a traceback of numpy, or a value of a wrong type that the engine takes."""
    kind, message = hostile.WRONG[name]
    with pytest.raises(ParameterError, match=message):
        FeatureEngine(default_families(HOUR, extra=[kind]), inputs=INPUTS)


def test_no_output_can_take_the_name_of_a_label_or_a_prediction() -> None:
    """Catches a new column of labels or predictions that a feature could collide with."""
    columns = {*LABELS, *SCORE_COLUMNS, *CONTEXT}
    own = {f.name for f in FeatureEngine(default_families(HOUR)).features}
    assert {c for c in columns - own if c not in RESERVED_OUTPUTS and not c.startswith(RESERVED_STARTS)} == set()


LABELS = (
    *("symbol", "event_time", "available_time", "direction", "entry_time", "entry_price", "barrier_log", "code"),
    *("label_end_time", "log_return", "tie", "y_direction", "y_hit", "weight", "trade_stop", "trade_target"),
    "train_weight",
    *("trade_exit", "trade_end_time", "fair_log_odds", "reward_risk", "net_r", "payoff", "y_trade"),
    *("trade_net_bps", "label_known_time"),
)


def test_stages_refuse_families_before_anything_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a family that fails only when its features are computed."""
    monkeypatch.chdir(ROOT)

    def require(tables: tuple[str, ...], *extra: str, **sections: Any) -> None:
        stage = Stage("ingest")
        stage._params = params(lambda features: features.update(extra=list(extra), **sections))
        stage.require_families(tables)

    require(("bars",), f"{HERE}:Outside")
    for tables, extra, sections, message in (
        (("bars",), ("no_such_module:X",), {}, "no_such_module cannot be imported"),
        (("bars",), (f"{HERE}:NotAFamily",), {}, "is not a family"),
        (("bars",), (f"{HERE}:NamedAsAnother",), {}, "takes the name `price`"),
        (("bars",), (f"{HERE}:OutputOfAnother",), {}, "both name return_4h"),
        (("bars",), (f"{HERE}:NeedsPremium",), {}, r"feed no \['premium_index'\]"),
        (("bars",), (f"{HERE}:Outside",), {"outside": {"window": "7m"}}, "`features.outside.window`"),
        (("bars",), (f"{HERE}:Outside",), {"outsde": {}}, "`features.outsde`: unknown family; did you mean `outside`"),
    ):
        with pytest.raises(ParameterError, match=message):
            require(tables, *extra, **sections)
    require(("premium_index", "bars"), f"{HERE}:NeedsPremium")


def test_the_digest_covers_imports_from_the_same_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a formula in a neighbouring file that changes without a change of the fingerprint."""
    package = tmp_path / "of_a_user"
    package.mkdir()
    text = "from dataclasses import dataclass\nfrom tests.unit.features.outside_families import Outside\n"
    text += "from .formulas import SLOPE\n\n\n@dataclass(frozen=True, kw_only=True)\n"
    text += "class Mine(Outside):\n    slope: float = SLOPE\n"
    (package / "__init__.py").write_text("")
    (package / "families.py").write_text(text)
    (package / "formulas.py").write_text("from of_a_user.more import MORE\n\nSLOPE = 1.0 + MORE\n")
    (package / "more.py").write_text("MORE = 0.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = [source_digest(load_class("of_a_user.families:Mine"))]
    for name in ("families", "formulas", "more"):
        with (package / f"{name}.py").open("a") as file:
            file.write("# another line\n")
        digests.append(source_digest(load_class("of_a_user.families:Mine")))
    assert len(set(digests)) == 4


@pytest.mark.parametrize("lag", ["abc", "-5s", "5", ""])
def test_options_of_the_command_are_checked(lag: str) -> None:
    result = CliRunner().invoke(app, ["check-features", f"{HERE}:Outside", "--decision-lag", lag])
    assert isinstance(result.exception, ParameterError)
    assert "`--decision-lag` must be a duration" in str(result.exception)


def test_a_module_that_ends_the_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a check that passes in silence, since the module called `sys.exit(0)`."""
    (tmp_path / "module_that_exits.py").write_text("import sys\n\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParameterError, match="module_that_exits cannot be imported, SystemExit"):
        load_class("module_that_exits:X")
