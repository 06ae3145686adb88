"""Serve the mirror until it is interrupted: ``python -m tests.mirror [PORT]``."""

from __future__ import annotations

import sys

from tests.mirror.server import Mirror

if __name__ == "__main__":
    mirror = Mirror(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
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
