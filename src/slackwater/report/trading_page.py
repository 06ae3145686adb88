"""Page of the trades in Markdown: the tables of stage `sensitivity` with their explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from slackwater.report.markdown import markdown_table

__all__ = ["trading_page"]


_NO_RESULTS = "Nothing could be measured: there is no trade, or too little time."

_VENUE_FACTS = [
    *("venue", "taker_fee_bps", "half_spread_bps", "relative_depth", "funding_interval_hours", "confirmed", "assumed")
]
# Heading to (table, text).
_SECTIONS = {
    "Suggested trades": (
        "triggers",
        "The trade that every event suggests, whether or not the gate accepts it, at the reference size "
        "(`labels.reference_notional_usd`), by trigger. `stop_sd` and `target_sd` are median distances from the entry "
        "in standard deviations over the horizon, `fair` and `paid` the mean probability of the target without drift "
        "and the mean payoff, `cost_r` fees and slippage in R. `visible_bps` and `visible_r` are the smallest means "
        "that the sample could show at t = 3, and `trades_to_see_5pct_r` the number of such trades that .05 R needs.",
    ),
    "Brackets": (
        "brackets",
        "The same events under other brackets: the configured one, stop and target at levels however far, a grid of "
        "`bracket.target_sd` and `bracket.stop_sd`, and the configured trade held to its time exit.",
    ),
    "Results by bracket": (
        "bracket_results",
        "What these trades earn after costs and funding, of every event and of the fifth with the highest "
        "out-of-sample direction probability. A bracket chosen by this table is a trial.",
    ),
    "Cost sensitivity": (
        "cost",
        "The unit-risk trades at multiples of the assumed fees and slippage; funding does not change.",
    ),
    "Capacity": (
        "capacity",
        "The same trades at one notional each (USDT). Results are in basis points of notional per trade.",
    ),
    "Leverage": (
        "leverage",
        "Share of trades that exit before the reversal that the models predict (one standard deviation over the "
        "horizon). With its stop a trade does not depend on leverage until liquidation comes before the stop; "
        "without a stop the margin is the risk, and one R is the margin.",
    ),
    "Stop and target": (
        "counterfactual",
        "The same trades without stop, without target, and without both. Where the interval of a difference lies above "
        "0, the level that was removed costs money on these data.",
    ),
    "Ruin": (
        "ruin",
        "Probability of a drawdown of `drawdown` within `years`, by the share of equity risked per trade: the trades "
        "of the account, each at that share, without throttle and Kelly cap. Trades refused by its halts stay refused. "
        "Returns compound without impact of the growing size.",
    ),
    "Ruin without position limits": (
        "ruin_without_limits",
        "The same if every plan were taken, also several per symbol at once.",
    ),
    "Venues": (
        "venues",
        "The same trades at the costs of each venue, in basis points of notional per trade; `n_common` are the trades "
        "that every venue takes. Assumed facts, such as spread and depth, are equal at all venues.{left_out}",
    ),
    "Venue facts": ("venue_facts", "Facts under `assumed` have no dated answer of the venue."),
    "Adversarial paths": (
        "stress",
        "Realised over planned loss when the path turns against every trade at the fill. `severity` is a fraction of "
        "price (of the stop distance in `gap_beyond_stop`), or the funding rate per settlement; the last column must "
        "be 0. A stop does not cap a loss at 2 %.",
    ),
    "Rule ablation": (
        "rules",
        "The gate with one rule toggled, on the same events; `difference_bps` is per event, with the rule less without "
        "it, and `helps` tells whether its interval or that in R lies above 0 and none below. A rule that only makes "
        "positions smaller can add trades: those that impact makes too expensive at the larger size.",
    ),
    "Drawdown control ablation": ("drawdown_control", "The account with one rule of drawdown control toggled."),
}


def trading_page(
    title: str,
    account: str,
    tables: Mapping[str, pd.DataFrame],
    unknown_venues: Sequence[str] = (),
    *,
    notes: Sequence[str] = (),
) -> str:
    """Return the page of the trades in Markdown: per section a heading, a text and a table.

    Parameters
    ----------
    title
        Name of the data set, with the word SYNTHETIC where the market was simulated.
    account
        First sections, of `slackwater.report.account_page.account_section`.
    tables
        Tables of stage `sensitivity`: ``triggers``, ``brackets``, ``bracket_results``,
        ``cost``, ``capacity``, ``leverage``, ``counterfactual``, ``ruin``,
        ``ruin_without_limits``, ``venues``, ``stress``, ``rules``, ``drawdown_control``.
    unknown_venues
        Venues that could not be compared, with the reason.
    notes
        Sentences that stand above all tables.
    """
    venues = tables["venues"]
    shown = {
        **tables,
        "venues": venues.drop(columns=[name for name in _VENUE_FACTS if name != "venue"]),
        "venue_facts": venues[_VENUE_FACTS],
    }
    left_out = f" Left out: {'; '.join(unknown_venues)}." if unknown_venues else ""
    parts = [f"# {title}\n", *(f"**{note}**\n" for note in notes), account]
    for heading, (name, text) in _SECTIONS.items():
        table = markdown_table(shown[name]) if _has_results(shown[name]) else _NO_RESULTS
        parts.append(f"## {heading}\n\n{text.format(left_out=left_out)}\n\n{table}\n")
    return "\n".join(parts)


def _has_results(table: pd.DataFrame) -> bool:
    """Tell whether a row of a table measures something: rows of no trade hold settings alone."""
    if "n_trades" in table:
        return bool(table["n_trades"].any())
    if "ruin_probability" in table:
        return bool(table["ruin_probability"].notna().any())
    return not table.empty
