"""The gain of each family of features over price in every data set, as a table of ``docs/features.md``.

``python -m campaigns.family_table`` reads the events of the data set that was run last
(``data/event_features.parquet`` and ``data/labels.parquet``), fits price alone and price beside each family, and adds
the result to ``campaigns/family_table.json``: choose a data set, run its stages up to ``label``, run this, and go on to
the next.
``python -m campaigns.family_table --page`` writes the page without any fit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipelines._closure import ROOT
from slackwater.durations import duration_name
from slackwater.evidence.family_gains import family_gains
from slackwater.evidence.resampling import Resampling
from slackwater.features.chosen_families import default_families
from slackwater.models.horizons import TEST_BLOCKS_PER_FIT
from slackwater.models.training import Trainer
from slackwater.report.features_page import features_page
from slackwater.report.markdown import markdown_table
from slackwater.run.parameters import params_of_last_run
from slackwater.run.training import read_training_set
from slackwater.storage import atomic_file, read_json, write_report

OUT: Final = Path(__file__).with_suffix(".json")
PAGE: Final = ROOT / "docs" / "features.md"
ROWS: Final = {
    "traded": "Rows that the triggers of the data set trade.",
    "every": "Every event of a test block, those that only train included.",
}

_HEAD: Final = """## What each family adds to price

AUC of direction out of sample, before calibration: that of the families volatility, price and regime alone, and the
paired difference when another family, or all of them, stand beside these. In brackets are 95 % intervals of a bootstrap
in blocks of time; there are none where the test blocks are too short. An interval that contains 0 shows nothing, and of
some thirty differences one or two lie beyond theirs by chance. A cell is empty where no table feeds the family.
Measured by `python -m campaigns.family_table`, one data set at a time, from the files of its stages.
"""


def measured() -> tuple[str, dict[str, Any]]:
    """Return the name of the data set that was run last, and what its families add."""
    params = params_of_last_run(ROOT)
    training = read_training_set()
    gains = family_gains(
        training,
        Trainer(validation=params.validation.build(), model=params.model.build()),
        resampling=Resampling.of(params.evaluation),
        progress=_say,
    )
    return params.dataset.name, {
        "measured_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": "python -m campaigns.family_table",
        "synthetic": params.dataset.synthetic,
        "horizon": duration_name(params.labels.horizon),
        "model": params.model.kind,
        "fitted_every": duration_name(TEST_BLOCKS_PER_FIT * params.validation.test),
        "first_event": training.labels["event_time"].min().isoformat(),
        "last_event": training.labels["event_time"].max().isoformat(),
        "data_sha256": training.digest,
        "rows": gains,
    }


def section(answer: Mapping[str, Any]) -> str:
    """Return the section of the page, from the content of ``campaigns/family_table.json``."""
    sets = answer["datasets"]
    about = [
        {
            "data set": _title(name, each),
            "horizon": each["horizon"],
            "model": each["model"],
            "fitted every": each["fitted_every"],
            "events": f"{each['first_event'][:10]} to {each['last_event'][:10]}",
            "measured on": each["measured_on"],
        }
        for name, each in sets.items()
    ]
    parts = [_HEAD, f"{markdown_table(pd.DataFrame(about))}\n"]
    for group, said in ROWS.items():
        columns = {_title(name, each): _column(each["rows"][group]) for name, each in sets.items()}
        order = dict.fromkeys(row for column in columns.values() for row in column if row != "all")
        rows = [*order, *(["all"] if any("all" in column for column in columns.values()) else [])]
        table = pd.DataFrame([{"": row} | {name: column.get(row) for name, column in columns.items()} for row in rows])
        parts.append(f"{said}\n\n{markdown_table(table)}\n")
    return "\n".join(parts)


def page() -> str:
    """Return ``docs/features.md``: the catalogue, and what the families add."""
    return f"{features_page(default_families(timedelta(minutes=5)))}\n{section(read_json(OUT))}"


def _title(name: str, measured: Mapping[str, Any]) -> str:
    return f"{name}, SYNTHETIC" if measured["synthetic"] else name


def _column(found: Mapping[str, Any]) -> dict[str, str]:
    price = f"{_short(found['auc'])}{_interval(found['auc_low'], found['auc_high'], '')}"
    gains = {
        name: f"{_short(gain['difference'], '+')}{_interval(gain['low'], gain['high'], '+')}"
        for name, gain in found["gains"].items()
    }
    return {"events": f"{found['n']:,}", "price alone": price, **gains}


def _interval(low: float | None, high: float | None, sign: str) -> str:
    return "" if low is None or high is None else f" ({_short(low, sign)} to {_short(high, sign)})"


def _short(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure the data set that was run last, unless asked for the page alone, and write the page."""
    if "--page" not in sys.argv[1:]:
        name, found = measured()
        known = read_json(OUT)["datasets"] if OUT.is_file() else {}
        write_report({"datasets": dict(sorted((known | {name: found}).items()))}, OUT)
    with atomic_file(PAGE) as path:
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
