"""Stage `scorecard`: score the liquidation map against realised liquidations, and draw it."""

from __future__ import annotations

from datetime import timedelta

from pipelines._stage import Stage, run
from slackwater.evidence.map_history import close_after_busiest_day, density_family, replay
from slackwater.evidence.map_scorecard import map_scorecard
from slackwater.features.chosen_families import default_families
from slackwater.market.frame import MarketFrame
from slackwater.report.map_figure import write_map_figure
from slackwater.report.map_page import scorecard_markdown
from slackwater.storage import write_report
from slackwater.symbol_tables import SymbolTables

TABLES = ("bars", "open_interest", "liquidations", "liquidation_totals")
SPAN = timedelta(days=7)
AFTERMATH = timedelta(days=2)


def main(stage: Stage) -> None:
    """Write ``data/reports/map_scorecard.json`` and ``reports/liquidation_map.png``."""
    evaluation, synthetic = stage.evaluation, stage.dataset.synthetic
    tables = SymbolTables("data/tables", TABLES)
    symbols = tables.with_rows("bars")
    stage.say(f"{tables.rows:,} rows of {len(symbols)} symbols in {len(tables.names)} tables")

    def frame_of(symbol: str) -> MarketFrame:
        return MarketFrame.from_tables(tables.of(symbol), stage.market.spec)

    families = default_families(stage.market.bar_interval, **stage.features.of_the_library())
    card = map_scorecard(
        map(frame_of, symbols),
        families,
        draws=evaluation.draws,
        mean_block=evaluation.mean_block,
        seed=evaluation.seed,
        progress=stage.say,
    )
    name = stage.dataset.name
    write_report({"dataset": name, "synthetic": synthetic, **card}, "data/reports/map_scorecard.json")
    stage.say(f"{name}{', SYNTHETIC market' if synthetic else ''}\n{scorecard_markdown(card)}")
    symbol = symbols[0]
    frame = frame_of(symbol)
    at = close_after_busiest_day(frame, symbol, after=AFTERMATH, window=density_family(families).warm_up)
    history = replay(frame, families, symbol, at=at, span=SPAN)
    write_map_figure(history, "reports/liquidation_map.png", synthetic=synthetic, dataset=name)


if __name__ == "__main__":
    run("scorecard", main)
