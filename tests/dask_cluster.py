"""A Dask cluster on the loopback interface: a scheduler and workers, each a process that a test can kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from distributed import Client

from pipelines._closure import ROOT


class Cluster:
    """Scheduler and workers that begin in a directory and end with the block.

    `address` is that of the scheduler as `--workers` takes it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start_scheduler(0)
        return self

    def start_scheduler(self, port: int) -> None:
        """Start the scheduler, such as anew at the port of one that was killed; workers are to be added."""
        self._file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--scheduler-file", str(self._file)]
        self.scheduler = self._start("scheduler", *options)
        self.address = self._known("address").replace("tcp://", "dask://")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def add_worker(
        self, *, memory: str = "2GiB", sources: Path = ROOT / "src", preload: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a worker with a limit of memory and the sources of a directory; it can be killed, and stays so.

        `preload` is a module that it imports first, such as one with a driver of a store.
        """
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", memory, "--death-timeout", "30"]
        name = f"worker-{len(self._processes)}"
        place = ["--scheduler-file", str(self._file), "--local-directory", str(self.directory / name), "--name", name]
        place += ["--preload", preload] if preload else []
        return self._start("worker", *options, *place, sources=sources)

    def wait_for_workers(self) -> None:
        """Wait until the scheduler knows all workers that run."""
        running = sum(each.poll() is None for each in self._processes if each is not self.scheduler)
        client: Any = Client  # distributed is partly typed
        with client(self.address.replace("dask://", "tcp://"), set_as_default=False) as own:
            own.wait_for_workers(running, timeout=120)

    def _start(self, what: str, *options: str, sources: Path = ROOT / "src") -> subprocess.Popen[bytes]:
        name = f"{what}-{len(self._processes)}"
        log = (self.directory / f"{name}.log").open("wb")
        temporary = self.directory / f"{name}-tmp"
        temporary.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *options],
            cwd=self.directory,
            env=os.environ
            | {"PYTHONPATH": f"{sources}{os.pathsep}{ROOT}", "SLACKWATER_WORKERS": "", "TMPDIR": str(temporary)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        self._processes.append(process)
        return process

    def _known(self, key: str) -> str:
        while self.scheduler.poll() is None:
            try:
                return str(json.loads(self._file.read_text())[key])
            except (OSError, ValueError):
                time.sleep(0.05)
        raise RuntimeError(f"the scheduler ended: {self.directory}")
