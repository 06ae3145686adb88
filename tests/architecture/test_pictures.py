"""The pictures of docs/concepts.md are those that the script draws, and say that they are SYNTHETIC."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from docs.pictures import HERE, PICTURES, write_pictures

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pictures")
    write_pictures(directory)
    return directory


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_script_draws(drawn: Path, name: str) -> None:
    """A change of the simulator or of the map would leave a picture of something that is no longer so.

    Coordinates may differ by less than a hundredth of a point: the last bit of a logarithm depends on the processor.
    """
    written, now = ((place / f"{name}.svg").read_text(encoding="utf-8") for place in (HERE, drawn))
    assert NUMBER.sub("", written) == NUMBER.sub("", now)
    values = [np.array([float(each) for each in NUMBER.findall(text)]) for text in (written, now)]
    np.testing.assert_allclose(*values, atol=0.01, rtol=0.0)
    assert "SYNTHETIC" in written
    assert len(values[0]) > 1000
