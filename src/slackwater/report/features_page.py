"""The catalogue of features as a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from inspect import getmodule
from typing import Final

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature

__all__ = ["features_page"]

_HEAD: Final = """# Features

The catalogue is what `slackwater features` prints, the last section what `python -m campaigns.family_table` measured;
`python -m campaigns.family_table --page` writes this page, and a test compares them.

A family is one compiled kernel; history and live rows run the same code, and every output satisfies the contract of
`slackwater.check_features`. Windows are durations, so the same families work on any bars; names carry them, and the
ones below are the defaults on bars of {interval}. {count} outputs: those marked *context* are for the gate and the
reader, those marked *trigger* are triggers, all others may feed a classifier.

**Symmetry** is what happens to a value when the price path is mirrored: *odd* changes its sign, *even* keeps it, *pair*
takes the value of the output of the other side. **Needs** lists the inputs without which it is unknown; those in
brackets refine it where they are known. A value is NaN until its family is warm, and wherever an input that it needs is
unknown, stale or impossible.
"""


def features_page(families: Sequence[Family]) -> str:
    """Return the catalogue of some families as Markdown.

    Examples
    --------
    >>> from slackwater.features.chosen_families import default_families
    >>> features_page(default_families(timedelta(minutes=5))).splitlines()[0]
    '# Features'
    """
    count = sum(len(family.features()) for family in families)
    parts = [_HEAD.format(interval=duration_name(families[0].bar_interval), count=count)]
    for family in families:
        module = getmodule(type(family))
        summary = (module.__doc__ or "").strip().splitlines()[0] if module else ""
        parts.append(f"\n## {family.name}\n\n{summary} Warm after {_days(family.warm_up)}.\n")
        parts.append("| output | formula | unit | window | symmetry | needs | known | source |\n" + "|---" * 8 + "|")
        parts += [_row(feature) for feature in family.features()]
    return "\n".join(parts) + "\n"


def _row(feature: Feature) -> str:
    role = "" if feature.role == "model" else f" *{feature.role}*"
    needs = ", ".join(feature.inputs) + (f" ({', '.join(feature.refined_by)})" if feature.refined_by else "")
    needs += f"; one of {', '.join(feature.one_of)}" if feature.one_of else ""
    parts = (feature.formula, feature.unit, feature.window or "–", feature.symmetry, needs, feature.known)
    cells = (f"`{feature.name}`{role}", *parts, feature.source or "–")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _days(duration: timedelta) -> str:
    return f"{duration / timedelta(days=1):.3g} days"
