"""The command `slackwater` in this process: what a shell would see of it, without a second start of Python."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from unittest import mock

from slackwater.cli import main


def slackwater(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its entry point does; return its status, its output and its errors."""
    argv = ["slackwater", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
