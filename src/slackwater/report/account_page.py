"""Result of an account and refusals by reason, in words and tables: the beginning of every page about trades."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from slackwater.metrics.performance import refusals_by_reason, top_month_share, trades_by
from slackwater.report.markdown import markdown_table
from slackwater.trading.rules import starved_rules

__all__ = ["account_section", "account_sentence", "power_sentence", "refusal_sentence", "starved_sentences"]

_LISTED = 4
"""Reasons in a sentence; the page has all of them."""


def account_sentence(summary: Mapping[str, Any]) -> str:
    """Return the result of an account (`slackwater.metrics.performance.account_summary`) in one sentence.

    Examples
    --------
    >>> flat = {"n_trades": 0, "initial_equity_usd": 1e4, "final_equity_usd": 1e4, "total_return": 0.0}
    >>> account_sentence(flat)
    'no trade: the account stays at 10,000 USDT'
    """
    n_trades = summary["n_trades"]
    if not n_trades:
        return f"no trade: the account stays at {summary['initial_equity_usd']:,.0f} USDT"
    return (
        f"{n_trades:,} trade{'s' if n_trades > 1 else ''}: {summary['initial_equity_usd']:,.0f} USDT become "
        f"{summary['final_equity_usd']:,.0f} ({_percent(summary['total_return'], '+')}); "
        f"max drawdown {_percent(summary['max_drawdown'])}, profit factor {_number(summary['profit_factor'])}, "
        f"win rate {_percent(summary['win_rate'])}, mean {_number(summary['mean_r'], '+')} R, "
        f"Sharpe {_number(summary['sharpe'])} (daily, per √year), {_number(summary['net_bps_mean'], '+', '.1f')} bps "
        f"per trade; {_percent(summary['top_month_share'], digits=0)} of the trades in one month"
    )


def refusal_sentence(refusals: pd.DataFrame, trades: pd.DataFrame) -> str:
    """Return how many events were refused and the most frequent reasons, in one sentence; tables of one account."""
    table = refusals_by_reason(refusals, trades)
    refused = len(refusals[["symbol", "event_time"]].drop_duplicates())
    events = refused + len(trades)
    if not refused:
        return f"0 of {events:,} events refused"
    shown = [
        f"{row.code} {row.events:,}{' (all)' * (row.events == events)}" for row in table.head(_LISTED).itertuples()
    ]
    more = f" and {len(table) - _LISTED} more" if len(table) > _LISTED else ""
    return f"{refused:,} of {events:,} events refused (an event can have several reasons): {', '.join(shown)}{more}"


def power_sentence(n_accepted: int, suggested: Mapping[str, Any]) -> str:
    """Return which mean result the trades of a gate could have shown, by the spread of all suggested trades.

    Parameters
    ----------
    n_accepted
        Trades that the gate accepted.
    suggested
        Row of the trades that the events suggest (`slackwater.evidence.brackets.trigger_table`).

    Examples
    --------
    >>> row = {"n_trades": 8_000, "visible_r": 0.04, "trades_to_see_5pct_r": 5_120.0}
    >>> power_sentence(80, row)
    'Of 8,000 suggested trades the gate accepted 80: at t = 3 they could show 0.40 R; 0.05 R needs about 5,120 trades'
    >>> power_sentence(0, row)
    'Of 8,000 suggested trades the gate accepted none; 0.05 R at t = 3 needs about 5,120 trades'
    """
    n, needed = suggested["n_trades"], suggested["trades_to_see_5pct_r"]
    start = f"Of {n:,} suggested trades the gate accepted {f'{n_accepted:,}' if n_accepted else 'none'}"
    if math.isnan(needed):
        return f"{start}; they lie within one day, so that no effect could be seen"
    if not n_accepted:
        return f"{start}; 0.05 R at t = 3 needs about {needed:,.0f} trades"
    seen = suggested["visible_r"] * math.sqrt(n / n_accepted)
    return f"{start}: at t = 3 they could show {seen:.2f} R; 0.05 R needs about {needed:,.0f} trades"


def starved_sentences(trading: Any, held: Mapping[str, Collection[str]], symbols: Iterable[str]) -> Iterator[str]:
    """Yield one sentence per rule that is on and whose table is absent.

    Parameters
    ----------
    trading
        Section `trading` of the parameters.
    held, symbols
        As in `slackwater.trading.rules.starved_rules`.
    """
    names = list(symbols)
    for section in ("entry", "rules", "drawdown_control"):
        for name, switch, lacking in starved_rules(getattr(trading, section).build(), held, names):
            off = "null" if switch.off is None else switch.off
            yield (
                f"the rule `trading.{section}.{name}` is on and needs the table `{switch.needs}`, which has no rows of "
                f"{', '.join(lacking)}: every event there is refused ({', '.join(switch.reasons)}). Provide the table, "
                f"or set `trading: {{{section}: {{{name}: {off}}}}}` in the entry of the data set"
            )


def account_section(
    summary: Mapping[str, Any],
    trades: pd.DataFrame,
    sample: pd.DataFrame,
    refusals: pd.DataFrame,
    starved: Iterable[str] = (),
) -> str:
    """Return the first sections of the page of the trades, in Markdown.

    Parameters
    ----------
    summary
        Of `slackwater.metrics.performance.account_summary`.
    trades, refusals
        Tables of the account.
    sample
        Unit-risk trades.
    starved
        Sentences of `starved_sentences`.
    """
    parts = ["## Account\n", f"One account through all events: {account_sentence(summary)}.\n"]
    parts += [f"**Warning:** {sentence}.\n" for sentence in starved]
    parts += [markdown_table(pd.DataFrame([summary])), ""]
    for by in ("month", "symbol", "side"):
        parts += [f"### By {by}\n", markdown_table(trades_by(trades, by)) if len(trades) else "No trades.", ""]
    parts += [
        "### Unit-risk trades by month\n",
        f"Every accepted plan at the same equity, independent of the others: the sample of the sections below and of "
        f"the verdict. {_percent(top_month_share(sample), digits=0)} of its {len(sample):,} trades were entered within "
        "one month.\n\n" + markdown_table(trades_by(sample, "month"))
        if len(sample)
        else "No trades: nothing below can be measured.",
        "",
        "## Refusals by reason\n",
        f"{refusal_sentence(refusals, trades)}. `all_events_of` lists the symbols of which a reason refused every "
        "event. The codes: docs/gate.md; every refusal with its numbers: reports/refusals.parquet.\n",
        markdown_table(refusals_by_reason(refusals, trades)),
        "",
    ]
    return "\n".join(parts)


def _percent(value: float | None, sign: str = "", digits: int = 1) -> str:
    return "unknown" if value is None or math.isnan(value) else f"{100.0 * value:{sign}.{digits}f} %"


def _number(value: float | None, sign: str = "", form: str = ".2f") -> str:
    """Return a number as text; files hold null for one that is not known."""
    return "unknown" if value is None or math.isnan(value) else f"{value:{sign}{form}}"
