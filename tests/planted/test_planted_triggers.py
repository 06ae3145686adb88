"""Look-ahead planted into the triggers and into the tables behind them: each must be seen."""

from __future__ import annotations

from datetime import timedelta

from slackwater.features.chosen_families import default_families
from slackwater.features.mutants import check_family
from tests.small_market import small_market

HOUR = timedelta(hours=1)
# Lower thresholds than by default: on a short market a rare trigger would leave nothing to compare.
THRESHOLDS = {
    "crowding_acceleration": 0.5,
    "crowding_growth": 0.0,
    "crowding_cooldown": HOUR,
    "cascade_threshold": 0.5,
    "cascade_burst": 1.0,
    "sweep_cooldown": HOUR,
}
READ = ("volatility", "open_interest", "funding", "liquidations", "sweeps", "triggers")


def test_no_trigger_looks_ahead_and_every_look_ahead_is_seen() -> None:
    """Catches an input of the triggers that arrives early, and a check that a rare event slips through."""
    families = tuple(f for f in default_families(HOUR, triggers=THRESHOLDS) if f.name in READ)
    market = {
        name: table
        for name, table in small_market(days=70, interval=HOUR).items()
        if name in ("bars", "open_interest", "funding", "liquidations")
    }
    report = check_family(families, market, cuts=4)
    assert {
        check: found for check, found in report.checks.items() if any(v.verdict == "broken" for v in found.values())
    } == {}
    assert [mutant.name for mutant in report.mutants if not mutant.caught] == []
    assert len(report.mutants) > 8
