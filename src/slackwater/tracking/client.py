"""MLflow, imported when it is needed, and its errors in one sentence."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slackwater.errors import TrackingError, missing_extra

__all__ = ["quiet_mlflow", "readable_errors"]

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    # A server that is down is named after a quarter of a minute, not after four.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Settings of MLflow; what the user has set stays."""


def quiet_mlflow() -> Any:
    """Import MLflow without its telemetry, and without its notices and tracebacks on standard error."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
    for name in ("mlflow.store", "mlflow.models", "mlflow.pyfunc", "mlflow.tracking", "mlflow.types"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow


@contextmanager
def readable_errors(mlflow: Any, tracking_uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of its database into one sentence with what to do.

    Raises
    ------
    TrackingError
        If the database or the server cannot be used.
    """
    try:
        yield
    except (mlflow.exceptions.MlflowException, *_database_errors()) as error:
        found = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        if tracking_uri.startswith("http"):
            what = "start that server, or correct or unset MLFLOW_TRACKING_URI"
        elif "locked" in found:
            what = "close the program that holds it, such as `make ui`"
        else:
            what = "free space if the disk is full; a damaged database is replaced if you move it away"
        raise TrackingError(f"{tracking_uri} cannot be used ({found}): {what}; then run it again") from error


def _database_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a database; the light client of MLflow comes without one."""
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError:
        return ()
    return (SQLAlchemyError,)
