"""Test whether the simulated market shows the stylised facts of real ones, on several seeds and at three signals.

SYNTHETIC markets. Run it with ``make campaigns``; it takes about three minutes and writes its result, with a digest of
the parameters of the market, to ``campaigns/stylised_facts.json``.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.config import Params, load_params
from slackwater.report.facts_page import facts_page
from slackwater.simulation.facts import SEEDS_THAT_HOLD, facts_hold, seeds_that_hold, stylised_facts
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.parameters import MarketParameters
from slackwater.storage import digest_of, read_json, write_report

SEEDS = (1, 2, 3, 4, 5)
SIGNALS = (0.0, 0.4, 1.0)
OUT = Path(__file__).with_suffix(".json")


def facts_by_seed(params: Params, *, signal: float) -> dict[int, pd.DataFrame]:
    """Simulate the default market on every seed, and measure its stylised facts."""
    made = params.dataset.simulate.model_dump() | {"symbols": params.dataset.symbols, "signal": signal}
    return {seed: stylised_facts(*simulate(MarketRequest(**made | {"seed": seed}))) for seed in SEEDS}


def market_digest(params: Params) -> str:
    """Return the digest of every parameter of the simulated markets."""
    made = params.dataset.model_dump(mode="json", include={"symbols", "simulate"})
    return digest_of([made, asdict(MarketParameters())])


def page(answer: dict[str, Any]) -> str:
    """Return a result as Markdown: the table of ``docs/simulator.md``, lowest to highest seed at each signal."""
    columns = [f"signal {market['signal']:g}" for market in answer["markets"]]
    lines = [f"| fact | range | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    seeds = [pd.DataFrame(market["seeds"]) for market in answer["markets"]]
    for name, (low, high) in answer["ranges"].items():
        cells = [f"{facts.loc[name].min():.3g} to {facts.loc[name].max():.3g}" for facts in seeds]
        lines.append(f"| `{name}` | {low:.3g} to {high:.3g} | {' | '.join(cells)} |")
    held = [f"{market['seeds_that_hold']} of {len(market['seeds'])}" for market in answer["markets"]]
    return "\n".join([*lines, f"| seeds on which all hold | | {' | '.join(held)} |"])


def main() -> None:
    """Run all signals and seeds, and write the result."""
    params = load_params()
    markets = []
    for signal in SIGNALS:
        facts = facts_by_seed(params, signal=signal)
        good = seeds_that_hold(facts)
        text = facts_page(facts, holding=good, share=SEEDS_THAT_HOLD)
        sys.stdout.write(f"SYNTHETIC market, signal {signal:g}\n\n{text}\n\n")
        sys.stdout.flush()
        rows = {seed: dict(zip(each["name"], each["value"], strict=True)) for seed, each in facts.items()}
        tested = facts[SEEDS[0]].query("low > -inf")
        ranges = {row["name"]: (row["low"], row["high"]) for row in tested.to_dict("records")}
        markets.append({"signal": signal, "holds": facts_hold(facts), "seeds_that_hold": good, "seeds": rows})
    digest = market_digest(params)
    write_report({"synthetic": True, "ranges": ranges, "parameters_sha256": digest, "markets": markets}, OUT)
    sys.stdout.write(page(read_json(OUT)) + "\n")


if __name__ == "__main__":
    main()
