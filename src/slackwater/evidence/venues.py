"""The same trades at the costs of other venues: fees, spread, depth, stop slippage and funding side by side.

Entries, exits and quantities stay, only the costs are those of each venue. A fact of a venue that rests on no dated
source is named as assumed: no stored source compares spread or depth, so until somebody measures them the venues
differ in fees, order steps, margin tiers and funding limits alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.evidence.evaluation import Resampling
from slackwater.market.contracts import Contract
from slackwater.market.rounding import round_down
from slackwater.metrics.trading import expectancy_bps, profit_factor
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath, since_1970

__all__ = ["venue_comparison"]

_BPS = 1e4
# What every order costs, and all that lies between gross and net.
_COSTS = ["fee_bps", "spread_bps", "impact_bps", "stop_slippage_bps", "latency_bps"]
_PARTS = [*_COSTS, "funding_bps"]
_REFUSALS = ["below_minimum", "beyond_tiers"]
_COLUMNS = [
    *("venue", "n_trades", "n_refused", *(f"n_{refusal}" for refusal in _REFUSALS)),
    *("taker_fee_bps", "half_spread_bps", "relative_depth", "funding_interval_hours"),
    *("gross_bps", *_PARTS, "cost_bps", "net_bps_mean", "net_bps_low", "net_bps_high"),
    *("profit_factor", "break_even_multiple", "depth_share_mean", "n_common", "net_bps_common"),
    *("confirmed", "assumed"),
]


def venue_comparison(
    trades: Sequence[ClosedTrade],
    costs: CostModel,
    venues: Mapping[str, Mapping[str, Contract]],
    paths: Mapping[str, PricePath],
    resampling: Resampling,
) -> pd.DataFrame:
    """Return what the trades earn at the costs of each venue, and which facts that rests on.

    Parameters
    ----------
    trades
        Trades at constant risk (`slackwater.trading.backtest.constant_risk_trades`). Their entries and exits stay;
        quantities are rounded down to the venue's lot. Where a venue liquidates earlier than the plan's own does
        not count.
    costs
        The cost model of the plans. Its latency is not used: that of the plan stays.
    venues
        Facts by name of the venue and symbol. A name is a label: the same venue at two levels of fees is two.
    paths
        Those that the trades were walked on, for the settled funding rates.
    resampling
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a venue, in their order. Basis points are of the entry notional, means over the trades taken, NaN
        where there is none.

        - `venue`; `n_trades` taken; `n_refused`, the sum of `n_below_minimum` (the rounded order is smaller than the
          venue's smallest) and `n_beyond_tiers` (the position, until it is bankrupt, lies beyond the known margin
          tiers, or its leverage above theirs).
        - Facts as all trades met them, of all contracts where there are no trades: `taker_fee_bps`,
          `half_spread_bps`, `relative_depth` (1 is Binance's), `funding_interval_hours`.
        - `gross_bps`; what is lost of it, both orders together: `fee_bps`, `spread_bps`, `impact_bps`,
          `stop_slippage_bps` (what a stop pays beyond spread and impact), `latency_bps`, `funding_bps` (negative if
          received); their sum `cost_bps`; and the rest, `net_bps_mean`, with the 95 % interval `net_bps_low` and
          `net_bps_high`.
        - `profit_factor` (of the basis points); `break_even_multiple`, the factor on fees and slippage that leaves
          nothing, 1 being the cost model without its own `multiple`, NaN where nothing is left without costs;
          `depth_share_mean`, share of the depth within 1 % that an entry takes, over the trades whose depth is known.
        - `n_common`, `net_bps_common`: the trades that every venue takes, and what they earn here. Where venues refuse
          different trades, only this compares them on the same ones.
        - `confirmed`, whether the margin tiers are a dated answer of the venue for every symbol; `assumed`, the facts
          that rest on no dated source, with the symbols where that holds for some only.

    Raises
    ------
    ParameterError
        If there is no venue, or the multiple of `costs` is not that of the plans.
    MissingDataError
        If a venue has no contract of a symbol that was traded, or the symbol has no path.
    DataError
        If the result of a trade is not finite.

    Notes
    -----
    Impact follows the square-root law on the volume of the plan times the depth of the venue relative to that of the
    plan's own (1 where the plan's own is not among `venues`): a quarter of the depth doubles it.

    Funding is what was recorded where the data come from, less what a settled rate exceeded the limits of another
    venue by. Limits are those of the contract, whenever the trade was; one that is not known takes nothing away. What
    the other venue really settled is not known here.

    Examples
    --------
    >>> from slackwater.market.contracts import venue_contracts
    >>> venues = {name: venue_contracts(name) for name in ("binance", "bybit")}
    >>> table = venue_comparison([], CostModel(), venues, {}, Resampling())
    >>> table[["venue", "n_trades", "taker_fee_bps", "net_bps_mean"]].values.tolist()
    [['binance', 0, 5.0, nan], ['bybit', 0, 5.5, nan]]
    """
    _require(trades, costs, venues, paths)
    at_venues = {
        name: pd.DataFrame(
            [_at_venue(trade, costs, contracts, venues, paths) for trade in trades],
            columns=["refusal", "gross_bps", *_PARTS, "net_bps", "depth_share"],
        )
        for name, contracts in venues.items()
    }
    taken = {name: (table["refusal"] == "").to_numpy(dtype=bool) for name, table in at_venues.items()}
    common = np.logical_and.reduce(list(taken.values()))
    entries = pd.Series(pd.DatetimeIndex([trade.entry_time for trade in trades], dtype="datetime64[us, UTC]"))
    rows = []
    for name, table in at_venues.items():
        kept, times = table[taken[name]], entries[taken[name]]
        refused = table["refusal"].value_counts()
        net = kept["net_bps"].to_numpy(dtype=np.float64)
        low, high = resampling.interval(expectancy_bps, times, net) if net.size else (math.nan, math.nan)
        means = kept[["gross_bps", *_PARTS]].mean()
        rows.append(
            {
                "venue": name,
                "n_trades": len(kept),
                "n_refused": len(table) - len(kept),
                **{f"n_{refusal}": int(refused.get(refusal, 0)) for refusal in _REFUSALS},
                **_facts(trades, venues[name]),
                **means,
                "cost_bps": means[_PARTS].sum(skipna=False),
                "net_bps_mean": expectancy_bps(net),
                "net_bps_low": low,
                "net_bps_high": high,
                "profit_factor": profit_factor(net),
                "break_even_multiple": _break_even_multiple(means, costs),
                "depth_share_mean": float(kept["depth_share"].mean()),
                "n_common": int(common.sum()),
                "net_bps_common": expectancy_bps(table["net_bps"][common]),
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _at_venue(
    trade: ClosedTrade,
    costs: CostModel,
    contracts: Mapping[str, Contract],
    venues: Mapping[str, Mapping[str, Contract]],
    paths: Mapping[str, PricePath],
) -> dict[str, Any]:
    """Return why the venue refuses a trade ("" where it takes it), and the parts of its result, basis points."""
    plan = trade.plan
    contract, own = contracts[plan.symbol], venues.get(plan.venue, {}).get(plan.symbol)
    depth = contract.relative_depth / (own.relative_depth if own is not None else 1.0)
    quantity = round_down(plan.quantity, contract.lot_size)
    order = {"volume_24h": depth * plan.volume_24h, "volatility_daily": plan.volatility_daily}
    spread = costs.market_slippage(contract, quantity=0.0, **order)
    market = costs.market_slippage(contract, quantity=quantity, **order)
    stop = costs.stop_slippage(contract, quantity=quantity, **order, atr_bar=plan.atr_bar)
    # Fractions of the entry notional. A target rests, and a liquidation costs the margin: no slippage at either.
    leaves = trade.exit_price / plan.entry
    crosses = 1.0 + (leaves if trade.exit_reason in ("time", "stop") else 0.0)
    gross = plan.side * (leaves - 1.0)
    parts = {
        "fee_bps": costs.fee_fraction(contract) * (1.0 + leaves),
        "spread_bps": spread * crosses,
        "impact_bps": (market - spread) * crosses,
        "stop_slippage_bps": (stop - market) * leaves if trade.exit_reason == "stop" else 0.0,
        "latency_bps": plan.latency_slippage,
        "funding_bps": trade.funding_usd / plan.notional_usd - _excess_funding(trade, contract, paths[plan.symbol]),
    }
    net = gross - math.fsum(parts.values())
    if not math.isfinite(net):
        raise DataError(f"{plan.symbol} of {trade.entry_time} nets {net} at {contract.venue}: its plan is not finite")
    return {
        "refusal": _refusal(plan, contract, quantity=quantity, slippage=market + plan.latency_slippage),
        "gross_bps": _BPS * gross,
        **{name: _BPS * part for name, part in parts.items()},
        "net_bps": _BPS * net,
        "depth_share": quantity / (depth * plan.depth_1pct),
    }


def _refusal(plan: TradePlan, contract: Contract, *, quantity: float, slippage: float) -> str:
    if quantity < contract.min_quantity or quantity * plan.entry < contract.min_notional_usd:
        return "below_minimum"
    fill = plan.entry * (1.0 + plan.side * slippage)
    # A short grows while it loses; bankruptcy lies beyond any liquidation (as in sizing).
    if quantity * max(fill, plan.bankruptcy_price) > contract.max_notional_usd:
        return "beyond_tiers"
    return "beyond_tiers" if plan.leverage > contract.tier(quantity * fill).max_leverage else ""


def _excess_funding(trade: ClosedTrade, contract: Contract, path: PricePath) -> float:
    """Return the recorded funding beyond the limits of another venue, fraction of the entry notional."""
    plan = trade.plan
    if contract.venue == plan.venue:
        return 0.0  # what was recorded there was charged there
    rates = path.funding_rate
    excess = replace(path, funding_rate=rates - np.clip(rates, contract.funding_floor, contract.funding_cap))
    start, end = since_1970(trade.entry_time), since_1970(trade.exit_time)
    return excess.funding_usd(side=plan.side, quantity=1.0, start_us=start, end_us=end) / plan.entry


def _facts(trades: Sequence[ClosedTrade], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    met = [contracts[trade.plan.symbol] for trade in trades] or list(contracts.values())
    kinds = {contract.symbol: contract for contract in met}
    return {
        "taker_fee_bps": _BPS * _mean([contract.taker_fee for contract in met]),
        "half_spread_bps": _BPS * _mean([contract.half_spread for contract in met]),
        "relative_depth": _mean([contract.relative_depth for contract in met]),
        "funding_interval_hours": _mean([contract.funding_interval.total_seconds() / 3600.0 for contract in met]),
        "confirmed": all(contract.confirmed for contract in kinds.values()),
        "assumed": _assumed(kinds),
    }


def _assumed(contracts: Mapping[str, Contract]) -> str:
    """Name what is assumed, with the symbols where that is not all of them."""
    symbols: dict[str, list[str]] = {}
    for symbol, contract in sorted(contracts.items()):
        for fact in contract.assumed:
            symbols.setdefault(fact, []).append(symbol)
    return ", ".join(
        fact if len(where) == len(contracts) else f"{fact} ({' '.join(where)})" for fact, where in symbols.items()
    )


def _break_even_multiple(means: pd.Series, costs: CostModel) -> float:
    """Solve ``gross - funding - multiple × costs = 0``: a straight line in the multiple."""
    before_costs, paid = means["gross_bps"] - means["funding_bps"], means[_COSTS].sum(skipna=False)
    if not (before_costs >= 0.0 and paid > 0.0):  # written so that NaN fails too
        return math.nan
    return float(costs.multiple * before_costs / paid)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _require(
    trades: Sequence[ClosedTrade],
    costs: CostModel,
    venues: Mapping[str, Mapping[str, Contract]],
    paths: Mapping[str, PricePath],
) -> None:
    if not venues:
        raise ParameterError("`venues` must hold at least one venue, was empty")
    other = [trade.plan.cost_multiple for trade in trades if trade.plan.cost_multiple != costs.multiple]
    if other:
        raise ParameterError(f"`multiple` of the costs must be that of the plans, {other[0]}, was {costs.multiple}")
    traded = {trade.plan.symbol for trade in trades}
    known = {"`paths`": paths, **{f"`venues` of {name}": contracts for name, contracts in venues.items()}}
    for name, held in known.items():
        lacking = sorted(traded - set(held))
        if lacking:
            raise MissingDataError(f"{name} must hold every symbol that was traded, lacked {', '.join(lacking)}")
