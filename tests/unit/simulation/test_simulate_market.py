"""The simulated market: what it promises to a run, to a null test and to a reader of its tables."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.market.schemas import SCHEMAS, validate
from slackwater.simulation import footprint, minute_step
from slackwater.simulation.funding import funding_rate
from slackwater.simulation.market import TRUTH, MarketRequest, simulate, stream_market
from slackwater.simulation.minute_step import LATENT, MarketRun, run_market
from slackwater.simulation.parameters import MarketParameters, parameters_of
from slackwater.simulation.shocks import random_streams
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.storage import read_tables

START = datetime(2024, 3, 1, tzinfo=UTC)
FIRST_MINUTE = int(START.timestamp()) // 60
DAY = timedelta(days=1)

TIMES = {"event_time": "datetime64[us, UTC]", "available_time": "datetime64[us, UTC]"}
SCHEMA: Mapping[str, Mapping[str, str]] = {
    "fine_bars": {
        "symbol": "str",
        "open_time": "datetime64[us, UTC]",
        **TIMES,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "taker_buy_volume", "trade_count"), "float64"),
    },
    "mark_price": {
        "symbol": "str",
        "open_time": "datetime64[us, UTC]",
        **TIMES,
        **dict.fromkeys(("open", "high", "low", "close"), "float64"),
    },
    "open_interest": {"symbol": "str", **TIMES, "open_interest": "float64"},
    "funding": {"symbol": "str", **TIMES, "funding_rate": "float64", "interval_hours": "float64"},
    "premium_index": {"symbol": "str", **TIMES, "premium_index": "float64"},
    "liquidations": {"symbol": "str", **TIMES, "side": "str", "price": "float64", "quantity": "float64"},
    "large_trades": {"symbol": "str", **TIMES, "side": "str", "price": "float64", "quantity": "float64"},
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
    "depth": {
        "symbol": "str",
        **TIMES,
        **dict.fromkeys(
            ("bid_quantity_1pct", "ask_quantity_1pct", "bid_quantity_5pct", "ask_quantity_5pct"), "float64"
        ),
    },
}


@cache
def market(
    symbols: tuple[str, ...] = ("BTCUSDT", "XRPUSDT"),
    days: int = 20,
    signal: float = MarketRequest.signal,
    whale_signal: float = MarketRequest.whale_signal,
    **options: float,
) -> dict[str, pd.DataFrame]:
    given = {"signal": signal, "whale_signal": whale_signal, "options": options}
    return tables_of(symbols, start=START, end=START + days * DAY, **given)


def tables_of(symbols: Sequence[str], **request: Any) -> dict[str, pd.DataFrame]:
    return simulate(MarketRequest(symbols=symbols, **({"seed": 5} | request))).tables


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
            assert len(validate(table, name)) == len(table)
            assert table["symbol"].unique().tolist() == ["BTCUSDT", "XRPUSDT"]

    def test_rows_are_sorted_and_inside_of_the_span(self):
        for name, table in market().items():
            for _, rows in table.groupby("symbol"):
                assert rows["event_time"].is_monotonic_increasing, name
                assert rows["event_time"].between(START, START + 20 * DAY).all(), name

    def test_availability_follows_the_lags(self):
        """Fails on a look-ahead: a row that can be known before its venue could have published it."""
        seconds = {"open_interest": 330, "funding": 60, "liquidations": 5, "whale_transfers": 600}
        for name, table in market().items():
            lag = timedelta(seconds=seconds.get(name, 2))
            assert (table["available_time"] - table["event_time"] == lag).all(), name

    def test_given_lags_replace_only_their_own_table(self):
        tables = tables_of(
            ["BTCUSDT"], start=START, end=START + DAY, seed=5, lags={"open_interest": timedelta(seconds=1)}
        )
        late = tables["open_interest"]
        assert (late["available_time"] - late["event_time"] == timedelta(seconds=1)).all()
        assert (tables["depth"]["available_time"] - tables["depth"]["event_time"] == DEFAULT_LAGS["depth"]).all()

    def test_bars_are_complete_and_consistent_on_the_tick(self):
        """Fails when rounding to the tick breaks high >= close, or when a minute is missing."""
        for (_, bars), decimals in zip(market()["fine_bars"].groupby("symbol"), (1, 4), strict=True):
            assert (bars["open_time"] == pd.date_range(START, periods=20 * 1440, freq="min", unit="us")).all()
            assert (bars["event_time"] - bars["open_time"] == timedelta(minutes=1)).all()
            assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
            assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
            assert (bars["low"] > 0).all()
            for column in ("open", "high", "low", "close"):
                assert (bars[column] == bars[column].round(decimals)).all()
            assert bars["taker_buy_volume"].between(0, bars["volume"]).all()
            assert (bars["trade_count"] >= 1).all()
            assert (bars["trade_count"] == bars["trade_count"].round()).all()
            assert (bars["open"].iloc[1:].to_numpy() == bars["close"].iloc[:-1].to_numpy()).all()

    def test_the_mark_price_follows_the_traded_one_without_its_premium(self):
        """Fails when the mark is the last price again, or drifts away from it."""
        tables = market()
        mark, path = tables["mark_price"], tables["fine_bars"]
        assert (mark["event_time"] == path["event_time"]).all()
        assert (mark["high"] >= mark[["open", "close"]].max(axis=1)).all()
        assert (mark["low"] <= mark[["open", "close"]].min(axis=1)).all()
        gap = np.log(mark["close"] / path["close"])[path["symbol"] == "BTCUSDT"]
        assert 1e-5 < gap.std() < 1e-3
        assert abs(gap.mean()) < 1e-4

    def test_trades_are_more_in_a_minute_of_much_volume(self):
        bars = market(("BTCUSDT",))["fine_bars"]
        assert np.corrcoef(np.log(bars["volume"]), np.log(bars["trade_count"]))[0, 1] > 0.8
        assert 100 < bars["trade_count"].median() < 10_000

    def test_the_book_holds_more_within_five_percent_than_within_one(self):
        depth = market()["depth"]
        for side in ("bid", "ask"):
            assert (depth[f"{side}_quantity_5pct"] > 1.2 * depth[f"{side}_quantity_1pct"]).all()

    def test_large_trades_are_large_and_of_both_sides(self):
        tables = market(("BTCUSDT",))
        trades, path = tables["large_trades"], tables["fine_bars"]
        assert set(trades["side"]) == {"buy", "sell"}
        assert 100 < len(trades) / 20 < 200
        assert trades["quantity"].min() > (path["volume"] / path["trade_count"]).median()
        bar = path.set_index("open_time").loc[trades["event_time"].dt.floor("min")]
        assert trades["price"].between(bar["low"].to_numpy(), bar["high"].to_numpy()).all()

    def test_snapshots_stand_on_five_minutes_and_settlements_on_eight_hours(self):
        every_five = pd.date_range(START, periods=20 * 288 + 1, freq="5min", unit="us")[1:]
        for name in ("open_interest", "premium_index", "depth"):
            for _, rows in market()[name].groupby("symbol"):
                assert (rows["event_time"] == every_five).all()
        funding = market()["funding"].set_index("symbol")
        for symbol, hours in (("BTCUSDT", 8), ("XRPUSDT", 4)):
            settled = funding.loc[symbol, "event_time"]
            assert (settled == pd.date_range(START, periods=20 * 24 // hours + 1, freq=f"{hours}h")[1:]).all()
            assert (funding.loc[symbol, "interval_hours"] == hours).all()

    def test_a_symbol_settles_every_four_hours_from_its_day_on(self):
        """Fails when the switch hangs on the length of the run, or the rate is not halved with the interval."""
        start = datetime(2023, 9, 30, tzinfo=UTC)
        funding = tables_of(["XRPUSDT"], start=start, end=start + 2 * DAY, seed=5)["funding"]
        assert funding["interval_hours"].tolist() == [8.0] * 3 + [4.0] * 6
        assert (funding["event_time"].diff().iloc[1:] == funding["interval_hours"].iloc[1:] * timedelta(hours=1)).all()
        assert funding_rate(0.0002, 4) == funding_rate(0.0002, 8) / 2 == 0.5e-4

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

    def test_a_block_takes_its_time(self):
        """Fails when a transfer is stamped with the decision to send: that is known to the sender alone."""
        transfers = market()["whale_transfers"]
        assert transfers["event_time"].dt.second.nunique() > 50
        found = transfers[transfers["asset"] == "BTC"]["event_time"]
        decided = START + pd.to_timedelta(run("BTCUSDT", days=20).transfers[: len(found), 0], unit="m")
        delay = (found.dt.tz_localize(None).to_numpy() - decided.tz_localize(None).to_numpy()) / np.timedelta64(1, "m")
        assert delay.min() > 0
        assert 8 < delay.mean() < 25

    def test_a_price_never_falls_below_one_tick(self):
        """Fails when a cheap coin is rounded to a price of zero."""
        tables = tables_of(
            ["DUST"], start=START, end=START + DAY, seed=5, options={"start_price": 1e-6, "price_decimals": 4}
        )
        assert (tables["fine_bars"]["low"] == 1e-4).all()


class TestReproducibility:
    def test_the_same_seed_gives_the_same_bytes_in_another_process(self):
        """Fails when a stream is keyed by hash(), which Python salts anew in every process."""
        code = (
            "import hashlib, datetime as d\n"
            "from slackwater.simulation.market import MarketRequest, simulate\n"
            "start = d.datetime(2024, 3, 1, tzinfo=d.UTC)\n"
            "end = start + d.timedelta(days=4)\n"
            "tables = simulate(MarketRequest(symbols=['BTCUSDT'], start=start, end=end, seed=5)).tables\n"
            "text = ''.join(table.to_csv() for table in tables.values())\n"
            "print(hashlib.sha256(text.encode()).hexdigest())\n"
        )
        there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        text = "".join(table.to_csv() for table in market(("BTCUSDT",), 4).values())
        assert there == hashlib.sha256(text.encode()).hexdigest()

    def test_another_seed_is_another_market(self):
        other = tables_of(["BTCUSDT"], start=START, end=START + DAY, seed=6)["fine_bars"]["close"]
        assert (other.to_numpy() != market(("BTCUSDT",))["fine_bars"]["close"].to_numpy()[:1440]).mean() > 0.9

    @pytest.mark.parametrize("days", [7, 13])
    def test_a_longer_run_begins_with_the_shorter_one(self, days):
        """Fails when anything is drawn after the loop, or depends on the length of the run."""
        end = START + days * DAY
        longer = {
            name: table[table["event_time"] <= end].reset_index(drop=True)
            for name, table in market(("BTCUSDT", "XRPUSDT"), 20).items()
        }
        shorter = tables_of(["BTCUSDT", "XRPUSDT"], start=START, end=end, seed=5)
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
        there = tables_of(["BTCUSDT"], start=start, end=start + 20 * DAY, seed=5)
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
        assert funding_rate(0.5, 8) == 0.003

    def test_open_interest_is_what_longs_hold(self):
        stamped = market(("BTCUSDT",))["open_interest"]["open_interest"].to_numpy()
        np.testing.assert_array_equal(stamped, run("BTCUSDT", days=20).interest[4::5, 0])

    def test_a_trade_without_a_counterparty_is_refused(self):
        """Fails when the assertion of every minute is asleep."""
        interest = run().interest.copy()
        interest[1234, 0] *= 1 + 1e-6
        with pytest.raises(DataError, match="at minute 1234"):
            minute_step._refuse_unequal_sides(interest)


class TestTruth:
    REQUEST = MarketRequest(symbols=["BTCUSDT"], start=START, end=START + 20 * DAY, seed=5)

    def test_nothing_that_makes_features_can_read_it(self):
        """Fails when the latent state becomes an input: a model would then know what nobody knows."""
        made = simulate(self.REQUEST)
        assert_same_tables(made.tables, market(("BTCUSDT",)))
        assert set(made.truth) == {"latent", "liquidations"}
        assert "latent" not in SCHEMAS
        assert not any("available_time" in table for table in made.truth.values())
        hidden = set(made.truth["latent"]) - {"symbol", "event_time"}
        assert not hidden & {column for table in made.tables.values() for column in table}

    def test_it_explains_the_price(self):
        """At signal s the log price is the fundamental and s times the pressures, to the tick."""
        made = simulate(self.REQUEST)
        latent = made.truth["latent"]
        displaced = latent["fundamental"] + 0.4 * (latent["crowd_pressure"] + latent["forced_pressure"])
        close = np.log(made.tables["fine_bars"]["close"].iloc[4::5].to_numpy())
        np.testing.assert_allclose(np.diff(displaced), np.diff(close), atol=1e-5)

    def test_a_venue_publishes_one_liquidation_a_second(self):
        """Fails when the cap is a filter on size, works per side, or invents events."""
        feed = simulate(replace(self.REQUEST, liquidation_cap=timedelta(seconds=1)))
        seen, full = feed.tables["liquidations"], feed.truth["liquidations"]
        pd.testing.assert_frame_equal(full, simulate(self.REQUEST).truth["liquidations"])
        slots = full.groupby(full["event_time"].dt.floor("s"))
        assert slots.size().max() > 1
        expected = slots.tail(1)
        assert seen["event_time"].tolist() == expected["event_time"].tolist()
        assert seen["quantity"].tolist() == expected["quantity"].tolist()
        assert 0.2 < seen["quantity"].sum() / full["quantity"].sum() < 0.95


class TestListings:
    LISTED = START + timedelta(days=6, hours=3, minutes=5)

    def test_nothing_is_published_before_and_the_same_market_after(self):
        """Fails when a listing shifts the common shocks, or the market of another symbol."""
        listed = tables_of(
            ["BTCUSDT", "XRPUSDT"], start=START, end=START + 20 * DAY, seed=5, listings={"XRPUSDT": self.LISTED}
        )
        first = listed["fine_bars"].groupby("symbol")["open_time"].min()
        assert first.to_dict() == {"BTCUSDT": START, "XRPUSDT": self.LISTED}
        assert listed["liquidations"].groupby("symbol")["event_time"].min()["XRPUSDT"] >= self.LISTED
        for name, table in market().items():
            others = table["symbol"] == "BTCUSDT"
            pd.testing.assert_frame_equal(listed[name][listed[name]["symbol"] == "BTCUSDT"], table[others])
        whole = market()["fine_bars"]
        whole = whole[(whole["symbol"] == "XRPUSDT") & (whole["open_time"] >= self.LISTED)]
        late = listed["fine_bars"][listed["fine_bars"]["symbol"] == "XRPUSDT"]
        np.testing.assert_array_equal(late["volume"], whole["volume"])
        ratio = late["close"].to_numpy() / whole["close"].to_numpy()
        np.testing.assert_allclose(ratio, ratio[0], rtol=2e-4)


class TestStreaming:
    REQUEST = MarketRequest(
        symbols=["XRPUSDT", "BTCUSDT"], start=START, end=START + 3 * DAY, seed=5, options={"sweep_size": 0.01}
    )

    def test_the_files_hold_the_same_tables(self, tmp_path):
        """Fails when a part is lost, reordered, or typed anew; and when the truth lies among the tables."""
        heard: list[str] = []
        stream_market(tmp_path / "market", self.REQUEST, progress=heard.append)
        made = simulate(self.REQUEST)
        read = read_tables(tmp_path / "market")
        assert set(read) == set(made.tables)
        for name, table in made.tables.items():
            pd.testing.assert_frame_equal(read[name], table, check_exact=True)
        for name, table in made.truth.items():
            pd.testing.assert_frame_equal(read_tables(tmp_path / "market" / TRUTH)[name], table, check_exact=True)
        assert heard == ["BTCUSDT: simulated 4,320 minutes", "XRPUSDT: simulated 4,320 minutes"]

    def test_the_same_seed_gives_the_same_files(self, tmp_path):
        for name in ("one", "other"):
            stream_market(tmp_path / name, self.REQUEST)
        names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.parquet"))
        assert len(names) == len(SCHEMA) + 2
        for name in names:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()

    def test_what_is_larger_than_the_machine_is_refused_with_the_estimate(self, tmp_path):
        """Fails when the machine runs out of memory or disk after an hour instead of in advance."""
        large = replace(self.REQUEST, start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9000, 1, 1, tzinfo=UTC))
        with pytest.raises(ParameterError, match=r"needs about [\d,.]+ GiB of memory"):
            simulate(large)
        with pytest.raises(ParameterError, match=r"needs about [\d,.]+ GiB of memory"):
            stream_market(tmp_path / "market", large)
        with pytest.raises(ParameterError, match=r"needs about [\d,.]+ GiB on the disk of .*are free"):
            footprint.refuse_beyond_disk(footprint.disk_needed(large), tmp_path / "market" / "below")
        assert not (tmp_path / "market").exists()

    def test_one_symbol_at_a_time_needs_less_memory_than_all(self):
        long = replace(self.REQUEST, symbols=[f"S{i}USDT" for i in range(10)], end=START + 4 * 365 * DAY)
        assert footprint.streaming_memory_needed(long) < 3 * footprint.GIB < footprint.memory_needed(long)


class TestSignal:
    def test_at_signal_zero_flow_does_not_move_the_price(self):
        """Fails when hunters or the crowd reach the price other than through `signal`."""
        quiet, loud = (market(("BTCUSDT",), 20, signal=0.0, crowd_impact=each) for each in (0.0, 50.0))
        prices = ["open", "high", "low", "close"]
        pd.testing.assert_frame_equal(quiet["fine_bars"][prices], loud["fine_bars"][prices], check_exact=True)
        assert (quiet["premium_index"]["premium_index"] != loud["premium_index"]["premium_index"]).any()

    def test_what_whales_know_reaches_their_own_tables_alone(self):
        """Fails when their flow presses on the price: it would then tell of the price at any `whale_signal`."""
        blind, seeing = (market(("BTCUSDT",), 20, signal=1.0, whale_signal=each) for each in (0.0, 1.0))
        for name in set(blind) - {"whale_transfers", "large_trades", "open_interest"}:
            pd.testing.assert_frame_equal(blind[name], seeing[name], check_exact=True)
        for name in ("whale_transfers", "large_trades"):
            assert not blind[name].equals(seeing[name])

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
            market_run = run(f"NULL{i}", days=120, signal=signal, common_price_share=0.0)
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
        assert len(tables["large_trades"]) > 1000
        latent = simulate(replace(TestTruth.REQUEST, signal=0.0)).truth["latent"]
        assert (latent["sweep_side"] != 0).any()
        assert (latent["phase"] > 0).any()

    def test_signal_leaves_the_shocks_in_place(self):
        """Fails when `signal` changes how many numbers a stream draws: two signals could not be compared then."""
        null, default = (np.diff(run(days=30, signal=each).log_price[::5, 3]) for each in (0.0, 0.4))
        assert np.corrcoef(null, default)[0, 1] > 0.9

    def test_whales_tell_of_pressure_only_with_whale_signal(self):
        """Fails when coins move at random although whales know, or tell although they do not."""
        correlations = {}
        for whale_signal in (0.0, 1.0):
            flows, pressures = [], []
            for i in range(4):
                market_run = run(f"NULL{i}", days=40, whale_signal=whale_signal)
                day = market_run.transfers[:, 0].astype(int) // 1440
                flows.append(np.bincount(day, market_run.transfers[:, 1] * market_run.transfers[:, 3], 40))
                pressure = market_run.latent[:, LATENT.index("crowd_pressure")]
                pressures.append(np.diff(pressure[::288], append=pressure[-1]))
            correlations[whale_signal] = np.corrcoef(np.concatenate(flows), np.concatenate(pressures))[0, 1]
        assert abs(correlations[0.0]) < 0.25  # of 160 days
        assert correlations[1.0] < -0.4

    def test_a_sweep_runs_the_stops_beyond_the_extreme(self):
        """Fails when the hunter trades away from the pool, or keeps what it bought."""
        market_run = run(days=60, signal=1.0, sweeps_per_day=20.0)
        latent = {name: market_run.latent[:, place] for place, name in enumerate(LATENT)}
        begins = np.flatnonzero((latent["sweep_side"][1:] != 0) & (latent["sweep_side"][:-1] == 0)) + 1
        assert len(begins) > 20
        assert np.abs(latent["hunter_position"][latent["sweep_side"] == 0]).max() < 1e-6
        closes = market_run.log_price[4::5, 3]
        begins = begins[(begins > 1) & (begins < len(closes) - 2)]
        moves = (closes[begins + 1] - closes[begins - 2]) * latent["sweep_side"][begins]
        assert moves.mean() > 2 * moves.std() / np.sqrt(len(moves))

    def test_skew_makes_falls_larger_and_leaves_the_martingale(self):
        hourly = np.concatenate(
            [
                np.diff(run(f"NULL{i}", days=60, signal=0.0, skew=1.0, common_price_share=0.0).log_price[::60, 3])
                for i in range(8)
            ]
        )
        low, high = np.quantile(hourly, [0.01, 0.99])
        assert 1.1 < -low / high < 1.4
        assert abs(hourly.mean()) < 4 * hourly.std() / np.sqrt(len(hourly))

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
            ({"listings": {"ETHUSDT": START}}, "`listings` must name symbols of the request; one was `ETHUSDT`"),
            ({"listings": {"BTCUSDT": START + DAY}}, r"`listings\[BTCUSDT\]` must lie between `start` and `end`"),
            ({"listings": {"BTCUSDT": START - DAY}}, r"`listings\[BTCUSDT\]` must lie between"),
            ({"listings": {"BTCUSDT": datetime(2024, 3, 1)}}, r"`listings\[BTCUSDT\]` must carry a time zone"),
            ({"liquidation_cap": timedelta(0)}, "`liquidation_cap` must be a positive timedelta, or None"),
            ({"liquidation_cap": 1}, "`liquidation_cap` must be a positive timedelta"),
            ({"options": {"skew": -0.1}}, r"`skew` must be in \[0, 1\]"),
            ({"options": {"sweep_size": -1}}, "`sweep_size` must be in"),
            ({"seed": -1}, "`seed` must be an integer"),
            ({"seed": 1.5}, "`seed` must be an integer"),
            ({"signal": 1.01}, r"`signal` must be in \[0, 1\]"),
            ({"signal": -0.1}, "`signal` must be in"),
            ({"signal": float("nan")}, "`signal` must be in"),
            ({"whale_signal": 2}, "`whale_signal` must be in"),
            ({"options": {"sigma_daily": -0.02}}, "`sigma_daily` must be in .* was -0.02"),
            ({"options": {"sigma_daily": "0.02"}}, "`sigma_daily` must be a number, was '0.02'"),
            ({"options": {"price_decimals": 1.5}}, "`price_decimals` must be a whole number"),
            ({"options": {"sigma_dayly": 0.02}}, "`sigma_dayly` is not an option .* did you mean `sigma_daily`"),
            ({"lags": {"bars": DAY}}, "`lags` must name tables .* `bars`"),
            ({"lags": {"fine_bars": -DAY}}, r"`lags\[fine_bars\]` must be a timedelta of at least 0"),
            ({"lags": {"fine_bars": 2}}, r"`lags\[fine_bars\]` must be a timedelta"),
        ],
    )
    def test_it_is_refused_by_name(self, change, message):
        arguments = {"symbols": ["BTCUSDT"], "start": START, "end": START + DAY, "seed": 5} | change
        with pytest.raises(ParameterError, match=message):
            MarketRequest(**arguments)

    def test_every_default_lies_inside_of_its_own_range(self):
        assert MarketParameters().signal == 0.4
        assert parameters_of("BTCUSDT", {}).sigma_daily == 0.0275


def test_progress_hears_of_every_symbol():
    heard: list[str] = []
    request = MarketRequest(symbols=["BTCUSDT", "NEWUSDT"], start=START, end=START + DAY, seed=5)
    simulate(request, progress=heard.append)
    assert heard == ["BTCUSDT: simulated 1,440 minutes", "NEWUSDT: simulated 1,440 minutes"]
