"""A machine that only scores installs the package without its extras; what needs one names it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.errors import _EXTRAS, MissingExtraError, missing_extra
from slackwater.storage import write_tables
from tests.small_bundle import market

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

WITHOUT_EXTRAS = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(_EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
"""The start of a process in which no package of an extra can be imported."""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = [sys.executable, "-c", WITHOUT_EXTRAS + code, *arguments]
    return subprocess.run(done, capture_output=True, text=True, check=False)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in requirements}


def test_a_bundle_scores_explains_and_gates_without_any_extra(small_bundle: Path, tmp_path: Path) -> None:
    """A live scorer must not need MLflow, DVC, matplotlib or scikit-learn: half of the size of an installation."""
    write_tables(market(), tmp_path / "tables")
    code = """
import slackwater as sw
scorer = sw.ReversalScorer.load(sys.argv[1])
tables = sw.read_tables(sys.argv[2])
scores = scorer.score(tables)
event = scores[scores["direction"] != 0].iloc[-1]
print(len(scorer.explain(event)) > 0, scorer.gate(event, sw.Account(equity=1e4)).symbol == event["symbol"])
scorer.stream(event["symbol"]).warm(tables)
"""
    done = run(code, str(small_bundle), str(tmp_path / "tables"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_live_scores_need_numpy_pandas_and_numba(small_bundle: Path, tmp_path: Path) -> None:
    """Catches an import that a live scorer pays for, or fails on, without using it."""
    code = """
blocked = ("lightgbm", "yaml", "pyarrow", "typer", "rich", "sklearn", "mlflow", "dvc")
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
import warnings
warnings.simplefilter("ignore")
import numpy as np
import pandas as pd
import slackwater as sw
from tests.small_market import DECISION_LAG, small_market
scorer = sw.ReversalScorer.load(sys.argv[1])
tables = small_market(days=4, interval=pd.Timedelta("1h").to_pytimedelta())
scores = scorer.score(tables)
last = scores["event_time"].max()
session = sw.Session(scorer)
session.warm({name: t[t["available_time"] < last] for name, t in tables.items()})
session.save(sys.argv[2])
session.load(sys.argv[2])
for name, table in tables.items():
    session.push(name, table[table["available_time"].between(last, last + DECISION_LAG)])
live = session.close(last)["BTCUSDT"]
same = scores[(scores["symbol"] == "BTCUSDT") & (scores["event_time"] == last)].iloc[0]
expected = same[scorer._engine.names].to_numpy(float)
print(np.array_equal(live.features, expected, equal_nan=True), live.context.close == same["close"])
print([name for name in blocked if name in sys.modules])
"""
    done = run(code, str(small_bundle), str(tmp_path / "live.npz"))
    assert (done.returncode, done.stdout) == (0, "True True\n[]\n"), done.stderr


def test_inspect_and_score_run_without_any_extra(small_bundle: Path) -> None:
    code = "sys.argv[0] = 'slackwater'; from slackwater.cli import main; main()"
    done = run(code, "inspect", "--bundle", str(small_bundle))
    assert done.returncode == 0, done.stderr
    assert "(SYNTHETIC)" in done.stdout


@pytest.mark.parametrize(
    ("code", "module", "extra"),
    [
        ("import slackwater; slackwater.ReversalClassifier", "(joblib|sklearn)", "pipeline"),
        ("import slackwater; slackwater.PurgedWalkForward", "sklearn", "pipeline"),
        ("from slackwater.tracking import pull; pull('models:/x/1', tracking_uri='sqlite://', to='.')",
         "mlflow", "pipeline"),
        ("from slackwater.cli import main; sys.argv[1:] = 'fetch --symbols A --from 2024-01-01 --to 2024-01-02 --out o'"
         ".split(); main()", "httpx", "exchange"),
        ("from slackwater.cli import main; sys.argv[1:] = 'contracts --venue okx --symbols A --out o'.split(); main()",
         "(tenacity|httpx)", "exchange"),
    ],
)  # fmt: skip
def test_what_needs_an_extra_names_it(code: str, module: str, extra: str) -> None:
    done = run(code)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(rf'MissingExtraError: {module} is not installed: run `pip install "slackwater\[{extra}\]"`', last)


def test_a_module_of_no_extra_keeps_its_own_error() -> None:
    error = ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
    assert missing_extra(error) is error
    assert isinstance(missing_extra(ModuleNotFoundError(name="sklearn.base")), MissingExtraError)


def test_the_extras_are_those_of_the_package() -> None:
    """The sentence would send a user to an extra that does not bring the module."""
    own, extras = names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    distributions = packages_distributions()
    for module, extra in _EXTRAS.items():
        brought = {name.lower() for name in distributions.get(module, [module])}
        if module == "joblib":  # scikit-learn brings it
            brought = {"scikit-learn"}
        if module == "mlflow":  # mlflow and mlflow-skinny share the module
            brought = {"mlflow"}
        assert brought & names(extras[extra]), module
        assert not brought & own, module
