"""Workers of a Dask cluster on the loopback interface: separate processes, some of which are killed."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed import Client

from pipelines._closure import ROOT
from slackwater.errors import DataError
from slackwater.parallel import WorkerError, cluster, run_tasks, use_workers
from tests.dask_cluster import Cluster
from tests.unit.parallel import work

NUMBERS = {f"task {n}": n for n in range(9)}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with two workers, which no test harms."""
    with Cluster(tmp_path_factory.mktemp("two")) as made:
        made.add_worker(memory="400MiB")
        made.add_worker(memory="400MiB")
        made.wait_for_workers()
        yield made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for less than a user would."""
    monkeypatch.setattr(cluster, "_CONNECT", 1.0)


def test_results_and_errors_are_those_of_one_process(two: Cluster) -> None:
    with use_workers(two.address):
        assert list(run_tasks(work.Adder(5).add, NUMBERS)) == [n + 5 for n in NUMBERS.values()]
        with pytest.raises(DataError, match=r"^task 1: 1 is refused"):
            list(run_tasks(work.refuses, NUMBERS))
        with pytest.raises(ZeroDivisionError, match="task 0: "):
            list(run_tasks(work.fails, NUMBERS))
        for own, *others in run_tasks(work.runs_tasks, {"a": [1, 2], "b": [3, 4]}):
            assert {process for _, process in others} == {own}


def test_a_module_that_a_worker_cannot_import_is_named(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a family of one's own that lies on one machine alone: the error names it and the task."""
    (tmp_path / "of_one_machine.py").write_text("def made(number):\n    return number\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from of_one_machine import made  # type: ignore[import-not-found]

    with use_workers(two.address), pytest.raises(WorkerError, match="task 0: the worker cannot import of_one_machine"):
        list(run_tasks(partial(made), NUMBERS))
    sys.modules.pop("of_one_machine")


def test_what_is_larger_than_a_worker_is_refused(two: Cluster) -> None:
    """Catches workers that are killed one after the other, each for the same task."""
    with use_workers(two.address):
        with pytest.raises(WorkerError, match="task large needs 480 MiB on a worker, the largest has a limit of 400"):
            list(run_tasks(len, {"task large": bytes(240 * 2**20)}))
        with pytest.raises(WorkerError, match="the function of the tasks and its data needs 480 MiB"):
            list(run_tasks(partial(max, bytes(240 * 2**20)), NUMBERS))


def test_workers_without_room_on_their_disks_for_the_data_of_tasks_are_named(tmp_path: Path) -> None:
    """Catches a run that waits for ever, and an error of a disk that nobody finds."""
    (tmp_path / "small_disk.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2**22, 2**22))\n", encoding="utf-8"
    )
    with Cluster(tmp_path) as cluster:
        cluster.add_worker(preload="small_disk.py")
        cluster.wait_for_workers()
        with use_workers(cluster.address), pytest.raises(OSError, match=r"File too large: .* of the worker") as caught:
            list(run_tasks(work.Table(16).read, NUMBERS))
    assert re.search(r"in the task task \d", "".join(caught.value.__notes__))


@pytest.mark.usefixtures("hasty")
def test_a_scheduler_that_is_not_there_is_named() -> None:
    said = "the scheduler tcp://127.0.0.1:9 cannot be reached within 1 s"
    with pytest.raises(WorkerError, match=said), use_workers("dask://127.0.0.1:9"):
        pass


@pytest.mark.usefixtures("hasty")
def test_without_workers_and_with_those_of_another_version_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches results of other code among those of this one."""
    with Cluster(tmp_path / "cluster") as made:
        with pytest.raises(WorkerError, match="has no worker that answers"), use_workers(made.address):
            pass
        other = tmp_path / "src"
        shutil.copytree(ROOT / "src" / "slackwater", other / "slackwater")
        (other / "slackwater" / "types.py").write_text("# edited\n" + (other / "slackwater" / "types.py").read_text())
        made.add_worker(sources=other)
        monkeypatch.setattr(cluster, "_CONNECT", 60.0)
        said = "is not of this version: the sources of slackwater is"
        with pytest.raises(WorkerError, match=said), use_workers(made.address):
            pass


def test_workers_without_memory_for_any_task_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run that waits for ever and without a word: Dask pauses a worker above 80 % of its limit."""
    monkeypatch.setattr(cluster, "_ANSWER", 5.0)
    told: list[str] = []
    with Cluster(tmp_path) as made:
        made.add_worker(memory="60MiB")
        made.wait_for_workers()
        said = r"no worker has begun a task for 5 s: on tcp://127.0.0.1:\d+, \d+ MiB of its limit of 60 MiB are in use"
        with pytest.raises(WorkerError, match=said), use_workers(made.address, tell=told.append):
            list(run_tasks(work.twice, NUMBERS))
    assert re.search(r"begins no task for now: \d+ MiB of its limit of 60 MiB are in use", told[0])


def test_what_waits_on_a_paused_worker_is_run_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run that waits for ever for the task that a worker was given just before it paused."""
    monkeypatch.setattr(cluster, "_ANSWER", 3.0)
    told: list[str] = []
    with Cluster(tmp_path) as made:
        made.add_worker(memory="0")  # nothing watches its memory, and so nothing resumes it
        made.add_worker(memory="0")
        made.wait_for_workers()
        with use_workers(made.address, tell=told.append):
            client = Client(made.address.replace("dask://", "tcp://"), set_as_default=False)
            first = sorted(client.scheduler_info()["workers"])[0]
            threading.Timer(1.2, client.run, args=(work.pause,), kwargs={"workers": [first]}).start()
            seconds = {f"task {n}": 0.5 for n in range(10)}
            assert list(run_tasks(work.sleeps, seconds)) == list(seconds.values())
            client.close()
    assert re.search(rf"the worker {first} begins no task for now: \d+ MiB are in use", told[0])
    assert any("run again" in line for line in told)


def test_a_pause_between_two_runs_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a clock that goes on while nobody asks for anything."""
    monkeypatch.setattr(cluster, "_ANSWER", 3.0)
    with Cluster(tmp_path) as made:
        made.add_worker(memory="0")
        made.wait_for_workers()
        with use_workers(made.address, tell=lambda line: None):
            client = Client(made.address.replace("dask://", "tcp://"), set_as_default=False)
            threading.Timer(1.2, client.run, args=(work.pause,)).start()
            assert list(run_tasks(work.sleeps, {"one": 4.0})) == [4.0]
            time.sleep(4.0)
            threading.Timer(2.0, client.run, args=(work.resume,)).start()
            assert list(run_tasks(work.sleeps, {"one": 0.1})) == [0.1]
            client.close()


def test_a_worker_that_is_killed_loses_nothing_and_is_reported(tmp_path: Path) -> None:
    """Catches a run that ends, or waits for ever, when a machine is gone."""
    told: list[str] = []
    with Cluster(tmp_path) as made:
        first, _ = made.add_worker(), made.add_worker()
        made.wait_for_workers()
        with use_workers(made.address, tell=told.append):
            threading.Timer(1.0, first.kill).start()
            seconds = {f"task {n}": 0.5 for n in range(8)}
            assert list(run_tasks(work.sleeps, seconds)) == list(seconds.values())
            assert [line for line in told if "was lost" in line]


def test_a_worker_that_is_lost_while_a_function_is_sent_to_it_holds_up_nobody(tmp_path: Path) -> None:
    """Catches a scheduler that tries to reach it for ever, and tasks that wait for what was lost with it."""
    with Cluster(tmp_path) as made:
        workers = [made.add_worker() for _ in range(4)]
        made.wait_for_workers()
        with use_workers(made.address, tell=lambda line: None):
            for i, frozen in enumerate(workers, start=1):
                frozen.send_signal(signal.SIGSTOP)
                threading.Timer(0.5, frozen.kill).start()
                if i == len(workers):  # nobody is left for a while
                    threading.Timer(2.0, made.add_worker).start()
                assert list(run_tasks(work.Adder(7).add, NUMBERS)) == [n + 7 for n in NUMBERS.values()]


def test_a_worker_that_is_busy_holds_up_nobody(tmp_path: Path) -> None:
    """Catches a run that waits for what another run gave to a worker."""
    with Cluster(tmp_path) as made:
        made.add_worker()
        made.add_worker()
        made.wait_for_workers()
        with use_workers(made.address):
            of_another = Client(made.address.replace("dask://", "tcp://"), set_as_default=False)
            busy = of_another.submit(time.sleep, 15.0, workers=[sorted(of_another.scheduler_info()["workers"])[0]])
            while not any(of_another.processing().values()):
                time.sleep(0.05)
            assert list(run_tasks(work.Adder(3).add, NUMBERS)) == [n + 3 for n in NUMBERS.values()]
            assert not busy.done()
            of_another.close()


def test_a_worker_that_is_lost_before_it_answers_is_not_asked_again(tmp_path: Path) -> None:
    """Catches a run that ends, or waits for ever, because a worker was killed while it was compared."""
    with Cluster(tmp_path) as made:
        first, _ = made.add_worker(), made.add_worker()
        made.wait_for_workers()
        first.send_signal(signal.SIGSTOP)
        threading.Timer(1.0, first.kill).start()
        with use_workers(made.address, tell=lambda line: None):
            assert list(run_tasks(work.twice, NUMBERS)) == [2 * n for n in NUMBERS.values()]


def test_a_scheduler_that_is_lost_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run that waits for ever."""
    with Cluster(tmp_path) as made:
        made.add_worker()
        made.wait_for_workers()
        monkeypatch.setattr(cluster, "_CONNECT", 2.0)
        threading.Timer(3.0, made.scheduler.kill).start()
        said = "was lost and did not come back: start it and its workers again"
        with pytest.raises(WorkerError, match=said), use_workers(made.address, tell=lambda line: None):
            list(run_tasks(work.sleeps, {f"task {n}": 0.5 for n in range(20)}))


def test_a_scheduler_that_starts_again_loses_nothing(tmp_path: Path) -> None:
    """Catches a run that must be repeated because a machine was started anew: its workers end with it."""
    told: list[str] = []
    with Cluster(tmp_path) as made:
        made.add_worker()
        port = int(made.address.rsplit(":", 1)[1])

        def restart() -> None:
            made.scheduler.kill()
            made.scheduler.wait()
            made.start_scheduler(port)
            made.add_worker()

        with use_workers(made.address, tell=told.append):
            threading.Timer(2.0, restart).start()
            seconds = {f"task {n}": 0.5 for n in range(10)}
            assert list(run_tasks(work.sleeps, seconds)) == list(seconds.values())
        assert [line for line in told if "was lost" in line]
