"""A venue from outside the library: one object, through fetch, messages and contract facts."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.venues import FactSource, VenueFacts
from slackwater.sources.exchange.endpoint import Endpoint
from slackwater.sources.exchange.messages import read_messages
from slackwater.sources.exchange.refresh import refresh_contract_facts
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.fetch import fetch, summary
from slackwater.sources.http import Politeness
from slackwater.sources.request import FetchRequest
from slackwater.storage import read_tables
from slackwater.times import MINUTE
from tests.venues.server import VenueServer, running

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

NOW = datetime(2026, 11, 20, 12, 2, 10, tzinfo=UTC)
STEP = 5 * 60_000
QUICK = Politeness(attempts=4, first_wait=0.01, longest_wait=0.02)


def _listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    row = answer.get(instrument)
    steps = {"tick_size": "tick", "lot_size": "lot", "min_quantity": "lot", "min_notional_usd": "notional"}
    return row and {name: row[place] for name, place in steps.items()} | {"contract_size": 0.1}


def _message(message: Any, contract_sizes: Any) -> Any:
    yield "liquidations", message | {"sent": message["time"]}


TOY = Venue(
    name="toy",
    url="https://toy.example/v1",
    instrument=lambda symbol: symbol.lower(),
    listing=lambda instrument: ("/instruments", {"name": instrument}),
    read_listing=_listing,
    read_message=_message,
    tiers=lambda instrument: ("/tiers", {"name": instrument}),
    read_tiers=lambda answer: [tuple(row) for row in answer],
    tables={
        "bars": (
            Endpoint(
                method="/candles",
                params=lambda ask: {"name": ask.instrument, "since": ask.first, "until": ask.last, "every": ask.period},
                columns={name: name for name in ("time", "open", "high", "low", "close", "volume")},
                periods={5 * MINUTE: "five"},
                limit=100,
                stamp="start",
                in_contracts=frozenset({"volume"}),
            ),
        )
    },
    absent={"funding": "the toy venue pays no funding"},
    facts=VenueFacts(
        name="toy",
        maker_fee=0.0,
        taker_fee=0.0,
        fee_source=FactSource("SYNTHETIC venue"),
        liquidation="notional",
        contracts={},
    ),
)


def answer(path: str, query: dict[str, str]) -> tuple[int, Any]:
    """Answer as the toy venue does: pages of 100 candles, the newest first, ten contracts per coin."""
    if path == "/instruments":
        return 200, {"btcusdt": {"tick": 0.5, "lot": 0.1, "notional": 5.0}}
    if path == "/tiers":
        return 200, [[1e6, 0.01, 20.0]]
    if path != "/candles" or query["every"] != "five":
        return 404, {"error": "no such address"}
    times = range(-(-int(query["since"]) // STEP) * STEP, int(query["until"]) + 1, STEP)[::-1][:100]
    rows = [{"time": t, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": t // STEP % 7} for t in times]
    return 200, rows


def test_a_venue_from_outside_fills_a_data_set(tmp_path: Path) -> None:
    """Catches a list of names that a venue object cannot pass, and a table of the venue that is lost on the way."""
    request = FetchRequest(
        venue=TOY,
        symbols=["BTCUSDT"],
        start=NOW - timedelta(days=2),
        end=NOW,
        tables=["fine_bars", "funding", "mark_price"],
        interval="5m",
    )
    with running(VenueServer(answer, faults={3: "500", 4: "reset"}.get)) as server:
        manifest = fetch(request, tmp_path / "out", mirror=server.url, politeness=QUICK, now=NOW)
    bars = read_tables(tmp_path / "out")["fine_bars"]
    assert len(bars) == 2 * 288
    assert (bars["event_time"].diff().dropna() == pd.Timedelta(minutes=5)).all()
    opened = bars["open_time"].dt.as_unit("us").astype("int64") // (STEP * 1000)
    assert bars["volume"].tolist() == pytest.approx((0.1 * (opened % 7)).tolist())
    assert manifest["request"]["venue"] == "toy"
    assert manifest["absent"]["funding"] == "the toy venue pays no funding"
    assert manifest["absent"]["mark_price"] == "toy does not have it"
    assert any(line.startswith("fine_bars") for line in summary(manifest))


def test_its_messages_and_its_contract_facts_are_read_too() -> None:
    line = json.dumps({"symbol": "BTCUSDT", "side": "long", "price": 10.0, "quantity": 2.0, "time": 1_739_502_302_929})
    assert read_messages([line], TOY)["liquidations"]["side"].tolist() == ["long"]
    with running(VenueServer(answer)) as server:
        content = refresh_contract_facts(TOY, ["BTCUSDT"], base_url=server.url, politeness=QUICK, now=NOW)
        with pytest.raises(ParameterError, match="toy lists no perpetual ETHUSDT"):
            refresh_contract_facts(TOY, ["ETHUSDT"], base_url=server.url, politeness=QUICK, now=NOW)
    assert content["contracts"]["BTCUSDT"] == {
        "tick_size": 0.5,
        "lot_size": 0.1,
        "min_quantity": 0.1,
        "min_notional_usd": 5.0,
        "tiers": [{"notional_cap_usd": 1e6, "maintenance_rate": 0.01, "max_leverage": 20.0}],
    }
    assert "BTCUSDT is not built in: add its maker_fee, taker_fee, half_spread" in content["notes"][-1]
    content["contracts"]["BTCUSDT"] |= {"maker_fee": 0.0, "taker_fee": 0.001, "half_spread": 1e-4}
    assert TOY.facts is not None
    assert math.isclose(merge_contracts(content, TOY.facts)["BTCUSDT"].taker_fee, 0.001)


def test_it_has_no_archive() -> None:
    with pytest.raises(ParameterError, match="there is no archive of toy; use `exchange`"):
        FetchRequest(venue=TOY, symbols=["BTCUSDT"], start=NOW - timedelta(days=1), end=NOW, source="archive")
