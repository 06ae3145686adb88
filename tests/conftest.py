"""Shared by all tests: quiet tools, one cache of kernels, fixed draws in a build, and one small bundle."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

import slackwater  # noqa: F401  (names the cache of kernels, before numba is imported)
from slackwater.parallel.compile_lock import compile_one_after_the_other

# A build must not fail by chance; at the desk every run draws anew.
settings.register_profile("build", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("build" if os.environ.get("CI") else "desk")


if "PYTEST_XDIST_WORKER" in os.environ:
    compile_one_after_the_other()


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that loads; copy it before you break it."""
    from tests.small_bundle import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundle") / "scorer")


@pytest.fixture(scope="session")
def compiled_simulator() -> None:
    """Have the simulator compiled, so that a copy of the repository finds its kernels."""
    from slackwater.simulation.market import simulate
    from slackwater.simulation.request import MarketRequest

    start = datetime(2023, 1, 1, tzinfo=UTC)
    simulate(MarketRequest(symbols=["BTCUSDT"], start=start, end=start + timedelta(days=2), seed=1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read and check data, with or without real files: ``pytest -m data``.

    The stages run first. They take longest, and the worker that has run them keeps them: tests are taken from the end.
    """
    items.sort(key=lambda item: "/tests/pipeline/" not in item.path.as_posix())
    for item in items:
        place = item.path.as_posix()
        brings_in = "/tests/unit/sources/" in place and "simulat" not in place and "stylised" not in place
        brings_in |= item.path.stem in (
            "test_cli_fetch",
            "test_cli_contracts",
            "test_cli_understand",
            "test_contract_file",
        )
        if brings_in or "/market/quality/" in place or item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.data)
