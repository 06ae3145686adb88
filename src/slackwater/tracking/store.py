"""The store of the runs: a tracking server, or a SQLite database that is made whole, has one writer and moves along."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from slackwater.errors import MissingDataError, TrackingError
from slackwater.storage import atomic_file, remove_leftovers

__all__ = ["Store", "opened_store"]

_WRITER_SECONDS: Final = 600.0  # how long another run may take to log
_LOCK_SECONDS: Final = 40.0  # how long another program, such as the UI, may hold a transaction
_AGAIN: Final = "then run `dvc repro` again"
_AWAY: Final = f"move it away, and a new one is made; {_AGAIN}"
_LOCATIONS: Final = (  # where MLflow keeps absolute locations of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


_SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store of runs and models.

    Parameters
    ----------
    uri
        Such as ``sqlite:////path/mlflow.db`` or ``http://127.0.0.1:5000``.
    artifacts
        Directory of the files of runs; None: a server keeps them where it was told to.

    Examples
    --------
    >>> Store.at("http://127.0.0.1:5000")
    Store(uri='http://127.0.0.1:5000', artifacts=None)
    """

    uri: str
    artifacts: Path | None

    @classmethod
    def of(cls, root: str | Path) -> Store:
        """Return the store of a checkout: what ``MLFLOW_TRACKING_URI`` names, else ``mlflow.db`` in it."""
        return cls.at(os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{Path(root).resolve() / 'mlflow.db'}")

    @classmethod
    def at(cls, uri: str) -> Store:
        """Return the store of an address; the files of a SQLite database lie in ``mlartifacts`` beside it."""
        database = _database(uri)
        return cls(uri=uri, artifacts=None if database is None else database.resolve().parent / "mlartifacts")

    @property
    def is_server(self) -> bool:
        """Whether others may be logging runs at this time."""
        return _database(self.uri) is None

    def require(self) -> None:
        """Refuse a database that does not exist: MLflow would make an empty one.

        Raises
        ------
        MissingDataError
            If the database does not exist.
        """
        database = _database(self.uri)
        if database is not None and not database.is_file():
            raise MissingDataError(
                f"there is no database {database}: run `dvc repro` there, or let MLFLOW_TRACKING_URI name a store"
            )


def _database(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


@contextmanager
def opened_store(mlflow: Any, store: Store) -> Iterator[None]:
    """Hold a store for one writer: its database exists, has this version's schema and can be written.

    A store that is not a file of SQLite is left to itself.

    Raises
    ------
    TrackingError
        If another program holds the database, or it is damaged or of another version.
    """
    database = _database(store.uri)
    if database is None or store.artifacts is None:
        yield
        return
    with _one_writer(database):
        if database.exists():
            _require_file(database)
            _require_writable(database)
        if _is_unborn(database):
            _make(mlflow, database)
        _require_schema(database)
        _bring_home(database, store.artifacts)
        yield


@contextmanager
def _one_writer(database: Path) -> Iterator[None]:
    """Hold the lock file beside a database; it is freed when the process ends, however it ends."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        until = time.monotonic() + _WRITER_SECONDS
        while not _locked(lock):
            if time.monotonic() > until:
                raise TrackingError(f"another run has been logging to {database} for long: wait for it, or stop it")
            time.sleep(0.1)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_unborn(database: Path) -> bool:
    """Return whether a database is absent, or was left half made by a process that was killed: it holds no run."""
    if not database.is_file() or not database.stat().st_size:
        return True
    with _connected(database) as connection:
        tables = _tables(connection)
        if "runs" in tables and connection.execute("SELECT count(*) FROM runs").fetchone()[0]:
            return False
        made = tables and "alembic_version" in tables
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone() if made else None
    return tables <= {"alembic_version"} or ("experiments" in tables and version != (_schema(),))


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _make(mlflow: Any, database: Path) -> None:
    """Make a database under a temporary name: a process that is killed here leaves nothing that is used."""
    remove_leftovers(database)
    with atomic_file(database) as temporary:
        mlflow.MlflowClient(f"sqlite:///{temporary.resolve()}").search_experiments()


def _schema() -> str:
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]


def _require_file(database: Path) -> None:
    if not database.is_file():
        raise TrackingError(f"{database} is not a file: {_AWAY}")
    if not os.access(database, os.R_OK | os.W_OK):
        raise TrackingError(f"{database} cannot be read and written: make it so; {_AGAIN}")


def _require_writable(database: Path) -> None:
    """Wait until no other program holds a transaction."""
    until, told = time.monotonic() + _LOCK_SECONDS, False
    while True:
        try:
            with _connected(database) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return
        except TrackingError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            if not told:
                sys.stderr.write(f"{database.name} is locked by another program; waiting up to {_LOCK_SECONDS:.0f} s\n")
                told = True


def _require_schema(database: Path) -> None:
    with _connected(database) as connection:
        if "experiments" not in _tables(connection):
            raise TrackingError(f"{database} belongs to another program than MLflow: {_AWAY}")
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if found != (_schema(),):
        raise TrackingError(
            f"{database} was made by another version of MLflow: run `mlflow db upgrade sqlite:///{database}`, or move "
            "it away for a new one; then run `dvc repro` again"
        )


def _bring_home(database: Path, artifacts_root: Path) -> None:
    """Point a database that came with a copied or moved checkout at the files of this checkout."""
    home = artifacts_root.resolve().as_uri()
    with _connected(database) as connection:
        rows = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        elsewhere = [
            place
            for (place,) in rows
            if place and place.startswith("file:") and place != home and place.endswith(f"/{artifacts_root.name}")
        ]
        if not elsewhere:
            return
        connection.execute("BEGIN IMMEDIATE")
        for place in elsewhere:
            for table, column in _LOCATIONS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 names of our own
                    (home, len(place) + 1, len(place), place),
                )
        connection.execute("COMMIT")


@contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection in which transactions are begun by hand; an error names the database and what to do."""
    try:
        with closing(sqlite3.connect(database, timeout=1.0, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        if "locked" in str(error):
            what = f"close the program that holds it, such as `make ui`; {_AGAIN}"
        elif "readonly" in str(error):
            what = f"make it writable; {_AGAIN}"
        else:
            what = _AWAY
        raise TrackingError(f"{database} cannot be used ({error}): {what}") from error
