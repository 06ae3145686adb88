"""The choice of workers, as a command and an environment variable state it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from slackwater.errors import ParameterError

__all__ = ["WorkerChoice"]

_COUNTED: Final = re.compile(r"(?:(processes|threads):)?([1-9][0-9]{0,2})", re.ASCII)
_ADDRESS: Final = re.compile(r"dask://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class WorkerChoice:
    """Who runs tasks; results do not depend on it, so it is not a parameter of a run.

    Parameters
    ----------
    kind
        ``"serial"`` (this process), ``"threads"``, ``"processes"`` or ``"dask"``.
    count
        Number of threads or processes, >= 1.
    address
        Of the scheduler of a Dask cluster, such as ``tcp://127.0.0.1:8786``.
    """

    kind: Literal["serial", "threads", "processes", "dask"]
    count: int = 1
    address: str = ""

    @classmethod
    def of(cls, text: str, where: str = "workers") -> WorkerChoice:
        """Read a choice: ``serial``, ``2`` or ``processes:2``, ``threads:2``, or ``dask://host:port``.

        Parameters
        ----------
        text
            The choice.
        where
            Where it was given, for the message.

        Raises
        ------
        ParameterError
            If it is none of these.

        Examples
        --------
        >>> WorkerChoice.of("2")
        WorkerChoice(kind='processes', count=2, address='')
        >>> WorkerChoice.of("dask://127.0.0.1:8786").address
        'tcp://127.0.0.1:8786'
        """
        if text == "serial":
            return cls("serial")
        if match := _COUNTED.fullmatch(text):
            return cls("threads" if match[1] == "threads" else "processes", int(match[2]))
        match = _ADDRESS.fullmatch(text)
        if match and 0 < int(match[2]) < 2**16:
            return cls("dask", address=f"tcp://{match[1]}:{match[2]}")
        raise ParameterError(
            f"{where} must be serial, a number of processes such as 2, threads:2, or a scheduler such as "
            f"dask://127.0.0.1:8786, was {text!r}"
        )
