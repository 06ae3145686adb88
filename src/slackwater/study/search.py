"""The trials of a study: a grid, or configurations that Optuna chooses after the results so far.

The trials of a grid are independent tasks. A choice of Optuna depends on all results before it, so its trials follow
each other, and only their folds are tasks. The ledger alone says what is done, so a study that was killed continues
where it was, and ends with the lines of one that was not: Optuna is told of the recorded trials, and its choice of a
trial depends on them, the seed and the number.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slackwater.config import Params
from slackwater.errors import ParameterError, missing_extra
from slackwater.evidence.trial_ledger import append_trial, mend_torn_line, read_trials
from slackwater.evidence.trials import configuration_digest
from slackwater.parallel import TimeLeft, run_here, run_tasks
from slackwater.run.parameters import params_of_last_run
from slackwater.storage import digest_of
from slackwater.study.lock import one_study
from slackwater.study.outcomes import Trials
from slackwater.study.spec import Choices, Range, StudySpec, grid_of, read_spec, trial_params
from slackwater.study.trial import LastRun
from slackwater.tracking.store import Store
from slackwater.tracking.trials import TrialLog

__all__ = ["run_study"]

_LEDGER = "trials.jsonl"
_STUDIES = "data/studies"

Say = Callable[[str], None]
Row = dict[str, Any]


def run_study(path: str | Path, *, say: Say, root: str | Path = ".") -> list[Row]:
    """Make the trials of a study that are not recorded yet, and return all of it, as the ledger holds them.

    Parameters
    ----------
    path
        The study (`slackwater.study.spec.StudySpec`).
    say
        Called with lines of progress.
    root
        The repository, in which ``params.yaml`` and the tables of the last run lie.

    Raises
    ------
    ParameterError
        If the study cannot be run (`read_spec`), or its name was used for another search.
    DataError
        If nothing was run, the parameters have changed since, or a file or the ledger is damaged.
    TrackingError
        If another study is running, or MLflow's store cannot be used.
    MissingExtraError
        If Optuna is needed and not installed.
    """
    root = Path(root)
    params = params_of_last_run(root)
    spec = read_spec(path, params)
    ledger = root / _LEDGER
    with one_study(root / _STUDIES):
        if mended := mend_torn_line(ledger):
            say(mended)
        known = read_trials(ledger) if ledger.is_file() else []
        last = LastRun.read(root / "data")
        trials = Trials(root=root, params=params, last=last, objective=spec.objective)
        study = _Study(spec=spec, params=params, trials=trials, rows=_rows_of(spec, last, known))
        chosen = _grid(study) if spec.search == "grid" else _chosen_by_optuna(study, root / _STUDIES)
        log = TrialLog(store=Store.of(root), experiment=params.tracking.experiment, study=study.facts)
        log.write(study.rows, finished=False)
        _make(study, chosen, ledger, log, say)
        log.write(study.rows, finished=True)
    for line in _best(study):
        say(line)
    return study.rows


@dataclass(frozen=True, kw_only=True)
class _Study:
    """A study with its recorded trials, in the order in which they were made."""

    spec: StudySpec
    params: Params
    trials: Trials
    rows: list[Row]

    @property
    def facts(self) -> Row:
        """What the lines of all trials have in common."""
        varied = self.spec.model_dump(mode="json", exclude={"name", "trials"})
        return {
            "study": self.spec.name,
            "search_sha256": digest_of([varied, _digest(self.params)]),
            "dataset": self.params.dataset.name,
            "synthetic": self.params.dataset.synthetic,
            "data_sha256": self.trials.last.data_sha256,
        }

    def row(self, point: Mapping[str, Any]) -> Row:
        """Make a trial and return its line; what fails because of its parameters is a trial, too."""
        row = self._planned(point, self.rows)
        if "state" in row:
            return row
        (made,) = run_here(self.trials.outcome, _tasks([row]))  # its folds are tasks
        return row | made

    def rows_of(self, points: Sequence[Mapping[str, Any]]) -> Generator[Row, None, None]:
        """Make several trials that do not depend on each other, and yield their lines in order."""
        planned: list[Row] = []
        for point in points:
            planned.append(self._planned(point, [*self.rows, *planned]))
        with closing(self._outcomes(planned)) as made:
            for row in planned:
                yield row if "state" in row else row | next(made)

    def _outcomes(self, planned: Sequence[Row]) -> Generator[Row, None, None]:
        """Yield what becomes of those that are to be made; workers get the tables when the first is asked for."""
        with self.trials.for_workers() as trials:
            yield from run_tasks(trials.outcome, _tasks(planned))

    def _planned(self, point: Mapping[str, Any], earlier: Sequence[Row]) -> Row:
        """Return the line of a trial as far as it is known before; it has a state if nothing is to be made."""
        row = {**self.facts, "number": len(earlier) + 1, "trial": dict(point), "reason": ""}
        try:
            params = trial_params(self.params, point)
        except ParameterError as error:
            unusable = digest_of([_digest(self.params), dict(point)])
            return row | {"params_sha256": unusable, "state": "failed", "reason": str(error)}
        row["params_sha256"] = _digest(params)
        same = next((each for each in earlier if each["params_sha256"] == row["params_sha256"]), None)
        if same is not None:
            return row | {"state": "pruned", "reason": f"the same parameters as trial {same['number']}"}
        return row


def _tasks(planned: Sequence[Row]) -> dict[str, Any]:
    return {f"trial {row['number']}": row["trial"] for row in planned if "state" not in row}


def _rows_of(spec: StudySpec, last: LastRun, known: Sequence[Row]) -> list[Row]:
    """Return the lines of a study on these data; a campaign of that name writes lines of another form."""
    own = [row for row in known if row.get("study") == spec.name and "search_sha256" in row]
    return [row for row in own if row.get("data_sha256") == last.data_sha256]


def _digest(params: Params) -> str:
    return configuration_digest(params.model_dump(mode="json"))


def _make(study: _Study, chosen: _Chosen, ledger: Path, log: TrialLog, say: Say) -> None:
    total, before = chosen.total, len(study.rows)
    left = TimeLeft()
    if before:
        say(f"{before:,} trials of {study.spec.name} are recorded, {max(total - before, 0):,} are left")
    with closing(chosen.rows) as rows:
        for row in rows:
            if mended := append_trial(row, ledger):
                say(mended)
            study.rows.append(row)
            chosen.tell(row)
            log.write([row], finished=False)
            say(f"trial {row['number']:,} of {total:,}: {_shown(row['trial'])}")
            say(f"  {_result(row, study.spec)}; {left.after(len(study.rows) - before, total - before)}")


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The lines of the trials that are left, each made when it is taken, their number in all, and who learns of one."""

    rows: Generator[Row, None, None]
    total: int
    tell: Callable[[Row], object]


def _grid(study: _Study) -> _Chosen:
    done = [(row["params_sha256"], row["trial"]) for row in study.rows]
    left = [p for p in grid_of(study.spec) if (_digest(trial_params(study.params, p)), p) not in done]
    return _Chosen(rows=study.rows_of(left), total=len(study.rows) + len(left), tell=lambda row: None)


def _chosen_by_optuna(study: _Study, directory: Path) -> _Chosen:
    """Return the points that Optuna chooses, and write its database, for its own tools, anew from the ledger."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    spec, wanted = study.spec, study.facts["search_sha256"]
    if any(row.get("search_sha256") != wanted for row in study.rows):
        raise ParameterError(
            f"the study {spec.name} was made with other parameters, another objective or another seed: what Optuna "
            "chooses depends on all trials of a study; give this one another `name`"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = directory / f"{spec.name}.db"
    database.unlink(missing_ok=True)
    made = optuna.create_study(
        storage=f"sqlite:///{database}",
        study_name=spec.name,
        direction="maximize" if spec.maximize else "minimize",
    )
    varied = {key: _distribution(optuna, given) for key, given in spec.parameters.items()}
    states = optuna.trial.TrialState
    for row in study.rows:
        state, value = _told(states, row)
        made.add_trial(optuna.trial.create_trial(params=row["trial"], distributions=varied, state=state, value=value))

    def rows() -> Generator[Row, None, None]:
        while len(study.rows) < total:
            # A sampler that went on would choose differently after a restart.
            seed = int(digest_of([spec.seed, len(study.rows)])[:8], 16)
            made.sampler = optuna.samplers.TPESampler(seed=seed)
            asked.append(made.ask(varied))
            yield study.row(asked[-1].params)

    def tell(row: Row) -> None:
        state, value = _told(states, row)
        made.tell(asked.pop(), value, state=state)

    total, asked = max(spec.trials or 0, len(study.rows)), list[Any]()
    return _Chosen(rows=rows(), total=total, tell=tell)


def _told(states: Any, row: Row) -> tuple[Any, float | None]:
    """Return what Optuna is told of a trial: one whose objective is not known has failed."""
    value = row.get("objective", {}).get("value")
    if value is not None:
        return states.COMPLETE, value
    return (states.PRUNED if row["state"] == "pruned" else states.FAIL), None


def _distribution(optuna: Any, given: Range | Choices | list[Any]) -> Any:
    if not isinstance(given, Range):
        return optuna.distributions.CategoricalDistribution(given.choices if isinstance(given, Choices) else given)
    if given.whole:
        return optuna.distributions.IntDistribution(given.low, given.high, log=given.log, step=given.step or 1)
    return optuna.distributions.FloatDistribution(given.low, given.high, log=given.log, step=given.step)


def _shown(point: Mapping[str, Any]) -> str:
    texts = {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in point.items()}
    return ", ".join(f"{key} {text}" for key, text in texts.items())


def _result(row: Row, spec: StudySpec) -> str:
    if row["state"] != "complete":
        return f"{row['state']}: {row['reason']}"
    value, trades = row["objective"]["value"], row["metrics"]["n_unit_risk_trades"]
    return row["reason"] or f"{spec.objective} {value:.4f}, {trades:,} trades at unit risk"


def _best(study: _Study) -> Iterator[str]:
    spec = study.spec
    states = [row["state"] for row in study.rows]
    counted = ", ".join(f"{states.count(state):,} {state}" for state in sorted(set(states)))
    yield f"{len(states):,} trials of {spec.name} in {_LEDGER}: {counted}"
    valued = [row for row in study.rows if row.get("objective", {}).get("value") is not None]
    if valued:
        best = max(valued, key=lambda row: row["objective"]["value"] * (1.0 if spec.maximize else -1.0))
        mark = "SYNTHETIC market, " if study.params.dataset.synthetic else ""
        yield f"{mark}best of them: trial {best['number']}, {_shown(best['trial'])}: {_result(best, spec)}"
        yield "the best of several looks better than it is: `dvc repro` deflates the result of a run by all of them"
