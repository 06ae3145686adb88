"""Parameters: what is refused, and what the message says."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines._closure import ROOT
from slackwater.config import Params, broken_entries, load_params, own_entries, read_yaml, resolve
from slackwater.durations import duration_name, duration_text, offset_text, parse_duration, parse_offset
from slackwater.errors import MissingDataError, ParameterError
from slackwater.market.contract_file import merge_contracts
from slackwater.sources.own_files.kinds import sources_of

CONTENT = yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


BAD = {
    "unknown section": (lambda c: c.update(lables={}), r"unknown parameter `lables`; did you mean `labels`\?"),
    "unknown key": (lambda c: c["labels"].update(horizn="4h"), r"`labels.horizn`: unknown.*did you mean `horizon`"),
    "unknown key of an entry": (
        lambda c: c["datasets"]["bybit_1h"].update(pth="x"),
        r"datasets.bybit_1h: unknown parameter `pth`.*`path`",
    ),
    "bars instead of a duration": (lambda c: c["labels"].update(horizon=24), r"`labels.horizon`: must be a duration"),
    "text instead of a number": (lambda c: c["model"].update(n_estimators="250"), r"`model.n_estimators`.*was '250'"),
    "not a number": (lambda c: c["trading"].update(initial_equity=float("nan")), r"`trading.initial_equity`"),
    "too much risk": (lambda c: c["trading"]["rules"].update(risk_fraction=0.05), r"risk_fraction`.*0.02, was 0.05"),
    "too much leverage": (lambda c: c["trading"]["rules"].update(leverage_cap=25.0), r"leverage_cap`.*10, was 25"),
    "missing section": (lambda c: c.pop("labels"), r"`labels`: missing"),
    "unknown data set": (lambda c: c.update(dataset="bybit"), r"`dataset` is 'bybit'; did you mean `bybit_1h`"),
    "an end without a zone": (
        lambda c: c["datasets"]["bybit_1h"].update(end="2024-01-01"),
        "`start` and `end` must carry a time zone",
    ),
    "an end before the start": (
        lambda c: c["datasets"]["bybit_1h"].update(start="2024-01-01T00:00:00Z", end="2023-01-01T00:00:00Z"),
        "`end` must be after `start`",
    ),
    "an end beside that of the simulation": (
        lambda c: c["datasets"]["simulated"].update(end="2024-01-01T00:00:00Z"),
        "of a simulated data set stand in its section `simulate`",
    ),
    "embargo below horizon": (lambda c: c["validation"].update(embargo="1h"), r"embargo.*must not be shorter"),
    "bars known after the decision": (lambda c: c["market"].update(decision_lag="1s"), r"`decision_lag` must not be"),
    "a cap of nothing": (lambda c: c["market"].update(liquidation_cap="0s"), r"`liquidation_cap` must be > 0"),
    "a cap that is no duration": (
        lambda c: c["market"].update(liquidation_cap=1),
        r"`market.liquidation_cap`: must be a duration such as 24h, 30d or 5m30s, was 1$",
    ),
    "both kinds of liquidations": (
        lambda c: c["datasets"]["bybit_1h"]["tables"].update(
            liquidations={"file": "a.parquet"}, liquidation_totals={"file": "b.parquet"}
        ),
        r"`tables` has `liquidations` and `liquidation_totals`: leave one of them out",
    ),
    "grid that does not fit": (lambda c: c["market"].update(bar_interval="90s"), r"multiple of `fine_bar_interval`"),
    "bad override of another entry": (
        lambda c: c["datasets"]["bybit_1h"]["features"]["triggers"].update(move_window="x"),
        r"\(data set bybit_1h\): `datasets.bybit_1h.features.triggers.move_window`: must be a duration",
    ),
    "path out of the repository": (
        lambda c: c["datasets"]["bybit_1h"].update(path="../elsewhere"),
        r"datasets.bybit_1h.path`: must be a path inside",
    ),
    "end before start": (
        lambda c: c["datasets"]["simulated"]["simulate"].update(
            end=CONTENT["datasets"]["simulated"]["simulate"]["start"]
        ),
        r"`end` must be after `start`",
    ),
    "hourly barriers of an hour": (
        lambda c: c["datasets"]["bybit_1h"]["labels"].update(horizon="1h"),
        r"decided by ties",
    ),
    "digest of a file that is not read": (
        lambda c: c["datasets"]["bybit_1h"].update(sha256={"x.parquet": "0"}),
        r"sha256` names files that no table reads",
    ),
    "a table that does not exist": (
        lambda c: c["datasets"]["bybit_1h"]["tables"].update(open_intrest={"file": "x.parquet"}),
        r"datasets.bybit_1h.tables.open_intrest.*no canonical table `open_intrest`; did you mean `open_interest`",
    ),
    "a lag of a table that does not exist": (lambda c: c["market"]["available_after"].update(fundng="1h"), r"fundng"),
    "a staleness of a table that is not joined": (
        lambda c: c["market"]["staleness"].update(mark_price="1h"),
        r"`staleness` names unknown tables .'mark_price'.",
    ),
    "a venue that does not exist": (
        lambda c: c["datasets"]["bybit_1h"].update(venue="bybt"),
        r"datasets.bybit_1h.venue.*there is no venue `bybt`; did you mean `bybit`",
    ),
    "a window off the grid": (
        lambda c: c["features"]["triggers"].update(move_window="7m"),
        r"`features.triggers.move_window` must be a multiple of `market.bar_interval`, 5m, was 7m",
    ),
    "a horizon of one bar": (
        lambda c: c["labels"].update(horizon="1m"),
        r"`labels.horizon` must be a multiple .* longer",
    ),
    "a horizon that no gate holds": (
        lambda c: c["labels"].update(horizon="40d"),
        r"`labels.horizon`.*less than or equal to .*days=30",
    ),
    "repeats that do not begin at midnight": (
        lambda c: c["datasets"]["bybit_1h"]["tables"]["funding"].update(repeated_for="7h"),
        r"datasets.bybit_1h.tables.funding.*repeated_for.*must divide a day",
    ),
    "neither bars nor path": (
        lambda c: c["datasets"]["bybit_1h"]["tables"].pop("bars"),
        r"`tables` must have `bars`, or `fine_bars`",
    ),
    "repeated symbol": (
        lambda c: c["datasets"]["simulated"].update(symbols=["A", "A"]),
        r"`symbols` repeats itself",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused_with_their_full_name(case: str) -> None:
    change, message = BAD[case]
    with pytest.raises(ParameterError, match=message):
        resolve(changed(change))


def test_an_entry_overrides_key_by_key() -> None:
    """An override that replaced its whole section would lose the keys that it does not name."""
    params = resolve(changed(lambda c: c.update(dataset="bybit_1h")))
    assert params.validation.embargo == timedelta(hours=72)
    assert params.validation.min_train == timedelta(days=180)
    assert params.labels.reversal_multiple == CONTENT["labels"]["reversal_multiple"]
    assert params.features.price.range_windows == (timedelta(hours=24), timedelta(hours=72))
    assert params.features.volatility.atr_window == timedelta(hours=14)
    assert not params.dataset.synthetic


def test_an_entry_can_switch_a_rule_off() -> None:
    """A null that reads as "nothing said" would leave the rule of the default on, and refuse every event."""
    assert resolve(CONTENT).trading.rules.depth_fraction == 0.02
    assert resolve(changed(lambda c: c.update(dataset="bybit_1h"))).trading.rules.depth_fraction is None


def test_a_third_entry_needs_no_code() -> None:
    entry = {
        "source": "parquet",
        "venue": "okx",
        "path": "data/external/mine",
        "tables": {"bars": {"file": "bars.parquet"}},
        "market": {"bar_interval": "15m", "fine_bar_interval": "15m"},
    }
    params = resolve(changed(lambda c: (c["datasets"].update(mine=entry), c.update(dataset="mine"))))
    assert params.dataset.name == "mine"
    assert params.market.bar_interval == timedelta(minutes=15)


def own_entry(**own: object) -> dict[str, object]:
    return {"source": "parquet", "venue": "okx", "path": "data/external/mine"} | own


def entry_params(**own: object) -> Params:
    return resolve(changed(lambda c: (c["datasets"].update(mine=own_entry(**own)), c.update(dataset="mine"))))


def test_without_tables_every_file_is_read() -> None:
    assert entry_params().dataset.tables is None


def test_a_simulated_venue_is_synthetic_whatever_its_source() -> None:
    """A made-up market that was written to files would otherwise pass for a real one in every report."""
    assert entry_params(venue="simulated").dataset.synthetic
    assert not entry_params().dataset.synthetic


def test_a_column_map_of_a_csv_file() -> None:
    table = {
        "file": "{symbol}.csv",
        "columns": {"open_time": 0, "close": "price"},
        "constants": {"interval_hours": 8},
        "values": {"side": {"BUY": "short"}},
        "scale": {"volume": 0.01},
        "utc_offset": "+06:00",
        "bar_length": "1h",
    }
    digests = {"BTCUSDT.csv": "00"}
    params = entry_params(tables={"bars": table}, symbols=["BTCUSDT"], sha256=digests)
    assert params.dataset.tables is not None
    source = params.dataset.tables["bars"]
    assert source.utc_offset == timedelta(hours=6)
    assert source.columns == {"open_time": 0, "close": "price"}
    assert source.model_dump(mode="json")["utc_offset"] == "+06:00"
    assert sources_of(params.dataset.model_dump()["tables"])["bars"][0].bar_length == timedelta(hours=1)
    with pytest.raises(ParameterError, match=r"`\{symbol\}`, needs `symbols`"):
        entry_params(tables={"bars": table})
    with pytest.raises(ParameterError, match=r"must be an offset from UTC such as \"\+06:00\", was '6h'"):
        entry_params(tables={"bars": table | {"utc_offset": "6h"}}, symbols=["BTCUSDT"])


@pytest.mark.parametrize("as_of", ["'2026-11-25'", "2026-11-25"])
def test_facts_of_contracts_may_be_dated_as_yaml_dates(as_of: str) -> None:
    """Catches a date that neither JSON nor the merge could read."""
    facts = yaml.safe_load(
        f"{{venue: okx, as_of: {as_of}, source: mine, contracts: {{BTCUSDT: {{taker_fee: 0.0004}}}}}}"
    )
    dataset = entry_params(contract_facts=facts).dataset
    assert merge_contracts(dataset.contract_facts, "okx")["BTCUSDT"].taker_fee == 0.0004
    assert dataset.model_dump(mode="json")["contract_facts"]["as_of"] == "2026-11-25"
    assert entry_params().dataset.contract_facts is None


@given(st.integers(min_value=-14 * 60, max_value=14 * 60))
def test_offsets_survive_a_round_trip(minutes: int) -> None:
    offset = timedelta(minutes=minutes)
    assert parse_offset(offset_text(offset)) == offset


@given(st.integers(min_value=0, max_value=400 * 86_400))
def test_texts_and_names_of_durations_survive_a_round_trip(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(duration_text(duration)) == duration
    assert parse_duration(duration_name(duration)) == duration


def test_parameters_are_frozen() -> None:
    params = resolve(CONTENT)
    with pytest.raises(ValueError, match="frozen"):
        params.labels.horizon = timedelta(hours=1)  # type: ignore[misc]


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there is no parameter file .*none\.yaml"):
        load_params(tmp_path / "none.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParameterError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- 1\n")
    with pytest.raises(ParameterError, match="must hold a mapping"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["datasets: {a: {}}\ndatasets: {b: {}}", "market:\n  x: 1\n  y: {z: 1, z: 2}"])
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    """An entry pasted with its `datasets:` would take the place of all others, and nobody would be told."""
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParameterError, match=r"(?s)params\.yaml is not valid YAML.*`(datasets|z)` is given twice"):
        load_params(tmp_path / "params.yaml")


def test_an_entry_may_be_made_of_another_one(tmp_path: Path) -> None:
    """YAML's merge, with keys of its own over those that come: no key is given twice."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    own = "  bybit_btc:\n    <<: *by\n    <<: {symbols: [ETHUSDT]}\n    symbols: [BTCUSDT]\n"
    own += "    market: {<<: *bars, fine_bar_interval: 1h}\n"
    text = text.replace("  bybit_1h:", "  bybit_1h: &by").replace(
        "market: {bar_interval: 1h", "market: &bars {bar_interval: 1h", 1
    )
    text = text.replace("  binance_1h_2024_summer:", f"{own}\n  binance_1h_2024_summer:")
    (tmp_path / "params.yaml").write_text(text)
    params = load_params(tmp_path / "params.yaml", "bybit_btc")
    assert params.dataset.symbols == ["BTCUSDT"]
    assert params.dataset.path == "data/external/bybit_1h"
    assert params.market.bar_interval == timedelta(hours=1)


@pytest.mark.parametrize("text", ["[" * 5_000, "{? [1] : 2}", "{? {a: 1} : 2}"])
def test_a_key_that_is_no_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParameterError, match=r"params\.yaml is not valid YAML"):
        load_params(tmp_path / "params.yaml")


@given(st.integers(min_value=0, max_value=10**8))
def test_durations_survive_a_round_trip(seconds: int) -> None:
    """The effective parameters are written as text and must read back as what they were."""
    duration = timedelta(seconds=seconds)
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "1h 30m", "30m1h", None, 24, True])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


def test_an_optional_duration_is_one_or_null() -> None:
    assert resolve(CONTENT).market.liquidation_cap is None
    capped = resolve(changed(lambda c: c["market"].update(liquidation_cap="1s")))
    assert capped.market.liquidation_cap == timedelta(seconds=1)
    assert capped.market.model_dump(mode="json")["liquidation_cap"] == "1s"
    assert resolve(CONTENT).market.model_dump(mode="json")["liquidation_cap"] is None


def test_dvc_writes_params_yaml_as_it_is(tmp_path: Path) -> None:
    """Catches `dvc exp run -S` of one key that rewrites lines elsewhere in the file."""
    path = tmp_path / "params.yaml"
    shutil.copy("params.yaml", path)
    before = path.read_text(encoding="utf-8").splitlines()
    apply_overrides(path, ["labels.horizon=8h", "dataset=bybit_1h"])
    changed_lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line not in before]
    assert [line.split("#")[0].strip() for line in changed_lines] == ["dataset: bybit_1h", "horizon: 8h"]
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(before)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ('utc_offset: "+10:00"', "+10:00"),
        ("utc_offset: +10:00", "+10:00"),
        ("x: on", "on"),
        ("x: 010", 10),
        ("x: 0o10", 8),
        ("x: 1e3", 1000.0),
        ("x: 1_000", "1_000"),
        ("x: 2026-11-25", "2026-11-25"),
        ("x: 12:30:45", "12:30:45"),
        ("x: ", None),
        ("x: -.inf", float("-inf")),
        ("x: 0x1F", 31),
        ("x: True", True),
        ("x: y", "y"),
    ],
)
def test_values_keep_their_meaning_when_dvc_writes_them(given: str, read: object, tmp_path: Path) -> None:
    """YAML 1.1 reads `+10:00`, which DVC writes without quotes, as 600 seconds, and a symbol `ON` as true."""
    path = tmp_path / "params.yaml"
    path.write_text(f"{given}\n")
    (value,) = read_yaml(path).values()
    assert value == read
    assert type(value) is type(read)
    with modify_yaml(str(path)) as content:
        content["other"] = 1
    assert next(iter(read_yaml(path).values())) == read


OWN = """
source: parquet
venue: bybit
path: data/external/mine
symbols: [BTCUSDT]
market: {bar_interval: 1h, fine_bar_interval: 1h}
labels: {horizon: 4h}
features:
  volatility: {half_life: 72h, fast_half_life: 6h, slow_half_life: 7d, atr_window: 14h}
  triggers: {move_window: 24h}
  regime: {variance_ratio_horizon: 4h}
  sweeps: {reclaim_window: 3h, approach: 6h}
"""


def with_own(root: Path, **files: str) -> Path:
    shutil.copy("params.yaml", root / "params.yaml")
    (root / "datasets").mkdir()
    for name, text in files.items():
        (root / "datasets" / f"{name}.yaml").write_text(text)
    return root / "params.yaml"


def test_a_data_set_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    path = with_own(tmp_path, mine=OWN)
    (tmp_path / "datasets" / "README.md").write_text("not: [an entry")
    params = load_params(path, "mine")
    assert params.dataset.name == "mine"
    assert params.labels.horizon == timedelta(hours=4)
    listed = changed(lambda c: c["datasets"].update(mine=yaml.safe_load(OWN)) or c.update(dataset="mine"))
    assert resolve(listed) == params
    indented = "".join(f"  {line}\n" for line in OWN.splitlines())
    (tmp_path / "datasets" / "mine.yaml").write_text(f"mine:\n{indented}")
    assert load_params(path, "mine") == params
    assert load_params(path).dataset.name == "simulated"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mine": OWN + "labells: {}\n"}, r"datasets/mine\.yaml: unknown parameter `labells`; did you mean `labels`"),
        ({"mine": OWN.replace("bybit", "bibit")}, r"datasets/mine\.yaml \(data set mine\): `venue`: there is no venue"),
        (
            {"mine": OWN.replace("labels: {horizon: 4h}", "labels: {horizon: 4x}")},
            r"datasets/mine\.yaml .*: `labels\.horizon`: must be a",
        ),
        ({"mine": "a: ["}, r"datasets/mine\.yaml is not valid YAML"),
        ({"mine": ""}, r"datasets/mine\.yaml must hold a mapping"),
        ({"bybit_1h": OWN}, r"the data set `bybit_1h` stands in datasets/bybit_1h\.yaml too"),
    ],
)
def test_an_error_in_a_file_of_a_data_set_names_the_file(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        load_params(with_own(tmp_path, **files), *files)


@pytest.mark.parametrize("text", ["a: [", "", "7", "\x00", "broken: 7", "features: x", OWN + "labells: {}\n"])
def test_a_broken_file_stops_its_own_data_set_alone(tmp_path: Path, text: str) -> None:
    path = with_own(tmp_path, mine=OWN, broken=text)
    assert load_params(path, "mine").dataset.name == "mine"
    assert load_params(path).dataset.name == "simulated"
    with pytest.raises(ParameterError, match=r"datasets/broken\.yaml"):
        load_params(path, "broken")
    with pytest.raises(ParameterError, match=r"`dataset` is .x.; there are .*mine"):
        load_params(path, "x")
    [(name, said)] = broken_entries(path).items()
    assert name == "broken"
    assert "datasets/broken.yaml" in said
    assert list(own_entries(tmp_path)) == ["mine"]


@pytest.mark.parametrize(
    "name",
    ["mine.yml", "mine.YAML", "mine.json", "mine", "deeper/mine.yaml", "mine.yaml/x", " mine.yaml", "a\x1b[31m.yaml"],
)
def test_a_file_that_would_not_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing that the user gave is passed over in silence."""
    path = with_own(tmp_path)
    file = tmp_path / "datasets" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(OWN)
    with pytest.raises(ParameterError, match=r"datasets/[ -~]+ is not a data set, which is a file NAME\.yaml"):
        load_params(path)


def test_files_of_editors_and_notes_are_no_data_sets(tmp_path: Path) -> None:
    """Catches a run that stops while a file beside the one that it reads is being edited."""
    path = with_own(tmp_path, mine=OWN)
    for name in (".mine.yaml.swp", "mine.yaml~", "._mine.yaml", "notes.md"):
        (tmp_path / "datasets" / name).write_bytes(b"\xff")
    (tmp_path / "datasets" / ".#mine.yaml").symlink_to("nobody@nowhere")
    assert load_params(path, "mine").dataset.name == "mine"
