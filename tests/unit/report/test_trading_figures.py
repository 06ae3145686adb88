"""The plots of the trades: each is drawn, says what it lacks, and is the same bytes for the same run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from slackwater.evidence.cost_sensitivity import capacity_curve, cost_curve
from slackwater.evidence.leverage import counterfactuals, leverage_curve
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.ruin import ruin_curve
from slackwater.report.trading_figures import write_trading_figures
from slackwater.trading.costs import CostModel
from slackwater.trading.ledger import Ledger

NAMES = {
    "equity_and_drawdown",
    "r_multiples",
    "costs",
    "capacity",
    "leverage",
    "leverage_without_stop",
    "counterfactuals",
    "ruin",
    "venues",
    "exposure",
}
TITLE = "simulated, SYNTHETIC market"


def made_up() -> dict[str, pd.DataFrame]:
    """Tables that look like those of a run of a year and a half."""
    rng = np.random.default_rng(5)
    times = pd.date_range("2023-01-01", periods=400, freq="31h", tz="UTC", unit="us")
    r = np.where(rng.random(400) < 0.42, rng.gamma(3.0, 0.6, 400), -np.abs(rng.normal(0.95, 0.25, 400)))
    r[[17, 200]], r[[33, 90, 310]] = (-3.6, -5.2), (6.1, 7.4, 5.3)
    money = 10_000.0 * np.cumprod(1.0 + 0.01 * np.r_[0.0, r[::2]])
    equity = pd.DataFrame({"time": times[np.r_[0, 1:400:2]], "equity_usd": money})
    equity["drawdown"] = 1.0 - money / np.maximum.accumulate(money)
    sample = pd.DataFrame({"entry_time": times, "net_r": r})
    multiples = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    net = 25.0 - 14.0 * multiples
    cost = pd.DataFrame(
        {"multiple": multiples, "n_trades": 400, **around(net, 16.0), "profit_factor": 1.4 - 0.25 * multiples}
    )
    notional = np.array([10e3, 50e3, 100e3, 250e3, 500e3, 1e6])
    impact = 0.06 * np.sqrt(notional)
    capacity = pd.DataFrame(
        {
            "notional_usd": notional,
            "n_trades": 400,
            **around(22.0 - impact, 14.0),
            "round_trip_slippage_bps_mean": 2.0 + impact,
            "share_within_depth": [1.0, 1.0, 0.96, 0.61, 0.2, 0.01],
            "break_even_usd": (22.0 / 0.06) ** 2,
        }
    )
    leverage = pd.DataFrame(
        {
            "leverage": [2, 3, 5, 10, 20, 50],
            "n_trades": [400, 400, 400, 400, 392, 340],
            "not_offered": [0, 0, 0, 0, 8, 60],
            "liquidated": [0.0, 0.0, 0.0, 0.04, 0.31, 0.74],
            "stopped": [0.46, 0.46, 0.46, 0.43, 0.22, 0.01],
            "exited_before_reversal": [0.14, 0.14, 0.14, 0.15, 0.2, 0.35],
            "median_r": [0.18, 0.18, 0.18, 0.12, -0.4, -1.0],
            "mean_r": [0.12, 0.12, 0.12, 0.1, 0.02, -0.1],
            "net_bps_mean": [11.0, 11.0, 11.0, 9.0, 1.0, -4.0],
            "return_on_margin_mean": [0.0022, 0.0033, 0.0055, 0.009, 0.002, -0.02],
            "median_return_on_margin": [0.003, 0.0045, 0.0075, 0.012, -0.3, -1.02],
            "worst_return_on_margin": [-0.2, -0.3, -0.5, -1.01, -1.02, -1.05],
        }
    )
    leverage = pd.concat([leverage.assign(variant="with stop"), leverage.assign(variant="without stop", stopped=0.0)])
    means = np.array([11.0, 17.0, 4.0, 14.0])
    shares = np.array(
        [[0.46, 0.31, 0.23, 0.0], [0.0, 0.44, 0.52, 0.04], [0.46, 0.0, 0.54, 0.0], [0.0, 0.0, 0.95, 0.05]]
    )
    counterfactual = pd.DataFrame(
        {
            "variant": ["as planned", "without stop", "without target", "time exit only"],
            "n_trades": 400,
            **around(means, np.array([14.0, 19.0, 20.0, 26.0])),
            "difference_bps": means - means[0],
            "difference_low": means - means[0] - [0.0, 9.0, 8.0, 17.0],
            "difference_high": means - means[0] + [0.0, 9.0, 8.0, 17.0],
            "win_rate": [0.48, 0.55, 0.45, 0.52],
            **dict(zip(["stop_share", "target_share", "time_share", "liquidation_share"], shares.T, strict=True)),
            "worst_bps": [-460.0, -1910.0, -460.0, -1910.0],
        }
    )
    ruin = pd.DataFrame(
        {
            "risk_fraction": [0.0025, 0.005, 0.01, 0.02],
            "drawdown": 0.3,
            "years": 1.0,
            "ruin_probability": [0.0, 0.004, 0.14, 0.71],
            "median_max_drawdown": [0.05, 0.1, 0.19, 0.36],
            "median_annual_return": [0.07, 0.14, 0.28, 0.5],
            "expected_longest_losing_streak": 9.3,
        }
    )
    venues = pd.DataFrame({"venue": ["binance", "bybit", "okx", "gate"], "gross_bps": 25.0, "n_trades": 120})
    parts = {"fee": 10.0, "spread": 0.9, "impact": 2.2, "stop_slippage": 1.6, "latency": 0.7, "funding": -1.4}
    for i, (name, size) in enumerate(parts.items()):
        venues[f"{name}_bps"] = size * np.array([1.0, 1.1, 1.0, 1.0 + 0.1 * i])
    lost = sum(venues[f"{name}_bps"] for name in parts)
    venues = venues.assign(**around(25.0 - lost, 14.0))
    hours = pd.date_range("2023-01-01", periods=3_000, freq="4h", tz="UTC", unit="us")
    # Positions last for a day or so, with quiet weeks between.
    held = np.repeat(rng.integers(0, 4, 500) * (np.arange(500) % 40 < 28), 6)
    size = held * np.repeat(rng.uniform(4e3, 9e3, 500), 6)
    exposure = pd.DataFrame(
        {
            "time": hours,
            "gross_notional_usd": size,
            "net_notional_usd": size * np.repeat(rng.choice([-1.0, -0.3, 0.3, 1.0], 500), 6),
            "open_risk_fraction": 0.009 * held,
            "leverage": size / 10_500.0,
            "n_positions": held,
        }
    )
    return {
        "equity": equity,
        "trades": sample.iloc[::2],
        "sample": sample,
        "exposure": exposure,
        "cost": cost,
        "capacity": capacity,
        "leverage": leverage,
        "counterfactual": counterfactual,
        "ruin": ruin,
        "venues": venues,
    }


def around(mean: Any, half_width: Any) -> dict[str, Any]:
    return {"net_bps_mean": mean, "net_bps_low": mean - half_width, "net_bps_high": mean + half_width}


Drawn = dict[str, tuple[Figure, str]]


def draw(directory: Path, **changes: pd.DataFrame) -> Drawn:
    """Draw, and give back each figure and all that is written in it; arguments replace tables."""
    seen: Drawn = {}
    save = Figure.savefig

    def spy(figure: Figure, path: Path, **options: Any) -> None:
        save(figure, path, **options)
        seen[path.stem] = figure, "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", spy)
        write_trading_figures(directory, **made_up() | changes, title=TITLE)
    return seen


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `drawn` draws."""
    return tmp_path_factory.mktemp("run") / "plots"


@pytest.fixture(scope="module")
def drawn(plots: Path) -> Drawn:
    """The figures of an ordinary run."""
    return draw(plots)


def test_every_figure_is_drawn_and_named(drawn: Drawn, plots: Path) -> None:
    """Catches a figure left out, one that does not say SYNTHETIC, and an axis without a label."""
    assert set(drawn) == NAMES == {path.stem for path in plots.iterdir()}
    for name, (figure, text) in drawn.items():
        content = (plots / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 20_000, name
        assert TITLE in text, name
        assert "no trades" not in text, name
        # Variants and venues name themselves.
        assert all(axes.get_ylabel() for axes in figure.axes) or name == "counterfactuals"
        assert figure.axes[-1].get_xlabel() or name == "venues"


def test_no_legend_hides_what_it_explains(drawn: Drawn) -> None:
    """Catches a legend inside of the axes, where the next data set puts its curve."""
    for name, (figure, _) in drawn.items():
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
        assert legends or name == "exposure"
        for legend in legends:
            box = legend.get_window_extent()
            for axes in figure.axes:
                area = axes.get_window_extent()
                assert not (box.shrunk(0.98, 0.98).overlaps(area)), name


@pytest.mark.usefixtures("drawn")
def test_the_same_tables_give_the_same_bytes(plots: Path, tmp_path: Path) -> None:
    """Catches a date or a random colour in the file, and a title that is not drawn."""
    for run, title in (("b", TITLE), ("c", "real data")):
        write_trading_figures(tmp_path / run, **made_up(), title=title)
    for name in NAMES:
        a, b, c = ((run / f"{name}.png").read_bytes() for run in (plots, tmp_path / "b", tmp_path / "c"))
        assert a == b
        assert a != c


def test_a_run_without_trades_says_so(tmp_path: Path) -> None:
    """Catches a crash on the tables that such a run leaves, and empty axes that look like a result."""
    start = pd.Timestamp("2024-03-01", tz="UTC")
    ledger, resampling, horizon = Ledger(initial_equity=1e4, start=start), Resampling(), timedelta(hours=4)
    tables = {
        "equity": ledger.equity(),
        "trades": ledger.trades(),
        "sample": ledger.trades(),
        "cost": cost_curve([], resampling),
        "capacity": capacity_curve([], CostModel(), {}, resampling, depth_fraction=0.02),
        "leverage": leverage_curve([], {}, {}, horizon),
        "counterfactual": counterfactuals([], {}, horizon, resampling),
        "ruin": ruin_curve(ledger.trades()),
        "venues": made_up()["venues"].iloc[:0],
        "exposure": made_up()["exposure"].assign(n_positions=0),
    }
    for changes in (tables, {name: table.iloc[:0] for name, table in made_up().items()}):
        for name, (_, text) in draw(tmp_path / "plots", **changes).items():
            assert "no trades" in text, name
            assert TITLE in text


def test_unknown_intervals_and_depths_are_left_out(tmp_path: Path) -> None:
    """Catches a crash on a sample that is too short for intervals, or on a venue that shows no depth."""
    tables = made_up()
    for name in ("cost", "capacity", "counterfactual", "venues"):
        tables[name] = tables[name].assign(net_bps_low=np.nan, net_bps_high=np.nan)
    tables["counterfactual"] = tables["counterfactual"].assign(difference_low=np.nan, difference_high=np.nan)
    tables["capacity"] = tables["capacity"].assign(share_within_depth=np.nan, break_even_usd=np.nan)
    tables["venues"]["latency_bps"] = np.nan
    tables["cost"]["profit_factor"] = np.inf
    tables["trades"] = tables["trades"].iloc[:0]
    tables["equity"], tables["exposure"] = tables["equity"].iloc[:2], tables["exposure"].iloc[:1].assign(n_positions=1)
    drawn = draw(tmp_path / "plots", **tables)
    assert "depth unknown" in drawn["capacity"][1]
    assert "break-even" not in drawn["capacity"][1]
    assert not any("no trades" in text for _, text in drawn.values())


def test_what_is_cut_off_is_named(drawn: Drawn) -> None:
    """Catches a histogram that hides its worst losses."""
    figure, text = drawn["r_multiples"]
    assert "2 below -3 R (worst -5.2)" in text
    assert "above 5 R (best 7.4)" in text
    bars = sum(bar.get_height() for bar in figure.axes[0].containers[0])
    assert bars == pytest.approx(100.0)  # the tails are inside of the outermost ones


def test_numbers_that_a_reader_would_look_for(drawn: Drawn) -> None:
    """Catches a figure that draws a curve but not where it crosses, and fractions read as percentages."""
    assert "break-even: 134k USDT" in drawn["capacity"][1]
    assert "60 not offered" in drawn["leverage"][1]
    assert "worst -1,910 bps" in drawn["counterfactuals"][1]
    assert "30 % drawdown" in drawn["ruin"][1]
    assert "71.0 %" in drawn["ruin"][1]
    assert "expected longest losing streak 9" in drawn["ruin"][1]
    deepest = 100.0 * made_up()["equity"]["drawdown"].max()
    assert f"maximum drawdown {deepest:.1f} %" in drawn["equity_and_drawdown"][1]


def test_costs_of_a_venue_stack_to_what_lies_between_gross_and_net(drawn: Drawn) -> None:
    """Catches a component left out, and received funding that is stacked as if it were paid."""
    axes = drawn["venues"][0].axes[0]
    venues = made_up()["venues"]
    tops = np.zeros((2, len(venues)))
    for container in axes.containers:
        for i, bar in enumerate(container):
            tops[0, i] = max(tops[0, i], bar.get_y() + max(bar.get_height(), 0.0))
            tops[1, i] = min(tops[1, i], bar.get_y() + min(bar.get_height(), 0.0))
    assert tops.sum(axis=0) == pytest.approx((venues["gross_bps"] - venues["net_bps_mean"]).to_numpy())
    assert tops[1] == pytest.approx(venues["funding_bps"].to_numpy())


def test_exposure_shows_what_lasts(tmp_path: Path) -> None:
    """Catches a position that is held for days drawn on its first day only, or not at all because it never changes."""
    times = pd.to_datetime(["2024-03-01 10:00", "2024-03-01 10:00", "2024-03-04 09:00"], utc=True).as_unit("us")
    held = pd.DataFrame(
        {
            "time": times,
            "gross_notional_usd": [1.0, 5e3, 0.0],
            "net_notional_usd": [1.0, -5e3, 0.0],
            "open_risk_fraction": [0.0, 0.01, 0.0],
            "leverage": [0.0, 0.5, 0.0],
            "n_positions": [0, 1, 0],
        }
    )
    figure, _ = draw(tmp_path / "plots", exposure=held)["exposure"]
    gross, net = (area.get_paths()[0] for area in figure.axes[0].collections)
    first, last = gross.vertices[:, 0].min(), gross.vertices[:, 0].max()
    assert last - first == pytest.approx(4.0)  # days: to the end of the fourth
    for path, extremes in ((gross, (0.0, 5e3)), (net, (-5e3, 0.0))):
        for day in range(4):
            heights = path.vertices[np.isclose(path.vertices[:, 0], first + day), 1]
            assert (heights.min(), heights.max()) == extremes


def test_a_failure_leaves_the_old_figures(tmp_path: Path) -> None:
    """Catches a directory of half of the figures, which would pass for the new run."""
    write_trading_figures(tmp_path / "plots", **made_up(), title=TITLE)
    before = (tmp_path / "plots" / "venues.png").read_bytes()
    broken = made_up() | {"venues": made_up()["venues"].drop(columns="fee_bps")}
    with pytest.raises(KeyError):
        write_trading_figures(tmp_path / "plots", **broken, title="another")
    assert (tmp_path / "plots" / "venues.png").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"plots"}
