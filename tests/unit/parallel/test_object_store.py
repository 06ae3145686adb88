"""A store of objects over HTTP: what is put is read, what goes wrong is named, nothing is left, no secret is told."""

from __future__ import annotations

import pickle
import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from slackwater.errors import ParameterError, SourceError
from slackwater.parallel import ObjectStore, WorkerError, chosen_store, object_store, run_tasks, use_workers
from tests.dask_cluster import Cluster
from tests.object_store import SECRETS, Store
from tests.unit.parallel import work


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as made:
        yield made


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "given"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


def require_no_secret(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text], text


def test_what_was_put_is_read_and_removed_and_what_others_put_stays(
    store: Store, told: list[str], file: Path, tmp_path: Path
) -> None:
    """Catches a removal of more than the run's own objects."""
    others = {"bucket/prefix/slackwater": b"a", "bucket/prefix": b"b", "bucket/other": b"c"}
    store.objects |= others
    with ObjectStore.of(store.url).of_one_run(told.append) as one, ObjectStore.of(store.url).of_one_run(print) as two:
        put = one.put(file, "00000/bars.parquet")
        two.put(file, "00000/bars.parquet")
        there = pickle.loads(pickle.dumps(one))  # noqa: S301
        there.require_run()
        there.get(put, tmp_path / "read")
        assert (tmp_path / "read").read_bytes() == file.read_bytes()
        assert b"process" in store.objects[next(key for key in store.objects if key.endswith("run.txt"))]
    assert store.objects == others
    assert told == []


def test_objects_are_removed_after_an_error_too(store: Store, told: list[str], file: Path) -> None:
    def failing(base: ObjectStore) -> None:
        with base.of_one_run(told.append) as run:
            run.put(file, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing(ObjectStore.of(store.url))
    assert store.objects == {}


def test_what_is_put_after_the_end_is_removed_by_the_task(store: Store, told: list[str], file: Path) -> None:
    """Catches a worker that goes on after the run has failed, and leaves its features behind."""
    with ObjectStore.of(store.url).of_one_run(told.append) as run:
        run.put(file, "during")
        run.remove_if_ended("during")
        assert any(key.endswith("/during") for key in store.objects)
    run.put(file, "after")
    run.remove_if_ended("after")
    assert store.objects == {}


def test_an_object_that_vanished_or_changed_is_named(store: Store, told: list[str], file: Path, tmp_path: Path) -> None:
    with ObjectStore.of(store.url).of_one_run(told.append) as run:
        put = run.put(file, "00000/bars.parquet")
        (key,) = (key for key in store.objects if key.endswith("bars.parquet"))
        store.objects[key] = store.objects[key][:-1] + b"x"
        with pytest.raises(SourceError, match=r"00000/bars.parquet is not what was put there \(256,000 bytes"):
            run.get(put, tmp_path / "read")
        del store.objects[key]
        said = r"^loop://\*\*\*@127.0.0.1:\d+/bucket/prefix/slackwater-[^ ]*/00000/bars.parquet cannot be read by this "
        with pytest.raises(SourceError, match=said + r"process \(FileNotFoundError\): it is not there; make sure"):
            run.get(put, tmp_path / "read")
        del store.objects[key.replace("00000/bars.parquet", "run.txt")]
        with pytest.raises(SourceError, match=r"run\.txt cannot be read"):
            run.require_run()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "PermissionError.: allow the user of this machine to read, write, list and remove"),
        (404, "FileNotFoundError.: it is not there; make sure that SLACKWATER_SHARED names the same existing place"),
        (500, "OSError.: make sure that SLACKWATER_SHARED names a store that this machine can reach"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_store_that_refuses_is_named_and_left_empty(
    store: Store, told: list[str], status: int, said: str, method: str
) -> None:
    store.answer = lambda asked, key, process: status if asked == method else None
    with pytest.raises(SourceError, match=said) as caught, ObjectStore.of(store.url).of_one_run(told.append):
        pass
    require_no_secret("".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__))
    assert store.objects == {}


def test_a_store_that_cannot_be_reached_or_does_not_answer_is_named(
    store: Store, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a run that waits for ever, and a message after more than 30 s: the mark is put, read and removed."""
    assert 2 * object_store._ANSWER + object_store._LEAVE < 30
    monkeypatch.setattr(object_store, "_ANSWER", 0.5)
    store.answer = lambda method, key, process: time.sleep(2)
    begin = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0 s\): make sure that this machine reaches"):
        ObjectStore.of(store.url).of_one_run(told.append).__enter__()
    assert time.monotonic() - begin < 1.5
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match=r"by this process \(ConnectionRefusedError: "):
        ObjectStore.of(f"loop://127.0.0.1:{port}/bucket").of_one_run(told.append).__enter__()


def test_objects_that_cannot_be_removed_are_named_and_cost_no_result(store: Store, told: list[str], file: Path) -> None:
    store.answer = lambda method, key, process: 403 if method == "DELETE" else None
    with ObjectStore.of(store.url).of_one_run(told.append) as run:
        run.put(file, "a")
    (line,) = told
    assert line.startswith(f"remove what is left below {run} by hand: ")
    require_no_secret(line + repr(run) + str(run))


@pytest.mark.parametrize(
    "url",
    [
        "bucket/prefix",
        "s3://",
        "s3://bucket?token=hunter2/&+",
        "simplecache::loop://127.0.0.1/bucket",
        "s3://bucket::file:///etc",
        "mallory:hunter2/&+@127.0.0.1/bucket",
        "loop://mallory:hunter2/&+?@127.0.0.1/a b",
        "loop://127.0.0.1/bucket\nline",
        "s3://bucket/[a]*",
    ],
)
def test_what_is_not_one_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(
        ParameterError, match=r"^SLACKWATER_SHARED must be one URL such as s3://bucket/prefix"
    ) as caught:
        ObjectStore.of(url)
    require_no_secret(str(caught.value))
    assert "\n" not in str(caught.value)


def test_an_unknown_or_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match=r"^shared is s4://\*\*\*@b/c, and fsspec has no driver for s4://: name"):
        ObjectStore.of("s4://user:hunter2/&+@b/c", "shared")
    monkeypatch.setitem(known_implementations, "gone", {"class": "gonefs.GoneFileSystem", "err": "Install gonefs"})
    said = r"the driver for gone:// is not installed \(Install gonefs\): install it here and on every worker"
    with pytest.raises(ParameterError, match=said):
        ObjectStore.of("gone://bucket")


def test_the_variable_counts_on_a_cluster_only_and_a_worker_without_the_driver_is_named(
    store: Store, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a store that fails work which does not need it, and an error of the driver from a worker."""
    monkeypatch.setenv("SLACKWATER_SHARED", store.url)
    with use_workers("serial"):
        assert chosen_store() is None
    with Cluster(tmp_path) as cluster:
        cluster.add_worker()
        with use_workers(cluster.address, tell=told.append):
            found = chosen_store()
            assert found == ObjectStore(store.url)
            with found.of_one_run(told.append) as run:
                said = rf"^BTCUSDT: on the worker {socket.gethostname()} fsspec has no driver for loop://: .* install "
                with pytest.raises(WorkerError, match=said):
                    list(run_tasks(work.requires_run, {"BTCUSDT": run}))
        monkeypatch.setenv("SLACKWATER_SHARED", "s4://bucket")
        with use_workers(cluster.address), pytest.raises(ParameterError, match="SLACKWATER_SHARED is s4://bucket, and"):
            chosen_store()
    assert store.objects == {}


def test_a_directory_serves_as_a_store(tmp_path: Path, told: list[str], file: Path) -> None:
    """Catches a driver of directories that wants them to be made first, or leaves them."""
    place = tmp_path / "shared"
    with ObjectStore.of(f"file://{place}").of_one_run(told.append) as run:
        run.get(run.put(file, "00000/a"), tmp_path / "read")
        assert [path.name.startswith("slackwater-") for path in place.iterdir()] == [True]
    assert list(place.iterdir()) == []
