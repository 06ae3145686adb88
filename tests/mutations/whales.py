"""A judge of how files of whales are read after mutations: Whale Alert, Hyperliquid, and transfers with labels."""

from __future__ import annotations

import copy
import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from slackwater.errors import SlackwaterError
from slackwater.sources.own_files.source import ReadFile, Request, Source
from slackwater.sources.whales.hyperliquid import HyperliquidFills, HyperliquidLedger
from slackwater.sources.whales.transfer_file import TransferFile
from slackwater.sources.whales.whale_alert import WhaleAlert
from tests.mutations.of_values import JSON_VALUES, any_of, spoil_bytes

Rows = list[Any]
START: Final = 1_709_294_400
NOW: Final = datetime(2024, 6, 1, tzinfo=UTC)
SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
COUNT: Final = 40


def _alert(number: int) -> dict[str, Any]:
    exchange, wallet = {"address": "3x", "owner": "kraken", "owner_type": "exchange"}, {"address": "1a"}
    return {
        "blockchain": "bitcoin",
        "symbol": "btc",
        "id": f"id{number}",
        "hash": f"h{number}",
        "from": wallet if number % 2 else exchange,
        "to": exchange if number % 2 else wallet,
        "timestamp": START + 60 * number,
        "amount": 12.5 + number,
        "amount_usd": 7e5 + number,
    }


def _fill(number: int) -> dict[str, Any]:
    time, price = 1000 * (START + 60 * number), str(100 + number)
    return {
        "coin": "BTC",
        "px": price,
        "sz": "5",
        "side": "BA"[number % 2],
        "time": time,
        "crossed": True,
        "tid": number,
    }


def _update(number: int) -> dict[str, Any]:
    kind = "deposit" if number % 3 else "withdraw"
    time = 1000 * (START + 60 * number)
    return {"time": time, "hash": f"0x{number}", "delta": {"type": kind, "usdc": str(100 + number)}}


def _old_update(number: int) -> dict[str, Any]:
    stamp = datetime.fromtimestamp(START + 60 * number, UTC).isoformat().replace("+00:00", "Z")
    return {"time": stamp, "user": f"0x{number % 7}", "delta_usd": (100.0 + number) * (-1 if number % 3 else 1)}


def _transfer(number: int) -> dict[str, Any]:
    return {
        "event_time": START + 60 * number,
        "chain": "bitcoin",
        "asset": "BTC",
        "amount": 5.0 + number,
        "amount_usd": 3e5 + number,
        "tx_hash": f"h{number}",
        "source": "node",
        "from_address": f"a{number % 5}",
        "to_address": f"b{number % 4}",
    }


LABELS: Final = "address,owner,owner_type,known_since\n" + "".join(
    f"{side}{place},owner {side}{place},{'exchange' if side == 'a' else 'wallet'},2024-01-0{place + 1}T00:00:00Z\n"
    for side in "ab"
    for place in range(4)
)
FILLS: Final = {"floor_usd": 0.0, "quantile": 1e-9, "warm_up": timedelta(hours=1)}
KINDS: Final[dict[str, tuple[Callable[[int], dict[str, Any]], str, Source]]] = {
    "whale_alert": (_alert, "whale_transfers", WhaleAlert(file="file.json", known_since=SINCE)),
    "hyperliquid_fills": (_fill, "large_trades", HyperliquidFills(file="file.json", **FILLS)),  # type: ignore[arg-type]
    "hyperliquid_ledger": (_update, "whale_transfers", HyperliquidLedger(file="file.json", user="0xa")),
    "hyperliquid_archive": (_old_update, "whale_transfers", HyperliquidLedger(file="file.json")),
    "transfers": (_transfer, "whale_transfers", TransferFile(file="file.json", labels="labels.csv")),
}


# -- operators ---------------------------------------------------------------------------------------------------


def _place(rows: Rows, rng: np.random.Generator) -> int:
    return int(rng.integers(len(rows)))


def _inner(row: Any, rng: np.random.Generator) -> tuple[dict[str, Any], str]:
    """Return a mapping of a row, the row itself or one inside it, and one of its keys."""
    inside = [each for each in row.values() if isinstance(each, dict)]
    owner = any_of(rng, inside) if inside and rng.random() < 0.4 else row
    return owner, any_of(rng, [*owner])


def strange_value(rows: Rows, rng: np.random.Generator) -> None:
    owner, key = _inner(rows[_place(rows, rng)], rng)
    owner[key] = any_of(rng, JSON_VALUES)


def strange_values(rows: Rows, rng: np.random.Generator) -> None:
    _, key = _inner(rows[0], rng)
    value = any_of(rng, JSON_VALUES)
    for row in rows:
        if key in row:
            row[key] = value


def lost_key(rows: Rows, rng: np.random.Generator) -> None:
    owner, key = _inner(rows[_place(rows, rng)], rng)
    del owner[key]


def lost_keys(rows: Rows, rng: np.random.Generator) -> None:
    _, key = _inner(rows[0], rng)
    for row in rows:
        row.pop(key, None)


def no_row(rows: Rows, rng: np.random.Generator) -> None:
    value = any_of(rng, JSON_VALUES)
    rows[_place(rows, rng)] = None if value == [] else value  # a line that is an empty list is an answer without rows


def doubled_row(rows: Rows, rng: np.random.Generator) -> None:
    rows.insert(_place(rows, rng), copy.deepcopy(rows[_place(rows, rng)]))


def shuffled(rows: Rows, rng: np.random.Generator) -> None:
    rows[:] = [rows[place] for place in rng.permutation(len(rows))]


def texts(rows: Rows, rng: np.random.Generator) -> None:
    """Write numbers as text."""
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = repr(value)


def thousands(rows: Rows, rng: np.random.Generator) -> None:
    for row in rows:
        for key in ("amount_usd", "delta_usd"):
            if key in row:
                row[key] = f"{float(row[key]):,.2f}"


def more(rows: Rows, rng: np.random.Generator) -> None:
    for row in rows:
        row["beside"] = {"x": [1]}


OPERATORS: Final = (
    strange_value, strange_values, lost_key, lost_keys, no_row, doubled_row, shuffled, texts, thousands, more
)  # fmt: skip
FORMS: Final[dict[str, Callable[[Rows], bytes]]] = {
    "list": lambda rows: json.dumps(rows).encode(),
    "lines": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "byte-order mark": lambda rows: b"\xef\xbb\xbf" + json.dumps(rows).encode(),
    "UTF-16": lambda rows: json.dumps(rows).encode("utf-16"),
    "compressed": lambda rows: gzip.compress(json.dumps(rows).encode()),
    "one line of lists": lambda rows: (json.dumps(rows[:5]) + "\n" + json.dumps(rows[5:])).encode(),
    "answer": lambda rows: json.dumps({"result": "success", "transactions": rows}).encode(),
    "error": lambda _: b'{"result": "error", "message": "no"}',
    "nothing": lambda _: b"",
}


def judged(seed: int, directory: Path) -> tuple[str, list[str]]:
    """Return what became of one mutated file: equal, repaired or refused; and the operators.

    Raises
    ------
    AssertionError
        If rows were lost or changed without a word. Any error that is not one of slackwater's is raised as it is.
    """
    rng = np.random.default_rng(seed)
    kind = [*KINDS][seed % len(KINDS)]
    make = KINDS[kind][0]
    rows: Rows = [make(number) for number in range(COUNT)]
    done: list[str] = []
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        if all(isinstance(row, dict) and row for row in rows):
            operator = OPERATORS[rng.integers(len(OPERATORS))]
            operator(rows, rng)
            done.append(operator.__name__)
    form = str(rng.choice([*FORMS])) if not done or rng.random() < 0.2 else str(rng.choice(["list", "lines"]))
    try:
        data, labels = FORMS[form](rows), LABELS.encode()
    except (TypeError, ValueError):
        return "not written", done
    if rng.random() < 0.1:
        data, form = spoil_bytes(rng, data or b" "), f"{form}, spoilt"
    if kind == "transfers" and rng.random() < 0.3:
        labels, form = spoil_bytes(rng, labels), f"{form}, spoilt labels"
    done += [] if form in ("list", "lines") else [form]
    try:
        read = _read(kind, data, labels, directory)
    except SlackwaterError as error:
        return "refused" if str(error) else "refused without a reason", done
    got, due = _rows(read), reference(kind)
    if got == due:
        return "equal", done
    where = f"seed {seed}: {kind} after {done}"
    # Other bytes may spell another number, and a strange value may be a right one: a row of its own, or an owner.
    meant = any("spoilt" in each for each in done) or any("strange" in each or "lost" in each for each in done)
    assert meant or not got - due, f"{where}: holds {[*(got - due)][:2]}"
    lost = due.total() - got.total()
    assert read.findings or lost <= 0 or "spoilt" in form, f"{where}: lost {lost} rows in silence"
    assert all(float(row[-1]) >= 0.0 and row[-1] not in ("nan", "inf") for row in got), (
        f"{where}: an amount that is none"
    )
    return "repaired", done


def _read(kind: str, data: bytes, labels: bytes, directory: Path) -> ReadFile:
    (directory / "file.json").write_bytes(data)
    (directory / "labels.csv").write_bytes(labels)
    _, table, source = KINDS[kind]
    [read] = source.read(Request(root=directory, table=table, symbols=("BTCUSDT",), now=NOW))
    return read


def _rows(read: ReadFile) -> Counter[tuple[str, ...]]:
    """Return when, who and how much of each row, however often it comes."""
    names = [
        *("event_time", "available_time", "from_owner", "to_owner", "side", "price"),
        "amount",
        "amount_usd",
        "quantity",
    ]
    columns = [read.table[name] for name in names if name in read.table]
    return Counter(zip(*([str(each) for each in column] for column in columns), strict=True))


@cache
def reference(kind: str) -> Counter[tuple[str, ...]]:
    """The rows of a kind as its file stands."""
    with tempfile.TemporaryDirectory() as directory:
        rows = [KINDS[kind][0](number) for number in range(COUNT)]
        return _rows(_read(kind, FORMS["list"](rows), LABELS.encode(), Path(directory)))
