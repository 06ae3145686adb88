"""The ring of exit prices against a plain list of positions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slackwater.simulation.parameters import MarketParameters
from slackwater.simulation.positions import (
    BIN_WIDTH,
    LONG,
    SHORT,
    STOP_TIER,
    close_share,
    empty_positions,
    force_out,
    held,
    leverage_tiers,
    open_position,
)


@pytest.mark.parametrize("seed", range(4))
def test_forced_exits_equal_those_of_a_list_of_positions(seed):
    """Fails when a bin is skipped, emptied twice or scaled wrongly, or when the ring wraps onto a live bin."""
    random = np.random.default_rng(seed)
    positions = empty_positions()
    listed: list[list[float]] = []  # side, tier, exit bin, coin
    log_price = 0.0
    for _ in range(3000):
        for side, sign in ((LONG, -1.0), (SHORT, 1.0)):
            tier, quantity = int(random.integers(STOP_TIER + 1)), float(random.exponential())
            exit_log_price = log_price + sign * random.uniform(0.002, 0.3)
            open_position(positions, side, tier, exit_log_price, quantity)
            listed.append([side, tier, math.floor(exit_log_price / BIN_WIDTH), quantity])
        side, tier, share = int(random.integers(2)), int(random.integers(STOP_TIER + 1)), random.uniform(0, 0.5)
        close_share(positions, side, tier, share)
        for position in listed:
            if position[0] == side and position[1] == tier:
                position[3] *= 1 - share

        before, log_price = log_price, log_price + 0.02 * float(random.standard_t(3))
        side = LONG if log_price < before else SHORT
        first, last = math.floor(before / BIN_WIDTH), math.floor(log_price / BIN_WIDTH)
        crossed = range(last + 1, first + 1) if side == LONG else range(first, last)
        gone = [position for position in listed if position[0] == side and position[2] in crossed]
        listed = [position for position in listed if not (position[0] == side and position[2] in crossed)]
        liquidated, stopped = force_out(positions, side, before, log_price)
        assert liquidated == pytest.approx(sum(each[3] for each in gone if each[1] != STOP_TIER), rel=1e-6, abs=1e-9)
        assert stopped == pytest.approx(sum(each[3] for each in gone if each[1] == STOP_TIER), rel=1e-6, abs=1e-9)
    for side in (LONG, SHORT):
        assert held(positions)[side] == pytest.approx(sum(each[3] for each in listed if each[0] == side), rel=1e-6)


def test_liquidation_lies_between_the_entry_and_bankruptcy():
    """Fails when the maintenance margin is taken off on the wrong side."""
    tiers = leverage_tiers(MarketParameters())[:STOP_TIER]
    for tier, leverage in zip(tiers, (3.0, 4.0, 5.5, 8.0, 12.0, 25.0, 50.0), strict=True):
        assert math.log(1 - 1 / leverage) < tier["long_exit"] < 0.0
        assert 0.0 < tier["short_exit"] < math.log(1 + 1 / leverage)
