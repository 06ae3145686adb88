"""Every command that a document names exists, with its options, its arguments and its parameters."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import typer
import yaml

from pipelines._closure import ROOT
from slackwater.cli import app
from tests.pages import PAGES, command_lines, mentioned

SLACKWATER = typer.main.get_command(app)
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PLACES = {"mine", "NAME", "PLACE"}
"""What stands for the name of a data set of the reader."""


def parse(words: Sequence[str]) -> None:
    """Parse a whole command line as the shell would hand it over; an option that does not exist raises."""
    command: Any = SLACKWATER
    rest = list(words)
    above = command.make_context("slackwater", [], resilient_parsing=True)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
        if not hasattr(command, "commands"):
            command.make_context(name, rest, parent=above)
            return
    assert rest
    assert {word.partition("=")[0] for word in rest} <= options_of(command), rest


def options_of(command: Any) -> set[str]:
    return {option for each in command.params for option in each.opts} | {"--help"}


def check_part(words: Sequence[str]) -> None:
    """Check that the command exists of which a sentence names a part, and the options beside it."""
    command: Any = SLACKWATER
    rest = list(words)
    while hasattr(command, "commands") and rest and re.fullmatch(r"[a-z-]*[a-z]", rest[0]) and rest[0][0] != "-":
        name = rest.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    assert {word for word in rest if word.startswith("--")} <= options_of(command), words


def check_dvc(words: Sequence[str]) -> None:
    """Check the names of stages and the keys of parameters in a command of DVC."""
    settings = {after for before, after in pairwise(words) if before == "-S"}
    for setting in settings:
        key, _, value = setting.partition("=")
        content: Any = PARAMS
        for part in key.lstrip("+").split("."):
            assert key.startswith("+") or part in content, f"params.yaml has no {key}"
            content = content.get(part, {})
        assert key != "dataset" or value in PARAMS["datasets"] or value in PLACES, f"there is no data set {value}"
    if words[:1] == ["repro"] or words[:2] == ["exp", "run"]:
        names = [word for word in words[1 if words[0] == "repro" else 2 :] if word[0] != "-" and word not in settings]
        assert set(names) <= set(STAGES), words


def check(words: Sequence[str], whole: bool) -> None:
    program, rest = words[0], words[1:]
    if program == "slackwater":
        (parse if whole else check_part)(rest)
    elif program == "make":
        assert {word for word in rest if word.islower()} <= TARGETS, words
    elif program == "python":
        assert importlib.util.find_spec(rest[1]) is not None, words
    elif program == "dvc":
        check_dvc(rest)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_parses(page: str) -> None:
    """A reader who copies a line must not be told that the option is gone."""
    wrong = []
    for whole, found in ((True, command_lines(page)), (False, mentioned(page))):
        for words in found:
            try:
                check(words, whole)
            except Exception as error:
                wrong.append(f"{' '.join(words)}: {getattr(error, 'message', error)}")
    assert wrong == []


def test_what_is_searched_is_found() -> None:
    """Were the lines not recognised, every page would pass."""
    assert ["slackwater", "inspect"] in list(command_lines("README.md"))
    assert ["make", "repro"] in list(command_lines("docs/studies.md"))  # in an indented block
    assert ["slackwater", "inspect", "--bundle", "DIR"] in list(mentioned("docs/bundle.md"))
    lines = [words for page in PAGES for words in command_lines(page) if words[0] == "slackwater"]
    assert len(lines) > 30


@pytest.mark.parametrize(
    "line",
    [
        "slackwater inpsect",
        "slackwater inspect --bundel x",
        "slackwater zones",
        "slackwater simulate --days few",
        "slackwater venue serv",
        "make repr",
        "python -m campaigns.no_such",
        "dvc exp run -S labels.horizn=4h",
        "dvc exp run -S dataset=simulatd",
        "dvc repro scorecrd",
    ],
)
def test_a_wrong_line_would_be_seen(line: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        check(line.split(), whole=True)
