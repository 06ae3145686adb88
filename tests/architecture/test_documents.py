"""Documents that are written by the code say what the code says."""

from __future__ import annotations

from datetime import timedelta

from pipelines._closure import ROOT
from slackwater.features.catalogue import features_page
from slackwater.features.engine import default_families


def test_the_catalogue_of_features_is_the_one_of_the_code() -> None:
    """A formula that changed without its description would mislead; rerun `slackwater features > docs/features.md`."""
    written = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert written == features_page(default_families(timedelta(minutes=5)))


def test_every_output_is_described_in_full() -> None:
    for family in default_families(timedelta(minutes=5)):
        for feature in family.features():
            assert feature.formula, feature.name
            assert feature.unit, feature.name
            assert feature.inputs, feature.name
            assert feature.known, feature.name
