"""Whether the simulated market shows the stylised facts of real ones: seed by seed, at three strengths of signal.

SYNTHETIC markets. Run it with ``make campaigns``; it takes about three minutes and leaves its answer, with a digest of
the parameters that it stands for, in ``campaigns/stylised_facts.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from campaigns.default_recipe import parameters_digest
from slackwater.config import Params, load_params
from slackwater.sources.simulate.facts import facts_hold, facts_page, stylised_facts
from slackwater.sources.simulate.market import MarketRequest, simulate
from slackwater.storage import write_json

SEEDS = (1, 2, 3, 4, 5)
SIGNALS = (0.0, 0.4, 1.0)
OUT = Path(__file__).with_suffix(".json")


def facts_by_seed(params: Params, *, signal: float) -> dict[int, pd.DataFrame]:
    """Make the default market anew on every seed, and measure it."""
    made = params.dataset.simulate.model_dump() | {"symbols": params.dataset.symbols, "signal": signal}
    return {seed: stylised_facts(*simulate(MarketRequest(**made | {"seed": seed}))) for seed in SEEDS}


def main() -> None:
    """Run all signals and seeds, and write the answer."""
    params = load_params()
    answer = []
    for signal in SIGNALS:
        facts = facts_by_seed(params, signal=signal)
        sys.stdout.write(f"SYNTHETIC market, signal {signal:g}\n\n{facts_page(facts)}\n\n")
        sys.stdout.flush()
        rows = {seed: dict(zip(each["name"], each["value"], strict=True)) for seed, each in facts.items()}
        good = sum(bool(each["holds"].dropna().all()) for each in facts.values())
        answer.append({"signal": signal, "holds": facts_hold(facts), "seeds_that_hold": good, "seeds": rows})
    write_json({"synthetic": True, "parameters_sha256": parameters_digest(params), "markets": answer}, OUT)


if __name__ == "__main__":
    main()
