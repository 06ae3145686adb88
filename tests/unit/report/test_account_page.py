"""What a trader reads first: the result, and why nothing was traded."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from slackwater.config import load_params
from slackwater.metrics.performance import account_summary
from slackwater.report.account_page import account_section, account_sentence, refusal_sentence, starved_sentences
from tests.unit.metrics.test_performance import account


def refusals(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["symbol", "event_time", "code"])
    return table.assign(event_time=pd.to_datetime(table["event_time"], utc=True))


def test_the_sentence_holds_every_figure_and_leaves_unknown_ones_unknown() -> None:
    summary = {
        "n_trades": 54,
        "initial_equity_usd": 1e4,
        "final_equity_usd": 9878.49,
        "total_return": -0.01215,
        "max_drawdown": 0.0216,
        "profit_factor": 0.725,
        "win_rate": 0.3148,
        "mean_r": 0.0413,
        "sharpe": None,
        "net_bps_mean": 25.53,
        "top_month_share": 0.3889,
    }
    sentence = account_sentence(summary)
    for part in ("54 trades: 10,000 USDT become 9,878 (-1.2 %)", "max drawdown 2.2 %", "profit factor 0.72"):
        assert part in sentence
    for part in ("win rate 31.5 %", "mean +0.04 R", "Sharpe unknown", "+25.5 bps", "39 % of the trades in one month"):
        assert part in sentence


def test_refusals_are_named_by_reason() -> None:
    trades, _ = account(0, 1)
    table = refusals(*(("A", "2024-01-01", f"r{i}") for i in range(6)), ("A", "2024-01-02", "r5"))
    sentence = refusal_sentence(table, trades)
    assert sentence.startswith("2 of 3 events refused (an event can have several reasons): r5 2, r0 1, r1 1, r2 1")
    assert sentence.endswith("and 2 more")
    assert refusal_sentence(table, trades.iloc[:0]).endswith("r5 2 (all), r0 1, r1 1, r2 1 and 2 more")
    assert refusal_sentence(table.iloc[:0], trades) == "0 of 1 events refused"


def test_a_rule_without_its_table_is_named_with_the_parameter_to_change() -> None:
    trading = load_params("params.yaml", "simulated").trading
    (sentence,) = starved_sentences(trading, {"bars": {"A", "B"}, "depth": {"B"}}, ["B", "A"])
    for part in ("`trading.rules.depth_fraction`", "`depth`", "no rows of A:", "(missing_depth)"):
        assert part in sentence
    assert "`trading: {rules: {depth_fraction: null}}`" in sentence
    assert not list(starved_sentences(trading, {"depth": {"A", "B"}}, ["A", "B"]))
    off = load_params("params.yaml", "bybit_1h").trading
    assert not list(starved_sentences(off, {}, ["A"]))


def test_every_setting_that_it_names_exists() -> None:
    """The sentence names the key that turns the rule off; a section that is renamed would make it lie."""
    trading = load_params("params.yaml", "simulated").trading
    sections = {name: getattr(trading, name) for name in ("entry", "rules", "drawdown_control")}
    assert list(starved_sentences(SimpleNamespace(**sections), {}, ["A"]))


def test_a_page_without_trades_says_so_and_still_names_the_reasons() -> None:
    trades, equity = account(0, 1)
    none = trades.iloc[:0]
    reasons = refusals(("A", "2024-01-01", "missing_depth"))
    page = account_section(account_summary(none, equity.iloc[:1]), none, none, reasons, ["the rule `x` is on"])
    assert "no trade: the account stays at 10,000 USDT" in page
    assert "**Warning:** the rule `x` is on." in page
    assert "No trades: nothing below can be measured." in page
    assert "| missing_depth | 1 | 1 | A |" in page


def test_a_page_with_trades_has_them_by_month_symbol_and_side() -> None:
    trades, equity = account(1, 30)
    page = account_section(account_summary(trades, equity), trades, trades, refusals())
    for part in ("### By month", "| 2024-0", "### By symbol\n\n| symbol |", "### By side\n\n| side |", "| long |"):
        assert part in page
    assert "0 of 30 events refused" in page
