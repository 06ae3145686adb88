"""Hours of paper trading in minutes: a mock venue on this machine, `watch` beside it, then what the journal says.

After `make repro`, `python examples/live.py` replays the last three hours of the data set 60 times as fast as they
were; it needs no network. The data of `make quick` are shorter than the warm-up of the features: there every event is
refused as `not_warm`. Every command is printed before it runs: the same ones, without `--server`,
trade on paper at a real venue.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from slackwater.journal.store import reading
from slackwater.storage import read_tables, write_tables

VENUE = "binance"
COMMAND = (sys.executable, "-c", "from slackwater.cli import main; main()")  # that of this environment


def main(tables: Path, bundle: Path, out: Path, hours: float, speed: float) -> None:
    """Trade on paper beside a replay, and look at the record."""
    if out.exists():
        raise SystemExit(f"{out} holds an earlier account, which would go on: remove it, or name another `--out`")
    held = read_tables(tables)
    end = held["bars"]["event_time"].max()
    start = (end - timedelta(hours=hours)).floor("5min")
    # What was known when the account begins; what comes later, the venue sends.
    known = {name: table[table["available_time"] <= start].reset_index(drop=True) for name, table in held.items()}
    write_tables({name: table for name, table in known.items() if len(table)}, out / "history")
    account = ("--state", str(out / "paper"), "--journal", str(out / "journal.db"), "--bundle", str(bundle))

    replay = ("--tables", str(tables), "--from", start.isoformat(), "--to", end.isoformat(), "--speed", str(speed))
    with started("venue", "serve", "--venue", VENUE, *replay) as venue:
        url = wait_for(venue, f"{VENUE} on ").split()[2]
        trade = ("--venue", VENUE, "--server", url, "--history", str(out / "history"), *account, "--quiet")
        with started("watch", *trade) as watch:
            wait_for(venue, "the replay has ended", watch)
            watch.send_signal(signal.SIGINT)
        venue.send_signal(signal.SIGINT)

    journal = ("--journal", str(out / "journal.db"))
    slackwater("journal", "verify", *journal)
    if trade := first_trade(out / "journal.db"):
        slackwater("journal", "note", "--trade", trade, "--mind", "calm", "--followed", "--grade", "B", *journal)
    slackwater("journal", "digest", *journal)
    slackwater("reconcile", *account)
    slackwater("report", *account, "--out", str(out / "account.html"))
    sys.stdout.write(f"open {out / 'account.html'} in a browser\n")


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start a command of slackwater whose lines can be read."""
    sys.stdout.write(f"$ slackwater {shlex.join(arguments)}\n")
    sys.stdout.flush()
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)  # noqa: S603 -- our own


def wait_for(process: subprocess.Popen[str], beginning: str, other: subprocess.Popen[str] | None = None) -> str:
    """Return the line of a process that begins so; it is an error if the process, or another one, ends before."""
    for line in process.stdout or ():
        sys.stdout.write(f"  {line}")
        if line.startswith(beginning):
            if other is not None and other.poll() is not None:
                raise SystemExit(f"`watch` ended with status {other.returncode}; its errors are above")
            return line
    raise SystemExit(f"the mock venue ended with status {process.wait()}; its errors are above")


def slackwater(*arguments: str) -> None:
    """Run a command of slackwater; stop where it fails."""
    sys.stdout.write(f"$ slackwater {shlex.join(arguments)}\n")
    sys.stdout.flush()
    done = subprocess.run([*COMMAND, *arguments], check=False)  # noqa: S603 -- our own
    if done.returncode:
        raise SystemExit(done.returncode)


def first_trade(journal: Path) -> str:
    """Return the name of the first planned trade; empty where the gate has refused everything."""
    with reading(journal) as held:
        rows = held.rows(
            "SELECT json_extract(payload_json, '$.trade') FROM event WHERE kind = 'plan' ORDER BY id LIMIT 1"
        )
    return str(rows[0][0]) if rows else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Paper trading beside a mock venue.")
    parser.add_argument("--tables", type=Path, default=Path("data/tables"))
    parser.add_argument("--bundle", type=Path, default=Path("models/scorer"))
    parser.add_argument("--out", type=Path, default=Path("state/live_example"))
    parser.add_argument("--hours", type=float, default=3.0, help="of the market, at the end of the tables")
    parser.add_argument("--speed", type=float, default=60.0, help="seconds of the market per second")
    main(**vars(parser.parse_args()))
