"""Stage `page`: the report of the run as one HTML file that needs no network."""

from __future__ import annotations

from pipelines._stage import Stage, run
from slackwater.report.run.write import write_page

OUT = "reports/index.html"


def main(stage: Stage) -> None:
    """Write ``reports/index.html``."""
    size = write_page(
        ".",
        OUT,
        spec=stage.market.spec,
        features=stage.features.of_the_library(),
        horizon=stage.labels.horizon,
    )
    stage.say(f"{OUT}, {size / 1e6:.1f} MB: open it in a browser")


if __name__ == "__main__":
    run("page", main)
