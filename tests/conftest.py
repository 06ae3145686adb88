"""Shared by all tests: the cache of compiled kernels, and small markets."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that loads; copy it before breaking it."""
    from tests.small_bundle import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundle") / "scorer")
