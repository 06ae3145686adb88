"""Walk-forward training: out-of-fold predictions, and the models that are exported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from slackwater.errors import DataError, ParameterError
from slackwater.features.family import Feature
from slackwater.features.orientation import Orientation
from slackwater.model_selection.walk_forward import PurgedWalkForward
from slackwater.models.calibration import AnchoredCalibrator, IdentityCalibrator, SigmoidCalibrator
from slackwater.models.kinds import new_model
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.table_rows import TableRows, fit_model
from slackwater.models.targets import TARGETS, Calibrator, Model, Target
from slackwater.models.training_range import TrainingRange
from slackwater.parallel import run_here, run_tasks
from slackwater.storage import digest_of, values_digest
from slackwater.types import Bools, Floats, Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FittedModel", "Trainer", "TrainingSet"]

Progress = Callable[[str], None]

_MIN_LABELLED = 50


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Oriented features and labels of the same events, in order of time.

    Parameters
    ----------
    features : DataFrame of float64, shape (n_events, n_columns)
        Oriented by the prior move (`slackwater.features.orientation.Orientation`); the last column is `direction`.
    labels : DataFrame
        The labels table; row i is the event of row i of `features`.
    families : mapping of str
        Family of each column of `features` but `direction`; empty where no model chooses among families.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    families: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def join(cls, labels: pd.DataFrame, features: Iterable[pd.DataFrame], described: Sequence[Feature]) -> TrainingSet:
        """Join labels to the features of the same bar close.

        Parameters
        ----------
        labels
            The table of the stage `label`.
        features
            The table of the stage `features`, or those of its rows that are events, in parts; one is held at a time.
        described
            The features that the models may use.

        Raises
        ------
        DataError
            If an event has no row of features with the same decision time, or several.
        """
        if isinstance(features, pd.DataFrame):
            raise ParameterError("`features` must be tables in parts, such as `[features]`, was one table")
        keys, orientation = ["symbol", "event_time", "available_time"], Orientation(described)
        labels = labels.sort_values(["event_time", "symbol"], ignore_index=True)
        wanted = dict(tuple(labels[keys].assign(row=np.arange(len(labels))).groupby("symbol", observed=True)))
        nothing, direction = labels[keys].assign(row=0)[:0], labels["direction"].to_numpy(np.float64)
        oriented, found = np.empty((len(labels), len(orientation.columns))), np.zeros(len(labels), dtype=np.int64)
        for part in features:
            # Of its own symbols alone: a part has few, and a table of all events is long to look through.
            own = pd.concat([nothing, *(wanted[name] for name in part["symbol"].unique() if name in wanted)])
            rows = part[keys].reset_index(drop=True).merge(own, on=keys, how="left", validate="m:1")["row"]
            of_event = rows.notna().to_numpy()
            at = rows[of_event].to_numpy(np.int64)
            values = part.loc[of_event, orientation.names].to_numpy(np.float64)
            oriented[at] = orientation.apply(values, direction[at])
            np.add.at(found, at, 1)
        if not (found == 1).all():
            lost = np.flatnonzero(found != 1)
            what = "have no row of features" if (found[lost] == 0).any() else "have several rows of features"
            raise DataError(
                f"{len(lost)} of {len(labels)} events {what} at their decision, the first:\n"
                f"{labels.loc[lost[:3], keys].to_string()}"
            )
        return cls(
            features=pd.DataFrame(oriented, columns=orientation.columns, copy=False),
            labels=labels,
            families={f.name: f.family for f in described},
        )

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.labels)

    @property
    def fed_families(self) -> tuple[str, ...]:
        """Return the families of the columns, in order."""
        return tuple(dict.fromkeys(self.families[name] for name in self.features if name in self.families))

    @property
    def digest(self) -> str:
        """Return the sha256 of features and labels: by it, trials on the same data are known."""
        return digest_of([values_digest(table) for table in (self.features, self.labels)])

    @property
    def label_known_time(self) -> pd.Series:
        """Time at which all labels of an event were known, its trade included."""
        return self.labels["label_known_time"]

    @property
    def trains(self) -> Bools:
        """Whether the models are fitted on an event: the column ``trains`` of the labels, all of them without it."""
        return self.labels["trains"].to_numpy(bool) if "trains" in self.labels else np.ones(len(self), dtype=bool)

    @property
    def trades(self) -> Bools:
        """Whether an event is one that is scored and traded: the column ``trades``, all of them without it."""
        return self.labels["trades"].to_numpy(bool) if "trades" in self.labels else np.ones(len(self), dtype=bool)

    @property
    def weight(self) -> Floats:
        """How many independent rows each event is among all events."""
        return self.labels["weight"].to_numpy()

    @property
    def train_weight(self) -> Floats:
        """How many independent rows each event is among those that train, NaN for others."""
        return self.labels["train_weight"].to_numpy() if "train_weight" in self.labels else self.weight


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """A model to export, with the calibration of its log-odds.

    Parameters
    ----------
    target, model, calibrator
        What is predicted, by what, and how its log-odds become an output.
    """

    target: Target
    model: Model
    calibrator: Calibrator

    @property
    def file(self) -> str:
        """Name of the file of the model's text in a bundle."""
        return f"{self.target.name}.txt"

    def entry(self) -> dict[str, Any]:
        """Return the entry of the model in the manifest of a bundle."""
        return {
            "file": self.file,
            "format": self.model.text_format,
            "target": self.target.to_dict(),
            "calibrator": self.calibrator.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Settings of walk-forward training, and the calls that fit and predict.

    Parameters
    ----------
    validation
        Walk-forward settings.
    model
        Kind and parameters of the model of every target without one of its own, and the calibration of all.
    targets
        What is fitted; add one of your own with ``(*TARGETS, MINE)``.

    Raises
    ------
    ParameterError
        If two targets have the same name.
    """

    validation: WalkForward
    model: ModelParameters = field(default_factory=ModelParameters)
    targets: tuple[Target, ...] = TARGETS

    def __post_init__(self) -> None:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ParameterError(f"`targets` must have different names, were {names}")

    def reading(self, families: Collection[str]) -> Trainer:
        """Return the same trainer with models that read some families of features alone."""
        return replace(self, model=replace(self.model, families=tuple(families)))

    def families(self, training: TrainingSet) -> tuple[str, ...]:
        """Return the families of which the models read features, in the order of the columns.

        Raises
        ------
        ParameterError
            If `ModelParameters.families` names one of which there is no column.
        """
        wanted, fed = self.model.families, training.fed_families
        for name in wanted or ():
            if name not in fed:
                raise ParameterError(f"`model.families`: the data feed no feature of {name}, but of {', '.join(fed)}")
        return tuple(name for name in fed if wanted is None or name in wanted)

    def columns(self, training: TrainingSet) -> list[str]:
        """Return the columns that the models read: those of `ModelParameters.families`, and the direction.

        Raises
        ------
        ParameterError
            As `families`.
        """
        if self.model.families is None:
            return list(training.features)
        families = self.families(training)
        return [*(name for name in training.features if training.families.get(name) in families), "direction"]

    def read_by_models(self, training: TrainingSet, rows: Ints) -> TableRows:
        """Return what the models read of some events; errors as `columns`."""
        return TableRows.of(training.features, self.columns(training), rows)

    def splits(self, training: TrainingSet) -> Iterator[tuple[Ints, Ints]]:
        """Yield the purged walk-forward splits: of the training rows those that train, of the test rows all.

        Raises
        ------
        DataError
            If no test block has enough training rows.
        """
        splitter = PurgedWalkForward(
            event_times=training.labels["event_time"],
            label_end_times=training.label_known_time,
            min_train=self.validation.min_train,
            test=self.validation.test,
            embargo=self.validation.embargo,
        )
        trains, most = training.trains, 0
        for train, test in splitter.split(training.features):
            fitted = train[trains[train]]
            most = max(most, len(fitted))
            if len(fitted) >= _MIN_LABELLED:
                yield fitted, test
        if most < _MIN_LABELLED:
            raise DataError(
                f"no test block: {most} of {int(trains.sum())} events that train have a label known "
                f"{self.validation.embargo} before one, at least {_MIN_LABELLED} are needed"
            )

    def require_labels(self, training: TrainingSet) -> None:
        """Raise DataError, before any fit, if a target cannot be learned from the events that train.

        It needs 50 events with a label, and among them some that happened and some that did not.
        """
        rows = np.flatnonzero(training.trains)
        for target in self.targets:
            self._require_labels(training, target, rows)

    def _require_labels(self, training: TrainingSet, target: Target, rows: Ints) -> None:
        known = training.labels[target.column].iloc[rows].dropna()
        if len(known) < _MIN_LABELLED:
            raise DataError(
                f"{len(known)} of {len(rows)} events have a label `{target.column}`, at least {_MIN_LABELLED} are "
                f"needed to fit target {target.name}"
            )
        if known.max() == 0.0 or known.min() == 1.0:
            raise DataError(
                f"all {len(known)} labels `{target.column}` are {known.iloc[0]:g}: one class, of which target "
                f"{target.name} cannot be learned"
            )

    def fit(self, training: TrainingSet, target: Target, rows: Ints | None = None) -> Model:
        """Fit the model of a target on the given rows, or on all that train; its log-odds are not calibrated.

        Where the target has an offset, such as the fair odds of the trade of an event, the model starts there, and
        contains the log-odds above it. Events without a label are left out.

        Weights are those of the barriers, which lie on both sides alike. Uniqueness over the time that a trade was held
        would count stops, which are reached sooner, for more than targets, and bias the odds.

        Raises
        ------
        DataError
            If fewer than 50 of the events have a label, or all of them the same.
        """
        rows = np.flatnonzero(training.trains) if rows is None else rows
        self._require_labels(training, target, rows)
        at, outcome, weight = _weighted(training, target, rows, training.train_weight)
        model = new_model(self.model) if target.model is None else target.model()
        return fit_model(
            model,
            self.read_by_models(training, at),
            outcome,
            # One per event on average, so that the regularisation is the same whatever the overlap.
            weight / (weight.sum() / training.labels[target.column].iloc[rows].notna().sum()),
            init_score=None if target.offset is None else training.labels[target.offset].iloc[at],
        )

    def predict_out_of_fold(self, training: TrainingSet, progress: Progress | None = None) -> pd.DataFrame:
        """Predict every event of every test block with models and calibrators that saw only labels known before it.

        Parameters
        ----------
        training
            Events in order of time.
        progress
            Called with a line per fold.

        Returns
        -------
        DataFrame
            One row per event of a test block, in order of time: `row` (position in `training`), `symbol`, `event_time`,
            `fold`, and for each target:

            - its outputs (`Target.columns`; NaN, on which no gate trades, where too few training events have a label
              or all have the same);
            - ``raw_<name>``, the log-odds before calibration and without the offset, and ``p_<name>_raw``, the
              probability that they mean;
            - ``anchor_<name>``, the log-odds that the calibration leaves where they are (method, section 2.3);
            - ``slope_<name>`` of the calibrator;
            - ``base_<name>``, share of ones in the training rows, if there is no offset.

        Raises
        ------
        DataError
            If a target cannot be learned (`require_labels`), or no test block has enough training rows.
        """
        self.require_labels(training)
        splits = list(self.splits(training))
        blocks: list[pd.DataFrame] = []
        # Folds grow: the last and longest one first, or all workers but one would wait for it at the end.
        names = {fold: f"fold {fold + 1} of {len(splits)}" for fold in reversed(range(len(splits)))}
        tasks = {name: splits[fold] for fold, name in names.items()}
        threads = f"threads:{self.validation.parallel_folds}"
        # Where all workers fit one model together, two folds at once would wait for each other for ever.
        run = run_here if self.model.engine == "dask" else partial(run_tasks, unless_chosen=threads)
        predicted = run(partial(self._raw_predictions, training), tasks)
        for (fold, name), columns in zip(names.items(), predicted, strict=True):
            train, test = splits[fold]
            block = training.labels.iloc[test][["symbol", "event_time"]].reset_index(drop=True).assign(fold=fold)
            block.insert(0, "row", test)
            blocks.insert(0, block.assign(**columns))
            if progress is not None:
                first = block["event_time"].iloc[0]
                lost = [target.name for target in self.targets if np.isnan(columns[f"raw_{target.name}"]).all()]
                progress(
                    f"{name}: {len(train):,} training events, {len(test):,} tested from {first:%Y-%m-%d}"
                    + (f"; too few labels of one kind for {', '.join(lost)}" if lost else "")
                )
        out = pd.concat(blocks, ignore_index=True)
        for target in self.targets:
            out = self._with_outputs(training, target, out)
        return out

    def _raw_predictions(self, training: TrainingSet, split: tuple[Ints, Ints]) -> dict[str, Any]:
        (train, test), columns = split, dict[str, Any]()
        for target in self.targets:
            name, y = target.name, training.labels[target.column].iloc[train].dropna()
            raw, anchor = np.full(len(test), np.nan), np.nan
            if len(y) >= _MIN_LABELLED and y.max() > 0.0 and y.min() < 1.0:
                model = self.fit(training, target, train)
                raw = model.decision_function(self.read_by_models(training, test).frame())
                anchor = _anchor(training, target, train)
            columns |= {f"raw_{name}": raw, f"anchor_{name}": anchor}
            if target.offset is None:
                columns[f"base_{name}"] = float(y.mean()) if len(y) else np.nan
        return columns

    def _with_outputs(self, training: TrainingSet, target: Target, out: pd.DataFrame) -> pd.DataFrame:
        """Add the calibrated outputs of a target, each fold by the rows that were settled before it began."""
        name, raw = target.name, out[f"raw_{target.name}"].to_numpy()
        settled = training.label_known_time.iloc[out["row"]] + self.validation.embargo
        columns = {column: np.full(len(out), np.nan) for column in (*target.columns, f"slope_{name}")}
        for rows in out.groupby("fold").indices.values():
            begin, anchor = out["event_time"].iloc[rows].min(), float(out[f"anchor_{name}"].iloc[rows[0]])
            if np.isnan(anchor):
                continue
            calibrator = self._calibrator(training, target, out[(settled < begin).to_numpy()], anchor)
            found = target.outputs(calibrator, raw[rows]) | {f"slope_{name}": calibrator.slope_}
            for column, values in found.items():
                columns[column][rows] = values
        offset = 0.0 if target.offset is None else training.labels[target.offset].to_numpy()[out["row"]]
        return out.assign(**columns, **{f"p_{name}_raw": expit(raw + offset)})

    def _calibrator(self, training: TrainingSet, target: Target, past: pd.DataFrame, anchor: float) -> Calibrator:
        """Return the calibrator of a model with an anchor, fitted to predictions whose outcomes were known by then."""
        if self.model.calibration == "none":
            return IdentityCalibrator()
        past = past[past[f"raw_{target.name}"].notna()]
        at, outcome, weight = _weighted(training, target, past["row"].to_numpy(), training.weight)
        place = pd.Index(past["row"]).get_indexer(at)
        raw, anchors = (past[f"{column}_{target.name}"].to_numpy()[place] for column in ("raw", "anchor"))
        offset = None if target.offset is None else training.labels[target.offset].to_numpy()[at]
        if self.model.calibration == "anchored":
            calibrator = AnchoredCalibrator(anchor=anchor)
            blocks = past["fold"].to_numpy()[place]
            return calibrator.fit(raw, outcome, weight, anchors=anchors, offset=offset, blocks=blocks)
        # Above an offset the prior holds the offered odds to be fair, and what the model adds to them to be noise.
        prior_slope = 1.0 if target.offset is None else 0.0
        if not len(at):
            return AnchoredCalibrator(prior_slope=prior_slope).fit([], [])
        return SigmoidCalibrator(prior_slope=prior_slope).fit(raw, outcome, weight, offset=offset)

    def export(self, training: TrainingSet, predictions: pd.DataFrame) -> list[FittedModel]:
        """Fit every target on all events that train, and its calibrator on all predictions of the walk-forward.

        Parameters
        ----------
        training
            Events in order of time.
        predictions
            What `predict_out_of_fold` returned for them.
        """
        everything = np.flatnonzero(training.trains)
        return [
            FittedModel(
                target=target,
                model=self.fit(training, target),
                calibrator=self._calibrator(training, target, predictions, _anchor(training, target, everything)),
            )
            for target in self.targets
        ]

    def training_facts(self, training: TrainingSet) -> pd.DataFrame:
        """Return, for every event of every test block, what else the gate reads about its models.

        Returns
        -------
        DataFrame
            The rows of `predict_out_of_fold`: `out_of_range_features` (names of features outside of the training range,
            where there are too many of them) and `trained_until` (when the last training label was known).
        """
        known_time, blocks = training.label_known_time, []
        for train, test in self.splits(training):
            rows = self.read_by_models(training, test)
            known = TrainingRange().fit_columns(self.read_by_models(training, train).by_column())
            columns = {
                "out_of_range_features": known.out_of_range(rows.taken(), rows.columns),
                "trained_until": known_time.iloc[train].max(),
            }
            blocks.append(pd.DataFrame(columns))
        return pd.concat(blocks, ignore_index=True)


def _weighted(
    training: TrainingSet, target: Target, rows: Ints, weight: Floats
) -> tuple[Ints, NDArray[np.int8], Floats]:
    """Return positions, outcomes and weights of the labelled events among rows; `weight` is that of every event."""
    at, outcome, share = target.sample(training.labels, rows)
    return at, outcome, share * weight[at]


def _anchor(training: TrainingSet, target: Target, rows: Ints) -> float:
    """Return the log-odds of the weighted base rate, drawn to even odds as far as chance explains them.

    A share of few events wanders about its own mean, and folds with different anchors can no longer be ranked together:
    within two standard errors of even odds the anchor is 0. It is 0 above an offset, too.
    """
    if target.offset is not None:
        return 0.0
    _, outcome, weight = _weighted(training, target, rows, training.train_weight)
    share = np.average(outcome, weights=weight)
    log_odds, variance = logit(share), 1.0 / (weight.sum() * share * (1.0 - share))
    return float(log_odds * max(0.0, 1.0 - 4.0 * variance / log_odds**2)) if log_odds else 0.0
