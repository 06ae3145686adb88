"""Checkpoint of a desk: one file, with the place in the log of inputs from which it continues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from slackwater.paper.desk import Desk
from slackwater.paper.errors import PaperError
from slackwater.paper.input_log import Place
from slackwater.storage import read_arrays, write_arrays

__all__ = ["load_checkpoint", "save_checkpoint"]

_FORMAT: Final = 1


def save_checkpoint(path: str | Path, desk: Desk, place: Place) -> None:
    """Write the state of a desk that has taken every input before a place; the file appears whole or not at all."""
    arrays, content = desk.save_state()
    text = json.dumps({"format": _FORMAT, "place": place, "desk": content})
    write_arrays({**arrays, "desk": np.array(text)}, path)


def load_checkpoint(path: str | Path, desk: Desk) -> Place:
    """Bring a desk into a saved state, and return the place in the log from which it continues.

    Raises
    ------
    MissingDataError, SchemaError, BundleError
        As `slackwater.scoring.session.Session.load`.
    PaperError
        If it is not a checkpoint of this version.
    """
    arrays = read_arrays(path)
    try:
        content = json.loads(str(arrays.pop("desk")))
        if content["format"] != _FORMAT:
            raise PaperError(f"{path} has format {content['format']!r:.20}, this version reads {_FORMAT}: begin anew")
        place = Place(str(content["place"][0]), int(content["place"][1]))
        desk.load_state(arrays, content["desk"], str(path))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise PaperError(
            f"{path} is not a checkpoint of paper trading ({type(error).__name__}: {error}): restore it from a copy, "
            "or begin anew in another directory"
        ) from error
    return place
