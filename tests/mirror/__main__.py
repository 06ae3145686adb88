"""Serve the mirror until it is interrupted: ``python -m tests.mirror [PORT]``."""

from __future__ import annotations

import argparse
import sys

from tests.mirror.server import Mirror

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mirror", description="Serve a made-up archive of Binance.")
    parser.add_argument("port", nargs="?", type=int, default=8765, help="port of this machine; 0 takes a free one")
    port = parser.parse_args().port
    if not 0 <= port < 65_536:
        parser.error(f"argument port: must be in 0 to 65535, was {port}")
    try:
        mirror = Mirror(port=port)
    except OSError as error:
        parser.error(f"port {port}: {error.strerror}; name another one")
    sys.stdout.write(
        f"a made-up archive is served at {mirror.url}, for example:\n"
        "  slackwater fetch --venue binance --symbols BTCUSDT,ETHUSDT --from 2024-01-01 --to 2024-02-01 "
        f"--out data/external/made_up --mirror {mirror.url}\n"
    )
    sys.stdout.flush()
    try:
        mirror.serve_forever()
    except KeyboardInterrupt:
        mirror.server_close()
