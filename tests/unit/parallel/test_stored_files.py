"""Files that go by a store: read under their names, put under safe ones, fetched once, and none is left."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slackwater.errors import DataError
from slackwater.parallel import ObjectStore, StoredFiles, directory_for_workers, run_file_tasks, use_workers
from tests.object_store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as made:
        yield made


@pytest.fixture
def given(tmp_path: Path) -> Path:
    root = tmp_path / "given"
    (root / "tables").mkdir(parents=True)
    (root / "tables" / "BTC%2FUSD*[1].parquet").write_bytes(b"one")
    (root / "tables" / "BTC-2FUSD-1-.parquet").write_bytes(b"two")
    return root


def files_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_keep_their_names_and_objects_have_names_that_no_driver_reads_a_meaning_into(
    store: Store, given: Path, tmp_path: Path
) -> None:
    """Catches two files that become one object, and a name that a driver takes for a pattern."""
    with ObjectStore.of(store.url).of_one_run(print) as run:
        put = StoredFiles.put("BTC", ((name, given / name) for name in files_below(given)), run, "00000")
        names = {key.split("/")[-1] for key in store.objects} - {"run.txt"}
        assert {name[1:] for name in names} == {"-tables-BTC-2FUSD-1-.parquet"}
        assert len(names) == 2
        pickle.loads(pickle.dumps(put)).fetch(tmp_path / "read")  # noqa: S301
    assert files_below(tmp_path / "read") == files_below(given)
    StoredFiles.put("BTC", [("late", given / "tables" / "BTC-2FUSD-1-.parquet")], run, "00001")
    assert store.objects == {}


def test_a_directory_is_fetched_once_per_process_and_removed_with_its_last_reference(
    store: Store, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches tables that are fetched again for each function that reads them, and copies that stay on a disk."""
    monkeypatch.setattr("slackwater.parallel.stored_files.chosen_store", lambda: ObjectStore.of(store.url))
    with directory_for_workers(given, files_below(given)) as sent:
        content = pickle.dumps(sent)
        first, second = pickle.loads(content), pickle.loads(content)  # noqa: S301
        place = Path(first)
        assert files_below(place) == files_below(Path(second)) == files_below(given)
        del first
        assert place.exists()
        del second
        assert not place.exists()
    assert place != given
    read = Counter(key for method, key, _ in store.requests if method == "GET" and "/tables/" in key)
    assert set(read.values()) == {1}


def test_a_directory_is_itself_where_no_store_is_named(given: Path) -> None:
    with directory_for_workers(given, ["nothing"]) as sent:
        assert os.fspath(sent) == str(given)


@dataclass(frozen=True)
class Doubles:
    """Writes each file that it reads twice."""

    source: Path
    out: Path

    def inputs(self, name: str) -> Iterable[tuple[str, Path]]:
        return [(f"tables/{path.name}", path) for path in sorted(self.source.glob("tables/*"))]

    def moved(self, source: Path, out: Path) -> Doubles:
        return replace(self, source=source, out=out)

    def run(self, name: str) -> int:
        if name == "fails":
            raise DataError("it is refused")
        for each, path in self.inputs(name):
            (self.out / name / each).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name / each).write_bytes(2 * path.read_bytes())
        return len(name)


def test_the_files_of_a_task_are_those_that_it_writes_in_place(store: Store, given: Path, tmp_path: Path) -> None:
    """Catches a file that stays on the worker, or lies elsewhere, and one of a directory of the task that fails."""
    made = {}
    with use_workers("threads:2", tell=lambda line: None):
        for way in (None, ObjectStore.of(store.url)):
            out = tmp_path / f"{way is None}"
            out.mkdir()
            with run_file_tasks(Doubles(given, out), {"a": "a", "bc": "bc"}, way) as results:
                assert list(results) == [1, 2]
            made[way is None] = files_below(out)
        with (
            pytest.raises(DataError, match=r"^second: it is refused$"),
            run_file_tasks(Doubles(given, out), {"first": "a", "second": "fails"}, way) as results,
        ):
            list(results)
    assert made[False] == made[True]
    assert made[True]["bc/tables/BTC%2FUSD*[1].parquet"] == b"oneone"
    assert store.objects == {}
