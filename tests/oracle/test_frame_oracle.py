"""The market frame against a search through all rows for each decision."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES, INPUTS
from slackwater.market.schemas import validate
from slackwater.market.spec import FrameSpec
from tests.ragged_market import BAR, CAP, LAG, SHORT, ragged_market

NAN = float("nan")


def newest(table: pd.DataFrame, decision: pd.Timestamp, name: str, columns: list[str]) -> list[float]:
    """The row with the largest event time; of equals the one that arrived last."""
    known = [row for row in table.to_dict("records") if row["available_time"] <= decision]
    if not known:
        return [NAN] * len(columns)
    best = max(enumerate(known), key=lambda item: (item[1]["event_time"], item[1]["available_time"], item[0]))[1]
    return [best[c] if decision - best["event_time"] <= SHORT[name] else NAN for c in columns]


def summed(table: pd.DataFrame, decision: pd.Timestamp, name: str, amounts: list[list[float]]) -> list[float]:
    """What became known since the decision a bar ago."""
    arrivals = table["available_time"].tolist()
    before = [time for time in arrivals if time <= decision]
    if not before or decision - max(before) > SHORT[name]:
        return [NAN] * len(amounts)
    inside = [i for i, time in enumerate(arrivals) if decision - BAR < time <= decision]
    return [math.fsum(column[i] for i in inside) for column in amounts]


def factors(table: pd.DataFrame) -> list[float]:
    """Events behind each event that a feed with one slot a second let through."""
    arrivals, events = table["available_time"].tolist(), table["event_time"].tolist()
    order = sorted(range(len(table)), key=lambda i: (arrivals[i], events[i], i))
    out = [NAN] * len(table)
    for place, i in enumerate(order):
        recent = [j for j in order[: place + 1] if arrivals[j] > arrivals[i] - 10 * CAP]
        p = min(len(recent), 10) / 11
        out[i] = -math.log(1 - p) / p
    return out


def others(bars: pd.DataFrame, symbol: str, close: pd.Timestamp) -> list[float]:
    rest = bars[(bars["symbol"] != symbol) & (bars["event_time"] == close)]
    returns = np.log(rest["close"] / rest["open"])
    # The breadth compares closes a day apart, and these markets last hours.
    return [returns.mean(), returns.abs().mean(), NAN, NAN]


def where(mask: pd.Series, values: pd.Series) -> list[float]:
    return [v if m else 0.0 for m, v in zip(mask, values, strict=True)]


def naive_rows(tables: dict[str, pd.DataFrame], symbol: str, capped: bool) -> dict[pd.Timestamp, dict[str, float]]:
    own = {name: t[t["symbol"] == symbol].reset_index(drop=True) for name, t in tables.items()}
    whales, trades = own["whale_transfers"], own["large_trades"]
    source, sink = whales["from_owner_type"] == "exchange", whales["to_owner_type"] == "exchange"
    moved = [where(sink & ~source, whales["amount"]), where(source & ~sink, whales["amount"])]
    traded = [where(trades["side"] == side, trades["quantity"]) for side in ("buy", "sell")]
    weights = factors(own["liquidations"]) if "liquidations" in own and capped else [1.0] * 1000
    out = {}
    for _, bar in own["bars"].iterrows():
        decision = bar["event_time"] + LAG
        row = dict(bar[["open", "high", "low", "close", "volume"]]) | {"taker_buy_volume": NAN}

        def take(table: str, values: list[float], row: dict[str, float] = row) -> None:
            row |= zip(INPUT_TABLES[table], values, strict=True)

        row |= zip(INPUT_TABLES["bars"][6:], others(tables["bars"], symbol, bar["event_time"]), strict=True)
        for name, columns in (
            ("open_interest", ["open_interest", "hours"]),
            ("funding", ["funding_rate", "interval_hours", "hours"]),
            ("premium_index", ["premium_index"]),
            ("long_short_ratio", ["top_trader_ratio"]),
            ("depth", ["bid_quantity_1pct", "ask_quantity_1pct"]),
        ):
            table = own[name].assign(hours=own[name]["event_time"].astype("int64") / 3_600_000_000)
            take(name, newest(table, decision, name, columns))
        if "liquidations" in own:
            table = own["liquidations"]
            amounts = [where(table["side"] == side, table["quantity"]) for side in ("long", "short")]
            amounts += [[w * a for w, a in zip(weights, column, strict=False)] for column in amounts]
            take("liquidations", summed(table, decision, "liquidations", amounts))
        else:
            table = own["liquidation_totals"]
            amounts = [table["long_quantity"].tolist(), table["short_quantity"].tolist()]
            row |= dict.fromkeys(INPUT_TABLES["liquidations"], NAN)
            take("liquidation_totals", summed(table, decision, "liquidation_totals", amounts))
        take("whale_transfers", summed(whales, decision, "whale_transfers", moved))
        take("large_trades", summed(trades, decision, "large_trades", traded))
        flows = own["exchange_flows"]
        of_coin = flows["asset"] == symbol[:3]
        kinds = (flows[of_coin], flows[flows["asset"].isin(["USDT", "usdc"])])
        values = [summed(kind, decision, "exchange_flows", [kind["netflow_usd"].tolist()])[0] for kind in kinds]
        take("exchange_flows", values)
        out[bar["event_time"]] = row
    return out


@pytest.mark.parametrize("seed", range(6))
def test_the_frame_is_what_a_search_finds(seed: int) -> None:
    """Fails on a join by the stamp, a late row that displaces a newer one, a sum over a gap, a frozen silent feed."""
    capped = seed % 2 == 0
    tables = {name: validate(t, name) for name, t in ragged_market(seed, totals=seed > 3).items()}
    frame = MarketFrame.from_tables(
        tables, FrameSpec(bar_interval=BAR, decision_lag=LAG, staleness=SHORT, liquidation_cap=CAP if capped else None)
    )
    known = np.zeros(len(INPUTS), dtype=bool)
    unknown = np.zeros(len(INPUTS), dtype=bool)
    for symbol, rows in frame.symbols():
        expected = naive_rows(tables, symbol, capped)
        times = frame.table["event_time"].iloc[rows]
        assert times.diff().dropna().eq(BAR).all()
        for time, values in zip(times, frame.values[rows], strict=True):
            wanted = expected.pop(time, dict.fromkeys(INPUTS, NAN))
            np.testing.assert_allclose(
                values, [wanted[name] for name in INPUTS], rtol=1e-12, err_msg=f"{symbol} {time}"
            )
            if not np.isnan(values[3]):
                known |= ~np.isnan(values)
                unknown |= np.isnan(values)
        assert not expected
    # What never happens in the sample is not tested by it.
    totals = "liquidation_totals" in tables
    never = {
        "taker_buy_volume",
        "others_breadth",
        "market_dispersion",
        *(INPUT_TABLES["liquidations"][2:] if totals else ()),
    }
    assert {name for name, some in zip(INPUTS, known, strict=True) if not some} == never
    assert {name for name, some in zip(INPUTS, unknown, strict=True) if some} >= set(INPUTS[8:])


def test_without_a_cap_the_estimate_is_the_sum() -> None:
    frame = MarketFrame.from_tables(ragged_market(0), FrameSpec(bar_interval=BAR, decision_lag=LAG)).table
    for side in ("long", "short"):
        pd.testing.assert_series_equal(
            frame[f"liquidated_{side}_estimate"], frame[f"liquidated_{side}"], check_names=False, check_exact=True
        )
