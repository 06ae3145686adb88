"""Figure of the liquidation map: estimated liquidations by price and time, the price, and realised liquidations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.liquidity.density import LAYERS
from slackwater.liquidity.zones import SIDES
from slackwater.storage import atomic_file

if TYPE_CHECKING:
    from slackwater.evidence.map_history import MapHistory

__all__ = ["write_map_figure"]

_NIGHT, _PANEL, _INK, _DIM = "#0b0e14", "#10141d", "#e6e9ef", "#7d8799"
_UP, _DOWN = "#d7dde8", "#8b95a7"
_LONGS, _SHORTS, _MARK = "#ff7a59", "#38c6b4", "#5ad1ff"
_CANDLES: Final = 180
"""Candles that still look like candles across the picture."""
_CONTRAST: Final = 10.0
"""The densest bins over the faintest that still have a colour: more, and all that is not erased would glow alike."""
_REACH: Final = 0.1
"""Log distance from the price within which pools are looked for and ranked, as in the table of the terminal."""
_ROOM: Final = 0.035
"""Log distance shown beyond the extremes of the price."""


def write_map_figure(
    history: MapHistory, path: str | Path, *, layer: str = "middle", synthetic: bool, dataset: str = "", pools: int = 4
) -> None:
    """Draw one layer of the map under the price, the pools at its end, and the liquidations below.

    Parameters
    ----------
    history
        The map of one symbol over a span.
    path
        PNG file to write; it appears whole or not at all.
    layer
        Of `slackwater.liquidity.density.LAYERS`.
    synthetic
        Whether the market is simulated; the title then contains SYNTHETIC.
    dataset
        Name of the data set, for the title.
    pools
        Number of pools per side that are labelled.

    Notes
    -----
    A cell shows the map as it was known from the left edge of the cell on, so the price to the right of it had not
    happened. Where the price crossed, the map is erased. Colours are logarithmic in mass over open interest: an
    estimated rank, never dollars.
    """
    if layer not in LAYERS:
        raise ParameterError(f"`layer` must be one of {', '.join(LAYERS)}, was {layer!r}")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {
        "font.size": 9,
        "figure.facecolor": _NIGHT,
        "axes.facecolor": _PANEL,
        "axes.edgecolor": "#2a3140",
        "axes.labelcolor": _DIM,
        "text.color": _INK,
        "xtick.color": _DIM,
        "ytick.color": _DIM,
        "savefig.facecolor": _NIGHT,
    }
    with mpl.rc_context(style):
        figure = plt.figure(figsize=(13.0, 8.0), dpi=130)
        grid = figure.add_gridspec(
            2,
            2,
            height_ratios=(4.6, 1.0),
            width_ratios=(5.2, 1.25),
            hspace=0.05,
            wspace=0.015,
            left=0.065,
            right=0.985,
            top=0.895,
            bottom=0.075,
        )
        heat = figure.add_subplot(grid[0, 0])
        profile = figure.add_subplot(grid[0, 1], sharey=heat)
        forced = figure.add_subplot(grid[1, 0], sharex=heat)
        legend = figure.add_subplot(grid[1, 1])
        legend.axis("off")

        colours = _heat(heat, history, LAYERS.index(layer))
        _price(heat, history.bars, history.bar_interval)
        _marks(heat, history.bars)
        _profile(profile, history, layer, pools)
        _liquidations(forced, history.bars, history.bar_interval)
        _legend(figure, legend, colours, history.bars)
        _titles(figure, history, layer, synthetic, dataset)
        with atomic_file(Path(path)) as temporary:
            # Without the version and the date, the same run gives the same bytes.
            figure.savefig(temporary, format="png", metadata={"Software": None})
        plt.close(figure)


def _dates(times: Any) -> NDArray[np.float64]:
    """Return times in the days that matplotlib counts in, from any of pandas' UTC times."""
    return np.asarray(pd.DatetimeIndex(times).as_unit("us").asi8 / 86_400e6, dtype=np.float64)


def _heat(axes: Any, history: MapHistory, layer: int) -> Any:
    """Colour the map; return what a colour bar needs, or None where there is nothing to colour."""
    bars = history.bars
    mass = history.mass[:, :, layer].sum(axis=1)
    edges = history.last.edges
    times = _dates(history.times)
    step = history.bar_interval / timedelta(days=1)
    axes.set_xlim(_dates(bars["event_time"])[0] - step, times[-1] + 2 * step)
    low, high = np.nanmin(bars["low"]) * np.exp(-_ROOM), np.nanmax(bars["high"]) * np.exp(_ROOM)
    axes.set_ylim(low, high)
    shown = (edges[1:] > low) & (edges[:-1] < high)
    if not (mass[:, shown] > 0.0).any():
        axes.text(0.5, 0.9, "the map is empty: no open interest is known", transform=axes.transAxes, ha="center")
        return None
    from matplotlib.colors import LogNorm

    top = float(np.quantile(mass[:, shown][mass[:, shown] > 0.0], 0.999))
    drawn = axes.pcolormesh(
        np.r_[times, times[-1] + 2 * step],
        edges,
        np.ma.masked_less_equal(mass.T, 0.0),
        norm=LogNorm(vmin=top / _CONTRAST, vmax=top, clip=False),
        cmap=_colour_map(),
        rasterized=True,
    )
    axes.tick_params(labelbottom=False)
    axes.grid(color="#ffffff", alpha=0.05, lw=0.6)
    return drawn


def _colour_map() -> Any:
    """Return a perceptually uniform map that fades into the background, so that what was erased is dark."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    inferno = mpl.colormaps["inferno"](np.linspace(0.12, 0.98, 256))[:, :3]
    fade = np.linspace(0.0, 1.0, 40)[:, None]
    inferno[:40] = (1.0 - fade) * np.array(to_rgb(_PANEL)) + fade * inferno[:40]
    return LinearSegmentedColormap.from_list("night", inferno).with_extremes(under=_PANEL, bad=_PANEL)


def _candles(bars: pd.DataFrame, bar_interval: timedelta) -> tuple[pd.DataFrame, timedelta]:
    """Merge bars into at most `_CANDLES` candles of a whole number of bars each."""
    size = -(-len(bars) // _CANDLES)
    group = (np.arange(len(bars)) + (-len(bars)) % size) // size
    merged = bars.groupby(group).agg(
        {
            "event_time": "last",
            "open": "first",
            "high": "max",
            "low": "min",
            "close": "last",
            "liquidated_long": lambda x: x.sum(min_count=1),
            "liquidated_short": lambda x: x.sum(min_count=1),
        }
    )
    return merged, size * bar_interval


def _price(axes: Any, bars: pd.DataFrame, bar_interval: timedelta) -> None:
    from matplotlib.ticker import FuncFormatter

    candles, width = _candles(bars, bar_interval)
    candles = candles[candles["close"].notna()]
    days = width / timedelta(days=1)
    middle = _dates(candles["event_time"]) - days / 2
    colour = np.where(candles["close"] >= candles["open"], _UP, _DOWN)
    # A dark rim keeps the candles readable on the bright parts of the map.
    axes.vlines(middle, candles["low"], candles["high"], color=_NIGHT, lw=2.4, zorder=3)
    axes.vlines(middle, candles["low"], candles["high"], color=colour, lw=0.9, zorder=4)
    bottom = np.minimum(candles["open"], candles["close"])
    body = np.maximum((candles["open"] - candles["close"]).abs(), 1e-4 * candles["close"])
    axes.bar(middle, body, bottom=bottom, width=0.72 * days, color=colour, edgecolor=_NIGHT, lw=0.35, zorder=5)
    axes.set_ylabel("Price (quote currency)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))


def _marks(axes: Any, bars: pd.DataFrame) -> None:
    """Mark sweeps with triangles that point back at the price, glides with small diamonds."""
    low, high = axes.get_ylim()
    gap = 0.012 * (high - low)
    times = _dates(bars["event_time"])
    for name, marker, size in (("swept", ("^", "v"), 62), ("glided", ("d", "d"), 20)):
        for side, shape, sign in (("below", marker[0], -1.0), ("above", marker[1], 1.0)):
            at = bars[f"{name}_{side}"].to_numpy()
            level = bars["low" if side == "below" else "high"].to_numpy() + sign * gap
            filled = name == "swept"
            axes.scatter(
                times[at],
                level[at],
                s=size,
                marker=shape,
                facecolor=_MARK if filled else "none",
                edgecolor=_NIGHT if filled else _MARK,
                lw=0.7 if filled else 0.9,
                zorder=6,
            )


def _profile(axes: Any, history: MapHistory, layer: str, pools: int) -> None:
    """Draw the last map sideways, and label its pools."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    view = history.last
    edges, index = view.edges, LAYERS.index(layer)
    middle, height = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    low, high = axes.get_ylim()
    shown = (middle > low) & (middle < high)
    most = max(float(view.mass[:, index][:, shown].max(initial=0.0)), 1e-12)
    for side, colour in ((0, _LONGS), (1, _SHORTS)):
        axes.barh(middle, 100.0 * view.mass[side, index], height=height, color=colour, alpha=0.85, lw=0)
    end = history.bars.iloc[-1]
    close = float(end["close"])
    axes.axhline(close, color=_INK, lw=0.8, ls=(0, (2, 2)))
    axes.set_xlim(0.0, 100.0 * most * 3.0)
    axes.xaxis.set_major_locator(FixedLocator([0.0, float(f"{100.0 * most:.2g}")]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g} %"))
    axes.tick_params(labelleft=False, left=False, labelsize=7)
    axes.set_xlabel("Estimated mass per bin (share of OI)", fontsize=8, loc="left")
    axes.grid(False)
    if np.isnan(end["atr_1d"]) or not history.bars["open_interest"].notna().any():
        return
    axes.text(
        1.0,
        1.01,
        "pools: estimated rank, distance from the close\n(–: densest line beyond 10 %)",
        transform=axes.transAxes,
        fontsize=7,
        color=_DIM,
        ha="right",
        va="bottom",
    )
    found = history.pools(layers=[layer], reach=_REACH, most=pools)
    found = found[(found["price"] > low) & (found["price"] < high)]
    labels = [*found.assign(mark="#" + found["rank"].astype(str)).to_dict("records")]
    labels += _densest_beyond(history, layer, shown)
    found = pd.DataFrame(labels, columns=["side", "price", "distance_fraction", "distance_atr", "mark"])
    places = _apart(found["price"].to_numpy(), 0.034 * (high - low), low, high)
    for place, pool in zip(places, found.itertuples(), strict=True):
        colour = _LONGS if pool.side == "below" else _SHORTS
        axes.plot([100.0 * most * 1.02, 100.0 * most * 1.16], [pool.price, place], color=colour, lw=0.8, clip_on=False)
        axes.text(
            100.0 * most * 1.19,
            place,
            f"{pool.mark}  {100.0 * pool.distance_fraction:+.1f} %  ({pool.distance_atr:+.1f} ATR)",
            color=colour,
            va="center",
            fontsize=7.5,
        )
    axes.text(
        100.0 * most * 1.19, close, f"close {close:,.6g}", color=_INK, va="center", fontsize=7.5, backgroundcolor=_PANEL
    )


def _densest_beyond(history: MapHistory, layer: str, shown: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return the densest bin of each side beyond the reach of the pools, where it is at least half of the densest."""
    view, end = history.last, history.bars.iloc[-1]
    distance = np.log(0.5 * (view.edges[1:] + view.edges[:-1]) / float(end["close"]))
    rows = []
    for side, name in enumerate(SIDES):
        mass = np.where(shown, view.mass[side, LAYERS.index(layer)], 0.0)
        beyond = np.where(np.abs(distance) > _REACH, mass, 0.0)
        if beyond.max(initial=0.0) > 0.5 * mass.max(initial=0.0):
            log = float(distance[beyond.argmax()])
            price = float(end["close"]) * np.exp(log)
            rows.append(
                {
                    "side": name,
                    "price": price,
                    "distance_fraction": np.expm1(log),
                    "distance_atr": log / end["atr_1d"],
                    "mark": "–",
                }
            )
    return rows


def _apart(prices: NDArray[np.float64], gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Move labels so that neighbours do not overlap, as little as needed."""
    order = np.argsort(prices)
    places = prices.astype(float)[order]
    for _ in range(200):
        crowded = False
        for i in range(1, len(places)):
            lack = gap - (places[i] - places[i - 1])
            if lack > 1e-9:
                places[i - 1] -= 0.5 * lack
                places[i] += 0.5 * lack
                crowded = True
        places = np.clip(places, low + 0.5 * gap, high - 0.5 * gap)
        if not crowded:
            break
    out = np.empty_like(places)
    out[order] = places
    return out


def _liquidations(axes: Any, bars: pd.DataFrame, bar_interval: timedelta) -> None:
    import matplotlib.dates
    from matplotlib.ticker import FuncFormatter

    dates: Any = matplotlib.dates
    candles, width = _candles(bars, bar_interval)
    days = width / timedelta(days=1)
    middle = _dates(candles["event_time"]) - days / 2
    longs, shorts = candles["liquidated_long"], candles["liquidated_short"]
    if longs.notna().any() or shorts.notna().any():
        axes.bar(middle, shorts, width=0.85 * days, color=_SHORTS, lw=0)
        axes.bar(middle, -longs, width=0.85 * days, color=_LONGS, lw=0)
        # Square roots: one cascade would press everything else flat.
        axes.set_yscale(
            "function", functions=(lambda y: np.sign(y) * np.sqrt(np.abs(y)), lambda y: np.sign(y) * np.square(y))
        )
        most = float(np.nanmax(np.r_[longs, shorts]))
        if most > 0.0:
            ticks = np.array([0.0, 0.1, 0.5, 1.0]) * float(f"{most:.1g}")
            up, down = float(np.nanmax(np.r_[shorts, 0.0])), float(np.nanmax(np.r_[longs, 0.0]))
            axes.set_yticks([*(-ticks[(ticks > 0.0) & (ticks <= down)]), *ticks[ticks <= up]])
            axes.set_ylim(-1.15 * max(down, 0.02 * most), 1.15 * max(up, 0.02 * most))
            axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{abs(y):,.10g}"))
        axes.tick_params(axis="y", labelsize=8)
        axes.axhline(0.0, color=_DIM, lw=0.6)
    else:
        axes.text(0.5, 0.5, "no liquidations in these data", transform=axes.transAxes, ha="center", color=_DIM)
        axes.set_yticks([])
    hours = width / timedelta(hours=1)
    axes.set_ylabel(f"Liquidated (coin\nper {hours:.3g} h, √ scale)")
    locator = dates.AutoDateLocator(minticks=5, maxticks=11)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes.grid(color="#ffffff", alpha=0.05, lw=0.6)


def _legend(figure: Any, axes: Any, colours: Any, bars: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(shape: str, label: str, **how: Any) -> Line2D:
        return Line2D([], [], color="none", marker=shape, label=label, **how)

    sweeps, glides = (int(bars[[f"{x}_below", f"{x}_above"]].to_numpy().sum()) for x in ("swept", "glided"))
    filled = {"markerfacecolor": _MARK, "markeredgecolor": _NIGHT, "markersize": 8}
    open_ = {"markerfacecolor": "none", "markeredgecolor": _MARK, "markersize": 5}
    axes.legend(
        handles=[
            Patch(color=_SHORTS, label="shorts: above the price, forced to buy"),
            Patch(color=_LONGS, label="longs: below the price, forced to sell"),
            mark("^", f"sweep of a level ({sweeps})", **filled),
            mark("d", f"glide through a level ({glides})", **open_),
        ],
        loc="upper left",
        bbox_to_anchor=(0.0, 0.72),
        frameon=False,
        fontsize=7.5,
        labelcolor=_INK,
        handlelength=1.2,
    )
    if colours is not None:
        bar = figure.colorbar(colours, cax=axes.inset_axes((0.04, 0.0, 0.9, 0.09)), orientation="horizontal")
        bar.outline.set_visible(False)
        bar.set_ticks(
            colours.norm.vmax / np.array([_CONTRAST, 5.0, 2.0, 1.0]),
            labels=[f"1/{_CONTRAST:.0f}", "1/5", "1/2", "densest"],
        )
        bar.ax.minorticks_off()
        bar.ax.tick_params(labelsize=7, length=0)


def _titles(figure: Any, history: MapHistory, layer: str, synthetic: bool, dataset: str) -> None:
    name = history.layers[LAYERS.index(layer)]
    what = "estimated stops" if layer == "stops" else f"estimated liquidations, half-life {name}"
    times = history.bars["event_time"]
    span = f"{times.iloc[0]:%Y-%m-%d %H:%M} to {times.iloc[-1]:%Y-%m-%d %H:%M} UTC"
    symbol = figure.text(0.065, 0.953, history.symbol, fontsize=17, fontweight="bold")
    width = symbol.get_window_extent(figure.canvas.get_renderer()).width / figure.bbox.width
    figure.text(0.075 + width, 0.955, f"{what}   ·   {span}", fontsize=11)
    figure.text(
        0.065,
        0.905,
        "A model of where leverage would be hurt, not knowledge of where orders wait.\n"
        "Brightness is estimated mass over open interest, as known at the time: a ranking, not an amount in dollars. "
        "The map is erased where the price crossed it.",
        fontsize=8.5,
        color=_DIM,
        linespacing=1.35,
    )
    mark = "SYNTHETIC market" if synthetic else "real data"
    text = f"{mark}, {dataset}" if dataset else mark
    figure.text(0.985, 0.955, text, fontsize=11, ha="right", color=_LONGS if synthetic else _DIM, fontweight="bold")
