"""From a request to a directory: through a bad network, killed in the middle, and the same bytes in the end."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError, SchemaError, SourceError
from slackwater.market.schemas import SCHEMAS, validate
from slackwater.sources.binance_archive import parts
from slackwater.sources.binance_archive.catalogue import DEFAULT_LAGS
from slackwater.sources.binance_archive.parts import read_part
from slackwater.sources.fetch import datasets_entry, fetch, summary
from slackwater.sources.http import Politeness
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.request import FetchRequest
from slackwater.storage import read_tables
from tests.mirror.archive import archive_file
from tests.mirror.faults import QUICK, BadNetwork, Watch, digests, fetch_and_kill, fetch_until_whole, request
from tests.mirror.server import Mirror, running

DAYS = ("2024-01-05", "2024-01-07")
TABLES = ("fine_bars", "mark_price", "premium_index", "open_interest", "long_short_ratio", "funding", "large_trades")


def bring(out: Path, mirror: Mirror, **changes: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "venue": "binance",
        "symbols": ["BTCUSDT"],
        "start": datetime(2024, 1, 5, tzinfo=UTC),
        "end": datetime(2024, 1, 7, tzinfo=UTC),
        "tables": ["fine_bars"],
    }
    options = {name: changes.pop(name) for name in ("cache", "now") if name in changes}
    return fetch(FetchRequest(**wanted | changes), out, mirror=mirror.url, politeness=QUICK, **options)


def test_every_table_fits_its_schema(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        manifest = bring(tmp_path / "um", mirror, symbols=["ETHUSDT", "BTCUSDT"], tables=[*TABLES, "depth"])
        bring(tmp_path / "cm", mirror, symbols=["BTCUSD_PERP"], tables=["fine_bars", "open_interest", "liquidations"],
              start=datetime(2023, 7, 5, tzinfo=UTC), end=datetime(2023, 7, 6, tzinfo=UTC))  # fmt: skip
    tables = read_tables(tmp_path / "um") | {
        f"cm {name}": table for name, table in read_tables(tmp_path / "cm").items()
    }
    assert len(tables) == 8 + 3
    for name, table in tables.items():
        checked = validate(table, name.removeprefix("cm "))
        assert list(checked) == [c.name for c in SCHEMAS[name.removeprefix("cm ")].columns if c.name in checked]
        assert table["symbol"].is_monotonic_increasing
    path = tables["fine_bars"]
    assert len(path) == 2 * 2 * 1440
    assert manifest["tables"]["fine_bars"]["rows"] == len(path)
    assert ((path["available_time"] - path["event_time"]) == pd.Timedelta("2s")).all()
    interest = tables["open_interest"]
    assert ((interest["available_time"] - interest["event_time"]) == pd.Timedelta("5m30s")).all()


def test_a_month_that_is_not_there_comes_by_the_day_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also: the row groups must not depend on how the rows came in."""

    def days_alone(path: str) -> bytes | None:
        return None if "/monthly/" in path else archive_file(path)

    month = {"start": datetime(2022, 2, 1, tzinfo=UTC), "end": datetime(2022, 3, 1, tzinfo=UTC)}
    with running(Mirror()) as mirror:
        bring(tmp_path / "month", mirror, **month)
        assert any("/monthly/" in path for path, _ in mirror.requests)
    with running(Mirror(days_alone)) as mirror:
        manifest = bring(tmp_path / "days", mirror, cache=tmp_path / "other", **month)
    assert digests(tmp_path / "month") == digests(tmp_path / "days")
    assert len(manifest["files"]) == 28
    assert not manifest["missing"]


def test_a_run_again_asks_for_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        first = bring(tmp_path / "out", mirror, tables=list(TABLES))
        before, asked = digests(tmp_path / "out"), len(mirror.requests)
        second = bring(tmp_path / "out", mirror, tables=list(TABLES))
        assert len(mirror.requests) == asked
    assert digests(tmp_path / "out") == before
    assert first == second
    assert len(before) == len(TABLES)


def test_what_is_missing_is_said_with_its_reason(tmp_path: Path) -> None:
    start, now = datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 5, 12, tzinfo=UTC)

    def until_now(path: str) -> bytes | None:
        return None if "2024-01-05" in path or path.endswith("fundingRate-2024-01.zip") else archive_file(path)

    with running(Mirror(until_now)) as mirror:
        manifest = bring(
            tmp_path / "out",
            mirror,
            symbols=["ETHUSDT"],
            tables=["fine_bars", "funding", "open_interest", "liquidations"],
            start=start,
            end=datetime(2024, 1, 6, tzinfo=UTC),
            now=now,
        )
    missing = {(span["type"], span["start"][:10]): span["reason"] for span in manifest["missing"]}
    assert missing == {
        ("klines", "2024-01-05"): "not published yet",
        ("metrics", "2024-01-05"): "not published yet",
        ("metrics", "2024-01-03"): "the archive has no such file",
        ("fundingRate", "2024-01-01"): (
            "the month is not over; until then it is on the exchange's own interface alone"
        ),
    }
    assert "no longer has liquidations" in manifest["absent"]["liquidations"]
    said = "\n".join(summary(manifest))
    assert "missing: ETHUSDT metrics 2024-01-03 to 2024-01-04, 1 files" in said
    assert "missing_file" not in said  # told once
    assert "funding           absent" in said


def test_a_file_that_cannot_be_used_is_refused_and_the_others_come(tmp_path: Path) -> None:
    def spoilt(path: str) -> bytes | None:
        content = archive_file(path)
        return content[: len(content) // 2] if content and "2024-01-05" in path else content

    with running(Mirror(spoilt)) as mirror:
        manifest = bring(tmp_path / "out", mirror)
    assert [span["start"][:10] for span in manifest["refused"]] == ["2024-01-05"]
    refused = [finding for finding in manifest["findings"] if finding["action"] == "refused"]
    assert [finding["rule"] for finding in refused] == ["refused_file"]
    assert "not a readable zip" in refused[0]["note"]
    assert manifest["tables"]["fine_bars"]["rows"] == 1440


def test_a_month_that_is_refused_comes_by_the_day_too(tmp_path: Path) -> None:
    """Fails where one bad file takes a month of good days with it."""

    def spoilt(path: str) -> bytes | None:
        content = archive_file(path)
        return content[: len(content) // 2] if content and "/monthly/" in path else content

    month = {"start": datetime(2022, 2, 1, tzinfo=UTC), "end": datetime(2022, 3, 1, tzinfo=UTC)}
    with running(Mirror(spoilt)) as mirror:
        manifest = bring(tmp_path / "out", mirror, **month)
    assert manifest["tables"]["fine_bars"]["rows"] == 28 * 1440
    assert [finding["rule"] for finding in manifest["findings"] if finding["action"] == "refused"] == ["refused_file"]


def test_a_bad_ratio_does_not_cost_the_open_interest_beside_it(tmp_path: Path) -> None:
    """Fails where one column of a file decides on the table of another one."""

    def spoilt(path: str) -> bytes | None:
        content = archive_file(path)
        if content is None or "metrics" not in path or not path.endswith(".zip"):
            return content
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            name, text = zipped.namelist()[0], zipped.read(zipped.namelist()[0]).decode()
        head, *lines = text.splitlines()
        place = head.split(",").index("sum_toptrader_long_short_ratio")
        rows = [line.split(",") for line in lines]
        rows = [[*row[:place], "-1", *row[place + 1 :]] if i < 100 else row for i, row in enumerate(rows)]
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as zipped:
            zipped.writestr(name, "\n".join([head, *(",".join(row) for row in rows)]))
        return out.getvalue()

    tables = ["open_interest", "long_short_ratio"]
    with running(Mirror(spoilt, checksums=lambda path: False)) as mirror:
        manifest = bring(tmp_path / "out", mirror, tables=tables)
    assert manifest["tables"]["open_interest"]["rows"] == 2 * 288
    assert {f["rule"] for f in manifest["findings"] if f["action"] == "refused"} == {"refused_table"}


def test_a_damaged_part_is_made_anew_by_the_next_run(tmp_path: Path) -> None:
    """Fails where what is left of it stands in the way of every later run."""
    with running(Mirror()) as mirror:
        bring(tmp_path / "out", mirror)
        before = digests(tmp_path / "out")
        part = next(path for path in (tmp_path / ".cache").rglob("fine_bars.parquet"))
        part.write_bytes(part.read_bytes()[:100])
        with pytest.raises(SchemaError, match=r"is damaged .*run it again"):
            bring(tmp_path / "out", mirror)
        bring(tmp_path / "out", mirror)
    assert digests(tmp_path / "out") == before


def test_without_checksums_a_torn_file_is_asked_for_again_and_the_summary_says_unverified(tmp_path: Path) -> None:
    def plan(path: str, number: int) -> str | None:
        return "flipped_byte" if number == 1 else None

    with running(Mirror(faults=plan, checksums=lambda path: False)) as mirror:
        manifest = bring(tmp_path / "out", mirror)
    assert manifest["tables"]["fine_bars"]["rows"] == 2880
    assert not manifest["refused"]
    assert "2 of 2 files came without a checksum" in "\n".join(summary(manifest))


def test_nothing_at_all_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with running(Mirror()) as mirror, pytest.raises(MissingDataError, match=r"no bars were found of DOGEUSDT"):
        bring(tmp_path / "out", mirror, symbols=["DOGEUSDT"])
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_away_leaves_what_was_there(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        bring(tmp_path / "out", mirror)
        before = digests(tmp_path / "out")
    with pytest.raises(SourceError, match="could not be downloaded"):
        bring(tmp_path / "out", mirror, end=datetime(2024, 1, 9, tzinfo=UTC))
    assert digests(tmp_path / "out") == before


def test_what_was_not_fetched_is_never_replaced(tmp_path: Path) -> None:
    """Fails if a directory of the user's own is overwritten, or a smaller fetch throws a larger one away."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    with running(Mirror()) as mirror:
        with pytest.raises(ParameterError, match=r"own holds files that were not fetched, such as notes\.txt"):
            bring(own, mirror)
        out = tmp_path / "out"
        bring(out, mirror, tables=["fine_bars", "mark_price"])
        for changes, message in (
            ({"tables": ["fine_bars"]}, "holds the tables mark_price"),
            ({"tables": ["fine_bars", "mark_price"], "symbols": ["ETHUSDT"]}, "holds the symbols BTCUSDT"),
            ({"tables": ["fine_bars", "mark_price"], "start": datetime(2024, 1, 6, tzinfo=UTC)}, "request all of it"),
            ({"tables": ["fine_bars", "mark_price"], "interval": "5m"}, "fetched with interval 1m"),
        ):
            with pytest.raises(ParameterError, match=message):
                bring(out, mirror, **changes)
        (out / "extra.parquet").write_bytes(b"mine too")
        with pytest.raises(ParameterError, match=r"extra\.parquet was added or changed"):
            bring(out, mirror, tables=["fine_bars", "mark_price"])
    assert (own / "notes.txt").read_text() == "mine"
    assert (out / "extra.parquet").read_bytes() == b"mine too"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"venue": "mtgox"}, "`venue` must be a known venue"),
        ({"symbols": []}, "`symbols` must be names"),
        ({"symbols": ["BTCUSDT", "BTCUSDT"]}, "each once"),
        ({"symbols": ["../x"]}, "a symbol of Binance is a name"),
        ({"tables": ["candles"]}, "`tables` must be among"),
        ({"tables": []}, "`tables` must be among"),
        ({"interval": "7m"}, "`interval` must be one of"),
        ({"start": datetime(1, 1, 2, tzinfo=UTC)}, "`start` must not lie before 2018"),
        ({"end": datetime(2024, 1, 5, tzinfo=UTC)}, "`end` must be after `start`"),
        ({"start": datetime(2024, 1, 5)}, "must carry a time zone"),
        ({"start": datetime(2100, 1, 1, tzinfo=UTC), "end": datetime(2101, 1, 1, tzinfo=UTC)}, "lies in the future"),
        ({"venue": "okx", "source": "archive"}, "no archive of okx"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with running(Mirror()) as mirror, pytest.raises(ParameterError, match=message):
        bring(tmp_path / "out", mirror, **changes)
    assert not mirror.requests


def test_the_entry_for_the_parameters_can_be_read(tmp_path: Path) -> None:
    import yaml

    with running(Mirror()) as mirror:
        manifest = bring(tmp_path / "my-set", mirror, interval="5m")
    entry = yaml.safe_load(datasets_entry(manifest, tmp_path / "my-set"))["my_set"]
    assert entry["source"] == "parquet"
    assert entry["venue"] == "binance"
    assert entry["symbols"] == ["BTCUSDT"]
    assert entry["market"] == {"bar_interval": "5m", "fine_bar_interval": "5m"}


@pytest.mark.parametrize("name", ["2024", "on", "null", "1e5", "my set: 1"])
def test_a_directory_of_any_name_makes_an_entry(name: str, tmp_path: Path) -> None:
    """YAML reads 2024 as a number and `on` as a truth, and neither is the name of an entry."""
    import yaml

    with running(Mirror()) as mirror:
        manifest = bring(tmp_path / name, mirror)
    ((key, entry),) = yaml.safe_load(datasets_entry(manifest, Path("data") / name)).items()
    assert yaml.safe_load(f"dataset: {key}") == {"dataset": key}
    assert key.endswith(name.replace(": ", "_").replace(" ", "_"))
    assert entry["path"] == f"data/{name}"


def test_an_entry_of_another_place_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters name no place outside of the repository."""
    with running(Mirror()) as mirror:
        manifest = bring(tmp_path / "out", mirror)
    assert "link it into data/external" in datasets_entry(manifest, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert "path: out\n" in datasets_entry(manifest, tmp_path / "out")


def test_a_file_that_the_archive_lacks_reaches_the_ledger_of_the_data_set(tmp_path: Path) -> None:
    """The day before the first row, and a symbol without any, show in no gap."""
    with running(Mirror()) as mirror:
        bring(tmp_path / "out", mirror, symbols=["BTCUSDT", "ETHUSDT"], tables=["fine_bars", "open_interest"],
              start=datetime(2024, 1, 3, tzinfo=UTC), end=datetime(2024, 1, 4, tzinfo=UTC))  # fmt: skip
    reading = read_directory(tmp_path / "out", lags=DEFAULT_LAGS)
    assert set(reading.tables["open_interest"]["symbol"]) == {"BTCUSDT"}
    (found,) = [
        finding for finding in reading.findings if finding.symbol == "ETHUSDT" and finding.rule == "missing_file"
    ]
    assert (found.table, found.action, found.note) == ("open_interest", "recorded", "the archive has no such file")


def test_a_wrong_name_beside_a_right_one_is_an_error_that_costs_nothing(tmp_path: Path) -> None:
    """Fails where the entry that is printed names a symbol that the data set does not have."""
    with running(Mirror()) as mirror:
        with pytest.raises(
            MissingDataError, match=r"no bars were found of DOGEUSDT from .* no such file.* check its name"
        ):
            bring(tmp_path / "out", mirror, symbols=["BTCUSDT", "DOGEUSDT"])
        assert not (tmp_path / "out").exists()
        asked = len(mirror.requests)
        manifest = bring(tmp_path / "out", mirror)
        assert len(mirror.requests) == asked
    assert manifest["tables"]["fine_bars"]["rows_by_symbol"] == {"BTCUSDT": 2880}


def test_a_table_that_never_came_need_not_be_asked_for_again(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        bring(tmp_path / "out", mirror, tables=["fine_bars", "liquidations"])
        manifest = bring(tmp_path / "out", mirror, tables=["fine_bars"])
    assert list(manifest["tables"]) == ["fine_bars"]


def test_a_part_that_another_run_made_meanwhile_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where it is moved away for the own one: the other run may be about to read it."""
    cache, parse = tmp_path / "cache", parts.parse_archive
    made: list[int] = []

    def inodes() -> list[int]:
        return [path.stat().st_ino for path in sorted(cache.rglob("fine_bars.parquet"))]

    def late(*arguments: Any, **options: Any) -> parts.Part:
        parsed = parse(*arguments, **options)
        monkeypatch.setattr(parts, "parse_archive", parse)
        if not made:
            bring(tmp_path / "other", mirror, cache=cache, end=datetime(2024, 1, 6, tzinfo=UTC))
            made.extend(inodes())
        return parsed

    monkeypatch.setattr(parts, "parse_archive", late)
    with running(Mirror()) as mirror:
        bring(tmp_path / "out", mirror, cache=cache, end=datetime(2024, 1, 6, tzinfo=UTC))
    assert len(made) == 1
    assert inodes() == made
    assert digests(tmp_path / "out") == digests(tmp_path / "other")


def test_a_part_that_goes_while_it_is_read_is_an_error_and_no_empty_table(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="is gone from the cache; run it again"):
        read_part(tmp_path / "gone", "fine_bars")


def test_what_was_fetched_is_read_as_a_data_set_with_its_findings(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        manifest = bring(tmp_path / "out", mirror, tables=["fine_bars", "open_interest"])
    reading = read_directory(tmp_path / "out", lags=DEFAULT_LAGS)
    assert {name: len(table) for name, table in reading.tables.items()} == {"open_interest": 576, "fine_bars": 2880}
    assert [finding.rule for finding in reading.findings] == [each["rule"] for each in manifest["findings"]]


def test_a_bad_network_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Faults of many kinds: the tables are the same bytes, and nothing partial was ever seen."""
    wanted = request(DAYS, ("BTCUSDT",), TABLES)
    with running(Mirror()) as mirror:
        fetch(wanted, tmp_path / "good", mirror=mirror.url, politeness=QUICK)
    network = BadNetwork(seed=7, share=0.4)
    with running(Mirror(faults=network)) as mirror, Watch(tmp_path / "bad" / "out") as watch:
        fetch_until_whole(wanted, tmp_path / "bad" / "out", mirror, network)
    assert sum(mirror.injected.values()) >= 8
    assert digests(tmp_path / "bad" / "out") == digests(tmp_path / "good")
    assert watch.looks > 10
    assert not watch.partial


def test_killed_in_mid_download_it_takes_up_where_it_was(tmp_path: Path) -> None:
    wanted = request(DAYS, ("BTCUSDT",), TABLES)
    with running(Mirror()) as mirror:
        fetch(wanted, tmp_path / "good", mirror=mirror.url, politeness=QUICK)
    out = tmp_path / "killed" / "out"
    with running(Mirror(chunk_pause=0.02)) as mirror, Watch(out) as watch:
        kills = sum(fetch_and_kill(wanted, out, mirror, after=after) for after in (0.1, 0.5))
        assert not out.exists()
        parts = [path for path in (tmp_path / "killed").rglob("*.part") if path.stat().st_size]
        fetch(wanted, out, mirror=mirror.url, politeness=QUICK)
        continued = [headers for _, headers in mirror.requests if "range" in headers]
    assert kills == 2
    assert parts
    assert continued
    assert digests(out) == digests(tmp_path / "good")
    assert not watch.partial
    left = [path.name for path in out.parent.iterdir() if path.name not in ("out", ".cache", ".out.lock")]
    assert not left


def test_the_manifest_holds_no_secret(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        url = mirror.url.replace("://", "://someone:sesame@")
        wanted = request(DAYS, ("BTCUSDT",), ("fine_bars",))
        fetch(wanted, tmp_path / "out", mirror=url, politeness=Politeness(attempts=1))
    text = (tmp_path / "out" / "fetch.json").read_text()
    assert "sesame" not in text
    assert json.loads(text)["request"]["mirror"] == mirror.url
