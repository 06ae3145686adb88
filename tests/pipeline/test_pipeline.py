"""A small `dvc repro` in a copy of the repository: real stages, real DVC, a real MLflow store."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines import _repro
from pipelines._closure import ROOT
from pipelines._contracts import assumed_alike, contracts_of, require_facts
from pipelines._stage import Stage
from pipelines._trading import build_gate, read_backtest
from slackwater.errors import ParameterError
from slackwater.evidence.venues import comparable_venues
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.market.contracts import venue_contracts
from slackwater.storage import read_tables
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from tests.browser import Browser
from tests.checkout import copy_repository, environment_of

NAME = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
NAME |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
COPIED = (
    "src",
    "pipelines",
    "datasets",
    "dvc.yaml",
    "params.yaml",
    "README.md",
    "docs/python.md",
    ".gitignore",
    ".dvcignore",
    "trials.jsonl",
    "campaigns/promotions.json",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/plots",
    "Makefile",
)

FACTS = {
    "venue": "simulated",
    "as_of": "2026-11-25",
    "source": "my account",
    "contracts": {"BTCUSDT": {"maker_fee": 0.0005, "taker_fee": 0.001}},
}


def run(root: Path, *command: str, fails: bool = False) -> str:
    environment = environment_of(root) | PATH | NAME
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-4000:]
    return output


def edit(root: Path, change: Callable[[dict], object]) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    change(content)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def smaller(content: dict) -> None:
    simulated = content["datasets"]["simulated"]
    simulated["symbols"] = ["BTCUSDT", "ETHUSDT"]
    simulated["simulate"]["end"] = "2023-05-20T00:00:00Z"
    content["validation"].update(min_train="60d", test="20d")
    content["model"].update(n_estimators=30)
    content["evaluation"].update(draws=100)
    # Without these rules, which need more history, a market this small has no trade to test.
    content["trading"]["rules"].update(min_expectancy=None, kelly_fraction=None)
    content["trading"]["entry"].update(probability_threshold=0.5)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clone")
    copy_repository(root, *COPIED)
    edit(root, smaller)
    run(root, "git", "init", "-q")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "start")
    run(root, "dvc", "repro")
    return root


def test_everything_that_was_promised_is_there(repository: Path) -> None:
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    for key in ("dataset", "synthetic", "n_events", "effective_n", "verdict"):
        assert key in metrics
    for key in ("auc", "auc_low", "auc_high", "auc_permuted", "auc_price_only", "brier_skill", "ece"):
        assert key in metrics["direction"]
    assert {"auc", "auc_volatility_only"} <= set(metrics["hit"])
    assert {"n_trades", "net_bps_mean", "max_leverage", "max_risk_fraction"} <= set(metrics["backtest"])
    assert metrics["synthetic"] is True
    assert metrics["verdict"] in ("paper_only", "not_evaluable")
    assert metrics["backtest"]["max_leverage"] <= 10.0
    assert metrics["backtest"]["max_risk_fraction"] <= 0.02
    assert set(metrics["direction"]["by_horizon"]) == {"1h", "4h", "24h", "48h"}
    assert metrics["direction"]["by_trigger"]["all"]["n"] == metrics["n_events"]
    assert (repository / "reports/direction.md").read_text().startswith("# Direction: simulated, SYNTHETIC market\n")
    controls = metrics["controls"]
    assert len(controls) == 16
    for name in ("never", "always_fade", "random_24h", "random_30d", "price_only", "direction_flag", "drift"):
        assert controls[name]["n_trades"] is not None, name
    assert controls["model"]["n_trades"] == metrics["backtest"]["unit_risk"]["n_trades"]
    assert controls["price_only"]["auc"] == metrics["direction"]["auc_price_only"]
    page = (repository / "reports/controls.md").read_text()
    assert page.startswith("# Controls: simulated, SYNTHETIC market\n")
    assert "Left out are rows whose models have to be fitted again: the rule without volatility, " in page
    plots = ("precision_recall", "calibration", "importance", "equity")
    for plot in (*plots, "controls", "ablation", "families", "partial_dependence"):
        assert (repository / f"reports/plots/{plot}.png").stat().st_size > 5_000


def test_every_declared_plot_is_drawn_once_and_names_the_market(repository: Path, tmp_path: Path) -> None:
    """Catches a plot that is declared and not made, one that is empty or there twice, and one without its title."""
    declared = yaml.safe_load((repository / "dvc.yaml").read_text())["plots"]
    content = json.loads(run(repository, "dvc", "plots", "show", "--json", "--out", str(tmp_path)))
    assert content.get("errors", []) == []
    drawn = content["data"]
    assert set(drawn) == {name for each in declared for name in ([each] if isinstance(each, str) else each)}
    pictures = []
    for name, (found,) in drawn.items():
        if found["type"] == "image":
            pictures.append(Path(found["url"]).read_bytes())
            continue
        plot = found["content"]
        assert plot["title"]["text"], name
        rows = plot["data"]["values"]
        assert rows, name
        assert {row["market"] for row in rows} == {"simulated, SYNTHETIC market"}
        for layer in plot["layer"][0]["layer"]:
            for axis in ("x", "y"):
                assert layer["encoding"][axis]["field"] in rows[0], name
                assert "<DVC" not in layer["encoding"][axis]["title"], name
    assert len(set(pictures)) == len(pictures) > 10
    assert min(map(len, pictures)) > 5_000


def test_the_table_of_experiments_has_the_columns_that_matter(repository: Path) -> None:
    """Catches a column whose name was changed, and the hundreds of parameters."""
    lines = run(repository, "make", "--dry-run", "--assume-old=.venv/.installed", "experiments").splitlines()
    (line,) = (line for line in lines if line.startswith("dvc exp show"))
    head, *rows = run(repository, *shlex.split(line), "--csv").splitlines()
    expected = {
        *("Experiment", "Created", "reports/headline.json:dataset", "direction_auc", "direction_auc_low"),
        *("direction_auc_price_only", "max_drawdown", "trades", "unit_risk_net_bps", "unit_risk_net_bps_low"),
        *("unit_risk_trades", "verdict"),
    }
    # DVC leaves out what no run knows: this one is too short for intervals.
    assert expected - set(head.split(",")) <= {"direction_auc_low", "unit_risk_net_bps_low", "unit_risk_net_bps"}
    assert len(head.split(",")) <= 12
    assert len(rows) == 2


def test_the_bundle_holds_all_that_a_gate_is_made_of(repository: Path) -> None:
    """A part that has a default and is not carried would be the default in live use, and no error."""
    manifest = json.loads((repository / "models/scorer/manifest.json").read_text())
    assert set(manifest["trading"]) == set(inspect.signature(Gate.of).parameters) - {"horizon", "symbols"}


def test_no_trade_breaks_a_rule(repository: Path) -> None:
    for name in ("trades", "unit_risk_trades"):
        trades = pd.read_parquet(repository / f"reports/{name}.parquet")
        assert len(trades) > 3
        side = trades["side"]
        assert (trades["risk_fraction"] <= 0.01).all()
        assert (trades["leverage"] <= 5).all()
        assert (side * (trades["entry"] - trades["stop"]) > 0).all()
        assert (side * (trades["stop"] - trades["liquidation_price"]) > 0).all()
        assert (trades["entry_time"] > trades["event_time"]).all()
    refusals = pd.read_parquet(repository / "reports/refusals.parquet")
    assert (refusals["message"].str.len() > 10).all()


def test_every_test_block_begins_after_the_first_training_window(repository: Path) -> None:
    """A stage that ignored its `validation` section would test where it should only train.

    The purge and the embargo of each fit are watched in tests/unit/models/test_training.py.
    """
    predictions = pd.read_parquet(repository / "data/predictions.parquet")
    labels = pd.read_parquet(repository / "data/labels.parquet")
    joined = predictions.merge(labels, on=["symbol", "event_time"])
    assert len(joined) == len(predictions) > 50
    first = joined.groupby("fold")["event_time"].min()
    assert (first - labels["event_time"].min()).min() >= pd.Timedelta("60D")
    assert joined["p_direction"].between(0.0, 1.0).all()


def test_the_backtest_refuses_what_the_live_gate_refuses(repository: Path) -> None:
    """Both must see the features that are missing at an event, or the paper account trades what live never could."""
    code = (
        "import pandas as pd, slackwater as sw\n"
        "from slackwater.market.inputs import INPUT_TABLES\n"
        "from slackwater.storage import read_tables\n"
        "scores = sw.ReversalScorer.load('models/scorer').score(read_tables('data/tables', INPUT_TABLES))\n"
        "missing = scores[scores['missing_features'].map(len) > 0]\n"
        "trades = pd.read_parquet('reports/unit_risk_trades.parquet')\n"
        "print('both', len(trades.merge(missing, on=['symbol', 'event_time'])), 'of', len(trades))"
    )
    found = re.search(r"both 0 of (\d+)", run(repository, sys.executable, "-c", code))
    assert found is not None
    assert int(found[1]) > 3


def test_labels_and_backtest_are_settled_at_the_mark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a stage forgets the table: nothing else would tell, the last trades stand in silently."""
    monkeypatch.chdir(repository)
    tables = read_tables("data/tables", ["funding", "mark_price"])
    backtest = read_backtest(Stage("backtest"))
    assert all((path.mark_open != path.open).any() for path in backtest.paths.values())
    stage, labels = Stage("label"), pd.read_parquet("data/labels.parquet")
    rules = TradeRules(
        contracts=venue_contracts(stage.dataset.venue),
        bracket=stage.bracket.build(),
        costs=CostModel(**dict(stage.costs)),
        reference_notional_usd=stage.labels.reference_notional_usd,
    )
    features, bars = pd.read_parquet("data/features"), pd.read_parquet("data/tables/fine_bars.parquet")

    def net_r(mark: pd.DataFrame | None) -> pd.Series:
        horizon = stage.labels.horizon
        paths = price_paths(bars, tables["funding"], mark=mark)
        return trade_outcomes(labels, features, paths, rules=rules, horizon=horizon)["net_r"]

    pd.testing.assert_series_equal(net_r(tables["mark_price"]), labels["net_r"])
    assert not net_r(None).equals(labels["net_r"])


def test_facts_of_the_entry_reach_labels_and_gate(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches labels or a gate on built-in facts beside the user's: they would be of different trades."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(repository / name, tmp_path / name)
    edit(tmp_path, lambda c: c["datasets"]["simulated"].update(contract_facts=FACTS))
    monkeypatch.chdir(tmp_path)
    own = contracts_of(Stage("label"), ())
    assert own["BTCUSDT"].taker_fee == 0.001
    assert {name: fact for name, fact in own.items() if name != "BTCUSDT"} == {
        name: fact for name, fact in venue_contracts("simulated").items() if name != "BTCUSDT"
    }
    assert build_gate(Stage("backtest"), ()).contracts == build_gate(Stage("sensitivity"), ()).contracts == own


def test_assumed_facts_count_for_all_symbols_and_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without facts of a symbol minutes of training would end without a trade; with assumed ones money is a guess."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    edit(tmp_path, lambda c: c.update(dataset="simulated"))
    monkeypatch.chdir(tmp_path)
    symbols = ["BTCUSDT", "DOGEUSDT", "PEPEUSDT"]
    with pytest.raises(ParameterError, match=r"no facts of DOGEUSDT, PEPEUSDT .* under `others`"):
        require_facts(Stage("ingest"), symbols)
    tier = {"notional_cap_usd": 5e4, "maintenance_rate": 0.02, "max_leverage": 20.0}
    others = {"tick_size": 1e-8, "lot_size": 1e-6, "min_quantity": 1e-6, "min_notional_usd": 5.0, "half_spread": 3e-4}
    others |= {"maker_fee": 0.0002, "taker_fee": 0.0005, "tiers": [tier]}
    edit(tmp_path, lambda c: c["datasets"]["simulated"].update(contract_facts=FACTS | {"others": others}))
    require_facts(Stage("ingest"), symbols)
    assert build_gate(Stage("backtest"), symbols).contracts["PEPEUSDT"].half_spread == 3e-4
    [sentence] = assumed_alike(Stage("sensitivity"), symbols)
    assert "the contracts of DOGEUSDT, PEPEUSDT are not known" in sentence
    assert "an illustration" in sentence
    assert assumed_alike(Stage("sensitivity"), ["BTCUSDT"]) == []


def test_progress_is_told_at_every_tenth_however_far_it_jumps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    report = Stage("features").progress("rows")
    for done in range(3, 1001, 3):  # such as 333 symbols
        report(done, 1000)
    report(1000, 1000)
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_venues_are_compared_on_symbols_whose_facts_are_known() -> None:
    """A coin of the user's own, which no other venue has facts of, must not stop the stage."""
    own = venue_contracts("bybit")
    assert list(comparable_venues("bybit", own, ["BTCUSDT"])[0]) == ["bybit", "binance", "okx", "gate"]
    own |= {"DOGEUSDT": own["XRPUSDT"]}
    venues, unknown = comparable_venues("bybit", own, ["BTCUSDT", "DOGEUSDT"])
    assert venues == {"bybit": own}
    assert unknown[0] == "binance, whose facts of DOGEUSDT are not built in"
    assert len(unknown) == 3


def test_facts_of_the_entry_cost_what_they_say(repository: Path, tmp_path: Path) -> None:
    """The stage itself: a dearer fee makes every trade that won poorer, and none of another symbol."""
    for name in ("pipelines", "data", "dvc.yaml", "params.yaml"):
        (shutil.copytree if (repository / name).is_dir() else shutil.copy)(repository / name, tmp_path / name)
    before = pd.read_parquet(tmp_path / "data/labels.parquet").set_index(["symbol", "event_time"])["net_r"]
    edit(tmp_path, lambda c: c["datasets"]["simulated"].update(contract_facts=FACTS))
    (tmp_path / "data/labels.parquet").unlink()
    run(tmp_path, sys.executable, "-m", "pipelines.label")
    after = pd.read_parquet(tmp_path / "data/labels.parquet").set_index(["symbol", "event_time"])["net_r"]
    won = before > 0.0  # a loss is counted in risk, which costs are a part of
    assert (after < before)[won]["BTCUSDT"].all()
    pd.testing.assert_series_equal(after["ETHUSDT"], before["ETHUSDT"])


def test_a_second_repro_runs_nothing(repository: Path) -> None:
    output = run(repository, "dvc", "repro")
    assert "Running stage" not in output
    assert "up to date" in output


def changed_stages(root: Path) -> set[str]:
    return set(json.loads(run(root, "dvc", "status", "--json")))


def test_an_edit_reruns_what_reads_it(repository: Path) -> None:
    """Catches an edit of `labels` or `contract_facts` that computes all features again."""
    before = (repository / "params.yaml").read_text()
    try:
        for change, rerun in (
            (
                lambda c: c["datasets"]["simulated"].update(labels={"reversal_multiple": 1.1}),
                {"label", "evaluate", "export"},
            ),
            (
                lambda c: c["datasets"]["simulated"].update(contract_facts=FACTS),
                {"label", "backtest", "sensitivity", "controls", "export"},
            ),
            (lambda c: c["datasets"]["bybit_1h"].update(labels={"horizon": "8h"}), set()),
            (
                lambda c: c["trading"]["rules"].update(min_reward_risk=1.3),
                {"backtest", "sensitivity", "controls", "evaluate", "export"},
            ),
        ):
            edit(repository, change)
            run(repository, sys.executable, "-m", "pipelines.configure")
            assert changed_stages(repository) - {"configure", "track"} == rerun
            (repository / "params.yaml").write_text(before)
    finally:
        (repository / "params.yaml").write_text(before)
        run(repository, sys.executable, "-m", "pipelines.configure")
    assert changed_stages(repository) == set()


def test_facts_and_labels_in_a_file_of_their_own_rerun_neither_ingest_nor_features(repository: Path) -> None:
    """The entry of the data set as `datasets/mine.yaml`, with and without an edit."""
    before = (repository / "params.yaml").read_text()
    entry = yaml.safe_load(before)["datasets"]["simulated"]
    file = repository / "datasets" / "mine.yaml"
    changed = []
    try:
        edit(repository, lambda c: c.update(dataset="mine"))
        for more in ({}, {"contract_facts": FACTS}, {"labels": {"reversal_multiple": 1.1}}):
            file.write_text(yaml.safe_dump(entry | more))
            run(repository, sys.executable, "-m", "pipelines.configure")
            changed.append(changed_stages(repository) - {"configure", "track"})
    finally:
        file.unlink()
        (repository / "params.yaml").write_text(before)
        run(repository, sys.executable, "-m", "pipelines.configure")
    renamed, with_facts, with_labels = changed
    assert with_facts == renamed | {"label", "backtest", "sensitivity", "export"}
    assert with_labels == renamed | {"label", "export"}
    assert renamed.isdisjoint({"ingest", "features", "label", "train", "backtest"})


def test_leftovers_of_a_stage_that_is_restored_are_removed(repository: Path) -> None:
    """A killed `ingest` leaves `data/.raw.abcdefgh`; DVC restores `data/raw` from its cache and never runs it again."""
    left = repository / "data" / ".raw.abcdefgh"
    left.mkdir()
    (left / ".bars.parquet.abcdefgh.parquet").write_text("half")
    shutil.rmtree(repository / "data" / "raw")
    output = run(repository, sys.executable, "-m", "pipelines._repro")
    assert "Running stage 'ingest'" not in output
    assert (repository / "data" / "raw").is_dir()
    assert not left.exists()


def test_files_of_a_stage_that_runs_now_are_left_alone(repository: Path) -> None:
    left, lock = repository / "data" / ".raw.abcdefgh", repository / ".dvc" / "tmp" / "rwlock"
    left.mkdir()
    before = lock.read_text() if lock.is_file() else "{}"
    try:
        lock.write_text(json.dumps({"write": {str(repository / "data/raw"): {"pid": os.getpid(), "cmd": "dvc repro"}}}))
        _repro.remove_what_was_left(repository)
        assert left.exists()
    finally:
        lock.write_text(before)
    _repro.remove_what_was_left(repository)
    assert not left.exists()


def test_the_report_answers_six_questions_without_a_network(repository: Path, tmp_path: Path) -> None:
    """Catches a picture without its finding, its table or the word SYNTHETIC, a request, and an error in the script."""
    page = repository / "reports/index.html"
    assert page.stat().st_size < 3_000_000
    again = "from slackwater.cli import main; main()"
    run(repository, sys.executable, "-c", again, "report", "--out", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    with Browser(tmp_path / "profile") as browser:
        browser.open(page)
        browser.settle()
        assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
        assert browser.console == []
        questions = browser.ask("[...document.querySelectorAll('h2')].map((each) => each.textContent)")
        assert [each[:2] for each in questions] == ["1.", "2.", "3.", "4.", "5.", "6."]
        assert browser.ask("[...document.querySelectorAll('.finding')].every((each) => each.textContent.length > 10)")
        assert browser.ask("document.querySelectorAll('.finding').length") >= 25
        drawn = "[...document.querySelectorAll('figure > svg')]"
        assert browser.ask(f"{drawn}.every((each) => each.closest('figure').querySelector('details table'))")
        assert browser.ask(f"{drawn}.every((each) => each.textContent.includes('SYNTHETIC'))")
        assert browser.ask("document.getElementById('stamp').textContent") == "SYNTHETIC"
        assert not re.search(r"\b(nan|None|null|undefined)\b", browser.ask("document.querySelector('main').innerText"))


def test_what_was_run_before_comes_back_from_the_cache(repository: Path) -> None:
    """Catches a long stage with an output that git tracks: DVC would run it again after every switch."""
    before = (repository / "params.yaml").read_text()
    try:
        edit(repository, lambda c: c["model"].update(n_estimators=29))
        assert "Running stage 'train'" in run(repository, "dvc", "repro", "train")
    finally:
        (repository / "params.yaml").write_text(before)
        output = run(repository, "dvc", "repro")
    assert set(re.findall(r"Running stage '(\w+)'", output)) <= {"configure", "report", "track"}


def test_dvc_shows_a_dozen_numbers(repository: Path) -> None:
    """Catches one row of eighty columns, and a headline whose numbers the metrics do not have."""
    shown = json.loads(run(repository, "dvc", "metrics", "show", "--json"))[""]["data"]
    (content,) = (each["data"] for each in shown.values())
    assert 10 <= len(content) <= 15
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    assert content["direction_auc"] == metrics["direction"]["auc"]
    assert content["trades"] == metrics["backtest"]["n_trades"]
    assert "WARNING" not in run(repository, "dvc", "status")


def test_the_run_is_tracked_flat_with_its_hashes(repository: Path) -> None:
    with sqlite3.connect(repository / "mlflow.db") as database:
        metrics = {row[0] for row in database.execute("select key from metrics")}
        tags = dict(database.execute("select key, value from tags").fetchall())
        runs = database.execute("select count(*) from runs").fetchone()[0]
        versions = database.execute("select count(*) from model_versions").fetchone()[0]
    assert {"auc", "net_bps", "hit/auc", "backtest/n_trades", "curves/auc_by_fold"} <= metrics
    assert tags["synthetic"] == "SYNTHETIC"
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert {"params_sha256", "data_sha256", "code_sha256", "bundle_sha256"} <= set(tags)
    assert runs == versions == 1


def test_nothing_of_this_machine_reaches_what_is_committed(repository: Path) -> None:
    committed = [
        repository / "dvc.lock",
        *(repository / "reports").glob("*.json"),
        *(repository / "models").rglob("*.*"),
    ]
    for path in committed:
        if path.is_file():
            content = path.read_bytes()
            assert str(repository).encode() not in content, path
            assert str(ROOT).encode() not in content, path


@pytest.mark.parametrize(("page", "printed"), [("README.md", ""), ("docs/python.md", "contribution")])
def test_the_examples_in_the_docs_run(repository: Path, page: str, printed: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (repository / page).read_text(), flags=re.DOTALL)
    assert blocks
    (repository / "example.py").write_text("\n".join(blocks))
    assert printed in run(repository, sys.executable, "-W", "error", "example.py")


def test_a_registered_bundle_can_be_pulled(repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from slackwater.tracking import pull; from slackwater import ReversalScorer\n"
        "path = pull('models:/slackwater/1', tracking_uri='sqlite:///mlflow.db', to=sys.argv[1])\n"
        "print(ReversalScorer.load(path).digest)"
    )
    pulled = run(repository, sys.executable, "-c", code, str(tmp_path))
    local = "from slackwater import ReversalScorer; print(ReversalScorer.load('models/scorer').digest)"
    digests = [re.findall(r"\b[0-9a-f]{64}\b", text) for text in (pulled, run(repository, sys.executable, "-c", local))]
    assert digests[0] == digests[1] != []


@pytest.mark.parametrize(
    ("change", "stage", "message"),
    [
        (lambda c: c["labels"].update(horizn="4h"), "label", r"`labels.horizn`: unknown parameter.*horizon"),
        (
            lambda c: c.update(dataset="bybit_1h"),
            "ingest",
            r"there is no directory data/external/bybit_1h; link or copy",
        ),
        (
            lambda c: c["datasets"]["simulated"].update(symbols=["BTCUSDT", "DOGEUSDT"]),
            "ingest",
            r"contract_facts: no facts of DOGEUSDT at simulated.*`slackwater contracts --venue VENUE --symbols DOGE",
        ),
        (
            lambda c: c["datasets"]["bybit_1h"].update(symbols=["BTCUSDT", "AVAXUSDT"]) or c.update(dataset="bybit_1h"),
            "ingest",
            r"contract_facts: no facts of AVAXUSDT at bybit.*`slackwater contracts --venue bybit --symbols AVAXUSDT`",
        ),
        (
            lambda c: c["datasets"]["simulated"].update(contract_facts=FACTS | {"contracts": {"BTCUSDT": {"fee": 1}}}),
            "ingest",
            r"params\.yaml: datasets\.simulated\.contract_facts: contract BTCUSDT: it names fee; there are tick_size",
        ),
    ],
)
def test_bad_input_ends_in_one_clear_message(
    repository: Path, tmp_path: Path, change: Callable[[dict], object], stage: str, message: str
) -> None:
    root = tmp_path / "copy"
    root.mkdir()
    for name in ("pipelines", "dvc.yaml", "params.yaml"):
        (shutil.copytree if (repository / name).is_dir() else shutil.copy)(repository / name, root / name)
    edit(root, change)
    output = run(root, sys.executable, "-m", f"pipelines.{stage}", fails=True)
    assert re.search(message, output), output
    assert "Traceback" not in output
    assert not (root / "data").exists()


def test_a_damaged_table_leaves_no_half_written_output(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(repository / "data/raw", root / "data/raw")
    for name in ("pipelines", "dvc.yaml", "params.yaml"):
        (shutil.copytree if (repository / name).is_dir() else shutil.copy)(repository / name, root / name)
    path = root / "data/raw/fine_bars.parquet/BTCUSDT.parquet"
    path.chmod(0o644)
    table = pd.read_parquet(path)
    table.loc[1_000, "close"] = float("nan")
    table.to_parquet(path)
    output = run(root, sys.executable, "-m", "pipelines.validate", fails=True)
    assert re.search(r"table fine_bars: column `close` must not be missing; 1 rows, the first:\n.*\n1000 ", output)
    assert "Traceback" not in output
    assert [p.name for p in (root / "data").iterdir()] == ["raw"]
    assert not (root / "reports").exists()


def test_forced_repro_gives_the_same_bundle(repository: Path) -> None:
    """Threads, clocks and hash seeds must not reach the models."""
    before = (repository / "models/scorer/SHA256SUMS").read_text()
    run(repository, "dvc", "repro", "--force", "export")
    assert (repository / "models/scorer/SHA256SUMS").read_text() == before


OWN_FAMILY = """
import warnings
import numpy as np, slackwater as sw
{imports}

scorer = sw.ReversalScorer.load("models/scorer"{families})
tables = sw.read_tables("data/tables", sw.INPUT_TABLES)
last = tables["bars"]["event_time"].max()
tables = {{name: table[table["event_time"] > last - np.timedelta64(20, "D")] for name, table in tables.items()}}
warnings.simplefilter("ignore")
scores = scorer.score(tables)
events = scores[(scores["direction"] != 0) & (scores["symbol"] == "BTCUSDT")]
event = events.iloc[-1]
history = {{name: table[table["available_time"] < event["event_time"]] for name, table in tables.items()}}
frames, stream = scorer.frame_stream(), scorer.stream("BTCUSDT")
stream.warm(history)
for name, table in tables.items():
    since, until = event["event_time"] - np.timedelta64(3, "D"), event["available_time"]
    for row in table[table["available_time"].between(since, until)].to_dict("records"):
        frames.push(name, row)
live = stream.update(frames.close(event["event_time"])["BTCUSDT"])
assert "pressure_4h" in scorer.manifest["features"]["model_features"]
assert live.p_direction == event["p_direction"] and 0.0 < live.p_direction < 1.0
assert live.features[scorer._engine.names.index("pressure_4h")] == event["pressure_4h"]
print("alike at", event["event_time"])
"""


def test_a_bundle_with_a_family_of_ones_own_goes_from_export_to_live(repository: Path, tmp_path: Path) -> None:
    """Catches a stage that leaves the family out, and a load that takes another code than the models learned from."""
    ignore = shutil.ignore_patterns("__pycache__", ".git", ".dvc", "mlflow.db")
    root = shutil.copytree(repository, tmp_path / "own", ignore=ignore)
    code = (ROOT / "examples/my_features.py").read_text(encoding="utf-8")
    (root / "pressure.py").write_text(code)
    edit(root, lambda content: content["features"].update(extra=["pressure:PressureFamily"]))
    for stage in ("_deps", "configure", "features", "label", "train", "export"):
        run(root, sys.executable, "-m", f"pipelines.{stage}")

    def scored(imports: str = "import pressure", families: str = "", *, fails: bool = False) -> str:
        program = OWN_FAMILY.format(imports=imports, families=families)
        return run(root, sys.executable, "-c", program, fails=fails)

    assert "alike at" in scored()
    given = "from pressure import PressureFamily as Mine", ", families=[Mine]"
    assert "alike at" in scored(*given)
    assert "import pressure first, or pass the class" in scored("", fails=True)
    (root / "pressure.py").write_text(code.replace("class PressureFamily", "class Other"))
    assert "the module pressure has no PressureFamily" in scored(fails=True)
    (root / "pressure.py").write_text(code.replace("1e4 * row", "2e4 * row"))
    for imports in (("import pressure", ""), given):
        assert "the code of pressure:PressureFamily is not that with which the bundle" in scored(*imports, fails=True)
