"""One trial: walk-forward training and backtest of some parameters on the tables of the last run, as the stages do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.config import Params, place_of
from slackwater.errors import ParameterError, SchemaError
from slackwater.evidence.direction import traded_rows
from slackwater.evidence.evaluation import daily_returns, mean_result
from slackwater.evidence.trials import compact_returns
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract
from slackwater.metrics.classification import auc, brier_skill
from slackwater.models.training import Trainer, TrainingSet
from slackwater.run.trading import gate_of, read_backtest, trade_test_blocks
from slackwater.run.training import predict_test_blocks, read_training_set
from slackwater.storage import digest_of, finest_bars, parquet_files
from slackwater.trading.backtest import Backtest, BacktestResult
from slackwater.types import Floats

__all__ = ["LastRun"]


@dataclass(kw_only=True)
class LastRun:
    """The tables of the last run, on which trials are made; the models of the last trial are kept.

    Trials that differ in `trading` alone share the predictions, so that a threshold costs no second fit.

    Parameters
    ----------
    data
        Directory of the tables: labels, features of the events, and ``tables``.
    training
        Events with features and labels.
    data_sha256
        Digest of them.
    """

    data: Path
    training: TrainingSet
    data_sha256: str
    _fitted: str = ""
    _predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    _backtest: Backtest | None = None

    @classmethod
    def read(cls, data: str | Path = "data") -> LastRun:
        """Read the tables; errors are those of `slackwater.run.training.read_training_set`."""
        training = read_training_set(data)
        return cls(data=Path(data), training=training, data_sha256=training.digest)

    def files(self, root: Path) -> Iterator[str]:
        """Yield the names below a directory of the files that trials read."""
        tables = self.data / "tables"
        paths = [self.data / name for name in ("labels.parquet", "event_features.parquet", "feature_manifest.json")]
        for table in (finest_bars(tables), tables / "funding.parquet", tables / "mark_price.parquet"):
            paths += parquet_files(table) if table.exists() else []
        return (str(path.relative_to(root)) for path in paths)

    def measured(self, params: Params, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
        """Return ``metrics`` and ``returns`` of a trial as the ledger holds them.

        ``metrics`` are out of sample: of the direction of the traded events ``direction.auc``, ``direction.auc_raw``,
        ``direction.log_loss`` and ``direction.brier_skill``; of the account ``n_trades`` and ``net_usd``; of the trades
        at unit risk, ``n_unit_risk_trades``, ``net_bps`` and ``net_r`` per trade, ``n_funding_unknown``, and
        ``sharpe_per_day`` of the days with trades. A mean of no trades is NaN.

        Raises
        ------
        DataError
            If the models cannot be fitted, or no test block has enough events.
        """
        _, result, sample = self.traded(params, progress)
        daily = daily_returns(sample, "net_r").to_numpy()
        metrics = {
            **self._direction(),
            "n_trades": len(result.trades),
            "net_usd": float(result.trades["net_usd"].sum()),
            "n_unit_risk_trades": len(sample),
            "n_funding_unknown": int((~sample["funding_known"]).sum()),
            "net_bps": mean_result(sample["net_bps"].to_numpy()),
            "net_r": mean_result(sample["net_r"].to_numpy()),
            "sharpe_per_day": _sharpe(daily),
        }
        return {"metrics": metrics, "returns": compact_returns(sample)}

    def traded(
        self, params: Params, progress: Callable[[str], None] | None = None
    ) -> tuple[pd.DataFrame, BacktestResult, pd.DataFrame]:
        """Return the predictions of a trial, its account, and its trades at unit risk; errors as `measured`."""
        backtest = replace(self._tested(params, progress), initial_equity=params.trading.initial_equity)
        gate = gate_of(
            _contracts(params, backtest.symbols),
            trading=params.trading,
            bracket=params.bracket,
            costs=params.costs,
            horizon=params.labels.horizon,
        )
        return self._predictions, *trade_test_blocks(backtest, gate)

    def _tested(self, params: Params, progress: Callable[[str], None] | None) -> Backtest:
        """Return the backtest of the predictions of a trial; models that the last trial had are not fitted again."""
        fitted = digest_of([each.model_dump(mode="json") for each in (params.validation, params.model)])
        if self._backtest is None or fitted != self._fitted:
            trainer = Trainer(validation=params.validation.build(), model=params.model.build())
            predictions = predict_test_blocks(self.training, trainer, progress)
            backtest = read_backtest(
                predictions,
                initial_equity=params.trading.initial_equity,
                decision_lag=params.market.decision_lag,
                horizon=params.labels.horizon,
                fine_bar_interval=params.market.fine_bar_interval,
                families=params.model.families,
                data=self.data,
            )
            # Together: a backtest that failed leaves those of the trial before.
            self._predictions, self._backtest, self._fitted = predictions, backtest, fitted
        return self._backtest

    def _direction(self) -> dict[str, float]:
        scored = self._predictions.merge(self.training.labels, on=["symbol", "event_time"], validate="1:1")
        scored = scored[traded_rows(scored) & scored["y_direction"].notna() & scored["p_direction"].notna()]
        y, p = scored["y_direction"].to_numpy(np.float64), scored["p_direction"].to_numpy()
        known = np.clip(p, 1e-15, 1.0 - 1e-15)
        return {
            "n_events": len(scored),
            "direction.auc": auc(y, p),
            "direction.auc_raw": auc(y, scored["p_direction_raw"].to_numpy()),
            "direction.log_loss": mean_result(-(y * np.log(known) + (1.0 - y) * np.log1p(-known))),
            "direction.brier_skill": brier_skill(y, p, scored["base_direction"].to_numpy()),
        }


def _sharpe(daily: Floats) -> float:
    """Return mean over standard deviation of the days with trades; NaN with fewer than two, or without any spread."""
    if daily.size < 2 or np.ptp(daily) == 0.0:
        return float("nan")
    return float(daily.mean() / daily.std(ddof=1))


def _contracts(params: Params, symbols: Iterable[str]) -> dict[str, Contract]:
    dataset = params.dataset
    try:
        return merge_contracts(dataset.contract_facts, dataset.venue, symbols)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"{place_of(dataset.name)}contract_facts: {error}") from None
