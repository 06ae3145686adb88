"""Test of the whole pipeline on simulated markets: no skill without a signal, more skill with a stronger one.

SYNTHETIC markets. Run it with ``make campaigns``; it takes some minutes per market, goes on where it was stopped,
writes its result to ``campaigns/simulated_market.json``, with a digest of the parameters that it holds for, and prints
the tables of ``docs/simulator.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from campaigns.default_run import over_markets, parameters_digest, trainer_of, training_set
from campaigns.false_positives import MOST_PASSING, directions, passing, summary
from slackwater.config import Params, load_params
from slackwater.evidence.baselines import share_by_side
from slackwater.metrics.classification import auc
from slackwater.metrics.selection import bootstrap_difference, bootstrap_interval
from slackwater.storage import read_json, write_report

SEEDS = tuple(range(1, 11))
SKEW, SKEW_SEEDS = 1.0, (1, 2, 3)
SIGNALS, SIGNAL_SEEDS = (0.2, 0.4, 0.7, 1.0), (1, 2)
WHALE_SIGNALS, WHALE_SEEDS, WHALE_MARKET = (0.0, 0.5, 1.0), (1, 2), 1.0
MEAN_LOW, MEAN_HIGH, STANDARD_ERRORS = 0.485, 0.515, 3.0
OUT = Path(__file__).with_suffix(".json")


def markets() -> Iterable[dict[str, float]]:
    """Yield the settings of each market."""
    for seed in SEEDS:
        yield {"seed": seed, "signal": 0.0, "skew": 0.0, "whale_signal": 0.5}
    for seed in SKEW_SEEDS:
        yield {"seed": seed, "signal": 0.0, "skew": SKEW, "whale_signal": 0.5}
    for signal in SIGNALS:
        for seed in SIGNAL_SEEDS:
            yield {"seed": seed, "signal": signal, "skew": 0.0, "whale_signal": 0.5}
    for whale_signal in WHALE_SIGNALS:
        if (WHALE_MARKET, whale_signal) != (SIGNALS[-1], 0.5):
            for seed in WHALE_SEEDS:
                yield {"seed": seed, "signal": WHALE_MARKET, "skew": 0.0, "whale_signal": whale_signal}


def measured(params: Params, market: dict[str, float]) -> dict[str, Any]:
    """Return the out-of-sample AUC of reversals in a market, pooled and per side, and the share of the whale features.

    The standard errors come from a block bootstrap; the share is that of the gain of a model fitted to all events.
    Without a signal also what passes by mistake: `trade_rule`, `directions` (`campaigns.false_positives`).
    """
    training, described = training_set(params, **market)
    trainer = trainer_of(params)
    (direction,) = (target for target in trainer.targets if target.headline)
    found = replace(trainer, targets=(direction,)).predict_out_of_fold(training)
    scored = training.labels.iloc[found["row"]].reset_index(drop=True)
    scored = scored.assign(p=found["p_direction"], p_flag=share_by_side(training, trainer, direction))
    drawn = {"mean_block": params.evaluation.mean_block, "draws": 1000, "seed": 0}
    answer: dict[str, Any] = {**market, "n_events": len(scored)}
    for side, rows in {
        "pooled": scored,
        "after_up_moves": scored[scored["direction"] == 1],
        "after_down_moves": scored[scored["direction"] == -1],
    }.items():
        pair = rows["y_direction"].to_numpy(), rows["p"].to_numpy()
        interval = bootstrap_interval(auc, rows["event_time"], *pair, **drawn)
        answer[side] = {"auc": auc(*pair), "standard_error": (interval.high - interval.low) / 3.92}
    y, p, flag = (scored[name].to_numpy() for name in ("y_direction", "p", "p_flag"))
    over = bootstrap_difference(auc, scored["event_time"], (y, p), (y, flag), **drawn)
    answer["direction_flag"] = {"auc": auc(y, flag), "over_it_low": over.low, "over_it_high": over.high}
    model = trainer.fit(training, direction)
    gain = pd.Series(model.booster_.feature_importance("gain"), index=model.booster_.feature_name())
    family = pd.Series({feature.name: feature.family for feature in described})
    if market["signal"] in (0.0, params.dataset.simulate.signal) and not market["skew"]:
        answer["trade_rule"] = passing(params, training)
    if not (market["signal"] or market["skew"]):
        answer["directions"] = directions(params, training)
    answer["whale_share_of_gain"] = float(gain[gain.index.map(family) == "whale_flows"].sum() / gain.sum())
    return answer


def nulls(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the markets without signal and skew."""
    return [each for each in answer["markets"] if each["signal"] == 0.0 and each["skew"] == 0.0]


def in_standard_errors(side: dict[str, float]) -> float:
    """Return the distance of an AUC from one half, in its standard errors."""
    return (side["auc"] - 0.5) / side["standard_error"]


def by_signal(answer: dict[str, Any]) -> pd.Series:
    """Return the mean AUC by signal, over the seeds that all signals share."""
    rows = [
        (each["signal"], each["pooled"]["auc"])
        for each in answer["markets"]
        if each["seed"] in SIGNAL_SEEDS and each["skew"] == 0.0 and each["whale_signal"] == 0.5
    ]
    return pd.DataFrame(rows, columns=["signal", "auc"]).groupby("signal")["auc"].mean()


def by_whale_signal(answer: dict[str, Any]) -> pd.Series:
    """Return the mean share of the whale features in the gain, by whale signal, where the signal is strong."""
    rows = [
        (each["whale_signal"], each["whale_share_of_gain"])
        for each in answer["markets"]
        if each["seed"] in WHALE_SEEDS and each["skew"] == 0.0 and each["signal"] == WHALE_MARKET
    ]
    return pd.DataFrame(rows, columns=["whale_signal", "share"]).groupby("whale_signal")["share"].mean()


def shortfalls(answer: dict[str, Any]) -> list[str]:
    """Return the criteria that a result does not meet, as sentences; empty if it meets all."""
    found = []
    for each in answer["markets"]:
        where = f"seed {each['seed']}, skew {each['skew']:g}"
        if each["signal"] > 0.0:
            continue
        for side in ("pooled", "after_up_moves", "after_down_moves"):
            # With skew the direction of the move alone predicts something: the pooled AUC is not one half.
            off = in_standard_errors(each[side])
            if abs(off) > STANDARD_ERRORS and not (side == "pooled" and each["skew"]):
                found += [f"{where}: the AUC {side} is {off:+.1f} standard errors off"]
        if each["skew"] and each["direction_flag"]["over_it_low"] > 0.0:
            found.append(f"{where}: the model beats the flag of the direction")
    mean = pd.Series([each["pooled"]["auc"] for each in nulls(answer)]).mean()
    if not MEAN_LOW <= mean <= MEAN_HIGH:
        found.append(f"the mean AUC at signal 0 is {mean:.3f}")
    worst = max(each["trade_rule"]["share"] for each in nulls(answer))
    if worst > MOST_PASSING:
        found.append(f"{worst:.1%} of the events of a market without a signal pass the rule of expected value")
    direction = answer["direction"]
    if direction["beyond"] > direction["beyond_by_chance"]:
        found.append(
            f"{direction['beyond']} of {direction['tests']} AUCs without a signal are too far from .5, "
            f"and chance gives up to {direction['beyond_by_chance']}"
        )
    for name, series in (("AUC by signal", by_signal(answer)), ("whales by whale signal", by_whale_signal(answer))):
        if not series.is_monotonic_increasing:
            found.append(f"{name} does not rise: {series.round(3).to_dict()}")
    return found


def page(answer: dict[str, Any]) -> str:
    """Return a result as Markdown: the table of ``docs/simulator.md``."""

    def side(each: dict[str, Any], name: str) -> str:
        return f"{each[name]['auc']:.3f} ± {each[name]['standard_error']:.3f}"

    columns = ("signal", "skew", "whale signal", "seed", "events", "AUC", "after up moves", "after down moves")
    columns = (*columns, "flag", "whales", "pass")
    lines = [f"| {' | '.join(columns)} |", f"|{'---:|' * len(columns)}"]
    for each in answer["markets"]:
        cells = [f"{each[name]:g}" for name in ("signal", "skew", "whale_signal", "seed")]
        cells += [f"{each['n_events']:,}", *(side(each, s) for s in ("pooled", "after_up_moves", "after_down_moves"))]
        cells += [f"{each['direction_flag']['auc']:.3f}", f"{each['whale_share_of_gain']:.1%}"]
        cells.append(f"{each['trade_rule']['share']:.1%}" if "trade_rule" in each else "")
        lines.append(f"| {' | '.join(cells)} |")
    direction = answer["direction"]
    lines += [
        "",
        f"Without a signal, {direction['beyond']} of {direction['tests']} AUCs (every seed, trigger, horizon, kind of "
        f"model) are more than 3 standard errors from .5; chance gives up to {direction['beyond_by_chance']}.",
    ]
    return "\n".join(lines)


def run() -> dict[str, Any]:
    """Measure all markets."""
    rows = over_markets(
        measured, markets(), code=Path(__file__), out=OUT, describe=lambda row: f"AUC {row['pooled']['auc']:.3f}"
    )
    of_nulls = pd.DataFrame([row for each in rows for row in each.get("directions", ())])
    return {
        "synthetic": True,
        "parameters_sha256": parameters_digest(load_params()),
        "direction": summary(of_nulls),
        "markets": rows,
    }


def main() -> None:
    """Run all markets, write the result and print its page."""

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    answer = run()
    write_report(answer, OUT)
    say(page(read_json(OUT)))
    for line in shortfalls(answer):
        say(f"NOT MET: {line}")


if __name__ == "__main__":
    main()
