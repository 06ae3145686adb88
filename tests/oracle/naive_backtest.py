"""A backtest that anyone can read: a clock, plain variables, and nothing known before it happens.

The engine walks each accepted plan ahead to its exit. Here the clock goes through every moment at which a bar opens
or closes, a day begins or an order is sent, and looks only at what has happened by then. Both ask the same gate;
everything else is written again, from the docstrings.

Times are microseconds since 1970, as in the engine, because comparing them is quick.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pandas as pd

from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import RECOVERY_WINS, TrackRecord
from slackwater.trading.gate import Gate
from slackwater.trading.score import Score

HOUR = 3_600_000_000
DAY = 24 * HOUR
SECOND = 1_000_000
EPOCH = pd.Timestamp(0, tz="UTC")


class Bar(NamedTuple):
    """One bar of last trades."""

    opens: int
    closes: int
    open: float
    high: float
    low: float
    close: float


class Position:
    """A plan that was filled, and how it ended."""

    def __init__(self, plan: TradePlan, entry_time: int, expiry: int) -> None:
        self.plan, self.entry_time, self.expiry = plan, entry_time, expiry
        self.exit_time, self.exit, self.exit_reason = 0, math.nan, ""
        self.held = self.gone = 0  # open until the first for certain, and no longer after the second

    def ends(self, time: int, price: float, reason: str) -> Position:
        self.exit_time, self.exit, self.exit_reason = time, price, reason
        return self


def us(time: Any) -> int:
    """Return the microseconds since 1970 of a time."""
    return int((time - EPOCH) // pd.Timedelta("1us"))


def utc(time: int) -> pd.Timestamp:
    return pd.Timestamp(time, unit="us", tz="UTC")


class NaiveBacktest:
    """One account, or with `unit_risk` a new one for every trade. The tables are made by the constructor."""

    def __init__(
        self,
        scores: pd.DataFrame,
        fine_bars: pd.DataFrame,
        *,
        gate: Gate,
        funding: pd.DataFrame | None,
        mark: pd.DataFrame | None = None,
        initial_equity: float,
        decision_lag: timedelta,
        horizon: timedelta,
        fine_bar_interval: timedelta,
        unit_risk: bool = False,
    ) -> None:
        self.lag, self.interval = decision_lag // timedelta(microseconds=1), fine_bar_interval
        self.horizon = horizon // timedelta(microseconds=1)
        self.coarse = fine_bar_interval > timedelta(minutes=1)
        self.gate = gate
        if self.coarse:  # such a path does not show what the delay costs
            self.gate = replace(gate, costs=replace(gate.costs, latency=max(decision_lag, gate.costs.latency)))
        self.initial_equity, self.unit_risk = initial_equity, unit_risk
        self.read(scores, fine_bars, funding, mark)

        self.returns: dict[tuple[str, int], float | None] = {}
        self.cash = initial_equity
        self.positions: list[Position] = []
        self.seen: list[tuple[int, float, float | None]] = []  # time, equity, and what a trade that ended has won
        self.trades: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.equity: list[dict[str, Any]] = []
        self.exposure: list[dict[str, Any]] = []
        self.plans: list[tuple[pd.Timestamp, str, pd.Timestamp]] = []
        self.run()

    # ---- the market -------------------------------------------------------------------------------------------------

    def read(
        self, scores: pd.DataFrame, fine_bars: pd.DataFrame, funding: pd.DataFrame | None, mark: pd.DataFrame | None
    ) -> None:
        self.scores = []
        for row in scores.to_dict("records"):
            score = Score.from_row({"missing_features": (), "out_of_range_features": (), "triggers": ()} | row)
            if score.direction != 0:
                self.scores.append(score)
        self.scores.sort(key=lambda score: (score.event_time, score.symbol))
        self.symbols = sorted({score.symbol for score in self.scores})
        self.bars: dict[str, list[Bar]] = {symbol: [] for symbol in self.symbols}
        for row in fine_bars.itertuples():
            if row.symbol in self.bars:
                bar = Bar(us(row.open_time), us(row.event_time), row.open, row.high, row.low, row.close)
                self.bars[row.symbol].append(bar)
        self.opens = {symbol: [bar.opens for bar in bars] for symbol, bars in self.bars.items()}
        self.closes = {symbol: [bar.closes for bar in bars] for symbol, bars in self.bars.items()}
        # open, high and low of the mark price of every bar: the last trades where it is not recorded
        self.mark = {(s, bar.opens): (bar.open, bar.high, bar.low) for s, bars in self.bars.items() for bar in bars}
        if mark is not None:
            for row in mark.itertuples():
                if (row.symbol, us(row.open_time)) in self.mark:
                    self.mark[row.symbol, us(row.open_time)] = (row.open, row.high, row.low)
        self.rates: dict[str, list[tuple[int, float]]] = {symbol: [] for symbol in self.symbols}
        if funding is not None:
            for row in funding.itertuples():
                if row.symbol in self.rates:
                    self.rates[row.symbol].append((us(row.event_time), row.funding_rate))

    def mark_price(self, symbol: str, time: int) -> float:
        """Return the mark price at the open of the bar in progress."""
        opens = self.opens[symbol]
        return self.mark[symbol, opens[bisect.bisect_right(opens, time) - 1]][0]

    def funding(self, position: Position, until: int) -> float:
        plan, paid = position.plan, 0.0
        for time, rate in self.rates[plan.symbol]:
            if position.entry_time + SECOND <= time < until + SECOND:  # stamps may be some milliseconds off
                paid += plan.side * rate * plan.quantity * self.mark_price(plan.symbol, time)
        return paid

    def funding_charged(self, position: Position) -> float:
        """Charge what was certainly seen, and of what came in the exit bar as much as would have hurt most."""
        stamps = [time for time, _ in self.rates[position.plan.symbol]]
        doubtful = [time for time in stamps if position.held + SECOND <= time < position.gone + SECOND]
        return max(self.funding(position, until) for until in [position.held, *doubtful])

    def funding_is_known(self, position: Position) -> bool:
        """Look for a day or more without a settlement, before, in or after the holding time."""
        stamps = [time for time, _ in self.rates[position.plan.symbol]]
        before = [time for time in stamps if time <= position.entry_time][-1:]
        within = [time for time in stamps if position.entry_time < time < position.gone]
        after = [time for time in stamps if time >= position.gone][:1]
        seen = [*before, *within, *after]
        path = [position.entry_time, *seen, position.gone]
        return bool(seen) and all(later - earlier <= DAY for earlier, later in itertools.pairwise(path))

    # ---- the orders -------------------------------------------------------------------------------------------------

    def orders(self) -> Iterator[tuple[int, str, Score, Bar]]:
        """Yield when each order is sent and the bar at whose open it is filled; refuse events that have no such bar."""
        interval = self.interval // timedelta(microseconds=1)
        for score in self.scores:
            decided = us(score.event_time) + self.lag
            sent = us(score.event_time) if self.coarse else decided
            bars = self.bars[score.symbol]
            end = bars[-1].closes
            at = bisect.bisect_left(self.opens[score.symbol], sent)
            if at == len(bars) or end < bars[at].opens + self.horizon:
                message = f"the fine bars end at {utc(end)}, before the horizon has passed"
                self.refuse(score, decided, "path_ends_before_horizon", message)
            elif bars[at].opens >= sent + interval:
                message = f"no bar opens within {self.interval} of {utc(sent)}"
                self.refuse(score, decided, "no_entry_bar", message)
            else:
                yield max(decided, bars[at].opens), score.symbol, score, bars[at]

    def refuse(self, score: Score, time: int, code: str, message: str) -> None:
        self.refusals.append(
            {"symbol": score.symbol, "event_time": score.event_time, "triggers": "+".join(score.triggers)}
            | {"decided_at": utc(time), "code": code, "message": message}
        )

    # ---- the clock --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        start = us(self.scores[0].event_time)
        self.seen.append((start, self.initial_equity, None))
        self.equity.append({"time": utc(start), "equity_usd": self.initial_equity})
        orders: dict[int, list[tuple[str, Score, Bar]]] = {}
        for time, symbol, score, bar in self.orders():
            orders.setdefault(time, []).append((symbol, score, bar))
        opening: dict[int, list[tuple[str, Bar]]] = {}
        closing: dict[int, list[tuple[str, Bar]]] = {}
        for symbol, bars in self.bars.items():
            for bar in bars:
                opening.setdefault(bar.opens, []).append((symbol, bar))
                closing.setdefault(bar.closes, []).append((symbol, bar))
        last = max(closing)
        midnights = set(range((start // DAY + 1) * DAY, last + 1, DAY))

        for time in sorted(set(orders) | set(opening) | set(closing) | midnights):
            # A day begins before the trades that end at its first moment.
            if time in midnights:
                self.seen.append((time, self.worth(time), None))
            ended = []
            for symbol, bar in closing.get(time, []):
                ended += [p.ends(time, *found) for p, found in self.exits_within(symbol, bar) if found is not None]
            for symbol, bar in opening.get(time, []):
                ended += [p.ends(time, *found) for p, found in self.exits_after_a_halt(symbol, bar)]
            for position in sorted(ended, key=lambda position: position.plan.symbol):
                self.close(position)
            for symbol, score, bar in sorted(orders.get(time, []), key=lambda order: order[0]):
                self.send(time, symbol, score, bar)
        assert not self.positions

    def exits_within(self, symbol: str, bar: Bar) -> Iterator[tuple[Position, tuple[float, str] | None]]:
        """Look for the exits of a bar that has just closed. Where it leaves a doubt, the worse is what happened."""
        for position in self.positions:
            if position.plan.symbol == symbol and bar.opens >= position.entry_time:
                found = self.exit_within(position, bar)
                yield position, self.after_funding(position, position.gone, found)

    def exit_within(self, position: Position, bar: Bar) -> tuple[float, str] | None:
        plan = position.plan
        mark_open, mark_high, mark_low = self.mark[plan.symbol, bar.opens]
        if plan.side > 0:
            opened_liquidated = mark_open <= plan.liquidation_price
            opened_stopped = bar.open <= plan.stop
            opened_won = bar.open > plan.target
            liquidated = mark_low <= plan.liquidation_price
            stopped = bar.low <= plan.stop
            won = bar.high > plan.target
            liquidation_is_nearer = plan.liquidation_price > plan.stop
        else:
            opened_liquidated = mark_open >= plan.liquidation_price
            opened_stopped = bar.open >= plan.stop
            opened_won = bar.open < plan.target
            liquidated = mark_high >= plan.liquidation_price
            stopped = bar.high >= plan.stop
            won = bar.low < plan.target
            liquidation_is_nearer = plan.liquidation_price < plan.stop
        # The first print of the bar, of the mark or of the last trades, may already end it.
        position.held = position.gone = bar.opens
        if opened_liquidated:
            return plan.bankruptcy_price, "liquidation"
        if opened_stopped:
            return self.filled(plan, bar.open, "stop")
        if opened_won:
            return plan.target, "target"
        # From here on the bar does not show when.
        position.gone = bar.closes
        if liquidated and liquidation_is_nearer:
            return plan.bankruptcy_price, "liquidation"
        if stopped:
            return self.filled(plan, plan.stop, "stop")
        if liquidated:
            return plan.bankruptcy_price, "liquidation"
        if won:
            return plan.target, "target"
        position.held = bar.closes
        if bar.closes >= position.expiry - SECOND:  # venues that stamp a close just before the next open
            return self.filled(plan, bar.close, "time")
        return None

    def exits_after_a_halt(self, symbol: str, bar: Bar) -> Iterator[tuple[Position, tuple[float, str]]]:
        """Fill what should have been sold while there was no market, now that a bar opens."""
        mark_open = self.mark[symbol, bar.opens][0]
        for position in self.positions:
            plan = position.plan
            if plan.symbol != symbol or bar.opens < position.expiry or bar.opens == position.entry_time:
                continue
            if position.exit_reason:  # its last bar closes as this one opens
                continue
            if plan.side * (mark_open - plan.liquidation_price) <= 0:
                found = plan.bankruptcy_price, "liquidation"
            elif plan.side * (bar.open - plan.stop) <= 0:
                found = self.filled(plan, bar.open, "stop")
            else:
                found = self.filled(plan, bar.open, "time")
            position.held = position.gone = bar.opens
            ended = self.after_funding(position, bar.opens, found)
            assert ended is not None
            yield position, ended

    def after_funding(
        self, position: Position, until: int, found: tuple[float, str] | None
    ) -> tuple[float, str] | None:
        """Let funding that has eaten the account liquidate, no better than what the bar would have brought."""
        plan, time = position.plan, self.spent(position, until)
        if time is None:
            return found
        price = self.mark_price(plan.symbol, time)
        if found is not None and plan.side * (found[0] - price) < 0:
            price = found[0]
        return self.filled(plan, price, "liquidation")

    def spent(self, position: Position, until: int) -> int | None:
        """Return the first settlement at which the funding paid had left nothing of the equity of the plan."""
        plan, left = position.plan, position.plan.equity
        left -= plan.quantity * plan.entry * (plan.costs.fee_fraction + plan.costs.entry_slippage)
        for time, _ in self.rates[plan.symbol]:
            if position.entry_time + SECOND <= time < until + SECOND:
                paid = self.funding(position, time)
                gain = plan.side * plan.quantity * (self.mark_price(plan.symbol, time) - plan.entry)
                if paid > 0.0 and left + gain - paid <= 0.0:
                    return time
        return None

    @staticmethod
    def filled(plan: TradePlan, price: float, reason: str) -> tuple[float, str]:
        """Nobody loses more than the margin to the market: what lies beyond is borne by the venue's insurance."""
        if plan.side * (price - plan.bankruptcy_price) < 0:
            return plan.bankruptcy_price, "liquidation"
        return price, reason

    # ---- the account ------------------------------------------------------------------------------------------------

    def worth(self, time: int) -> float:
        """Return cash and what the open positions would bring at the mark, after what they have paid."""
        equity = self.cash
        for position in self.positions:
            plan = position.plan
            gain = plan.side * plan.quantity * (self.mark_price(plan.symbol, time) - plan.entry)
            fee = plan.quantity * plan.entry * plan.costs.fee_fraction
            slippage = plan.quantity * plan.entry * plan.costs.entry_slippage
            equity += gain - fee - slippage - self.funding(position, time)
        return equity

    def send(self, time: int, symbol: str, score: Score, bar: Bar) -> None:
        equity = self.worth(time)
        self.seen.append((time, equity, None))
        account = Account(
            equity=equity,
            open_positions=tuple(self.held(position, time) for position in self.positions),
            record=self.record(),
            correlations=self.correlations(time) if self.positions else None,
        )
        if self.unit_risk:
            account = Account(equity=self.initial_equity)
        decision = self.gate.decide(score, account, now=utc(time), price=bar.open)
        if isinstance(decision, Refusal):
            for reason in decision.reasons:
                self.refuse(score, time, reason.code, reason.message)
        else:
            self.plans.append((utc(time), symbol, score.event_time))
            self.positions.append(Position(decision, bar.opens, bar.opens + self.horizon))
            self.note(bar.opens)

    def held(self, position: Position, time: int) -> OpenPosition:
        plan = position.plan
        return OpenPosition(
            symbol=plan.symbol,
            side=plan.side,
            quantity=plan.quantity,
            entry=plan.entry,
            mark=self.mark_price(plan.symbol, time),
            leverage=plan.leverage,
            risk_usd=plan.risk_usd,
        )

    def close(self, position: Position) -> None:
        plan, exit_ = position.plan, position.exit
        self.positions.remove(position)
        gross = plan.quantity * (exit_ - plan.entry) if plan.side > 0 else plan.quantity * (plan.entry - exit_)
        fees = plan.costs.fee_fraction * plan.quantity * plan.entry + plan.costs.fee_fraction * plan.quantity * exit_
        at_exit = {
            "stop": plan.costs.stop_slippage,
            "time": plan.costs.exit_slippage,
            "target": 0.0,
            "liquidation": 0.0,
        }
        slippage = plan.quantity * plan.entry * plan.costs.entry_slippage
        slippage += plan.quantity * exit_ * at_exit[position.exit_reason]
        funding = self.funding_charged(position)
        net = gross - fees - slippage - funding
        if funding > 0.0 and plan.equity + net < 0.0:  # an account below nothing has been liquidated
            slippage = plan.quantity * plan.entry * plan.costs.entry_slippage
            net, position.exit_reason = gross - fees - slippage - funding, "liquidation"
        notional = plan.quantity * plan.entry
        self.cash += net
        self.trades.append(
            {
                "symbol": plan.symbol,
                "event_time": plan.event_time,
                "triggers": "+".join(plan.score.triggers),
                "entry_time": utc(position.entry_time),
                "exit_time": utc(position.exit_time),
                "side": plan.side,
                "entry": plan.entry,
                "exit": exit_,
                "stop": plan.stop,
                "target": plan.target,
                "liquidation_price": plan.liquidation_price,
                "quantity": plan.quantity,
                "notional_usd": notional,
                "leverage": plan.leverage,
                "binding": plan.binding,
                "risk_usd": plan.risk_usd,
                "risk_fraction": plan.risk_usd / plan.equity,
                "reward_risk": plan.sizing.reward_risk,
                "p_direction": plan.score.p_direction,
                "p_trade": plan.sizing.p_trade,
                "p_trade_low": plan.p_trade_low,
                "expectancy_low": plan.expectancy_low,
                "stop_level": plan.levels.stop_level,
                "target_level": plan.levels.target_level,
                "risk_multiplier": plan.throttle.multiplier,
                "drawdown": plan.throttle.drawdown,
                "exit_reason": position.exit_reason,
                "gross_usd": gross,
                "fees_usd": fees,
                "slippage_usd": slippage,
                "latency_usd": notional * plan.costs.latency_slippage,
                "funding_usd": funding,
                "funding_known": self.funding_is_known(position),
                "net_usd": net,
                "gross_bps": 10_000 * gross / notional,
                "net_bps": 10_000 * net / notional,
                "net_r": net / plan.risk_usd,
                "equity_after": self.cash,
            }
        )
        self.equity.append({"time": utc(position.exit_time), "equity_usd": self.cash})
        self.seen.append((position.exit_time, self.worth(position.exit_time), net))
        self.note(position.exit_time)

    def note(self, time: int) -> None:
        """Keep what is open at a moment at which a position was opened or closed."""
        equity = self.worth(time)
        longs = shorts = risk = 0.0
        for position in self.positions:
            value = position.plan.quantity * self.mark_price(position.plan.symbol, time)
            longs, shorts = (longs + value, shorts) if position.plan.side > 0 else (longs, shorts + value)
            risk += position.plan.risk_usd
        self.exposure.append(
            {
                "time": utc(time),
                "n_positions": len(self.positions),
                "gross_notional_usd": longs + shorts,
                "net_notional_usd": longs - shorts,
                "equity_usd": equity,
                "leverage": (longs + shorts) / equity if equity > 0 else math.nan,
                "open_risk_fraction": risk / equity if equity > 0 else math.nan,
            }
        )

    def record(self) -> TrackRecord:
        """Read the whole past again: what the account has been worth, and how its trades have ended."""
        today = self.seen[-1][0] // DAY
        monday = today - (today + 3) % 7  # the first day of 1970 was a Thursday
        peak, worst, losses, worst_losses, wins, losing_today = 0.0, 0.0, 0, 0, 0, 0
        day_start = week_start = last_loss = None
        for time, equity, won in self.seen:
            day = time // DAY
            new_high = equity > peak
            peak = max(peak, equity)
            worst = max(worst, (peak - equity) / peak)
            if day == today and day_start is None:
                day_start = equity
            if day >= monday and week_start is None:
                week_start = equity
            if won is None:
                continue
            if won < 0:
                losses, wins, last_loss = losses + 1, 0, time
                worst_losses = max(worst_losses, losses)
                losing_today += day == today
            elif won > 0:
                losses, wins = 0, wins + 1
            if won >= 0 and (new_high or wins >= RECOVERY_WINS):
                losses = worst_losses = 0
        return TrackRecord(
            peak_equity=peak,
            worst_drawdown=worst,
            day=utc(today * DAY).date(),
            week=utc(monday * DAY).date(),
            day_start_equity=day_start,
            week_start_equity=week_start,
            losing_trades_today=losing_today,
            loss_streak=losses,
            worst_streak=worst_losses,
            win_streak=wins,
            last_loss_time=None if last_loss is None else utc(last_loss),
        )

    # ---- correlations -----------------------------------------------------------------------------------------------

    def hour_price(self, symbol: str, hour: int) -> float | None:
        """Return the close of the last bar that closed within the hour that ends at a full hour."""
        closes = self.closes[symbol]
        at = bisect.bisect_right(closes, hour) - 1
        return self.bars[symbol][at].close if at >= 0 and closes[at] > hour - HOUR else None

    def hour_return(self, symbol: str, hour: int) -> float | None:
        if (symbol, hour) not in self.returns:
            before, after = self.hour_price(symbol, hour - HOUR), self.hour_price(symbol, hour)
            self.returns[symbol, hour] = None if before is None or after is None else math.log(after / before)
        return self.returns[symbol, hour]

    def correlations(self, time: int) -> dict[tuple[str, str], float]:
        """Correlate the hourly returns of the last 30 days, where at least 7 days are common to both."""
        found = {}
        last = time // HOUR * HOUR
        first = min(min(closes) for closes in self.closes.values())
        hours = [hour for hour in range(last - 719 * HOUR, last + 1, HOUR) if hour >= first - HOUR]
        returns = {symbol: [self.hour_return(symbol, hour) for hour in hours] for symbol in self.symbols}
        for one in self.symbols:
            for other in self.symbols:
                both = [
                    (x, y) for x, y in zip(returns[one], returns[other], strict=True) if x is not None and y is not None
                ]
                if one >= other or len(both) < 7 * 24:
                    continue
                mean_x, mean_y = (math.fsum(values) / len(both) for values in zip(*both, strict=True))
                xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in both)
                xx = math.fsum((x - mean_x) ** 2 for x, _ in both)
                yy = math.fsum((y - mean_y) ** 2 for _, y in both)
                if xx > 0 and yy > 0:
                    found[one, other] = xy / math.sqrt(xx * yy)
        return found
