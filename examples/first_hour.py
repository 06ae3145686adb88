# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The first hour
#
# One run from its bundle to its verdict: what is predicted, what the gate does with it, what the liquidation map
# shows, what the backtest earned, and whether any of it can be believed. It reads what `make repro` or `make quick`
# has written, and runs in the root of the repository: as a notebook (`jupytext --to ipynb examples/first_hour.py`)
# or as a script.

# %%
import warnings
from datetime import timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import slackwater as sw
from slackwater.config import load_params
from slackwater.evidence.map_history import map_of_tables
from slackwater.storage import read_json

pd.set_option("display.width", 110, "display.max_columns", 12, "display.precision", 4)
plt.rcParams["figure.dpi"] = 100

# %% [markdown]
# ## 1. The bundle
#
# A bundle is a directory of text: models, manifest, digests. Loading it runs no code. It carries the verdict of the
# run that made it, so that nobody scores with a model without having been told.

# %%
scorer = sw.ReversalScorer.load("models/scorer")
mark = "SYNTHETIC" if scorer.synthetic else "real data"
print(f"{scorer.manifest['dataset']} ({mark}), symbols {', '.join(scorer.manifest['symbols'])}")
print(f"bundle {scorer.digest[:12]}, verdict {scorer.manifest['verdict']['verdict']}")
n_features = len(scorer.manifest["features"]["model_features"])
print(f"features {n_features}, history before the first score {scorer.warm_up.days} days")

# %% [markdown]
# ## 2. Scores
#
# `score` walks down history bar by bar, as a live session would, and returns one row per bar close. Most bars are
# not events: nothing unusual happened, so nothing is predicted. An event has a direction, +1 after a rise and -1
# after a fall, and `p_direction`, the probability that this move reverses before it continues by as much.

# %%
tables = sw.read_tables("data/tables", sw.INPUT_TABLES)
with warnings.catch_warnings(record=True) as defects:  # what the data lack is told, and not passed over
    warnings.simplefilter("always")
    scores = scorer.score(tables)
for defect in defects:
    print(f"{defect.category.__name__}: {defect.message}\n")
events = scores[scores["direction"] != 0].sort_values("event_time")
print(f"{len(scores):,} bars, {len(events):,} events, {events['p_direction'].notna().sum():,} with a probability")
print(events[["symbol", "event_time", "direction", "p_direction", "p_hit"]].tail(4).to_string(index=False))

# %% [markdown]
# The bundle was trained on this same history, so these probabilities are better than they would have been at the
# time. Everything that judges the run, in part 6, uses models that had not seen the events they score.

# %%
figure, axes = plt.subplots(figsize=(7.0, 2.8), layout="constrained")
axes.hist(events["p_direction"].dropna(), bins=40, color="#1f6f8b")
axes.axvline(0.5, color="#1b2a33", lw=0.8)
axes.set(xlabel="Probability of a reversal", ylabel="Events", title=f"Scores of all events, {mark}")
plt.show()

# %% [markdown]
# ## 3. One event
#
# The event with the highest score, with the price around it, and why the model scored it so: contributions to the
# log-odds.

# %%
event = events.loc[events["p_direction"].idxmax()]
bars = tables["bars"]
since = (bars["event_time"] - event["event_time"]) / timedelta(hours=1)
near = (bars["symbol"] == event["symbol"]) & (since.abs() <= 24.0)
moved = "rise" if event["direction"] > 0 else "fall"
figure, axes = plt.subplots(figsize=(7.0, 3.0), layout="constrained")
axes.plot(since[near], bars["close"][near], color="#1b2a33", lw=1.2)
axes.axvline(0.0, color="#c8553d", lw=1.0)
axes.set(xlabel="Time since the event (hours)", ylabel="Price (USDT)")
axes.set_title(f"{event['symbol']}, {event['event_time']:%Y-%m-%d %H:%M}, after a {moved}, {mark}")
plt.show()
print(f"probability of a reversal {event['p_direction']:.3f}")
print(scorer.explain(event).head(6).to_string(index=False))

# %% [markdown]
# ## 4. The gate
#
# The gate answers an event with a plan, or with a refusal that lists every reason. Here it is asked about the last
# 400 events, each with a new account of 10,000 USDT.

# %%
account = sw.Account(equity=10_000.0)
decisions = [scorer.gate(row, account) for _, row in events.tail(400).iterrows()]
refusals = [each for each in decisions if isinstance(each, sw.Refusal)]
plans = [each for each in decisions if isinstance(each, sw.TradePlan)]
print(f"{len(plans)} plans, {len(refusals)} refusals; the reasons of the refusals:")
print(pd.Series([code for each in refusals for code in set(each.codes)]).value_counts().head(6).to_string())

# %% [markdown]
# A plan is complete when it is made: entry, stop, target and size do not change afterwards. `binding` names the rule
# that limited the size, `p_fair` is the probability at which the bracket would pay nothing before costs, and the
# size uses `p_trade_low`, the lower bound of the trade's own odds.

# %%
for plan in plans[-1:]:
    side = "long" if plan.side > 0 else "short"
    print(f"{plan.symbol} {side} {plan.quantity:g} at {plan.entry:g}, stop {plan.stop:g}, target {plan.target:g}")
    print(f"loss at the stop {plan.risk_usd:.0f} USDT, leverage {plan.leverage}x, limited by {plan.binding}")
    if plan.p_trade_low is not None:
        print(f"odds: fair {plan.p_fair:.3f}, lower bound {plan.p_trade_low:.3f}")

# %% [markdown]
# ## 5. The liquidation map
#
# Where open positions would be liquidated, estimated from open interest and prices alone. It is a ranking, not an
# amount, and not shown to locate liquidations on real data (docs/liquidation_map.md).

# %%
params = load_params()
history = map_of_tables(
    "data/tables",
    event["symbol"],
    spec=params.market.spec,
    features=params.features.of_the_library(),
    at=event["event_time"],
    span=timedelta(days=2),
)
pools = history.pools(layers=("middle",), most=3)
print(pools[["side", "low", "high", "distance_fraction", "mass_fraction", "rank"]].to_string(index=False))
price, mass = float(history.bars["close"].iloc[-1]), 100.0 * history.last.mass[:, 1]
distance = 100.0 * (np.sqrt(history.last.edges[1:] * history.last.edges[:-1]) / price - 1.0)
figure, axes = plt.subplots(figsize=(7.0, 3.0), layout="constrained")
for side, name, colour in ((0, "longs", "#c8553d"), (1, "shorts", "#1f6f8b")):
    axes.plot(distance, mass[side], color=colour, label=f"{name} that would be liquidated")
axes.set(xlabel="Distance from the price (%)", ylabel="Estimate (% of open interest)", xlim=(-10.0, 10.0))
axes.set_title(f"The map of {event['symbol']} at the event, {mark}")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 6. What the run earned
#
# From here on everything is out of sample: walk-forward models, costs, funding, one account. R is the planned loss
# of a trade at its stop, so +1 R is as much as a trade risks.

# %%
trades = pd.read_parquet("reports/trades.parquet")
by_month = trades.groupby(trades["exit_time"].dt.strftime("%Y-%m"))
usd, r = by_month["net_usd"].sum().round(0), by_month["net_r"].mean()
print(pd.DataFrame({"trades": by_month.size(), "net_usd": usd, "mean_r": r}).to_string())
print(f"\n{len(trades)} trades, {trades['net_usd'].sum():+,.0f} USDT of 10,000, {mark}")

# %% [markdown]
# One account is one path: other trades would have been taken had the first ones gone otherwise. So the verdict does
# not look at it, but at every accepted plan at the same equity, with an interval.

# %%
metrics = read_json("reports/metrics.json")
direction, unit = metrics["direction"], metrics["backtest"]["unit_risk"]


def number(value: float | None) -> str:
    """Write a value; one that is not known is not a number."""
    return "not known" if value is None else f"{value:.4g}"


def interval(values: dict, name: str, mean: str) -> str:
    """Write a value with its 95 % interval."""
    value, low, high = (number(values.get(key)) for key in (mean, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


print("AUC of the direction", interval(direction, "auc", "auc"))
print("  with permuted labels", number(direction["auc_permuted"]))
print("  from the price alone", number(direction["auc_price_only"]))
print(f"net bps per trade, {unit['n_trades']} plans at the same equity:", interval(unit, "net_bps", "net_bps_mean"))

# %% [markdown]
# ## 7. The verdict
#
# Every clause must hold, on data that are not simulated. What the sample could have shown is part of it: few trades
# cannot show a small edge, and the absence of a proof is not a proof of absence.

# %%
verdict = read_json("reports/verdict.json")
print(f"{verdict['verdict']}: {verdict['sentence']}\n")
print(verdict["power"]["sentence"], "\n")
words = {True: "holds", False: "FAILED", None: "unknown"}
for name, clause in verdict["clauses"].items():
    note = f"  ({clause['note']})" if clause["note"] else ""
    print(f"{words[clause['passed']]:<8} {name}: {number(clause['value'])}, {clause['requirement']}{note}")

# %% [markdown]
# ## Where to go
#
# `reports/index.html` shows all of this on one page, trade by trade. The next questions have a page each: your own
# data (docs/own_data.md), a feature of your own (docs/own_features.md), many configurations counted
# (docs/studies.md), live rows from a mock venue (docs/live.md).
