"""Venue comparison: the same trades at the fees, spread, depth, stop slippage and funding of each venue.

Entries, exits and quantities do not change, only the costs are those of each venue. A fact of a venue without a dated
source is reported as assumed. No stored source compares spread or depth, so the venues differ only in fees, order
steps, margin tiers and funding limits until these are measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import DataError, ParameterError
from slackwater.evidence._intervals import BPS, MEAN, entry_times, mean_and_interval, require_multiple, require_symbols
from slackwater.evidence._trades_on_paths import on_their_paths
from slackwater.evidence.resampling import Resampling
from slackwater.market.contracts import Contract, venue_contracts
from slackwater.market.rounding import round_down
from slackwater.market.venues import EXCHANGES
from slackwater.metrics.trading import expectancy_bps, profit_factor
from slackwater.times import epoch_us
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath

__all__ = ["comparable_venues", "venue_comparison"]

# Costs of every order, and everything between gross and net.
_COSTS = ["fee_bps", "spread_bps", "impact_bps", "stop_slippage_bps", "latency_bps"]
_PARTS = [*_COSTS, "funding_bps"]
_REFUSALS = ["below_minimum", "beyond_tiers"]
_COLUMNS = [
    *("venue", "n_trades", "n_refused", *(f"n_{refusal}" for refusal in _REFUSALS)),
    *("taker_fee_bps", "half_spread_bps", "relative_depth", "funding_interval_hours"),
    *("gross_bps", *_PARTS, "cost_bps", *MEAN),
    *("profit_factor", "break_even_multiple", "depth_share_mean", "n_common", "net_bps_common"),
    *("confirmed", "assumed"),
]


def comparable_venues(
    own: str, contracts: Mapping[str, Contract], symbols: Sequence[str]
) -> tuple[dict[str, Mapping[str, Contract]], list[str]]:
    """Return the venues whose facts are known for every symbol, the own one first, and why others are left out."""
    venues, unknown = {own: contracts}, []
    for venue in EXCHANGES:
        facts = venue_contracts(venue)
        lacking = [symbol for symbol in symbols if symbol not in facts]
        if lacking and venue != own:
            unknown.append(f"{venue}, whose facts of {', '.join(lacking)} are not built in")
        else:
            venues.setdefault(venue, facts)
    return venues, unknown


def venue_comparison(
    trades: Sequence[ClosedTrade],
    costs: CostModel,
    venues: Mapping[str, Mapping[str, Contract]],
    paths: Mapping[str, PricePath],
    resampling: Resampling,
) -> pd.DataFrame:
    """Return the result of the trades at the costs of each venue, and the facts behind it.

    Parameters
    ----------
    trades
        Unit-risk trades (`slackwater.trading.backtest.Backtest.unit_risk_trades`). Entries and exits do not change;
        quantities are rounded down to the venue's lot. An earlier liquidation at another venue is not considered.
    costs
        Cost model of the plans. The latency is that of the plan.
    venues
        Facts by name of the venue and symbol. The same venue at two levels of fees can have two names.
    paths
        Price paths of the trades, for the settled funding rates.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    DataFrame
        One row per venue, in their order. Basis points are of the entry notional, means over the trades taken, NaN
        where there is none.

        - `venue`; `n_trades` taken; `n_refused`, the sum of `n_below_minimum` (the rounded order is smaller than the
          venue's smallest) and `n_beyond_tiers` (the position, until it is bankrupt, lies beyond the known margin
          tiers, or its leverage above theirs).
        - Mean facts over the trades, over all contracts where there are no trades: `taker_fee_bps`,
          `half_spread_bps`, `relative_depth` (1 is Binance's), `funding_interval_hours`.
        - `gross_bps`; its parts that are lost, both orders together: `fee_bps`, `spread_bps`, `impact_bps`,
          `stop_slippage_bps` (of a stop, beyond spread and impact), `latency_bps`, `funding_bps` (negative if
          received); their sum `cost_bps`; and the rest, `net_bps_mean`, with the 95 % interval `net_bps_low` and
          `net_bps_high`.
        - `profit_factor` (of the basis points); `break_even_multiple`, the factor on fees and slippage at which the
          net result is zero, 1 being the cost model without its own `multiple`, NaN where it is negative without costs;
          `depth_share_mean`, share of the depth within 1 % that an entry takes, over the trades whose depth is known.
        - `n_common`, `net_bps_common`: the trades that every venue takes, and their net result here. Where venues
          refuse different trades, only this compares them on the same ones.
        - `confirmed`, whether the margin tiers are a dated answer of the venue for every symbol; `assumed`, the facts
          without a dated source, with the symbols where that holds for some only.

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

    Funding is that of the venue of the data, less the part of a settled rate beyond the limits of the other venue. The
    limits are those of the contract, whatever the time of the trade; an unknown limit takes nothing away. The rates
    that the other venue settled are not used.

    Examples
    --------
    >>> from slackwater.market.contracts import venue_contracts
    >>> venues = {name: venue_contracts(name) for name in ("binance", "bybit")}
    >>> table = venue_comparison([], CostModel(), venues, {}, Resampling())
    >>> table[["venue", "n_trades", "taker_fee_bps", "net_bps_mean"]].values.tolist()
    [['binance', 0, 5.0, nan], ['bybit', 0, 5.5, nan]]
    """
    _require(trades, costs, venues)

    def everywhere(trade: ClosedTrade, path: PricePath) -> list[dict[str, Any]]:
        return [_at_venue(trade, costs, contracts, venues, path) for contracts in venues.values()]

    of_trades = on_their_paths(everywhere, trades, paths)
    at_venues = {
        name: pd.DataFrame(
            [of_trade[at] for of_trade in of_trades],
            columns=["refusal", "gross_bps", *_PARTS, "net_bps", "depth_share"],
        )
        for at, name in enumerate(venues)
    }
    taken = {name: (table["refusal"] == "").to_numpy(dtype=bool) for name, table in at_venues.items()}
    common = np.logical_and.reduce(list(taken.values()))
    entries = entry_times(trades)
    rows = [
        {
            "venue": name,
            **_facts(trades, venues[name]),
            **_means_at(table[taken[name]], entries[taken[name]], costs, resampling),
            **_refusals(table),
            "n_common": int(common.sum()),
            "net_bps_common": expectancy_bps(table["net_bps"][common]),
        }
        for name, table in at_venues.items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _refusals(table: pd.DataFrame) -> dict[str, int]:
    """Count the refused trades of a venue by reason."""
    reasons = table["refusal"].value_counts()
    counts = {refusal: int(reasons.get(refusal, 0)) for refusal in _REFUSALS}
    return {"n_refused": sum(counts.values()), **{f"n_{refusal}": count for refusal, count in counts.items()}}


def _means_at(kept: pd.DataFrame, times: pd.Series, costs: CostModel, resampling: Resampling) -> dict[str, Any]:
    """Return number and means of the trades that a venue takes."""
    net = kept["net_bps"].to_numpy(dtype=np.float64)
    means = kept[["gross_bps", *_PARTS]].mean()
    return {
        "n_trades": len(kept),
        **means,
        "cost_bps": means[_PARTS].sum(skipna=False),
        **mean_and_interval(net, times, resampling),
        "profit_factor": profit_factor(net),
        "break_even_multiple": _break_even_multiple(means, costs),
        "depth_share_mean": float(kept["depth_share"].mean()),
    }


def _at_venue(
    trade: ClosedTrade,
    costs: CostModel,
    contracts: Mapping[str, Contract],
    venues: Mapping[str, Mapping[str, Contract]],
    path: PricePath,
) -> dict[str, Any]:
    """Return why the venue refuses a trade ("" where it takes it), and the parts of its result, basis points."""
    plan = trade.plan
    contract, own = contracts[plan.symbol], venues.get(plan.venue, {}).get(plan.symbol)
    depth = contract.relative_depth / (own.relative_depth if own is not None else 1.0)
    quantity = round_down(plan.quantity, contract.lot_size)
    context, latency = plan.score.context, plan.costs.latency_slippage
    order = {"volume_24h": depth * context.volume_24h, "volatility_daily": context.volatility_daily}
    spread = costs.market_slippage(contract, quantity=0.0, **order)
    market = costs.market_slippage(contract, quantity=quantity, **order)
    stop = costs.stop_slippage(contract, quantity=quantity, **order, atr_1h=context.atr_1h)
    # Fractions of the entry notional. Neither a resting target nor a liquidation at the bankruptcy price has slippage.
    leaves = trade.exit_price / plan.entry
    crosses = 1.0 + (leaves if trade.exit_reason in ("time", "stop") else 0.0)
    gross = plan.side * (leaves - 1.0)
    parts = {
        "fee_bps": costs.fee_fraction(contract) * (1.0 + leaves),
        "spread_bps": spread * crosses,
        "impact_bps": (market - spread) * crosses,
        "stop_slippage_bps": (stop - market) * leaves if trade.exit_reason == "stop" else 0.0,
        "latency_bps": latency,
        "funding_bps": trade.funding_usd / plan.notional_usd - _excess_funding(trade, contract, path),
    }
    net = gross - math.fsum(parts.values())
    if not math.isfinite(net):
        raise DataError(f"{plan.symbol} of {trade.entry_time} nets {net} at {contract.venue}: its plan is not finite")
    return {
        "refusal": _refusal(plan, contract, quantity=quantity, slippage=market + latency),
        "gross_bps": BPS * gross,
        **{name: BPS * part for name, part in parts.items()},
        "net_bps": BPS * net,
        "depth_share": quantity / (depth * context.depth_1pct),
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
        return 0.0  # the recorded funding is that of this venue
    limited = np.clip(path.funding_rate, contract.funding_floor, contract.funding_cap)
    recorded, within_limits = (
        path.funding_usd(
            side=plan.side,
            quantity=1.0,
            start_us=epoch_us(trade.entry_time),
            end_us=epoch_us(trade.held_until or trade.exit_time),
            gone_us=epoch_us(trade.gone_after or trade.exit_time),
            rates=rates,
        )
        for rates in (path.funding_rate, limited)
    )
    return (recorded - within_limits) / plan.entry


def _facts(trades: Sequence[ClosedTrade], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    met = [contracts[trade.plan.symbol] for trade in trades] or list(contracts.values())
    kinds = {contract.symbol: contract for contract in met}
    return {
        "taker_fee_bps": BPS * _mean([contract.taker_fee for contract in met]),
        "half_spread_bps": BPS * _mean([contract.half_spread for contract in met]),
        "relative_depth": _mean([contract.relative_depth for contract in met]),
        "funding_interval_hours": _mean([contract.funding_interval.total_seconds() / 3600.0 for contract in met]),
        "confirmed": all(contract.confirmed for contract in kinds.values()),
        "assumed": _assumed(kinds),
    }


def _assumed(contracts: Mapping[str, Contract]) -> str:
    """Return the assumed facts as text, with the symbols where not all are concerned."""
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
    if not (before_costs >= 0.0 and paid > 0.0):  # negated, so that NaN fails too
        return math.nan
    return float(costs.multiple * before_costs / paid)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _require(trades: Sequence[ClosedTrade], costs: CostModel, venues: Mapping[str, Mapping[str, Contract]]) -> None:
    if not venues:
        raise ParameterError("`venues` must hold at least one venue, was empty")
    require_multiple(costs, trades)
    for name, contracts in venues.items():
        require_symbols(f"venues[{name!r}]", contracts, trades)
