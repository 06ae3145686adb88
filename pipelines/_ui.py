"""`make ui`: MLflow's pages on this machine, opened at the experiment of this repository."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.errors import SlackwaterError
from slackwater.tracking.experiment import prepare_store, runs_page
from slackwater.tracking.store import Store

_HOST = "127.0.0.1"


def port_of(text: str) -> int:
    """Return a port that is free, or end with a sentence."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65_535):
        raise SystemExit(f"PORT must be a number from 1 to 65535, was {text}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, int(text)))
        except OSError as error:
            raise SystemExit(
                f"port {text} cannot be used ({error.strerror}): if `make ui` runs, open http://{_HOST}:{text}; "
                f"otherwise choose another, `make ui PORT={min(int(text) + 1, 65_535)}`"
            ) from None
    return int(text)


def main() -> None:
    """Serve until Ctrl-C."""
    store = Store.of(ROOT)
    port = None if store.is_server else port_of(sys.argv[1] if len(sys.argv) > 1 else "5000")
    try:
        experiment = prepare_store(store, load_params(ROOT / "params.yaml").tracking.experiment)
    except SlackwaterError as error:
        raise SystemExit(f"make ui failed: {type(error).__name__}: {error}") from None
    if port is None:
        sys.stdout.write(f"MLFLOW_TRACKING_URI names a server: {runs_page(store.uri, experiment)}\n")
        return
    sys.stdout.write(
        f"in about half a minute: {runs_page(f'http://{_HOST}:{port}', experiment)}\n"
        "(select two runs, then Compare; Ctrl-C ends it)\n"
    )
    sys.stdout.flush()
    command = ["mlflow", "ui", "--backend-store-uri", store.uri, "--host", _HOST, "--port", str(port), "--workers", "1"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # A session of its own: Ctrl-C reaches only this process, which then ends the server and its workers.
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as server:  # noqa: S603
        try:
            raise SystemExit(server.wait())
        except KeyboardInterrupt:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
            sys.stdout.write("\nended\n")


if __name__ == "__main__":
    main()
