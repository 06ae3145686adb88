"""The parameters: the only reader of ``params.yaml`` and of ``datasets/*.yaml``.

One key, ``dataset``, chooses a data set: an entry of ``datasets``, or a file of that name in the directory
``datasets``, which holds the content of an entry. It may override any of the other sections. The result is frozen,
typed and checked across sections, for every entry and not only for the chosen one, so that a mistake shows before
somebody switches to it.
"""

from __future__ import annotations

from slackwater.config.loading import broken_entries, load_params, own_entries, place_of, resolve
from slackwater.config.sections import Params
from slackwater.config.yaml_file import read_yaml

__all__ = ["Params", "broken_entries", "load_params", "own_entries", "place_of", "read_yaml", "resolve"]
