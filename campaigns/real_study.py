"""What the recipe finds on each real data set, as tables of ``docs/evidence.md``.

``dvc exp run -S dataset=NAME`` runs a data set, and ``python -m campaigns.real_study`` adds its reports to
``campaigns/real_study.json``. ``python -m campaigns.real_study --page`` prints the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.config import Params
from slackwater.durations import duration_name
from slackwater.errors import DataError
from slackwater.evidence.direction import DirectionReport, rows_by_trigger
from slackwater.evidence.resampling import Resampling
from slackwater.report.markdown import markdown_table
from slackwater.run.parameters import params_of_last_run
from slackwater.storage import read_json, read_parquet, write_report

OUT: Final = Path(__file__).with_suffix(".json")
REPORTS: Final = ("metrics", "sensitivity", "controls", "verdict")
SCORES: Final = ("auc", "auc_low", "auc_high", "auc_raw", "brier_skill", "ece")
ACCEPTED: Final = ("n_trades", "net_bps_mean", "net_bps_low", "net_bps_high", "net_r_mean")
POWER: Final = ("smallest_visible_effect_bps", "years_to_see_15_bps")
CONTROLS: Final = {
    "always_fade": "fade every event",
    "direction_flag": "fade the direction that reversed more often",
    "funding_threshold": "funding threshold",
    "playbook": "playbook as hard rules",
    "buy_after_fall": "buy after -3 % in 15 minutes",
}


def measured(root: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the data set that was run last in a directory, and its main results."""
    metrics, sensitivity, controls, verdict = (read_json(root / "reports" / f"{name}.json") for name in REPORTS)
    if metrics["synthetic"]:
        raise DataError(f"{metrics['dataset']} is SYNTHETIC: docs/simulator.md is about simulated markets")
    params = params_of_last_run(root)
    if metrics["dataset"] != params.dataset.name:
        raise DataError(f"the reports are of {metrics['dataset']}, the last run of {params.dataset.name}: run it whole")
    direction, labels = metrics["direction"], read_parquet(root / "data" / "labels.parquet")
    times = labels["event_time"]
    groups = {
        group: {
            name: {key: each[key] for key in ("n", "smallest_visible_auc", *SCORES)}
            for name, each in direction[group].items()
        }
        for group in ("by_trigger", "by_horizon", "by_symbol")
    }
    if len(groups["by_symbol"]) > 10:  # hundreds of lines that nobody reads
        groups.pop("by_symbol")
    return metrics["dataset"], {
        "horizon": duration_name(params.labels.horizon),
        "model": params.model.kind,
        "first_event": f"{times.min():%Y-%m-%d}",
        "last_event": f"{times.max():%Y-%m-%d}",
        "n_events": metrics["n_events"],
        "effective_n": metrics["effective_n"],
        "n_trials": metrics["n_trials"],
        "direction": {name: direction[name] for name in SCORES} | groups,
        "extended_moves_by_horizon": _extended_moves(root, params, labels),
        "brackets": [_without_unknown(row) for row in sensitivity["brackets"]],
        "bracket_results": [_without_unknown(row) for row in sensitivity["bracket_results"]],
        "controls": {name: _without_unknown(row) for name, row in controls["controls"].items()},
        "accepted": {name: metrics["backtest"]["unit_risk"].get(name) for name in ACCEPTED},
        "every_event": {name: metrics["trade"][name] for name in POWER},
        "verdict": {name: verdict[name] for name in ("verdict", "sentence")} | {"power": verdict["power"]["sentence"]},
    }


def _extended_moves(root: Path, params: Params, labels: pd.DataFrame) -> dict[str, Any]:
    """Return metrics of the extended moves alone, by horizon."""
    predictions = read_parquet(root / "data" / "predictions.parquet")
    scored = predictions.merge(labels, on=["symbol", "event_time"], validate="1:1")
    report = DirectionReport(
        headline=duration_name(params.labels.horizon),
        symbol_correlation=params.labels.symbol_correlation,
        resampling=Resampling.of(params.evaluation),
    )
    found = report.tables(scored[rows_by_trigger(scored)["extended_move"]])["by_horizon"]
    return {horizon: {name: each[name] for name in ("n", *SCORES)} for horizon, each in found.items()}


def page(answer: Mapping[str, Any]) -> str:
    """Return the tables of ``docs/evidence.md``."""
    sets: Mapping[str, Mapping[str, Any]] = answer["datasets"]
    return "\n".join(
        [
            "Direction of the events that the triggers trade, out of sample, at the horizon of the data set:\n",
            _table(_direction_row(name, each) for name, each in sets.items()),
            "AUC by trigger:\n",
            _columns(sets, lambda each: each["direction"]["by_trigger"], _auc),
            "AUC by horizon:\n",
            _columns(sets, lambda each: each["direction"]["by_horizon"], _auc),
            "Extended moves alone, calibrated AUC, then raw AUC, Brier skill and calibration error:\n",
            _columns(sets, lambda each: each["extended_moves_by_horizon"], _scores),
            "Trades net of costs: of every event, of the fifth with the highest probability, and those that the gate "
            "accepts:\n",
            _table(_trade_row(name, each) for name, each in sets.items()),
            "Net R per trade of simpler rules on the same events:\n",
            _columns(sets, _rules, lambda row: _net(row, "net_r")),
            "The same events under other brackets; distances in standard deviations over the horizon, costs in R:\n",
            *(part for name, each in sets.items() for part in _brackets(name, each)),
        ]
    )


def _direction_row(name: str, each: Mapping[str, Any]) -> dict[str, str]:
    direction, price = each["direction"], each["controls"]["price_only"]
    return {
        "data set": name,
        "horizon": each["horizon"],
        "events": f"{each['n_events']:,}, worth {each['effective_n']:,.0f}",
        "from": each["first_event"],
        "to": each["last_event"],
        "AUC": _auc(direction),
        "raw": f"{direction['auc_raw']:.3f}",
        "over price alone": _interval(price, "difference_auc", "+.3f"),
        "Brier skill": f"{direction['brier_skill']:+.4f}",
        "ECE": f"{direction['ece']:.3f}",
    }


def _trade_row(name: str, each: Mapping[str, Any]) -> dict[str, str]:
    configured = [row for row in each["bracket_results"] if row["bracket"].startswith("as configured")]
    every = next(row for row in configured if row["sample"] == "every event")
    top = next(row for row in configured if row["sample"] != "every event")
    seen = each["every_event"]
    return {
        "data set": name,
        "trades": f"{every['n_trades']:,}",
        "net bps": _net(every, "net_bps", "+.0f"),
        "net R": _net(every, "net_r"),
        "top fifth, net bps": _net(top, "net_bps", "+.0f"),
        "top fifth, net R": _net(top, "net_r"),
        "accepted": f"{each['accepted']['n_trades']:,}",
        "their net bps": _net(each["accepted"], "net_bps", "+.0f") if each["accepted"]["n_trades"] else "",
        "smallest visible mean of every event": f"{seen['smallest_visible_effect_bps']:.0f} bps",
        "years that 15 bps need": f"{seen['years_to_see_15_bps']:.1f}",
        "trials": str(each["n_trials"]),
        "verdict": each["verdict"]["verdict"],
    }


def _rules(each: Mapping[str, Any]) -> dict[str, Any]:
    found = {said: each["controls"][name] for name, said in CONTROLS.items() if name in each["controls"]}
    return {said: row for said, row in found.items() if row.get("net_r_mean") is not None}


def _brackets(name: str, each: Mapping[str, Any]) -> Iterator[str]:
    results = {row["bracket"]: row for row in each["bracket_results"] if row["sample"] == "every event"}
    shares = ("target_share", "stop_share", "time_share")
    rows = [
        {
            name: row["bracket"],
            "trades": f"{row['n_trades']:,}",
            "stop / target": f"{row['stop_sd']:.2f} / {row['target_sd']:.2f}",
            "target / stop / time": " / ".join(f"{row[share]:.2f}" for share in shares),
            "fair / paid": f"{row['fair']:.3f} / {row['paid']:.3f}" if "fair" in row else "",
            "costs": f"{row['cost_r']:.3f}",
            "net bps": _net(results[row["bracket"]], "net_bps", "+.0f"),
            "net R": _net(results[row["bracket"]], "net_r"),
        }
        for row in each["brackets"]
    ]
    yield _table(rows)


def _columns(sets: Mapping[str, Any], rows_of: Any, cell: Any) -> str:
    """Return a table with a column per data set; a row that a data set lacks is empty there."""
    found = {name: rows_of(each) for name, each in sets.items()}
    order = dict.fromkeys(row for rows in found.values() for row in rows)
    return _table(
        {"": row} | {name: cell(rows[row]) if row in rows else "" for name, rows in found.items()} for row in order
    )


def _table(rows: Iterable[Mapping[str, str]]) -> str:
    return f"{markdown_table(pd.DataFrame(list(rows)))}\n"


def _auc(row: Mapping[str, Any]) -> str:
    low, high = row.get("auc_low"), row.get("auc_high")
    if low is None or high is None:
        return f"too few ({row['n']:,})"
    return f"{row['auc']:.3f} ({low:.3f} to {high:.3f})"


def _scores(row: Mapping[str, Any]) -> str:
    return f"{_auc(row)}; {row['auc_raw']:.3f}; {row['brier_skill']:+.4f}; {row['ece']:.3f}"


def _net(row: Mapping[str, Any], unit: str, form: str = "+.2f") -> str:
    return _interval({unit: row.get(f"{unit}_mean")} | dict(row), unit, form)


def _interval(row: Mapping[str, Any], name: str, form: str) -> str:
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return ""
    return f"{value:{form}}" + ("" if low is None or high is None else f" ({low:{form}} to {high:{form}})")


def _without_unknown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "")}


def main() -> None:
    """Add the data set that was run last, unless asked for the page alone, and print the page."""
    if "--page" not in sys.argv[1:]:
        name, found = measured(Path())
        known = read_json(OUT)["datasets"] if OUT.is_file() else {}
        write_report({"synthetic": False, "datasets": dict(sorted((known | {name: found}).items()))}, OUT)
    sys.stdout.write(page(read_json(OUT)))


if __name__ == "__main__":
    main()
