"""Shared by all tests: the cache of compiled kernels, and small markets."""

from __future__ import annotations

import os

import pipelines  # noqa: F401  (names the kernel cache before numba is imported)

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
