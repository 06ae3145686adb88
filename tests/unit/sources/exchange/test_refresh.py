"""Facts of contracts, asked of venues on loopback: right units, and a file that the product reads again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slackwater.errors import ParameterError
from slackwater.market.contract_file import merge_contracts, read_contracts
from slackwater.market.contracts import contract
from slackwater.sources.exchange.refresh import refresh_contract_facts
from slackwater.sources.http import Politeness
from tests.venues.natives import NATIVES
from tests.venues.server import Habits, VenueServer, running

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HABITS = Habits(listed=1_577_836_800_000, now=1_795_000_000_000)
QUICK = Politeness(attempts=2, first_wait=0.01)

#: Tick, lot, smallest order, smallest notional; funding hours, floor, cap; tiers (cap in USDT, rate, leverage).
EXPECTED = {
    "binance": ((0.1, 0.001, 0.001, 100.0), (8.0, -0.003, 0.003), None),
    "bybit": ((0.1, 0.001, 0.001, 5.0), (8.0, -0.00375, 0.00375), [(2e6, 0.005, 100.0), (2.6e6, 0.0056, 90.0)]),
    "okx": ((0.1, 0.0001, 0.0001, 0.0), (8.0, -0.00375, 0.00375), [(4e5, 0.004, 100.0), (8e5, 0.005, 75.0)]),
    "gate": ((0.1, 0.0001, 0.0001, 0.0), (8.0, -0.003, 0.003), [(1e6, 0.004, 125.0), (2e6, 0.005, 100.0)]),
}


@pytest.mark.parametrize("venue", sorted(NATIVES))
def test_what_a_venue_says_becomes_a_contract(venue: str, tmp_path: Path) -> None:
    """Catches steps and caps in contracts taken for coin and USDT, and a file that cannot be read again."""
    steps, funding, tiers = EXPECTED[venue]
    out = tmp_path / "contracts.json"
    with running(VenueServer(NATIVES[venue](HABITS))) as server:
        content = refresh_contract_facts(venue, ["BTCUSDT"], out, base_url=server.url, politeness=QUICK, now=NOW)
    assert json.loads(out.read_text(encoding="utf-8")) == content
    facts = read_contracts(out, venue)["BTCUSDT"]
    got = (facts.tick_size, facts.lot_size, facts.min_quantity, facts.min_notional_usd)
    assert got == pytest.approx(steps)
    hours = facts.funding_interval.total_seconds() / 3600.0
    assert (hours, facts.funding_floor, facts.funding_cap) == pytest.approx(funding)
    assert not {"order_steps", "funding_interval", "funding_limits"} & set(facts.assumed)
    built_in = contract(venue, "BTCUSDT")
    assert (facts.maker_fee, facts.taker_fee) == (built_in.maker_fee, built_in.taker_fee)
    if tiers is None:
        assert facts.tiers == built_in.tiers
        assert any("need an API key" in note for note in content["notes"])
    else:
        read = [(tier.notional_cap_usd, tier.maintenance_rate, tier.max_leverage) for tier in facts.tiers]
        for one, other in zip(read, tiers, strict=True):
            assert one == pytest.approx(other)
        assert (facts.confirmed, facts.as_of) == (True, "2026-11-20")
        granted = 0.0 if venue == "okx" else tiers[0][0] * (tiers[1][1] - tiers[0][1])
        assert facts.tiers[1].deduction_usd == pytest.approx(granted)


def test_tiers_of_one_rate_are_joined_at_the_lower_leverage(tmp_path: Path) -> None:
    """A venue that lowers the leverage before the rate rises: the product must not allow the higher leverage."""
    native = NATIVES["gate"](HABITS)

    def answer(path: str, query: dict[str, str]) -> tuple[int, object]:
        if path.endswith("risk_limit_tiers"):
            row = {"maintenance_rate": "0.004", "risk_limit": "100000", "leverage_max": "125"}
            return 200, [row, row | {"risk_limit": "200000", "leverage_max": "90"}]
        return native(path, query)

    with running(VenueServer(answer)) as server:
        content = refresh_contract_facts("gate", ["BTCUSDT"], base_url=server.url, politeness=QUICK, now=NOW)
    assert content["contracts"]["BTCUSDT"]["tiers"] == [
        {"notional_cap_usd": 200_000.0, "maintenance_rate": 0.004, "max_leverage": 90.0}
    ]
    assert "1 tiers repeat a rate" in content["notes"][-1]


def test_facts_that_make_no_contract_are_not_written(tmp_path: Path) -> None:
    native, out = NATIVES["bybit"](HABITS), tmp_path / "contracts.json"

    def answer(path: str, query: dict[str, str]) -> tuple[int, object]:
        status, content = native(path, query)
        if path.endswith("instruments-info"):
            content["result"]["list"][0]["priceFilter"] = {"tickSize": "0"}
        return status, content

    with (
        running(VenueServer(answer)) as server,
        pytest.raises(ParameterError, match="contract BTCUSDT: `tick_size` must be in"),
    ):
        refresh_contract_facts("bybit", ["BTCUSDT"], out, base_url=server.url, politeness=QUICK)
    assert not out.exists()


def test_a_coin_that_is_not_built_in_is_asked_for_too_and_says_what_it_lacks(tmp_path: Path) -> None:
    """Catches an answer that is thrown away because no public address states fees."""
    native, out = NATIVES["bybit"](HABITS), tmp_path / "contracts.json"

    def answer(path: str, query: dict[str, str]) -> tuple[int, object]:
        status, content = native(path, {name: value.replace("DOGE", "BTC") for name, value in query.items()})
        return status, json.loads(json.dumps(content).replace("BTCUSDT", "DOGEUSDT"))

    with running(VenueServer(answer)) as server:
        content = refresh_contract_facts("bybit", ["DOGEUSDT"], out, base_url=server.url, politeness=QUICK, now=NOW)
    assert "DOGEUSDT is not built in: add its maker_fee, taker_fee, half_spread before" in content["notes"][-1]
    assert json.loads(out.read_text(encoding="utf-8")) == content
    assert "taker_fee" not in content["contracts"]["DOGEUSDT"]
    content["contracts"]["DOGEUSDT"] |= {"maker_fee": 0.0002, "taker_fee": 0.0005, "half_spread": 1e-4}
    assert merge_contracts(content, "bybit")["DOGEUSDT"].taker_fee == 0.0005


def test_unknown_names_are_named() -> None:
    with pytest.raises(ParameterError, match="`venue` must be a known venue, was 'deribit'"):
        refresh_contract_facts("deribit", ["BTCUSDT"])
    with pytest.raises(ParameterError, match="`symbols` must be names"):
        refresh_contract_facts("okx", "BTCUSDT")
    for symbol in ("btcusdt", "BTC"):  # no venue is asked
        with pytest.raises(ParameterError, match=f"USDT.*was '{symbol}'"):
            refresh_contract_facts("okx", [symbol], base_url="http://127.0.0.1:9", politeness=QUICK)
