"""Picture of a comparison: where layers agree over time, and the neuron that first parts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..report.figure_style import (
    CHIP,
    FLOAT,
    INK,
    MUTED,
    RULE,
    SMALL_SIZE,
    TEXT_SIZE,
    WIDTH,
    new_figure,
    quiet_axes,
    set_title,
)
from ..report.names import printable, shorten
from ..report.units import significant
from .diff_report import Divergence, Report, Side
from .explain import verdict, where
from .traces import LayerTrace, Trace

_ROW, _FRAME, _ZOOM = 0.27, 1.25, 2.9  # inches
_MOST_LABELLED = 20  # steps: beyond it a cell has no room for a number
_AGREE = LinearSegmentedColormap.from_list("agree", ["#b2182b", "#ef8a62", "#fddbc7", "#f3f5f7"])
_COLOURS = (FLOAT, CHIP)


def diff_figure(report: Report, a: Trace, b: Trace) -> Figure:
    """Draw the agreement of every layer at every time step and, where the runs part, the neuron that does so first."""
    rows = [layer for layer in report.layers if layer.by_step]
    heat = _FRAME + _ROW * max(len(rows), 1)
    at = report.first
    figure = new_figure(WIDTH, heat + (_ZOOM if at else 0), constrained=True)
    set_title(figure, f"{verdict(report)[0].upper()}{verdict(report)[1:]}")
    if at is None:
        _heat(figure.add_subplot(), report)
        return figure
    grid = figure.add_gridspec(2, 2, height_ratios=(heat, _ZOOM), width_ratios=(2.6, 1))
    _heat(figure.add_subplot(grid[0, :]), report)
    pair = (a.layers[at.layer], b.layers[at.layer])
    _traces(figure.add_subplot(grid[1, 0]), at, pair, report.timesteps)
    _decision(figure.add_subplot(grid[1, 1]), at)
    return figure


def _heat(axes: Axes, report: Report) -> None:
    rows = [layer for layer in report.layers if layer.by_step]
    what = "spike and state" if report.exact else "spike"
    left, right = (shorten(name, 40) for name in (report.a, report.b))
    axes.set_title(
        f"Neurons with the same {what}, in per cent, by layer and time step · A: {left} · B: {right}",
        loc="left", fontsize=TEXT_SIZE, color=MUTED, parse_math=False,
    )  # fmt: skip
    values = np.array([layer.by_step for layer in rows])
    lowest = min(float(values.min(initial=1.0)), 0.99)
    image = axes.imshow(values, cmap=_AGREE, vmin=lowest, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(rows)), [shorten(layer.name, 30) for layer in rows], parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(min(report.timesteps, 16), integer=True))
    axes.set_xlabel("time step of the layer", fontsize=SMALL_SIZE, color=MUTED)
    quiet_axes(axes)
    if report.timesteps <= _MOST_LABELLED:
        for (row, step), value in np.ndenumerate(values):
            dark = value < lowest + 0.3 * (1 - lowest)
            axes.text(
                step, row, _percent(value), ha="center", va="center_baseline", fontsize=SMALL_SIZE - 0.5,
                color="white" if dark else INK if value < 1 else MUTED,
            )  # fmt: skip
    else:
        bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{100 * tick:.4g}"))
        bar.ax.tick_params(labelsize=SMALL_SIZE, length=2)
        bar.outline.set_visible(False)
    if report.first is not None:
        row = next(i for i, layer in enumerate(rows) if layer.name == report.first.layer)
        corner = (report.first.timestep - 0.5, row - 0.5)
        axes.add_patch(
            Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.8, clip_on=False, zorder=5)
        )


def _percent(value: float) -> str:
    """Per cent that never rounds to all."""
    if value == 1:
        return "100"
    return "> 99.9" if value > 0.9995 else f"{100 * value:.1f}"


def _traces(axes: Axes, at: Divergence, pair: tuple[LayerTrace, LayerTrace], timesteps: int) -> None:
    """Membranes of both sides up to the end of the sample, their thresholds and spikes."""
    axes.set_title(
        f"First: {where(at)} (outlined above)", loc="left", fontsize=TEXT_SIZE, color=INK, parse_math=False
    )
    steps = np.arange(timesteps)
    lows, highs = [], []
    axes.axvline(at.timestep, color=RULE, linewidth=7, zorder=0, alpha=0.6)
    for side, layer, colour, style in zip((at.a, at.b), pair, _COLOURS, ("-", "--"), strict=True):
        held = None if layer.held is None else layer.held[at.sample, :timesteps, at.neuron]
        if held is not None and np.isfinite(held).any():
            axes.plot(
                steps, held, style, color=colour, linewidth=1.6, marker="o", markersize=4 if style == "-" else 2.5
            )  # fmt: skip
            lows.append(float(np.nanmin(held[np.isfinite(held)])))
            highs.append(float(np.nanmax(held[np.isfinite(held)])))
        if side.threshold is not None:
            axes.axhline(
                side.threshold, color=colour, linewidth=0.9, linestyle=style if style == "-" else (0, (4, 4))
            )
            lows.append(side.threshold)
            highs.append(side.threshold)
    low, high = min(lows, default=0.0), max(highs, default=1.0)
    span = high - low or 1.0
    for index, (side, layer, colour) in enumerate(zip((at.a, at.b), pair, _COLOURS, strict=True)):
        level = high + (0.24 - 0.11 * index) * span
        fired = np.flatnonzero(layer.spikes[at.sample, :timesteps, at.neuron])
        axes.plot(fired, np.full(len(fired), level), "|", color=colour, markersize=8, markeredgewidth=2)
        axes.text(
            timesteps - 0.45, level, side.who, fontsize=SMALL_SIZE, color=colour,
            va="center", parse_math=False,
        )  # fmt: skip
    axes.set_ylim(low - 0.08 * span, high + 0.34 * span)
    axes.set_xlim(-0.5, timesteps - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(min(timesteps, 16), integer=True))
    axes.set_xlabel(
        "time step; marks on top: spikes; lines across: thresholds", fontsize=SMALL_SIZE, color=MUTED
    )
    axes.set_ylabel("membrane before any reset", fontsize=SMALL_SIZE, color=MUTED)
    quiet_axes(axes, "left", "bottom")
    if not any(layer.held is not None for layer in pair):
        axes.text(0.5, 0.4, "neither run shows membranes", transform=axes.transAxes, ha="center", color=MUTED)


def _decision(axes: Axes, at: Divergence) -> None:
    """The step at which they part, magnified: distance of each membrane from its own threshold."""
    axes.set_title(f"Step {at.timestep}, magnified", loc="left", fontsize=TEXT_SIZE, color=INK)
    sides = [(s, c) for s, c in zip((at.a, at.b), _COLOURS, strict=True) if _height(s) is not None]
    heights = [_height(side) or 0.0 for side, _ in sides]
    quiet_axes(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    if not sides:
        return
    compare = at.a.threshold is not None or at.b.threshold is not None
    base = 0.0 if compare else min(heights)
    low, high = min([*heights, base]), max([*heights, base])
    span = high - low or 1.0
    if compare:
        axes.axhline(0, color=MUTED, linewidth=1)
        axes.text(-0.55, 0, "threshold", fontsize=SMALL_SIZE, color=MUTED, va="bottom")
    for x, ((side, colour), height) in enumerate(zip(sides, heights, strict=True)):
        axes.plot([x, x], [base, height], color=colour, linewidth=1.2)
        axes.plot(x, height, "o", color=colour, markersize=8, fillstyle="full" if side.spike else "none")
        below = height < base
        label = significant(height, "+.3g" if compare else ".6g")
        said = f"{printable(side.who)}\n{label}\n{'fires' if side.spike else 'silent'}"
        axes.annotate(
            said, (x, height), (0, -9 if below else 9), textcoords="offset points",
            fontsize=SMALL_SIZE, color=colour, ha="center", va="top" if below else "bottom", parse_math=False,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(sides) - 0.4)
    axes.set_ylim(low - 0.6 * span, high + 0.6 * span)
    label = "membrane less its threshold" if compare else "membrane"
    axes.set_xlabel(label, fontsize=SMALL_SIZE, color=MUTED)


def _height(side: Side) -> float | None:
    value = side.membrane if side.margin is None else side.margin
    return value if value is not None and np.isfinite(value) else None
