"""Stages on a machine that refuses: one sentence and exit status 1, no traceback, and no partial output."""

from __future__ import annotations

import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from pipelines import _repro, _stage
from pipelines._closure import ROOT
from pipelines._stage import Stage
from slackwater.storage import read_json
from tests.checkout import copy_repository, environment_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what the stages need."""
    copy = tmp_path / "copy"
    files = ("dvc.yaml", "params.yaml", "Makefile", "pyproject.toml", "requirements.lock")
    copy_repository(copy, "pipelines", "src", "datasets", *files)
    return copy


def stage(root: Path, name: str, before: Callable[[], object] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"pipelines.{name}"],
        cwd=root,
        env={key: value for key, value in environment_of(root).items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
        timeout=240,
    )


def failed(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 1, done.stderr[-2000:]
    assert re.search(message, done.stderr), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


SMALL = """
source: simulate
venue: simulated
symbols: [BTCUSDT]
simulate: {start: "2023-01-01T00:00:00Z", end: "2023-01-05T00:00:00Z", seed: 1, signal: 0.4, whale_signal: 0.5}
"""


def with_small(root: Path) -> None:
    (root / "datasets" / "small.yaml").write_text(SMALL)
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("dataset: simulated ", "dataset: small "))


@pytest.mark.usefixtures("compiled_simulator")
def test_a_full_disk_ends_in_one_sentence(root: Path) -> None:
    """A limit on the size of files stands for a full disk: the write fails in the middle of a table."""
    with_small(root)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    failed(stage(root, "ingest", limited), r"ingest failed: a file may not grow that large here.*run `dvc repro` again")
    assert list(root.glob("data/*")) == list(root.glob("data/.*")) == []


def test_a_place_that_cannot_be_written_is_named(root: Path) -> None:
    """A file stands for a directory that cannot be written: root can write into any directory."""
    (root / "reports").write_text("")
    failed(stage(root, "configure"), r"configure failed: .*reports.*run `dvc repro` again")


def raised_while_out_of_memory() -> Exception:
    """What a compiler raises that runs out of memory in its own message: another cause beside the error in hand."""
    try:
        try:
            raise MemoryError
        except MemoryError:
            raise SystemError("error return without exception set") from KeyError("name")
    except SystemError as error:
        return error


@pytest.mark.usefixtures("compiled_simulator")
def test_little_memory_ends_in_one_sentence(root: Path) -> None:
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("'2025-01-01", "'2031-01-01"))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2_500_000_000, 2_500_000_000))

    failed(stage(root, "ingest", limited), r"ingest failed: the memory is used up")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "data/x"), r"the disk is full: free space \(data/x\)"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "the disk is full"),
        (PermissionError(13, "Permission denied", "reports"), r"make the directory and its files writable \(reports\)"),
        (MemoryError(), "the memory is used up"),
        (raised_while_out_of_memory(), "the memory is used up"),
        (RuntimeError("can't start new thread"), "the memory is used up"),
        (FileNotFoundError(2, "No such file or directory", "x"), r"No such file or directory: make sure .* \(x\)"),
    ],
)
def test_an_error_of_the_machine_is_told_with_what_to_do(error: Exception, message: str) -> None:
    assert re.search(message, str(_stage._of_the_machine(error)))
    outer = RuntimeError("something went wrong")
    outer.__cause__ = error
    assert re.search(message, str(_stage._of_the_machine(outer)))


def test_a_mistake_in_the_code_keeps_its_traceback() -> None:
    assert _stage._of_the_machine(TypeError("unsupported operand")) is None


def watched(body: str) -> list[str]:
    """The command of a stage `train` that does what `body` says, and may stand still for two seconds."""
    limit = "resource.setrlimit(resource.RLIMIT_AS, (10**10, 10**10))\n" if body == ASKS else ""
    imports = "import ctypes, os, resource, signal, threading, time\nfrom pipelines._watch import watch\n"
    code = f"{imports}{limit}watch('train', 2)\n{body}"
    return [sys.executable, "-c", code]


ASKS = "import mmap\nwhile True:\n    try: mmap.mmap(-1, 2**40)\n    except OSError: pass"
"""What a library does at its import under a limit of memory, for ever."""

MOST_LIKELY = "most likely because memory ran out: free memory or raise its limit"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.abort()", rf"train failed: the system or a library ended it \(SIGABRT\), {MOST_LIKELY}"),
        ("os.kill(os.getpid(), signal.SIGKILL)", rf"train failed: .* \(SIGKILL\), {MOST_LIKELY}"),
        ("ctypes.CDLL(None).exit(1)", rf"train failed: .* \(exit status 1\), {MOST_LIKELY}"),
        ("ctypes.CDLL(None).exit(0)", rf"train failed: .* \(exit status 0\), {MOST_LIKELY}"),
        ("os.fork() or time.sleep(9) or os._exit(0)\nos.abort()", rf"train failed: .* \(SIGABRT\), {MOST_LIKELY}"),
        ("threading.Event().wait()", rf"train failed: it stood still for 2 s, {MOST_LIKELY}"),
        (ASKS, rf"train failed: it stood still for 2 s, {MOST_LIKELY}"),
        ("os.kill(os.getppid(), signal.SIGTERM)\nthreading.Event().wait()", r"ended from outside \(SIGTERM\)"),
        ("bytearray(10**15)", "train failed: the memory does not suffice to start: free memory"),
    ],
)
def test_an_end_that_a_stage_cannot_report_is_reported(body: str, message: str) -> None:
    """Catches LightGBM, which ends the process from C++, and a wait for a thread that never started: no word, or none
    ever."""
    done = subprocess.run(watched(body), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    failed(done, f"{message}.*then run `dvc repro` again")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("print('done')", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise KeyError('x')", 1, "KeyError: 'x'"),
        ("until = time.monotonic() + 5\nwhile time.monotonic() < until: sum(range(10**4))", 0, ""),
    ],
)
def test_a_stage_that_ends_by_itself_is_left_to_itself(body: str, status: int, said: str) -> None:
    """The last one works longer than a stage may stand still."""
    done = subprocess.run(watched(body), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status, done.stderr
    assert done.stderr.strip().splitlines()[-1:] == ([said] if said else [])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_stage_ends_with_the_process_that_watches_it() -> None:
    """Catches a stage that goes on writing after a kill of what DVC had started."""
    command = watched("print(os.getpid(), flush=True)\nthreading.Event().wait()")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert int(watching.stdout.readline()) != watching.pid
        watching.kill()
        assert watching.stdout.read() == ""  # the end of the file: nobody holds the other end any more


@pytest.mark.usefixtures("compiled_simulator")
def test_a_stage_says_at_once_what_it_does(root: Path) -> None:
    """Catches minutes of silence while tables are read and kernels are compiled."""
    with_small(root)
    for name in ("configure", "ingest", "validate"):
        first, *others = stage(root, name).stdout.splitlines()
        assert first == f"{name}: {Stage(name).purpose}"
    assert any(re.fullmatch(r"validate: [\d,]+ rows of \d+ symbols in \d+ tables", line) for line in others)


def test_compilation_is_announced_once(tmp_path: Path) -> None:
    code = (
        "from numba import njit\nfrom pipelines._stage import Stage, _announce_compilation\n"
        "_announce_compilation(Stage('features'))\nnjit(lambda x: x)(1)\nnjit(lambda x: x + 1)(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"features: compiling kernels, .*once per checkout.*\n", done.stdout)


@pytest.mark.usefixtures("compiled_simulator")
def test_leftovers_of_a_killed_stage_are_removed_by_the_next_run(root: Path) -> None:
    """Catches `data/.tables.abcdefgh`, which git would commit and nobody would remove."""
    with_small(root)
    left = root / "data" / ".raw.abcdefgh"
    left.mkdir(parents=True)
    (left / "bars.parquet").write_text("half")
    (root / "data" / ".rawer.abcdefgh").write_text("of another")
    assert stage(root, "ingest").returncode == 0
    assert sorted(path.name for path in (root / "data").iterdir()) == [".rawer.abcdefgh", "raw"]
    ignored = ["data/.tables.abcdefgh/x", "reports/.trades.parquet.a_b1cdef.parquet", "data/.tables.old.abcdefgh/x"]
    kept = [".gitignore", "data/.gitignore", ".dvcignore", ".dvc/config", ".ci/x"]
    done = subprocess.run(
        ["git", "check-ignore", *ignored, *kept], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ignored


def test_a_copy_runs_its_own_sources(root: Path) -> None:
    """Catches the sources of the original under the digests of the copy: the environment has those installed."""
    with (root / "src/slackwater/config/loading.py").open("a") as file:
        file.write('\nraise RuntimeError("code of the copy runs")\n')
    assert "code of the copy runs" in stage(root, "configure").stderr


@pytest.mark.parametrize("owner", ["{root}/gone/src", "{other}/src"])
def test_make_refuses_an_environment_of_another_checkout(root: Path, tmp_path: Path, owner: str) -> None:
    other = tmp_path / "other"
    (other / "src").mkdir(parents=True)
    site = root / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "_editable_impl_slackwater.pth").write_text(owner.format(root=root, other=other))
    for target, refused in (("repro", True), ("test", True), ("clean", False)):
        done = subprocess.run(["make", "-n", target], cwd=root, capture_output=True, text=True, check=False)
        assert ("run `make clean`, then this command again" in done.stderr) == refused, done.stderr
        assert (done.returncode != 0) == refused
    (site / "_editable_impl_slackwater.pth").write_text(str(root / "src"))
    assert subprocess.run(["make", "-n", "repro"], cwd=root, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("content", "removed"), [("", True), ('{"write": {', True), ('{"write": {}, "read": {}}', False)]
)
def test_a_damaged_table_of_locks_is_removed(tmp_path: Path, content: str, removed: bool) -> None:
    """DVC, killed while it writes the file, refuses to start ever after."""
    path = tmp_path / "rwlock"
    assert not _repro.repair_lock(path)
    path.write_text(content)
    assert _repro.repair_lock(path) == removed
    assert path.exists() != removed


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_a_record_of_stages_that_was_cut_off_is_removed(tmp_path: Path, share: float) -> None:
    """DVC, killed while it writes dvc.lock, refuses to start ever after, or believes a digest that was cut."""
    path = tmp_path / "dvc.lock"
    assert not _repro.repair_record(path)
    whole = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    path.write_text(whole)
    assert not _repro.repair_record(path)
    path.write_text(whole[: int(share * len(whole))])
    repaired = _repro.repair_record(path)
    assert path.exists() != repaired
    if path.exists():
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("facts", "symbols", "message"),
    [
        (
            "",
            "[BTCUSDT, NEWCOINUSDT]",
            r"datasets/mine\.yaml: contract_facts: no facts of NEWCOINUSDT at bybit",
        ),
        (
            "contract_facts: {venue: bybit, contracts: {BTCUSDT: {fee: 1}}}",
            "[BTCUSDT]",
            r"datasets/mine\.yaml: contract_f",
        ),
    ],
)
def test_a_symbol_without_facts_is_refused_by_the_first_stage(
    root: Path, facts: str, symbols: str, message: str
) -> None:
    """Catches a data set that runs for minutes and fails at `label`."""
    (root / "datasets" / "mine.yaml").write_text(
        f"source: parquet\nvenue: bybit\npath: data/external/mine\nsymbols: {symbols}\n{facts}\n"
    )
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("dataset: simulated ", "dataset: mine "))
    failed(stage(root, "configure"), message)
    assert not (root / "reports" / "effective_params.yaml").exists()


def test_the_port_of_the_pages_may_be_taken_and_ctrl_c_is_quiet(root: Path) -> None:
    """Catches a traceback of 25 lines at Ctrl-C, and a server that goes on without its owner."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "pipelines._ui", str(port)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert f"port {port} cannot be used (Address already in use)" in done.stderr
        assert "Traceback" not in done.stderr
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pages:
        assert pages.stdout is not None
        assert f"http://127.0.0.1:{port}/#/experiments/1" in pages.stdout.readline()
        until = time.monotonic() + 150
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        pages.send_signal(signal.SIGINT)
        out, err = pages.communicate(timeout=60)
        assert pages.returncode == 0
        assert out.endswith("ended\n")
        assert "Traceback" not in err
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection may still rest on the port
        free.bind(("127.0.0.1", port))


def test_every_report_ends_up_where_the_summary_points() -> None:
    """The last lines of `make repro` must name files that the stages write."""
    verdict = read_json(ROOT / "reports/verdict.json")
    text = _repro.summary({"trades": 3, "profit_factor": None}, verdict)
    assert f"{verdict['verdict']}: {verdict['sentence']}" in text
    assert re.search(r"profit_factor +unknown", text)
    outs = {out for name in ("sensitivity", "report", "validate", "export") for out in Stage(name).outs}
    assert {line.split()[0] for line in text.split("where to look\n")[1].splitlines()} - {"make"} <= outs
