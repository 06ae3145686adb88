"""Does the price come back after a day of many liquidations? Daily liquidations of 66 perpetuals over two years.

``python -m campaigns.daily_liquidations FILE`` reads the columns ``date_utc``, ``symbol``, ``close``, ``oi_coin``,
``funding_pct``, ``long_liq_coin`` and ``short_liq_coin`` of a parquet file, trades against every day whose liquidations
are unusual, beside the same moves without them and the same positions on random days, and writes
``campaigns/daily_liquidations.json``. Every rule, hold and entry that is measured is in the table: each is a trial.

Notes
-----
1. A *liquidation day*: the liquidations of a side, in units of the open interest of the day before, are above the 95 %
   quantile of the 90 days before, and the price moved against that side by at least one standard deviation of the 30
   days before. The trade is long after liquidated longs, short after liquidated shorts.
2. Entry at the close of that day, for whoever adds up the liquidations as they happen, or one day later, when the sum
   of the day is published. Exit after 1, 2 or 5 days at the close.
3. Net is the return of the position, less 14 bp (two taker fees of 5 bp, 4 bp of spread and impact) and three times
   a day the last funding rate of the day that the position is held into: longs pay where it is positive.
4. *Same moves without* them: days with a move of the same side and liquidations below the 80 % quantile, weighted so
   that moves of 1 to 1.5, 1.5 to 2, 2 to 3 and more standard deviations have the same shares.
5. *Random days*: the same symbol, side and hold, 2 to 30 days before or after, 20 draws per trade. What is left over
   them is not the drift of the market.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.resampling import Resampling
from slackwater.report.markdown import markdown_table
from slackwater.storage import read_parquet, write_report

OUT: Final = Path(__file__).with_suffix(".json")
HOLDS: Final = (1, 2, 5)
ENTRIES: Final = {"at the close of the day": 0, "a day later": 1}
COST: Final = 14e-4
SETTLEMENTS_PER_DAY: Final = 3.0
UNUSUAL, USUAL = 0.95, 0.80
SIZES: Final = (1.0, 1.5, 2.0, 3.0, np.inf)
RANDOM_DAYS: Final = [*range(-30, -1), *range(2, 31)]
DRAWS_PER_TRADE: Final = 20
RESAMPLING: Final = Resampling(draws=2_000, mean_block=timedelta(days=14), seed=0)


def days(table: pd.DataFrame) -> pd.DataFrame:
    """Return every day of every symbol with its move in standard deviations, and the rank of its liquidations."""
    table = table.dropna(subset=["long_liq_coin", "short_liq_coin"]).sort_values(["symbol", "date_utc"])
    parts = []
    for _, rows in table.groupby("symbol", sort=False):
        change = np.log(rows["close"]).diff()
        rows = rows.assign(move=change / change.rolling(30).std().shift())
        for side, column in ((1, "long_liq_coin"), (-1, "short_liq_coin")):
            share = rows[column] / rows["oi_coin"].shift()
            before = share.rolling(90)
            rows[f"unusual {side}"] = share > before.quantile(UNUSUAL).shift()
            rows[f"usual {side}"] = share < before.quantile(USUAL).shift()
        rows["cost of a day"] = SETTLEMENTS_PER_DAY * rows["funding_pct"].shift(-1) / 100.0
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def results(rows: pd.DataFrame, hold: int, delay: int) -> pd.DataFrame:
    """Return the net result of a long and of a short that follow each day, as columns 1 and -1; NaN at the end."""
    groups = rows.groupby("symbol", sort=False)
    entry, leave = (groups["close"].shift(-days) for days in (delay, delay + hold))
    funding = sum(groups["cost of a day"].shift(-(delay + day)) for day in range(hold))
    return pd.DataFrame({side: side * (leave / entry - 1.0 - funding) - COST for side in (1, -1)})


def table_row(rows: pd.DataFrame, net: pd.DataFrame, side: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the mean result of the trades of a side, beside both controls; in basis points."""
    moved = (side * rows["move"] <= -SIZES[0]) & net[side].notna()
    chosen = moved & rows[f"unusual {side}"]
    without = moved & rows[f"usual {side}"]
    size = pd.cut(rows["move"].abs(), SIZES, labels=False, right=False)
    wanted, found = (size[which].value_counts(normalize=True) for which in (chosen, without))
    weight = size.map(wanted / found).where(without, 0.0).fillna(0.0)
    own = 1e4 * net.loc[chosen, side].to_numpy()
    # The difference to random days is paired: each trade with the mean of its own draws.
    drawn = np.full((chosen.sum(), DRAWS_PER_TRADE), np.nan)
    at = np.flatnonzero(chosen)
    symbols, values = rows["symbol"].to_numpy(), 1e4 * net[side].to_numpy()
    for draw in range(DRAWS_PER_TRADE):
        other = at + rng.choice(RANDOM_DAYS, size=at.size)
        inside = (other >= 0) & (other < len(rows))
        same = inside & (symbols[other.clip(0, len(rows) - 1)] == symbols[at])
        drawn[same, draw] = values[other[same]]
    random = np.nanmean(drawn, axis=1)
    times = rows.loc[chosen, "date_utc"]
    low, high = RESAMPLING.interval(np.mean, times, own)
    over_low, over_high = RESAMPLING.interval(np.mean, times, own - random)

    def per_stamp(net_bps: np.ndarray[Any, Any]) -> float:
        return float(pd.Series(net_bps).groupby(times.to_numpy()).mean().mean())

    return {
        "n_trades": int(chosen.sum()),
        "n_days": int(times.nunique()),
        "net_bps": float(own.mean()),
        "net_bps_low": low,
        "net_bps_high": high,
        "net_bps_one_per_day": per_stamp(own),
        "same_moves_without_n": int(without.sum()),
        "same_moves_without": float(1e4 * np.average(net.loc[without, side], weights=weight[without])),
        "random_days": float(np.nanmean(random)),
        "over_random_days": float(np.nanmean(own - random)),
        "over_random_days_low": over_low,
        "over_random_days_high": over_high,
    }


def measured(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield one row for each side, entry and hold."""
    rows, rng = days(table), np.random.default_rng(0)
    for side, name in ((1, "long after liquidated longs"), (-1, "short after liquidated shorts")):
        for entry, delay in ENTRIES.items():
            for hold in HOLDS:
                net = results(rows, hold, delay)
                yield {"trade": name, "entry": entry, "hold_days": hold, **table_row(rows, net, side, rng)}


def page(answer: Mapping[str, Any]) -> str:
    """Return a result as the table of ``docs/evidence.md``."""
    rows = [
        {
            "trade": each["trade"],
            "entry": each["entry"],
            "days held": each["hold_days"],
            "trades": f"{each['n_trades']:,}",
            "on days": each["n_days"],
            "net, bp": f"{each['net_bps']:+.0f} ({each['net_bps_low']:+.0f} to {each['net_bps_high']:+.0f})",
            "one per day": f"{each['net_bps_one_per_day']:+.0f}",
            "same moves without": f"{each['same_moves_without']:+.0f} ({each['same_moves_without_n']:,} trades)",
            "over random days": f"{each['over_random_days']:+.0f} "
            f"({each['over_random_days_low']:+.0f} to {each['over_random_days_high']:+.0f})",
        }
        for each in answer["rows"]
    ]
    return markdown_table(pd.DataFrame(rows))


def main() -> None:
    """Measure the file that is named, write the result and print its page."""
    table = read_parquet(sys.argv[1])
    answer = {
        "command": "python -m campaigns.daily_liquidations FILE",
        "first_day": table["date_utc"].min().isoformat(),
        "last_day": table["date_utc"].max().isoformat(),
        "symbols": int(table.dropna(subset=["long_liq_coin"])["symbol"].nunique()),
        "rows": list(measured(table)),
    }
    write_report(answer, OUT)
    sys.stdout.write(page(answer) + "\n")


if __name__ == "__main__":
    main()
