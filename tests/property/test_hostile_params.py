"""params.yaml changed by many operators: it is read as before, or refused by a named error that is short and fast."""

from __future__ import annotations

import copy
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.errors import MissingDataError, ParameterError

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
ROUNDS = int(os.environ.get("HOSTILE_PARAMS_ROUNDS", "2"))  # of every operator; more for a long run
HUGE = 10**400


def nodes(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values."""
    found = [path] if path else []
    if isinstance(content, dict):
        found += [more for key, value in content.items() for more in nodes(value, (*path, key))]
    elif isinstance(content, list):
        found += [more for number, value in enumerate(content) for more in nodes(value, (*path, number))]
    return found


def parent(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        content = content[key]
    return content


def typed(content: Any) -> list[Any]:
    """Mappings whose keys are fixed; those of a column map are the user's own."""
    sections = [content[name] for name in ("market", "features", "bracket", "labels", "validation", "trading")]
    return [content, *sections, content["trading"]["rules"], content["features"]["price"]]


def replaced(value: Callable[[random.Random, Any], Any]) -> Callable[[Any, random.Random], Any]:
    """An operator that puts another value into the place of one."""

    def operator(content: Any, draws: random.Random) -> Any:
        path = draws.choice(nodes(content))
        inside = parent(content, path)
        inside[path[-1]] = value(draws, inside[path[-1]])
        return content

    return operator


def renamed(name: Callable[[random.Random, Any], Any]) -> Callable[[Any, random.Random], Any]:
    """An operator that gives a value another key."""

    def operator(content: Any, draws: random.Random) -> Any:
        path = draws.choice([path for path in nodes(content) if not isinstance(path[-1], int)])
        inside = parent(content, path)
        inside[name(draws, path[-1])] = inside.pop(path[-1])
        return content

    return operator


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def scaled(draws: random.Random, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value * draws.choice([-1, 0, 1e-300, 1e6, 1e300]) if number else [value, value]


STRUCTURAL: dict[str, Callable[[Any, random.Random], Any]] = {
    "null": replaced(lambda d, v: None),
    "empty text": replaced(lambda d, v: ""),
    "list": replaced(lambda d, v: [v]),
    "empty list": replaced(lambda d, v: []),
    "mapping": replaced(lambda d, v: {"a": v}),
    "empty mapping": replaced(lambda d, v: {}),
    "true": replaced(lambda d, v: True),
    "zero": replaced(lambda d, v: 0),
    "negative": replaced(lambda d, v: -1),
    "huge whole number": replaced(lambda d, v: HUGE),
    "infinity": replaced(lambda d, v: d.choice([float("inf"), float("-inf"), float("nan")])),
    "text of a number": replaced(lambda d, v: str(v)),
    "long duration": replaced(lambda d, v: d.choice(["9" * 20 + "d", "9" * 4_000 + "h", "9" * 9_000 + "s"])),
    "long text": replaced(lambda d, v: "x" * 20_000),
    "odd text": replaced(lambda d, v: d.choice(["\x1b[31m", "../..", "/etc", "\U0001f40b", "{", "a:b", "\t", "1e999"])),
    "date": replaced(lambda d, v: d.choice(["2026-11-25", "0000-00-00", "9999-12-31T23:59:59Z", "2024-02-30"])),
    "many": replaced(lambda d, v: [v] * 300),
    "deep": replaced(lambda d, v: deep(d.choice([3, 40, 200]))),
    "scaled": replaced(scaled),
    "dropped": lambda c, d: (lambda p: (parent(c, p).pop(p[-1]), c)[1])(d.choice(nodes(c))),
    "moved": lambda c, d: (lambda p, q: parent(c, p).__setitem__(p[-1], copy.deepcopy(parent(c, q)[q[-1]])) or c)(
        d.choice(nodes(c)), d.choice(nodes(c))
    ),
    "misspelt key": lambda c, d: (lambda s: s.__setitem__("mis", s.pop(d.choice(list(s)))) or c)(d.choice(typed(c))),
    "whole number as key": renamed(lambda d, k: 7),
    "true as key": renamed(lambda d, k: True),
    "null as key": renamed(lambda d, k: None),
    "empty key": renamed(lambda d, k: ""),
    "families from outside": lambda c, d: (
        lambda extra, own: c["features"].update(extra=extra, extra_parameters=own, mine=own) or c
    )(d.choice([["a.b:C"], "a.b:C", [1], [["a:B"]], {"a": 1}]), d.choice([[], {"C": 1}, {"C": {"x": "1h"}}, "x", 1])),
    "facts of contracts": lambda c, d: (
        c["datasets"]["simulated"].update(
            contract_facts=d.choice([[], {}, "x", {"venue": 1}, {"venue": "okx", "contracts": {"BTCUSDT": deep(5)}}])
        )
        or c
    ),
    "unknown key": lambda c, d: d.choice(typed(c)).__setitem__("unheard_of", 1) or c,
}


def line_of(text: str, draws: random.Random) -> list[str]:
    lines = text.splitlines()
    lines.insert(draws.randrange(len(lines)), "")
    return lines


def bomb(text: str, draws: random.Random) -> str:
    """Nested aliases: nine times ten to the power of the levels."""
    levels = draws.randint(4, 12)
    chain = ["&a0 [x,x,x,x,x,x,x,x,x]"] + [f"&a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return text.replace("bar_interval: 5m ", f"bar_interval: [{', '.join(chain)}] ", 1)


TEXTUAL: dict[str, Callable[[str, random.Random], str]] = {
    "cut": lambda t, d: t[: d.randrange(len(t))],
    "line dropped": lambda t, d: "\n".join(line for n, line in enumerate(t.splitlines()) if n != d.randrange(200)),
    "line doubled": lambda t, d: (lambda ls, n: "\n".join([*ls[:n], ls[n], *ls[n:]]))(t.splitlines(), d.randrange(150)),
    "lines swapped": lambda t, d: (lambda ls: "\n".join(ls[1:50] + ls[:1] + ls[50:]))(line_of(t, d)),
    "indented": lambda t, d: (lambda ls, n: "\n".join([*ls[:n], f" {ls[n]}", *ls[n + 1 :]]))(
        t.splitlines(), d.randrange(150)
    ),
    "tabs": lambda t, d: t.replace("  ", "\t", d.randint(1, 30)),
    "letter": lambda t, d: (lambda n: t[:n] + d.choice("{}[]:,&*!|>'\"%@`#\x00\x07\ufeff") + t[n + 1 :])(
        d.randrange(len(t))
    ),
    "alias bomb": bomb,
    "alias of itself": lambda t, d: t.replace("bar_interval: 5m ", "bar_interval: &a [*a] ", 1),
    "chain of aliases": lambda t, d: (
        t + "extra:\n  a0: &a0 [1]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 900))
    ),
    "tag": lambda t, d: t.replace(
        ": ", d.choice([": !!python/object:os.system ", ": !!binary ", ": !!set ", ": !x "]), 9
    ),
    "half a surrogate": lambda t, d: t.replace("simulated", '"\\ud83d"', d.randint(1, 4)),
    "encoding": lambda t, d: t.replace("signal", "signal\udcff"),
    "two documents": lambda t, d: f"{t}\n---\n{t}",
    "nested mapping": lambda t, d: t + "x: " + "{a: " * d.choice([30, 300, 3_000]) + "1",
    "crlf": lambda t, d: t.replace("\n", "\r\n"),
    "data set as list": lambda t, d: t.replace("dataset: simulated", "dataset: [a]", 1),
    "digits": lambda t, d: t.replace("seed: 20230101", "seed: " + "9" * d.choice([20, 400, 5_000]), 1),
}
SAME = {"crlf"}
NEVER_READ = {
    "unknown key",
    "misspelt key",
    "alias bomb",
    "alias of itself",
    "chain of aliases",
    "data set as list",
    "cut",
}


def spoil(name: str, draws: random.Random) -> bytes:
    if name in TEXTUAL:
        return TEXTUAL[name](TEXT, draws).encode(errors="surrogateescape")
    return yaml.safe_dump(STRUCTURAL[name](yaml.safe_load(TEXT), draws), sort_keys=False).encode()


@pytest.mark.parametrize("name", [*STRUCTURAL, *TEXTUAL])
def test_hostile_parameters_are_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    """Catches a bare error, an error that cannot be read, and a value that takes for ever."""
    good, draws = load_params(ROOT / "params.yaml"), random.Random(name)
    path = tmp_path / "params.yaml"
    for number in range(ROUNDS):
        content = spoil(name, draws)
        path.write_bytes(content)
        since, params, refusal = time.process_time(), None, None
        try:
            params = load_params(path)
        except (ParameterError, MissingDataError) as error:
            refusal = str(error)
        assert time.process_time() - since < 5.0, (name, number)
        if refusal is not None:
            assert str(path) in refusal, (name, number, refusal)
            assert len(refusal) < 5_000, (name, number, refusal[:300])
        if name in SAME:
            assert params == good, (name, number, refusal)
        if name in NEVER_READ:
            assert refusal is not None, (name, number)
