"""The workflows: actions pinned by digest, no permission that is not needed, and commands that exist."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from pipelines._closure import ROOT

WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
MAY_WRITE = {("release.yml", "publish", "id-token"), ("release.yml", "publish", "attestations")}
PINNED = re.compile(r"uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def jobs_of(name: str) -> dict[str, Any]:
    return yaml.safe_load(WORKFLOWS[name])["jobs"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_a_digest_with_its_version(name: str) -> None:
    """A tag can be moved to other code, a digest cannot."""
    lines = [line.strip().removeprefix("- ") for line in WORKFLOWS[name].splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_digest_in_all_workflows() -> None:
    used = set(re.findall(r"uses: (\S+@\S+)", "".join(WORKFLOWS.values())))
    assert len(used) == len({each.partition("@")[0] for each in used})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_may_only_what_it_needs(name: str) -> None:
    """A job that may write can be made to by any package that it installs."""
    content = yaml.safe_load(WORKFLOWS[name])
    assert content["permissions"] == {}
    assert "pull_request_target" not in WORKFLOWS[name]
    assert "secrets." not in WORKFLOWS[name]
    for job, described in content["jobs"].items():
        writing = {(name, job, what) for what, right in described["permissions"].items() if right != "read"}
        assert writing <= MAY_WRITE
        assert not writing or not any("run" in step for step in described["steps"])  # it runs nothing of its own
        assert described["timeout-minutes"] <= 90
        for step in described["steps"]:
            assert "${{" not in step.get("run", ""), "text from outside would be run as a command: use env"
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_every_python_and_on_two_systems() -> None:
    matrix = jobs_of("ci.yml")["test"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert matrix["python"][0] == project["requires-python"].removeprefix(">=")
    assert matrix["python"] == [f"3.{minor}" for minor in range(11, 15)]
    assert {system.split("-")[0] for system in matrix["system"]} == {"ubuntu", "macos"}


def test_the_commands_of_the_workflows_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    commands = [
        step["run"] for name in WORKFLOWS for job in jobs_of(name).values() for step in job["steps"] if "run" in step
    ]
    assert {".ci/run", "make docs", "make dist"} <= set(commands)
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= targets
    assert (ROOT / ".ci/run").is_file()
    container = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    assert re.findall(r"make (\w+)", container)[0] in targets


def test_an_issue_asks_for_the_bundle_and_updates_wait() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8"))
    asked = {each.get("id"): each for each in form["body"]}
    assert "`slackwater inspect`" in asked["inspect"]["attributes"]["label"]
    assert asked["inspect"]["validations"]["required"] is True
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert all(each["cooldown"]["default-days"] >= 7 for each in updates)
