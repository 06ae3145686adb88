"""The parameters: the only reader of ``params.yaml``.

One key, ``dataset``, chooses an entry of ``datasets``; the entry may override any of the other sections. The result is
frozen, typed and checked across sections, for every entry and not only for the chosen one, so that a mistake shows
before somebody switches to it.
"""

from __future__ import annotations

from slackwater.config.loading import load_params, resolve
from slackwater.config.sections import Params

__all__ = ["Params", "load_params", "resolve"]
