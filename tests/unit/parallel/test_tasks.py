"""Tasks in this process, in threads and in processes: order, names of errors, lost workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.errors import DataError, ParameterError
from slackwater.parallel import VARIABLE, TimeLeft, WorkerError, run_tasks, use_workers
from slackwater.parallel.choice import WorkerChoice
from tests.unit.parallel import work

NUMBERS = {f"task {n}": n for n in range(9)}


@pytest.fixture(params=["serial", "threads:2", "2"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Workers of the environment, which live as long as this process: two processes are started once."""
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)


@pytest.mark.usefixtures("workers")
def test_results_come_in_the_order_of_the_tasks() -> None:
    """Catches results in the order in which they are ready: the first task is the slowest."""
    seconds = {"a": 0.3, "b": 0.0, "c": 0.1, "d": 0.0}
    assert list(run_tasks(work.sleeps, seconds)) == list(seconds.values())
    assert list(run_tasks(work.Adder(5).add, NUMBERS)) == [n + 5 for n in NUMBERS.values()]
    assert list(run_tasks(work.twice, {})) == []


@pytest.mark.usefixtures("workers")
def test_the_first_task_that_fails_is_named_whoever_runs_it() -> None:
    """Catches an error that depends on who was faster, and lost results of earlier tasks: 3 fails at once, 1 later."""
    found = []
    with pytest.raises(DataError, match=r"^task 1: 1 is refused"):  # noqa: PT012 -- the loop is what is tested
        for result in run_tasks(work.refuses, NUMBERS):
            found.append(result)  # noqa: PERF402
    assert found == [0]


def test_an_error_of_another_kind_keeps_its_kind_and_names_the_task(workers: str) -> None:
    with pytest.raises(ZeroDivisionError, match="task 0: ") as caught:
        list(run_tasks(work.fails, NUMBERS))
    if workers == "2":
        assert any("number // 0" in note for note in caught.value.__notes__)


def test_an_error_keeps_what_it_states_beside_its_text() -> None:
    """Catches a missing extra that nobody can name any more."""
    with pytest.raises(ModuleNotFoundError) as caught:
        list(run_tasks(import_module, {"BTCUSDT": "a_module_that_is_absent"}))
    assert caught.value.name == "a_module_that_is_absent"
    assert "in the task BTCUSDT" in caught.value.__notes__


def test_a_lost_worker_is_replaced_and_reported(tmp_path: Path) -> None:
    """Catches a run that ends, or gives other results, because the system killed a process."""
    told: list[str] = []
    markers = {f"task {n}": str(tmp_path / f"{n // 4}") for n in range(8)}
    with use_workers("2", tell=told.append):
        assert list(run_tasks(work.dies_once, markers)) == list(markers.values())
    assert 1 <= len(told) <= 2
    assert all("a worker was lost, so " in line and "run again (attempt" in line for line in told)


def test_a_task_that_kills_its_worker_again_and_again_is_named() -> None:
    """Catches an endless loop: the system kills the process for its memory each time."""
    begun = time.monotonic()
    with use_workers("2", tell=lambda line: None), pytest.raises(WorkerError, match=r"lost 3 times in the tasks heavy"):
        list(run_tasks(work.dies, {"heavy": 1}))
    assert time.monotonic() - begun < 30


def test_tasks_of_a_task_run_in_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches workers that start workers: two times two processes on two processors."""
    monkeypatch.setenv(VARIABLE, "2")
    for own, *others in run_tasks(work.runs_tasks, {"a": [1, 2], "b": [3, 4]}):
        assert {process for _, process in others} == {own}
        assert own != os.getpid()


def test_a_task_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    (found,) = run_tasks(work.threads_of_libraries, {"a": 0})
    assert found
    assert set(found) == {1}


def test_without_a_choice_the_caller_decides_and_with_one_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def processes(**options: str) -> set[int]:
        return {process for _, process in run_tasks(work.process_of, NUMBERS, **options)}

    monkeypatch.delenv(VARIABLE, raising=False)
    assert processes() == {os.getpid()}
    assert os.getpid() not in processes(unless_chosen="2")
    monkeypatch.setenv(VARIABLE, "serial")
    assert processes(unless_chosen="2") == {os.getpid()}
    with use_workers("1"):
        assert os.getpid() not in processes(unless_chosen="serial")


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "2.0", "dask://", "dask://h", "dask://h:99999", "tcp://h:1"])
def test_a_choice_that_is_none_is_refused_and_says_where_it_stands(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="--workers must be serial, a number of processes"), use_workers(text):
        pass
    if text:
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(ParameterError, match=f"{VARIABLE} must be serial"):
            list(run_tasks(work.twice, NUMBERS))


def test_choices() -> None:
    assert WorkerChoice.of("serial") == WorkerChoice("serial")
    assert WorkerChoice.of("3") == WorkerChoice.of("processes:3") == WorkerChoice("processes", 3)
    assert WorkerChoice.of("threads:2") == WorkerChoice("threads", 2)
    assert WorkerChoice.of("dask://[::1]:8786") == WorkerChoice("dask", address="tcp://[::1]:8786")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_a_process_maps_the_data_of_its_tasks_and_keeps_those_of_the_last_function() -> None:
    """Catches data that a process holds twice, in its own memory, or longer than it needs them."""
    task, mib = {"a": 0}, 192
    with use_workers("1"):
        (before,) = run_tasks(work.Table(1).read, task)
        for _ in range(3):
            table = work.Table(mib)
            (found,) = run_tasks(table.read, task)
            here = table.read(0)
            assert found["sum"] == here["sum"]
            assert found["names"] == here["names"]
            assert found["aligned"]
            assert found["RssAnon"] - before["RssAnon"] < mib / 2
            assert found["VmRSS"] - before["VmRSS"] < 1.5 * mib


def test_what_a_task_writes_to_its_data_is_of_its_process_alone() -> None:
    """Catches a page of a file that processes write to together."""
    table = work.Table(2)
    with use_workers("2"):
        assert max(run_tasks(table.write, {str(n): 1 for n in range(9)})) <= 8.0
        assert list(run_tasks(table.write, {"again": 1})) == [0.0]
    assert table.values.iloc[0, 0] == 0.0


def test_what_cannot_be_sent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches the error of a library about a function that another process cannot import."""
    monkeypatch.setenv(VARIABLE, "2")
    with pytest.raises(ParameterError, match="the function of the tasks cannot be sent"):
        list(run_tasks(lambda number: number, NUMBERS))
    with pytest.raises(ParameterError, match="task x cannot be sent"):
        list(run_tasks(partial(sorted), {"task x": (n for n in range(3))}))


def test_a_function_of_the_module_that_was_started_is_found(tmp_path: Path) -> None:
    """Catches campaigns, which are started as modules, and whose functions are those of ``__main__``."""
    tmp_path.joinpath("started.py").write_text(
        "from slackwater.parallel import run_tasks\n"
        "def half(number):\n    return number / 2\n"
        "if __name__ == '__main__':\n    print(list(run_tasks(half, {'a': 1, 'b': 2})))\n"
    )
    told = subprocess.run(
        [sys.executable, "-m", "started"],
        cwd=tmp_path,
        env=os.environ | {VARIABLE: "2", "PYTHONPATH": f"{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "[0.5, 1.0]\n"


def test_the_time_left_follows_the_pace() -> None:
    left = TimeLeft()
    time.sleep(0.05)
    assert left.after(0, 3) == "time left unknown"
    assert left.after(1, 3) == "about 0 s left"
    assert left.after(3, 3) == "done"


ENDS = """
import sys
sys.path.insert(0, sys.argv[1])
from slackwater.parallel import run_tasks, use_workers
from tests.unit.parallel import work

with use_workers(None):
    list(run_tasks(work.fails_or_writes, {"a": (True, sys.argv[2]), "b": (False, sys.argv[2])}))
"""


def test_workers_of_the_environment_end_with_an_error(tmp_path: Path) -> None:
    """Catches a command that has failed, and does not end before the longest task of its workers."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(ROOT), str(tmp_path / "written")],
        env=os.environ | {VARIABLE: "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "it has failed" in done.stderr
    assert not (tmp_path / "written").exists()
