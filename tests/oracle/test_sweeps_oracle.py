"""The sweep kernel against the state machine of method, section 5, written down in plain loops."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from slackwater.features import intermediates as m
from slackwater.features.sweeps import SweepsFamily
from slackwater.liquidity.levels import ATTEMPTS
from slackwater.liquidity.sweeps import LARGEST_BURST
from slackwater.market import inputs as i

WIDTH = m.FIRST_EXTRA
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FIRST_BAR_HOURS = 473_352  # midnight of 1 January 2024


def random_rows(n: int, interval: timedelta, seed: int) -> np.ndarray:
    """A market with bursts, gaps, unknown values, a daily rhythm of volume, and pools near the price."""
    rng = np.random.default_rng(seed)
    rows = np.full((n, WIDTH), np.nan)
    hours = interval / HOUR
    scale = 0.004 * math.sqrt(hours)
    turn = np.sin(np.arange(n) / 40.0) * 0.3
    steps = rng.standard_t(3, n) * scale * np.exp(0.5 * rng.normal(size=n)) + turn * scale
    # Spikes that come back at once: what a sweep is made of.
    spikes = (rng.random(n) < 0.08) * rng.normal(size=n) * 6.0 * scale
    close = np.cumsum(steps) * 0.6
    open_ = np.r_[0.0, close[:-1]]
    high = np.maximum(open_, close) + np.abs(rng.normal(size=n)) * scale + np.maximum(spikes, 0.0)
    low = np.minimum(open_, close) - np.abs(rng.normal(size=n)) * scale + np.minimum(spikes, 0.0)
    time = FIRST_BAR_HOURS + hours * np.arange(1, n + 1)
    rhythm = 1.0 + 3.0 * (np.ceil(time - 1e-6) % 24 == 14)
    burst = 1.0 + 8.0 * (rng.random(n) < 0.1) + np.abs(spikes) / scale
    rows[:, m.TIME_HOURS] = time
    rows[:, m.LOG_CLOSE], rows[:, m.LOG_HIGH], rows[:, m.LOG_LOW] = close, high, low
    rows[:, i.CLOSE] = np.exp(close)
    rows[:, i.VOLUME] = rng.gamma(4.0, 25.0, n) * rhythm * burst
    rows[:, i.OPEN_INTEREST] = 1e5 * np.exp(np.cumsum(rng.normal(size=n) * 2e-3))
    rows[:, m.ATR_HOUR] = 4.0 * scale / math.sqrt(hours) * np.exp(0.3 * np.sin(np.arange(n) / 100.0))
    rows[:, m.LIQUIDATION_BURST_LONG] = rng.normal(size=n)
    rows[:, m.LIQUIDATION_BURST_SHORT] = rng.normal(size=n)
    rows[:, m.POOL_ABOVE] = np.where(rng.random(n) < 0.7, close + np.abs(rng.normal(size=n)) * 5.0 * scale, np.nan)
    rows[:, m.POOL_BELOW] = np.where(rng.random(n) < 0.7, close - np.abs(rng.normal(size=n)) * 5.0 * scale, np.nan)
    rows[:, m.CONSUMED_ABOVE] = rng.random(n) * 1e-3
    rows[:, m.CONSUMED_BELOW] = rng.random(n) * 1e-3
    for column, share in (
        (i.VOLUME, 0.02),
        (i.OPEN_INTEREST, 0.1),
        (m.LIQUIDATION_BURST_LONG, 0.2),
        (m.LIQUIDATION_BURST_SHORT, 0.2),
        (m.CONSUMED_ABOVE, 0.2),
        (m.CONSUMED_BELOW, 0.2),
        (m.ATR_HOUR, 0.002),
    ):
        rows[rng.random(n) < share, column] = np.nan
    gap = rng.random(n) < 0.01
    gap |= np.r_[np.zeros(3, bool), gap[:-3]]
    carried = rows[:, m.LOG_CLOSE].copy()
    rows[gap] = np.nan
    rows[:, m.TIME_HOURS] = time
    # The close is carried through gaps.
    last = np.maximum.accumulate(np.where(gap, 0, np.arange(n)))
    rows[:, m.LOG_CLOSE] = carried[last]
    if gap[0]:
        raise AssertionError("the market must begin with a bar")
    return rows


class Side:
    """One side of the market, as if it were the upper one."""

    def __init__(self, family: SweepsFamily, rows: np.ndarray, sign: int) -> None:
        interval = family.bar_interval
        self.family = family
        self.present = ~np.isnan(rows[:, i.CLOSE])
        up, down = (m.LOG_HIGH, m.LOG_LOW) if sign > 0 else (m.LOG_LOW, m.LOG_HIGH)
        self.high = sign * rows[:, up]
        self.low = sign * rows[:, down]
        self.close = np.where(self.present, sign * rows[:, m.LOG_CLOSE], np.nan)
        self.atr = rows[:, m.ATR_HOUR]
        self.pool = sign * rows[:, m.POOL_ABOVE if sign > 0 else m.POOL_BELOW]
        self.consumed = rows[:, m.CONSUMED_ABOVE if sign > 0 else m.CONSUMED_BELOW]
        self.liquidations = rows[:, m.LIQUIDATION_BURST_SHORT if sign > 0 else m.LIQUIDATION_BURST_LONG]
        self.interest = rows[:, i.OPEN_INTEREST]
        self.volume = np.where(self.present, rows[:, i.VOLUME], np.nan)
        # Whole bars since 1970, so that days and hours are exact.
        self.bar = np.rint(rows[:, m.TIME_HOURS] / (interval / HOUR)).astype(int) - 1
        self.day = self.bar // (DAY // interval)
        self.hour = self.bar // max(HOUR // interval, 1)
        self.bars = {
            name: max(1, -(-getattr(family, name) // interval))
            for name in ("level_exclusion", "approach", "reclaim_window", "recent")
        }
        self.windows = sorted(w // interval for w in family.level_windows)
        self.attempts: list[dict[str, Any]] = []
        self.fired: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.started = 0
        # Of the last row with a bar.
        self.last_close = self.last_atr = self.last_pool = math.nan

    def levels(self, row: int) -> list[float]:
        """What can be pierced in `row`, from what was known before it."""
        exclusion = self.bars["level_exclusion"]
        out = []
        for window in self.windows:
            seen = self.high[max(row - exclusion - window, 0) : max(row - exclusion, 0)]
            seen = seen[~np.isnan(seen)]
            out.append(float(seen.max()) if len(seen) else math.nan)
        today = self.day[row] if row < len(self.day) else (self.bar[-1] + 1) // (DAY // self.family.bar_interval)
        first = max(row - 2 * (DAY // self.family.bar_interval), 0)
        yesterday = [k for k in range(first, row) if self.day[k] == today - 1 and not math.isnan(self.high[k])]
        made = max(yesterday, key=lambda k: (self.high[k], -k), default=None)
        out.append(self.high[made] if made is not None and made < row - exclusion else math.nan)
        out.append(self.last_pool)
        return out

    def burst(self, row: int, volume: float) -> float:
        """z-score of a volume against the hour of a row on the days before."""
        days = self.family.burst_window // DAY
        per_day = DAY // HOUR if self.family.bar_interval <= HOUR else DAY // self.family.bar_interval
        hours = {self.hour[row] - k * per_day for k in range(1, days + 1)}
        first = max(row - (days + 1) * (DAY // self.family.bar_interval), 0)
        usual = [self.volume[k] for k in range(first, row) if self.hour[k] in hours and not math.isnan(self.volume[k])]
        if len(usual) < 3 or math.isnan(volume):
            return math.nan
        median = np.median(usual)
        mad = np.median(np.abs(usual - median))
        if not mad > 0.0:
            return math.nan
        return float(np.clip((volume - median) / (1.4826 * mad), -LARGEST_BURST, LARGEST_BURST))

    def start(self, row: int) -> None:
        rules = self.family.rules
        for level in self.levels(row):
            if not self.last_close <= level < self.high[row]:
                continue
            merge = rules.merge * self.last_atr
            if any(abs(a["level"] - level) <= merge for a in self.attempts):
                continue
            recently = [f for f in self.fired if row - f["row"] < self.bars["recent"]]
            if any(abs(f["level"] - level) <= merge for f in recently) or len(self.attempts) >= ATTEMPTS:
                continue
            before = self.low[max(row - self.bars["approach"], 0) : row + 1]
            self.started += 1
            self.attempts.append(
                {
                    "level": level,
                    "row": row,
                    "atr": self.last_atr,
                    "approach": [x for x in before if not math.isnan(x)],
                    "highs": [],
                    "lows": [],
                    "closes": [],
                    "volumes": [],
                    "liquidations": [],
                    "mass": 0.0,
                    "interest": self.interest[row - 1],
                }
            )

    def judge(self, row: int, a: dict[str, Any]) -> str:
        """Class of an attempt after `row`; empty while it goes on."""
        rules, level, atr, close = self.family.rules, a["level"], a["atr"], self.close[row]
        top, bottom = max(a["highs"]), min(a["lows"])
        a["depth"] = (top - level) / atr
        a["speed"] = (top - min(a["approach"])) / atr
        a["burst"] = self.burst(row, max(a["volumes"], default=math.nan))
        a["rejection"] = (top - close) / (top - bottom)
        a["top"] = top
        run = a["closes"][-rules.acceptance_closes :]
        if a["depth"] > rules.deepest:
            return "glided"
        if len(run) == rules.acceptance_closes and all(c > level + rules.acceptance * atr for c in run):
            return "glided"
        if close < level - rules.reclaim * atr:
            fall = math.log(self.interest[row] / a["interest"])
            evidence = (
                a["burst"] >= rules.burst
                or max(a["liquidations"], default=-math.inf) >= rules.burst
                or fall <= -rules.interest_fall
            )
            violent = a["speed"] >= rules.speed and a["rejection"] >= rules.rejection
            return "swept" if a["depth"] >= rules.shallowest and violent and evidence else "expired"
        if row - a["row"] >= self.bars["reclaim_window"]:
            return "glided" if close > level and a["burst"] < rules.slow_burst else "expired"
        return ""

    def step(self, row: int) -> np.ndarray:
        """Take a row; return the outputs of this side."""
        if self.present[row] and self.last_atr > 0.0:
            self.start(row)
        swept_now = []
        for a in list(self.attempts):
            if not self.present[row]:
                verdict = "expired" if row - a["row"] >= self.bars["reclaim_window"] else ""
            else:
                a["highs"].append(self.high[row])
                a["lows"].append(self.low[row])
                a["closes"].append(self.close[row])
                a["volumes"] += [self.volume[row]] if not math.isnan(self.volume[row]) else []
                a["liquidations"] += [self.liquidations[row]] if not math.isnan(self.liquidations[row]) else []
                a["mass"] += 0.0 if math.isnan(self.consumed[row]) else self.consumed[row]
                verdict = self.judge(row, a)
            if verdict:
                self.attempts.remove(a)
                self.ended.append(verdict)
            if verdict in ("swept", "glided"):
                self.fired.append(a | {"row": row, "class": verdict})
            if verdict == "swept":
                swept_now.append(a)
        if self.present[row]:
            self.last_close, self.last_atr, self.last_pool = self.close[row], self.atr[row], self.pool[row]
        return self.describe(row)

    def describe(self, row: int) -> np.ndarray:
        family, close = self.family, self.close[row]
        hours = family.bar_interval / HOUR
        memory = family.memory / HOUR
        recent = [f for f in self.fired if row - f["row"] < self.bars["recent"]]
        out = []
        for kind in ("swept", "glided"):
            rows = [f["row"] for f in self.fired if f["class"] == kind]
            out.append(min((row - rows[-1]) * hours, memory) if rows else memory)
        out += [float(sum(f["class"] == kind for f in recent)) for kind in ("swept", "glided")]
        sweeps = [f for f in recent if f["class"] == "swept"]
        if sweeps:
            newest = [f for f in sweeps if f["row"] == sweeps[-1]["row"]]
            last = max(newest, key=lambda f: f["depth"])
            out += [last[name] for name in ("depth", "speed", "burst", "rejection", "mass")]
        else:
            out += [0.0] * 5
        out.append(max((a["depth"] for a in self.attempts), default=0.0) if self.present[row] else math.nan)
        beyond = [level for level in self.levels(row + 1) if level >= close]
        distance = (min(beyond) - close) / self.atr[row] if beyond else math.inf
        out.append(min(distance, family.farthest))
        out.append(last["top"] - close if sweeps else math.nan)
        return np.array(out)


def oracle(family: SweepsFamily, rows: np.ndarray) -> tuple[np.ndarray, tuple[Side, Side]]:
    above, below = Side(family, rows, 1), Side(family, rows, -1)
    out = np.full((len(rows), 25), np.nan)
    warm = family.warm_up // family.bar_interval
    for row in range(len(rows)):
        counts = [s.ended.count("swept") for s in (above, below)]
        up, down = above.step(row), below.step(row)
        if row < warm or not above.present[row] or math.isnan(above.atr[row]):
            continue
        rose, fell = (s.ended.count("swept") > c for s, c in zip((above, below), counts, strict=True))
        out[row, 0] = float(rose) - float(fell)
        out[row, 1::2], out[row, 2::2] = down, up
    return out, (above, below)


def run(family: SweepsFamily, rows: np.ndarray) -> np.ndarray:
    state, constants = np.zeros(family.state_size()), family.constants()
    out = np.empty((len(rows), len(family.features())))
    for row, values in enumerate(rows):
        type(family).advance(state, constants, values, out[row])
    return out


SHORT: dict[str, Any] = {
    "level_windows": (4 * HOUR, 12 * HOUR, DAY),
    "burst_window": 3 * DAY,
    "recent": 8 * HOUR,
    "memory": 12 * HOUR,
}


@pytest.mark.parametrize(
    ("minutes", "n", "settings"),
    [
        (5, 2500, SHORT),
        (5, 2000, SHORT | {"level_exclusion": timedelta(minutes=5), "approach": timedelta(hours=1)}),
        (30, 1500, SHORT | {"reclaim_window": timedelta(hours=2)}),
        (60, 1500, {"reclaim_window": timedelta(hours=3)}),
        (240, 1500, {"reclaim_window": timedelta(hours=8), "level_exclusion": timedelta(hours=8)}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_kernel_agrees_with_plain_loops(minutes: int, n: int, settings: dict[str, Any], seed: int) -> None:
    interval = timedelta(minutes=minutes)
    family = SweepsFamily(bar_interval=interval, **settings)
    rows = random_rows(n, interval, seed)
    expected, sides = oracle(family, rows)
    np.testing.assert_allclose(run(family, rows), expected, rtol=1e-9, atol=1e-9)
    for side in sides:
        # The market must have shown every class, or nothing was compared.
        assert min(side.ended.count(kind) for kind in ("swept", "glided", "expired")) >= 5
        assert side.started == len(side.ended) + len(side.attempts)
