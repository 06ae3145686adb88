"""The parameters: the only reader of ``params.yaml``.

One key, ``dataset``, chooses an entry of ``datasets``; the entry may override any of the sections. What comes out
is frozen, typed and checked across sections, for every entry and not for the chosen one alone, so that a slip
shows before somebody switches to it.
"""

from __future__ import annotations

from slackwater.config.durations import duration_text, parse_duration
from slackwater.config.loading import load_params, resolve
from slackwater.config.sections import Params

__all__ = ["Params", "duration_text", "load_params", "parse_duration", "resolve"]
