"""Ctrl-C while code is compiled: a real process that is interrupted where LLVM calls Python."""

from __future__ import annotations

import subprocess
import sys

COMPILED = """
import os, signal, sys
from numba import njit
from numba.core.codegen import CPUCodeLibrary
from slackwater.interrupts import interrupt_between_compilations

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background leaves it ignored
if sys.argv[1] == "between":
    interrupt_between_compilations()
sent = []
called = CPUCodeLibrary._object_compiled_hook.__func__

def hook(library, *given):
    while len(sent) < 12:
        sent.append(0)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass  # the handler runs here
    return called(library, *given)

CPUCodeLibrary._object_compiled_hook = classmethod(hook)

@njit
def kernel(x):
    return x + 1.0

try:
    kernel(1.0)
except KeyboardInterrupt:
    print("interrupted")
print(njit(lambda x: x + 2.0)(1.0))
"""


def said(when: str) -> str:
    ran = subprocess.run([sys.executable, "-c", COMPILED, when], capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_an_interrupt_waits_for_the_compiler() -> None:
    """Catches an exception that is lost inside of LLVM, and further ones that interrupt something later."""
    assert said("between") == "interrupted\n3.0\n"


def test_numba_loses_the_interrupt_otherwise() -> None:
    """Catches a numba that no longer needs this."""
    assert "Exception ignored" in said("anywhere")
