"""Venues on loopback, in their own formats: every row, in coin, at the time at which it could be known."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingExtraError, ParameterError, SchemaError, SourceError
from slackwater.market.schemas import validate
from slackwater.sources.exchange.fetch import ExchangeTables, fetch_exchange
from slackwater.sources.http import Politeness
from tests.venues import truth
from tests.venues.natives import NATIVES
from tests.venues.server import FAULTS, Habits, VenueServer, running
from tests.venues.truth import DAY, HOUR, MINUTE

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

NOW = datetime(2026, 11, 20, 12, 2, 10, tzinfo=UTC)
START = NOW - timedelta(days=8)
#: Quick, for servers on loopback.
PATIENT = Politeness(attempts=6, first_wait=0.01, longest_wait=0.02)
NAMES = sorted(NATIVES)


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@contextmanager
def venue(name: str, faults: object = None, **habits: object) -> Iterator[VenueServer]:
    held = Habits(**({"listed": ms(NOW - timedelta(days=60)), "now": ms(NOW)} | habits))  # type: ignore[arg-type]
    with running(VenueServer(NATIVES[name](held), faults=faults, now=held.now)) as server:  # type: ignore[arg-type]
        yield server


def fetch(name: str, server: VenueServer, *tables: str, **changes: object) -> ExchangeTables:
    arguments = {"interval": "5m", "base_url": server.url, "now": NOW, "politeness": PATIENT} | changes
    start, end = arguments.pop("start", START), arguments.pop("end", NOW)
    return fetch_exchange(name, ["BTCUSDT"], start, end, tables, **arguments)  # type: ignore[arg-type]


def milliseconds(column: pd.Series) -> list[int]:
    return (column.dt.as_unit("us").astype("int64") // 1000).tolist()


def expected_closes(step: int, start: datetime = START, end: datetime = NOW) -> list[int]:
    first = -(-ms(start) // step) * step
    return [t for t in range(first, ms(end) + 1, step) if t + 2_000 <= ms(NOW)]


@pytest.mark.parametrize("name", NAMES)
def test_bars_are_complete_and_in_coin(name: str) -> None:
    """Catches a page that begins late, contracts taken for coin, and the bar that is still open."""
    step = 5 * MINUTE
    with venue(name) as server:
        bars = fetch(name, server, "bars").tables["bars"]
    assert milliseconds(bars["event_time"]) == expected_closes(step)
    assert len(bars) == 2304
    opened = milliseconds(bars["open_time"])
    prices = np.array([truth.bar(t, step) for t in opened])
    np.testing.assert_allclose(bars[["open", "high", "low", "close"]].to_numpy(), prices, rtol=1e-12)
    np.testing.assert_allclose(bars["volume"], [truth.volume(t) for t in opened], rtol=1e-9)
    assert (bars["available_time"] - bars["event_time"] == pd.Timedelta("2s")).all()
    if name == "binance":
        np.testing.assert_allclose(bars["taker_buy_volume"], bars["volume"] / 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_clock_that_is_ahead_closes_no_bar(name: str) -> None:
    """The venue's own clock tells which bar is open: an open bar has a close that is none yet."""
    with venue(name) as server:
        later = NOW + timedelta(minutes=20)
        ahead = fetch(name, server, "bars", start=NOW - timedelta(hours=2), end=later, now=later)
    assert milliseconds(ahead.tables["bars"]["event_time"]) == expected_closes(5 * MINUTE, NOW - timedelta(hours=2))


@pytest.mark.parametrize("name", NAMES)
def test_no_page_is_asked_for_twice(name: str) -> None:
    """Politeness: as many requests as there are pages, and one or two for the ends."""
    pages = {"binance": 1500, "bybit": 1000, "okx": 300, "gate": 1999}
    with venue(name) as server:
        bars = fetch(name, server, "fine_bars").tables["fine_bars"]
        asked = [query for path, query in server.requests if "line" in path or "candle" in path]
    assert len(asked) <= -(-len(bars) // pages[name]) + 1
    assert len({tuple(sorted(query.items())) for query in asked}) == len(asked)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cap", [7, 450])
def test_short_pages_lose_nothing(name: str, cap: int) -> None:
    """A venue that gives fewer rows than it promises: the promised length must not decide that a page was the last."""
    start = NOW - timedelta(hours=12 if cap == 7 else 72)
    with venue(name, page_cap=cap) as server:
        bars = fetch(name, server, "bars", start=start).tables["bars"]
    assert milliseconds(bars["event_time"]) == expected_closes(5 * MINUTE, start)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_come_twice_count_once(name: str) -> None:
    with venue(name, repeats=True) as server:
        found = fetch(name, server, "bars", "funding")
    assert milliseconds(found.tables["bars"]["event_time"]) == expected_closes(5 * MINUTE)
    repaired = [f for f in found.findings if f.rule == "doubled_rows" and f.action == "repaired"]
    assert {f.table for f in repaired} == {"bars", "funding"}


@pytest.mark.parametrize("name", NAMES)
def test_a_venue_that_ignores_the_range_gives_nothing_and_says_so(name: str) -> None:
    """Catches the newest rows sold as those of last month, which would be a silent shift in time."""
    start, end = NOW - timedelta(days=25), NOW - timedelta(days=20)
    with venue(name, ignores_range=True) as server:
        found = fetch(name, server, "bars", start=start, end=end)
        assert len(server.requests) < 10
    assert not found.tables
    assert "rows outside of the range of the request" in found.absent["bars"]


@pytest.mark.parametrize("name", NAMES)
def test_a_history_that_begins_late_is_said_to(name: str) -> None:
    listed = NOW - timedelta(days=2)
    with venue(name, listed=ms(listed)) as server:
        found = fetch(name, server, "bars")
    assert found.tables["bars"]["open_time"].min() >= pd.Timestamp(listed)
    (finding,) = [f for f in found.findings if f.rule == "history_begins"]
    assert finding.note == f"listed {listed:%Y-%m-%d}"
    assert finding.rows == pytest.approx(6 * DAY / (5 * MINUTE), abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_mark_and_premium(name: str) -> None:
    """Catches the mark price asked for as the last price, and the wrong column of the premium."""
    step = 5 * MINUTE
    with venue(name) as server:
        found = fetch(name, server, "mark_price", "premium_index")
        asked = {(path.rsplit("/", 1)[-1], query.get("contract", "")) for path, query in server.requests}
    mark = found.tables["mark_price"]
    assert milliseconds(mark["event_time"]) == expected_closes(step)
    assert "volume" not in mark
    word = {"binance": "markPriceKlines", "bybit": "mark-price-kline", "okx": "history-mark-price-candles"}
    assert (word[name], "") in asked if name in word else ("candlesticks", "mark_BTC_USDT") in asked
    if name == "okx":
        assert found.absent == {"premium_index": "OKX publishes no bars of its premium"}
    else:
        premium = found.tables["premium_index"]
        assert premium["premium_index"].tolist() == [
            truth.premium(t - step) for t in milliseconds(premium["event_time"])
        ]


@pytest.mark.parametrize("name", NAMES)
def test_funding_has_the_interval_of_its_own_time(name: str) -> None:
    """Catches the interval of today given to all of history, and delays in stamps taken for times."""
    change = ms(NOW - timedelta(days=4)) // DAY * DAY
    with venue(name, funding_changes={change: 4}) as server:
        funding = fetch(name, server, "funding").tables["funding"]
    every = truth.settlements(ms(NOW - timedelta(days=60)), ms(NOW), changes={change: 4})
    assert milliseconds(funding["event_time"]) == [t for t in every if ms(START) <= t <= ms(NOW)]
    after = funding["event_time"] > pd.Timestamp(change, unit="ms", tz="UTC")
    assert set(funding["interval_hours"][after]) == {4.0}
    assert set(funding["interval_hours"][~after]) == {8.0}
    rates = [truth.funding_rate(t) for t in milliseconds(funding["event_time"])]
    np.testing.assert_allclose(funding["funding_rate"], rates, atol=1e-12)
    assert (funding["available_time"] >= funding["event_time"] + pd.Timedelta("60s")).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_settlement_is_a_gap_and_no_longer_interval(name: str) -> None:
    lost = ms(NOW - timedelta(days=4)) // DAY * DAY + 8 * HOUR
    with venue(name, missing_settlements=(lost,)) as server:
        found = fetch(name, server, "funding")
    assert set(found.tables["funding"]["interval_hours"]) == {8.0}
    (gap,) = [f for f in found.findings if f.rule == "gap"]
    assert ms(gap.start) == lost + 8 * HOUR


@pytest.mark.parametrize("name", NAMES)
def test_open_interest_is_in_coin_and_known_a_period_later(name: str) -> None:
    """Catches contracts taken for coin, and a snapshot of the end of a period that is known at its start."""
    with venue(name) as server:
        table = fetch(name, server, "open_interest").tables["open_interest"]
    stamps = [t - (5 * MINUTE if name == "gate" else 0) for t in milliseconds(table["event_time"])]
    assert len(stamps) >= 2303
    assert set(np.diff(stamps)) == {5 * MINUTE}
    np.testing.assert_allclose(table["open_interest"], [truth.open_interest(t) for t in stamps], rtol=1e-5)
    known = np.array(milliseconds(table["available_time"])) - np.array(stamps)
    assert set(known) == {5 * MINUTE + 30_000}


def test_binance_keeps_thirty_days_of_statistics() -> None:
    """The venue refuses what is older: the rest must still come, and the reason be told."""
    with venue("binance") as server:
        found = fetch("binance", server, "open_interest", start=NOW - timedelta(days=50), interval="1h")
    assert found.tables["open_interest"]["event_time"].min() <= pd.Timestamp(NOW - timedelta(days=28))
    (finding,) = [f for f in found.findings if f.rule == "history_begins"]
    assert finding.note == "the venue keeps 30 days"
    assert finding.rows > 20 * 24
    with venue("binance") as server:
        long_ago = fetch(
            "binance", server, "open_interest", start=NOW - timedelta(days=50), end=NOW - timedelta(days=40)
        )
    assert "open_interest" not in long_ago.tables
    assert "the venue keeps 30 days" in long_ago.absent["open_interest"]


def test_gate_keeps_ten_thousand_bars() -> None:
    with venue("gate") as server:
        found = fetch("gate", server, "bars", interval="1m", start=NOW - timedelta(days=20))
    assert 9_980 <= len(found.tables["bars"]) <= 10_000
    assert [f.note for f in found.findings if f.rule == "history_begins"] == ["the venue keeps 10,000 rows"]


@pytest.mark.parametrize("name", NAMES)
def test_ratios_are_where_they_belong(name: str) -> None:
    """Catches the ratio of all accounts taken for that of the top traders' positions."""
    kinds = {
        "binance": ["top_trader_ratio", "top_trader_account_ratio", "account_ratio", "taker_volume_ratio"],
        "bybit": ["account_ratio"],
        "okx": ["top_trader_ratio", "top_trader_account_ratio", "account_ratio"],
        "gate": ["top_trader_ratio", "top_trader_account_ratio", "account_ratio", "taker_volume_ratio"],
    }
    number = {"top_trader_ratio": 0, "top_trader_account_ratio": 1, "account_ratio": 2, "taker_volume_ratio": 3}
    with venue(name) as server:
        table = fetch(name, server, "long_short_ratio").tables["long_short_ratio"]
    assert list(table.columns[3:]) == kinds[name]
    stamps = [t - (5 * MINUTE if name == "gate" else 0) for t in milliseconds(table["event_time"])]
    assert len(stamps) >= 2303
    for column in kinds[name]:
        np.testing.assert_allclose(table[column], [truth.ratio(t, number[column]) for t in stamps], rtol=1e-9)


def test_liquidations_of_gate_are_those_of_positions() -> None:
    """Catches a sign read as that of the order, contracts taken for coin, and events lost where a page ends."""
    start = NOW - timedelta(days=1)  # a page covers an hour
    with venue("gate") as server:
        table = fetch("gate", server, "liquidations", start=start).tables["liquidations"]
    told = truth.liquidations(ms(start), ms(NOW - timedelta(seconds=5)))
    got = list(zip(milliseconds(table["event_time"]), table["side"], table["price"], table["quantity"], strict=True))
    assert len(told) > 1_000
    assert sorted(got) == sorted((t, side, price, pytest.approx(quantity)) for t, side, price, quantity in told)


def test_totals_of_gate_end_with_their_bucket() -> None:
    step = 5 * MINUTE
    with venue("gate") as server:
        table = fetch("gate", server, "liquidation_totals").tables["liquidation_totals"]
    for row in table.iloc[[0, 100, 2000]].itertuples():
        end = ms(row.event_time)
        inside = truth.liquidations(end - step, end - 1)
        assert row.long_quantity == pytest.approx(sum(q for _, side, _, q in inside if side == "long"))
        assert row.short_quantity == pytest.approx(sum(q for _, side, _, q in inside if side == "short"))
    with venue("gate") as server, pytest.raises(SchemaError, match="and not both"):
        fetch("gate", server, "liquidation_totals", "liquidations")


@pytest.mark.parametrize("name", NAMES)
def test_every_table_is_canonical_or_absent_with_a_reason(name: str) -> None:
    wanted = ["bars", "mark_price", "premium_index", "funding", "open_interest", "long_short_ratio", "liquidations"]
    wanted += ["large_trades", "depth", "whale_transfers", "exchange_flows"]
    start = NOW - timedelta(days=1)
    with venue(name) as server:
        found = fetch(name, server, *wanted, interval="1h", start=start)
    assert set(found.tables) | set(found.absent) == set(wanted)
    assert not set(found.tables) & set(found.absent)
    for table, rows in found.tables.items():
        pd.testing.assert_frame_equal(validate(rows, table), rows)
        assert (rows["available_time"] <= pd.Timestamp(NOW)).all()
        assert rows["event_time"].between(pd.Timestamp(start), pd.Timestamp(NOW)).all()
    assert all(len(reason) > 20 for reason in found.absent.values())


@pytest.mark.parametrize(("name", "fault"), list(itertools.product(NAMES, FAULTS)))
def test_faults_on_the_wire_change_nothing(name: str, fault: str) -> None:
    """Every second answer fails: the tables must be those of a quiet network."""
    tables = ("bars", "funding")
    with venue(name) as server:
        quiet = fetch(name, server, *tables, interval="15m")
    with venue(name, faults=lambda number: fault if number % 2 == 0 else None) as server:
        loud = fetch(name, server, *tables, interval="15m")
        assert server.injected.count(fault) >= 3
    for table in tables:
        pd.testing.assert_frame_equal(loud.tables[table], quiet.tables[table])


@pytest.mark.parametrize("fault", ["500", "html", "reset"])
def test_a_venue_that_stays_away_is_one_clear_error(fault: str) -> None:
    with venue("bybit", faults=lambda number: fault) as server:
        with pytest.raises(SourceError, match=r"bybit could not be asked for .* after 6 tries: .*; run it again later"):
            fetch("bybit", server, "bars")
        assert len(server.requests) == 6


def test_a_ban_is_waited_out_as_long_as_the_venue_says() -> None:
    """Retry-After: asking again at once would lengthen the ban."""
    waits: list[float] = []
    with venue("binance", faults=lambda number: "429" if number < 2 else None) as server:
        import tenacity

        from slackwater.sources.exchange.client import Client
        from slackwater.sources.exchange.venues import VENUES

        client = Client(VENUES["binance"], base_url=server.url, politeness=PATIENT)
        real = client._wait

        def spy(state: tenacity.RetryCallState) -> float:
            client._exchange.last_response_headers = {"Retry-After": "40"}
            waits.append(real(state))
            return 0.0

        client._wait = spy  # type: ignore[method-assign]
        client.ask("fapiPublicGetExchangeInfo", {})
    assert waits == [40.0, 40.0]


@pytest.mark.parametrize("name", NAMES)
def test_a_symbol_that_is_not_listed_is_named(name: str) -> None:
    with venue(name) as server, pytest.raises(ParameterError, match=rf"{name} .*NOCOINUSDT"):
        fetch_exchange(name, ["NOCOINUSDT"], START, NOW, ["bars"], base_url=server.url, now=NOW, politeness=PATIENT)


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "venue": ({"venue": "binanse"}, "`venue` must be a known venue, was 'binanse'; did you mean `binance`"),
    "symbols as text": ({"symbols": "BTCUSDT"}, "`symbols` must be names"),
    "naive start": ({"start": datetime(2026, 1, 1)}, "`start` must carry a time zone"),
    "end before start": ({"end": START - timedelta(days=1)}, "`end` must be after `start`"),
    "unknown table": ({"tables": ["candles"]}, "`tables` must be among .*; candles is not"),
    "interval": ({"interval": "3m"}, "`interval` must be one of 1m, 5m, 15m, 1h, was '3m'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_before_anything_is_asked(case: str) -> None:
    changes, message = WRONG[case]
    arguments = {"venue": "okx", "symbols": ["BTCUSDT"], "start": START, "end": NOW, "tables": ["bars"]} | changes
    with pytest.raises(ParameterError, match=message):
        fetch_exchange(**arguments)  # type: ignore[arg-type]


def test_a_server_that_is_none_is_named() -> None:
    with pytest.raises(SourceError, match="okx could not be asked for publicGetPublicInstruments after one try"):
        fetch_exchange(
            "okx",
            ["BTCUSDT"],
            START,
            NOW,
            ["bars"],
            base_url="http://127.0.0.1:9",
            politeness=Politeness(attempts=1),
        )


def test_without_ccxt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(MissingExtraError, match=r'ccxt is not installed: run `pip install "slackwater\[exchange\]"`'):
        fetch_exchange("okx", ["BTCUSDT"], START, NOW, ["bars"])


def test_ccxt_is_imported_only_where_a_venue_is_asked() -> None:
    """It takes a second and 40 MB that nobody else should pay."""
    code = "import sys, slackwater.sources.fetch; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_key_ever_leaves() -> None:
    """The addresses are public: nothing that looks like a key or a signature may be sent."""
    with venue("bybit") as server:
        fetch("bybit", server, "funding")
        assert server.headers_seen
        for headers, (_, query) in zip(server.headers_seen, server.requests, strict=True):
            sent = {name.lower() for name in [*headers, *query]}
            assert not [name for name in sent if "key" in name or "sign" in name or "auth" in name]


def test_a_symbol_without_rows_is_said_beside_one_that_has_them() -> None:
    """Fails where the rows of one symbol hide that the other has none."""
    with venue("binance") as server:
        arguments = {"interval": "5m", "base_url": server.url, "now": NOW, "politeness": PATIENT}
        bars = fetch_exchange("binance", ["BTCUSDT"], START, NOW, ["bars"], **arguments)  # type: ignore[arg-type]
        empty = fetch_exchange(
            "binance",
            ["BTCUSDT"],
            NOW - timedelta(days=90),
            NOW - timedelta(days=89),
            ["bars"],
            **arguments,  # type: ignore[arg-type]
        )
    assert not [finding for finding in bars.findings if finding.rule == "no_rows"]
    assert [finding.symbol for finding in empty.findings if finding.rule == "no_rows"] == ["BTCUSDT"]
