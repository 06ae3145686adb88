"""The compiled levels and sizes against plain Python, to the last bit.

See `tests.oracle.naive_size`. Compiled and interpreted formulas take the same roundings only while the kernels are
compiled without liberties, and their functions are those of the C library of Python.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from itertools import accumulate
from typing import Any, get_args

from slackwater.market.contracts import Contract, MarginTier, liquidation_price, margin_tiers
from slackwater.market.venues import LiquidationFormula
from slackwater.trading.account import Exposure
from slackwater.trading.bracket import Bracket, trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.rules import BracketRules, SizingRules
from slackwater.trading.score import MarketContext, Score
from slackwater.trading.sizing import Sizing, size_position
from tests.oracle.naive_size import naive_levels, naive_liquidation, naive_size
from tests.trading import TIME

CASES = 4_000
STEPS = (0.1, 0.5, 1e-3, 1e-8, 1e-12, 2.5e-7, 0.30000000000000004, 10.0, 1.0, 0.25, 7.0)
"""Of venues, and of no venue: some have more digits than floats count."""
VALUE_CODES = {"reward_risk_too_low", "no_trade_probability", "expected_value_too_low"}


class Draw(random.Random):
    """Random markets, contracts and rules."""

    def one_of(self, *values: Any) -> Any:
        return values[self.randrange(len(values))]

    def tiers(self, formula: LiquidationFormula) -> tuple[MarginTier, ...]:
        count = self.randint(1, 8)
        caps = accumulate((self.uniform(1.5, 5.0) for _ in range(count)), lambda cap, more: cap * more, initial=5e4)
        rates = accumulate((self.uniform(1.1, 1.6) for _ in range(count)), lambda rate, more: rate * more, initial=4e-3)
        rows = zip(caps, rates, strict=True)
        return margin_tiers([(cap, rate, min(1.0 / rate, self.uniform(1, 50))) for cap, rate in rows], formula)

    def contract(self) -> Contract:
        formula = self.one_of(*get_args(LiquidationFormula))
        return Contract(
            venue="anywhere",
            symbol="BTCUSDT",
            tick_size=self.one_of(*STEPS),
            lot_size=self.one_of(*STEPS),
            min_quantity=10.0 ** self.uniform(-6, -1),
            min_notional_usd=self.one_of(0.0, 5.0, 100.0),
            maker_fee=0.0002,
            taker_fee=self.uniform(0.0, 0.002),
            half_spread=self.uniform(0.0, 0.001),
            tiers=self.tiers(formula),
            source="drawn",
            as_of="2024-01-01",
            confirmed=True,
            liquidation=formula,
            outside=True,
        )

    def context(self) -> MarketContext:
        def distance() -> float:
            return abs(self.gauss(0.0, 0.03))

        depth = self.one_of(math.nan, *[10.0 ** self.uniform(2, 7)] * 9)
        maybe = {
            f"{level}_{way}": self.one_of(math.nan, distance() - 0.005)
            for level in ("swept_extreme_distance", "pool_distance")
            for way in ("above", "below")
        }
        return MarketContext(
            close=10.0 ** self.uniform(-2, 5),
            volatility_daily=self.uniform(0.001, 0.2),
            atr_1h=self.uniform(0.0005, 0.03),
            distance_to_high_24h=distance(),
            distance_to_low_24h=distance(),
            distance_to_high_72h=self.one_of(0.0, distance(), distance()),
            distance_to_low_72h=distance(),
            volume_24h=10.0 ** self.uniform(3, 9),
            depth_bid_1pct=depth,
            depth_ask_1pct=depth * self.uniform(0.5, 2.0),
            **maybe,
        )

    def bracket_rules(self) -> BracketRules:
        return BracketRules(
            target_sd=self.one_of(None, self.uniform(0.1, 3.0)),
            stop_sd=self.one_of(None, self.uniform(0.1, 3.0)),
            stop_buffer_atr=self.uniform(0.0, 1.0),
            target_buffer_atr=self.uniform(0.0, 0.5),
        )

    def rules(self) -> SizingRules:
        risk, cluster = sorted(self.uniform(0.001, 0.02) for _ in range(2))
        return SizingRules(
            risk_fraction=risk,
            max_cluster_risk=cluster,
            max_open_risk=self.uniform(cluster, 0.04),
            leverage_cap=self.one_of(1, 5, 10, self.uniform(1.0, 10.0)),
            volume_fraction=self.uniform(1e-4, 0.1),
            max_entry_slippage=self.uniform(0.001, 0.05),
            liquidation_buffer_stop=self.one_of(*[self.uniform(0.0, 1.0)] * 9, 50.0),
            liquidation_buffer_atr=self.uniform(0.0, 0.5),
            liquidation_buffer_price=self.uniform(0.0, 0.01),
            min_reward_risk=0.0,
            min_expectancy=None,
            kelly_fraction=self.one_of(None, None, self.uniform(0.05, 1.0)),
            depth_fraction=self.one_of(None, self.uniform(0.001, 1.0)),
        )

    def exposure(self, equity: float) -> Exposure:
        shares = {"notional": 6.0, "margin": 1.1, "unrealised": 0.2, "risk": 0.03, "cluster_risk": 0.02}
        drawn = {f"{name}_usd": equity * self.uniform(0.0, most) for name, most in shares.items()}
        return self.one_of(Exposure(), Exposure(), Exposure(**drawn))


def cases(seed: str, check: Callable[[Draw, Counter[str]], None]) -> Counter[str]:
    seen: Counter[str] = Counter()
    draw = Draw(seed)
    for _ in range(CASES):
        check(draw, seen)
    return seen


def test_levels_are_those_of_plain_python() -> None:
    """Catches another level, another side of a tie, and a step that floats cannot count, in the kernel."""

    def check(draw: Draw, seen: Counter[str]) -> None:
        context, side, tick, rules = draw.context(), draw.one_of(1, -1), draw.one_of(*STEPS), draw.bracket_rules()
        days = draw.one_of(1 / 24, 1.0, 3.0)
        found = trade_levels(context, side=side, tick_size=tick, rules=rules, horizon=timedelta(days=days))
        assert asdict(found) == naive_levels(context, side, tick, rules, days)
        seen.update([found.stop_level, f"to {found.target_level}"])

    seen = cases("levels", check)
    assert min(seen[name] for name in ("swept", "sd", "range_24h", "to range_72h", "to pool", "to sd")) > CASES / 20


def test_sizes_are_those_of_plain_python() -> None:
    """Catches a cap, a cost, a leverage or a liquidation price that the kernel counts in another way."""

    def check(draw: Draw, seen: Counter[str]) -> None:
        context, side, contract, rules = draw.context(), draw.one_of(1, -1), draw.contract(), draw.rules()
        away = (1.0 - side * draw.uniform(0.003, 0.08), 1.0 + side * draw.uniform(0.003, 0.1))
        bracket = Bracket(side=side, entry=context.close, stop=context.close * away[0], target=context.close * away[1])
        costs = CostModel(multiple=draw.one_of(0.0, 1.0, 2.0), latency=timedelta(seconds=draw.one_of(0, 5, 54)))
        low = draw.gauss(0.5, 0.6)
        equity, multiplier = draw.one_of(10_000, 10.0 ** draw.uniform(3, 9)), draw.one_of(*[1.0] * 6, *[0.5] * 3, 0.0)
        exposure, edges = draw.exposure(equity), (low + draw.random(), low)
        score = Score(
            symbol="BTCUSDT",
            event_time=TIME,
            available_time=TIME,
            direction=-side,
            context=context,
            p_direction=0.6,
            p_hit=0.5,
            trade_edge=edges[0],
            trade_edge_low=edges[1],
        )
        found = size_position(
            bracket,
            score=score,
            contract=contract,
            rules=rules,
            costs=costs,
            equity=equity,
            exposure=exposure,
            risk_multiplier=multiplier,
        )
        wanted = naive_size(bracket, context, edges, contract, rules, costs, equity, exposure, multiplier)
        if isinstance(found, Sizing):
            assert asdict(found) == wanted
            seen.update([found.binding, f"leverage {found.leverage}", contract.liquidation])
            return
        codes = [reason.code for reason in found if reason.code not in VALUE_CODES]
        seen.update(codes)
        # A size that Kelly makes too small is refused for its value alone.
        worthless = wanted == "below_minimum_size" and rules.kelly_fraction is not None
        assert codes[:1] == [wanted] if codes else isinstance(wanted, dict) or worthless

    seen = cases("sizes", check)
    caps = ("risk", "throttled_risk", "margin_tier", "volume", "depth", "kelly", "cluster_risk", "margin")
    refusals = ("missing_depth", "throttled", "open_risk_exceeded", "leverage_exceeded", "below_minimum_size")
    rare = ("slippage_too_high", "liquidation_before_stop")
    missed = [name for name in (*caps, *refusals, *rare, *get_args(LiquidationFormula)) if not seen[name]]
    assert not missed, seen


def test_liquidation_prices_are_those_of_plain_python() -> None:
    """Catches a price that the function, which shares its formula with the kernel, finds in another way."""

    def check(draw: Draw, seen: Counter[str]) -> None:
        contract, side, entry = draw.contract(), draw.one_of(1, -1), 10.0 ** draw.uniform(-2, 5)
        quantity, leverage = draw.uniform(0.0, 0.5) * contract.max_notional_usd / entry, draw.uniform(1.0, 50.0)
        found = liquidation_price(contract, side=side, entry=entry, quantity=quantity, leverage=leverage)
        assert found == naive_liquidation(contract, side, entry, quantity, leverage)
        seen[contract.liquidation] += 1

    assert min(cases("liquidations", check).values()) > CASES / 10
