"""The simulated market: what it promises to a run, to a null test and to a reader of its tables."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.sources.simulate.funding import funding_rate
from slackwater.sources.simulate.market import simulate_market
from slackwater.sources.simulate.minute_step import MarketRun, run_market
from slackwater.sources.simulate.parameters import MarketParameters, parameters_of
from slackwater.sources.simulate.shocks import random_streams
from slackwater.sources.simulate.tables import DEFAULT_LAGS

START = datetime(2024, 3, 1, tzinfo=UTC)
FIRST_MINUTE = int(START.timestamp()) // 60
DAY = timedelta(days=1)

TIMES = {"event_time": "datetime64[us, UTC]", "available_time": "datetime64[us, UTC]"}
SCHEMA: Mapping[str, Mapping[str, str]] = {
    "path": {
        "symbol": "str",
        "open_time": "datetime64[us, UTC]",
        **TIMES,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "taker_buy_volume"), "float64"),
    },
    "open_interest": {"symbol": "str", **TIMES, "open_interest": "float64"},
    "funding": {"symbol": "str", **TIMES, "funding_rate": "float64", "interval_hours": "float64"},
    "premium_index": {"symbol": "str", **TIMES, "premium_index": "float64"},
    "liquidations": {"symbol": "str", **TIMES, "side": "str", "price": "float64", "quantity": "float64"},
    "whale_transfers": {
        "symbol": "str",
        **TIMES,
        "chain": "str",
        "asset": "str",
        "amount": "float64",
        "amount_usd": "float64",
        **dict.fromkeys(("from_owner", "from_owner_type", "to_owner", "to_owner_type", "tx_hash"), "str"),
        "log_index": "int64",
        "source": "str",
    },
    "depth": {"symbol": "str", **TIMES, "bid_quantity_1pct": "float64", "ask_quantity_1pct": "float64"},
}


@cache
def market(
    symbols: tuple[str, ...] = ("BTCUSDT", "XRPUSDT"), days: int = 20, **options: float
) -> dict[str, pd.DataFrame]:
    return simulate_market(symbols, start=START, end=START + days * DAY, seed=5, **options)


@cache
def run(symbol: str = "ETHUSDT", days: int = 30, seed: int = 5, **options: float) -> MarketRun:
    return run_market(
        parameters_of(symbol, options), random_streams(symbol, seed), first_minute=FIRST_MINUTE, minutes=days * 1440
    )


def assert_same_tables(left: Mapping[str, pd.DataFrame], right: Mapping[str, pd.DataFrame]) -> None:
    assert list(left) == list(right)
    for name, table in left.items():
        pd.testing.assert_frame_equal(table, right[name], check_exact=True, obj=name)


class TestTables:
    def test_columns_and_types_are_the_canonical_ones(self):
        """Fails when a column is renamed, or a time loses its zone or its microseconds."""
        tables = market()
        assert list(tables) == list(SCHEMA)
        for name, table in tables.items():
            assert {column: str(dtype) for column, dtype in table.dtypes.items()} == SCHEMA[name], name
            assert table.index.equals(pd.RangeIndex(len(table)))
            assert len(table) > 0
            assert not table.isna().any().any()
            assert table["symbol"].unique().tolist() == ["BTCUSDT", "XRPUSDT"]

    def test_rows_are_sorted_and_inside_of_the_span(self):
        for name, table in market().items():
            for _, rows in table.groupby("symbol"):
                assert rows["event_time"].is_monotonic_increasing, name
                assert rows["event_time"].between(START, START + 20 * DAY).all(), name

    def test_availability_follows_the_lags(self):
        """Fails on a look-ahead: a row that can be known before its venue could have published it."""
        seconds = {"path": 2, "open_interest": 330, "funding": 60, "premium_index": 2, "liquidations": 5, "depth": 2}
        for name, table in market().items():
            lag = timedelta(seconds=seconds.get(name, 600))
            assert (table["available_time"] - table["event_time"] == lag).all(), name

    def test_given_lags_replace_only_their_own_table(self):
        tables = simulate_market(
            ["BTCUSDT"], start=START, end=START + DAY, seed=5, lags={"open_interest": timedelta(seconds=1)}
        )
        late = tables["open_interest"]
        assert (late["available_time"] - late["event_time"] == timedelta(seconds=1)).all()
        assert (tables["depth"]["available_time"] - tables["depth"]["event_time"] == DEFAULT_LAGS["depth"]).all()

    def test_bars_are_complete_and_consistent_on_the_tick(self):
        """Fails when rounding to the tick breaks high >= close, or when a minute is missing."""
        for (_, bars), decimals in zip(market()["path"].groupby("symbol"), (1, 4), strict=True):
            assert (bars["open_time"] == pd.date_range(START, periods=20 * 1440, freq="min", unit="us")).all()
            assert (bars["event_time"] - bars["open_time"] == timedelta(minutes=1)).all()
            assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
            assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
            assert (bars["low"] > 0).all()
            for column in ("open", "high", "low", "close"):
                assert (bars[column] == bars[column].round(decimals)).all()
            assert bars["taker_buy_volume"].between(0, bars["volume"]).all()
            assert (bars["open"].iloc[1:].to_numpy() == bars["close"].iloc[:-1].to_numpy()).all()

    def test_snapshots_stand_on_five_minutes_and_settlements_on_eight_hours(self):
        every_five = pd.date_range(START, periods=20 * 288 + 1, freq="5min", unit="us")[1:]
        for name in ("open_interest", "premium_index", "depth"):
            for _, rows in market()[name].groupby("symbol"):
                assert (rows["event_time"] == every_five).all()
        settled = market()["funding"]["event_time"]
        assert len(settled) == 2 * 20 * 3
        assert set(settled.dt.strftime("%H:%M")) == {"00:00", "08:00", "16:00"}

    def test_transfers_go_between_wallet_and_exchange(self):
        transfers = market()["whale_transfers"]
        ends = transfers[["from_owner_type", "to_owner_type"]].agg("-".join, axis=1)
        assert set(ends) == {"wallet-exchange", "exchange-wallet"}
        assert transfers["tx_hash"].is_unique
        assert transfers.groupby("symbol")["asset"].unique().map(list).to_dict() == {
            "BTCUSDT": ["BTC"],
            "XRPUSDT": ["XRP"],
        }
        price = transfers["amount_usd"] / transfers["amount"]
        assert price[transfers["asset"] == "BTC"].between(20_000, 200_000).all()

    def test_a_price_never_falls_below_one_tick(self):
        """Fails when a cheap coin is rounded to a price of zero."""
        tables = simulate_market(["DUST"], start=START, end=START + DAY, seed=5, start_price=1e-6, price_decimals=4)
        assert (tables["path"]["low"] == 1e-4).all()


class TestReproducibility:
    def test_the_same_seed_gives_the_same_bytes_in_another_process(self):
        """Fails when a stream is keyed by hash(), which Python salts anew in every process."""
        code = (
            "import hashlib, datetime as d\n"
            "from slackwater.sources.simulate.market import simulate_market\n"
            "start = d.datetime(2024, 3, 1, tzinfo=d.UTC)\n"
            "tables = simulate_market(['BTCUSDT'], start=start, end=start + d.timedelta(days=4), seed=5)\n"
            "text = ''.join(table.to_csv() for table in tables.values())\n"
            "print(hashlib.sha256(text.encode()).hexdigest())\n"
        )
        there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        text = "".join(table.to_csv() for table in market(("BTCUSDT",), 4).values())
        assert there == hashlib.sha256(text.encode()).hexdigest()

    def test_another_seed_is_another_market(self):
        other = simulate_market(["BTCUSDT"], start=START, end=START + DAY, seed=6)["path"]["close"]
        assert (other.to_numpy() != market(("BTCUSDT",))["path"]["close"].to_numpy()[:1440]).mean() > 0.9

    @pytest.mark.parametrize("days", [7, 13])
    def test_a_longer_run_begins_with_the_shorter_one(self, days):
        """Fails when anything is drawn after the loop, or depends on the length of the run."""
        end = START + days * DAY
        longer = {
            name: table[table["event_time"] <= end].reset_index(drop=True)
            for name, table in market(("BTCUSDT", "XRPUSDT"), 20).items()
        }
        shorter = simulate_market(["BTCUSDT", "XRPUSDT"], start=START, end=end, seed=5)
        assert_same_tables(shorter, longer)

    def test_a_symbol_is_the_same_with_or_without_the_others(self):
        """Fails when one generator is shared by all symbols."""
        alone = {name: table[table["symbol"] == "XRPUSDT"].reset_index(drop=True) for name, table in market().items()}
        assert_same_tables(market(("XRPUSDT",)), alone)

    def test_the_order_of_the_symbols_does_not_matter(self):
        assert_same_tables(market(("XRPUSDT", "BTCUSDT")), market(("BTCUSDT", "XRPUSDT")))

    def test_times_of_another_zone_mean_the_same_instants(self):
        zone = timezone(timedelta(hours=-5))
        start = START.astimezone(zone)
        there = simulate_market(["BTCUSDT"], start=start, end=start + 20 * DAY, seed=5)
        assert_same_tables(there, market(("BTCUSDT",)))


class TestAccounts:
    def test_longs_equal_shorts_at_every_minute(self):
        """Fails when a trade has no counterparty: an open, a close, a liquidation or a whale that nobody faces."""
        for signal in (0.0, 1.0):
            interest = run(signal=signal).interest
            np.testing.assert_allclose(interest[:, 0], interest[:, 1], rtol=1e-9)
            assert interest.min() > 0

    def test_printed_orders_add_up_to_what_was_liquidated(self):
        """Fails when a full buffer drops orders, or the remainder of a minute is lost."""
        market_run, parameters = run(), parameters_of("ETHUSDT", {})
        for side in (0, 1):
            printed = market_run.orders[market_run.orders[:, 2] == side, 4].sum()
            waiting = 1e-5 * parameters.average_daily_volume
            assert printed == pytest.approx(market_run.liquidated[:, side].sum(), abs=waiting)

    def test_longs_are_liquidated_on_the_way_down(self):
        market_run = run(days=60)
        returns = market_run.log_price[:, 3] - market_run.log_price[:, 0]
        longs, shorts = (market_run.liquidated[:, side] for side in (0, 1))
        assert np.average(returns, weights=longs) < -0.0005
        assert np.average(returns, weights=shorts) > 0.0005

    def test_funding_is_the_clamped_mean_of_the_premium(self):
        """An independent sum over the 5-minute premium; the venue's own mean runs over all minutes of the interval."""
        tables = market(("BTCUSDT",))
        premium = tables["premium_index"]["premium_index"].to_numpy().reshape(-1, 96)
        mean = premium @ np.arange(1, 97) / np.arange(1, 97).sum()
        expected = mean + np.clip(1e-4 - mean, -5e-4, 5e-4)
        np.testing.assert_allclose(tables["funding"]["funding_rate"], expected, atol=2e-5)
        assert funding_rate(0.5) == 0.003

    def test_open_interest_is_what_longs_hold(self):
        stamped = market(("BTCUSDT",))["open_interest"]["open_interest"].to_numpy()
        np.testing.assert_array_equal(stamped, run("BTCUSDT", days=20).interest[4::5, 0])


class TestSignal:
    def test_at_signal_zero_flow_does_not_move_the_price(self):
        """Fails when a whale reaches the price other than through `signal`."""
        quiet, loud = (market(("BTCUSDT",), 20, signal=0.0, whale_signal=each) for each in (0.0, 1.0))
        prices = ["open", "high", "low", "close"]
        pd.testing.assert_frame_equal(quiet["path"][prices], loud["path"][prices], check_exact=True)
        assert (quiet["premium_index"]["premium_index"] != loud["premium_index"]["premium_index"]).any()

    def test_at_signal_zero_the_log_price_is_a_martingale(self):
        """Fails on drift, on momentum and on reversal: the null tests of the whole project stand on this."""
        closes = [run(f"NULL{i}", days=40, signal=0.0, common_price_share=0.0).log_price[:, 3] for i in range(8)]
        for minutes, low, high in ((5, 0.93, 1.07), (60, 0.85, 1.15), (1440, 0.6, 1.5)):
            returns = np.concatenate([np.diff(close[::minutes]) for close in closes])
            fine = np.concatenate([np.diff(close) for close in closes])
            assert abs(returns.mean()) < 4 * returns.std() / np.sqrt(len(returns))
            assert low < np.mean(returns**2) / minutes / np.mean(fine**2) < high

    @staticmethod
    def _slopes(signal: float) -> np.ndarray:
        """Slopes of the next 12 hours' return on the premium, a symbol each."""
        slopes = []
        for i in range(8):
            market_run = run(f"NULL{i}", days=40, signal=signal, common_price_share=0.0)
            close, premium = market_run.log_price[4::5, 3], market_run.premium
            slopes.append(np.polyfit(premium[:-144], close[144:] - close[:-144], 1)[0])
        return np.array(slopes)

    def test_the_premium_predicts_only_when_there_is_a_signal(self):
        null, strong = self._slopes(0.0), self._slopes(1.0)
        assert abs(null.mean()) < 4 * null.std(ddof=1) / np.sqrt(len(null))
        assert strong.mean() < -4 * strong.std(ddof=1) / np.sqrt(len(strong))

    def test_at_signal_zero_everything_else_is_alive(self):
        tables = market(("BTCUSDT",), 20, signal=0.0)
        assert tables["funding"]["funding_rate"].std() > 1e-5
        assert np.log(tables["open_interest"]["open_interest"]).diff(288).std() > 0.02
        assert set(tables["liquidations"]["side"]) == {"long", "short"}
        assert len(tables["whale_transfers"]) > 300

    def test_signal_leaves_the_shocks_in_place(self):
        """Fails when `signal` changes how many numbers a stream draws: two signals could not be compared then."""
        null, default = (np.diff(run(days=30, signal=each).log_price[::5, 3]) for each in (0.0, 0.4))
        assert np.corrcoef(null, default)[0, 1] > 0.9

    def test_symbols_share_a_common_factor(self):
        hourly = [np.diff(run(symbol, days=60).log_price[::60, 3]) for symbol in ("BTCUSDT", "SOLUSDT")]
        assert 0.4 < np.corrcoef(hourly)[0, 1] < 0.8


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"symbols": []}, "`symbols` must be a non-empty"),
            ({"symbols": "BTCUSDT"}, "`symbols` must be a non-empty sequence"),
            ({"symbols": ["BTCUSDT", ""]}, "`symbols` must hold names .* one was ''"),
            ({"symbols": ["BTCUSDT", "ETHUSDT", "BTCUSDT"]}, "`symbols` must not repeat a name, BTCUSDT"),
            ({"start": datetime(2024, 3, 1)}, "`start` must carry a time zone"),
            ({"end": datetime(2024, 3, 5)}, "`end` must carry a time zone"),
            ({"end": START}, "`end` must be after `start`"),
            ({"end": START - DAY}, "`end` must be after `start`"),
            ({"start": START + timedelta(minutes=1)}, "`start` must be on whole 5 minutes"),
            ({"end": START + DAY + timedelta(seconds=1)}, "`end` must be on whole 5 minutes"),
            ({"start": datetime(1969, 1, 1, tzinfo=UTC)}, "`start` must not be before 1970"),
            ({"start": "2024-03-01"}, "`start` must be a datetime"),
            ({"seed": -1}, "`seed` must be an integer"),
            ({"seed": 1.5}, "`seed` must be an integer"),
            ({"signal": 1.01}, r"`signal` must be in \[0, 1\]"),
            ({"signal": -0.1}, "`signal` must be in"),
            ({"signal": float("nan")}, "`signal` must be in"),
            ({"whale_signal": 2}, "`whale_signal` must be in"),
            ({"sigma_daily": -0.02}, "`sigma_daily` must be in .* was -0.02"),
            ({"sigma_daily": "0.02"}, "`sigma_daily` must be a number, was '0.02'"),
            ({"price_decimals": 1.5}, "`price_decimals` must be a whole number"),
            ({"sigma_dayly": 0.02}, "`sigma_dayly` is not an option .* did you mean `sigma_daily`"),
            ({"lags": {"bars": DAY}}, "`lags` must name tables .* `bars`"),
            ({"lags": {"path": -DAY}}, r"`lags\[path\]` must be a timedelta of at least 0"),
            ({"lags": {"path": 2}}, r"`lags\[path\]` must be a timedelta"),
        ],
    )
    def test_it_is_refused_by_name(self, change, message):
        arguments = {"symbols": ["BTCUSDT"], "start": START, "end": START + DAY, "seed": 5} | change
        symbols = arguments.pop("symbols")
        with pytest.raises(ParameterError, match=message):
            simulate_market(symbols, **arguments)

    def test_every_default_lies_inside_of_its_own_range(self):
        assert MarketParameters().signal == 0.4
        assert parameters_of("BTCUSDT", {}).sigma_daily == 0.022


def test_progress_hears_of_every_symbol():
    heard: list[str] = []
    simulate_market(["BTCUSDT", "NEWUSDT"], start=START, end=START + DAY, seed=5, progress=heard.append)
    assert heard == ["BTCUSDT: simulated 1,440 minutes", "NEWUSDT: simulated 1,440 minutes"]
