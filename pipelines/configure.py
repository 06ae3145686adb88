"""Stage `configure`: check the parameters, write the effective ones of the chosen data set, and name broken entries."""

from __future__ import annotations

from pathlib import Path

import yaml

from pipelines._contracts import require_facts
from pipelines._stage import EFFECTIVE, Stage, run
from slackwater.config import broken_entries
from slackwater.storage import atomic_file


def main(stage: Stage) -> None:
    """Write ``reports/effective_params.yaml``, of which every other stage declares the keys that it reads."""
    params = stage.params()
    require_facts(stage, params.dataset.symbols or [])
    stage.require_known_triggers()
    with atomic_file(Path(EFFECTIVE)) as path:
        path.write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=True), encoding="utf-8")
    for name, error in broken_entries().items():
        stage.say(f"the data set {name} cannot be chosen: {error}")
    stage.say(f"data set {params.dataset.name}{', SYNTHETIC' if params.dataset.synthetic else ''}")


if __name__ == "__main__":
    run("configure", main)
