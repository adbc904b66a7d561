"""Pictures of layers: spikes and synaptic operations, and agreement with the float network."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .figure_style import (
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
from .names import shorten
from .schema import Layer, LayerAgreement
from .tables import layer_name
from .units import share, short

_ROW, _FRAME = 0.27, 1.0  # inches


def layer_activity(layers: Sequence[Layer], sample: str = "sample") -> Figure:
    """Draw spikes and synaptic operations of each layer as two aligned panels of bars."""
    if not layers:
        raise ValueError("there are no layers to draw")
    figure = new_figure(WIDTH, _FRAME + _ROW * len(layers), constrained=True)
    set_title(figure, f"Spikes and synaptic operations of each layer, mean of a {sample}")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, "Spikes emitted", [layer.spikes for layer in layers], CHIP)
    _bars(right, "Synaptic operations into the layer", [layer.sops for layer in layers], CHIP)
    _name_rows(left, [layer_name(layer) for layer in layers])
    right.tick_params(left=False, labelleft=False)
    return figure


def _bars(axes: Axes, title: str, values: Sequence[float], colour: str) -> None:
    # Bars are shares of the longest: every bar carries its value, so the axis needs no numbers.
    longest = max(values) or 1.0
    lengths = [value / longest for value in values]
    axes.barh(range(len(values)), lengths, height=0.62, color=colour)
    for row, (length, value) in enumerate(zip(lengths, values, strict=True)):
        axes.text(length + 0.015, row, short(value), va="center_baseline", fontsize=SMALL_SIZE, color=INK)
    axes.set_xlim(0, 1.18)
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=TEXT_SIZE, color=MUTED)
    quiet_axes(axes, "left")


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    labels = [shorten(name, 30) for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=SMALL_SIZE, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)  # data flow downwards


def layer_agreement(rows: Sequence[LayerAgreement], weight_bits: int = 8) -> Figure:
    """Draw the agreement of integer program and float network, and both spike rates, layer by layer."""
    if not rows:
        raise ValueError("there are no layers to draw")
    figure = new_figure(WIDTH, _FRAME + 0.35 + _ROW * len(rows), constrained=True)
    set_title(figure, f"Chip (int{weight_bits}) against float SNN, layer by layer")
    left, right = figure.subplots(1, 2, sharey=True)
    _agreement(left, [row.agreement for row in rows])
    _rates(right, rows, f"chip (int{weight_bits})")
    _name_rows(left, [row.name for row in rows])
    right.tick_params(left=False, labelleft=False)
    figure.legend(loc="outside lower right", ncols=2, fontsize=SMALL_SIZE, frameon=False, labelcolor=INK)
    return figure


def _agreement(axes: Axes, values: Sequence[float]) -> None:
    lowest = max(min(*values, 0.985), 0.0)
    span = 1 - lowest
    axes.axvline(0.99, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.hlines(range(len(values)), lowest, 1, color=RULE, linewidth=0.5, zorder=0)
    axes.plot(values, range(len(values)), "o", color=CHIP, markersize=5.5, clip_on=False)
    for row, value in enumerate(values):
        axes.text(1 + 0.06 * span, row, share(value), va="center_baseline", fontsize=SMALL_SIZE, color=INK)
    axes.set_xlim(lowest - 0.06 * span, 1 + 0.3 * span)
    axes.set_xticks(_ticks(lowest))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{100 * tick:.4g} %"))
    title = "Neuron steps with the same spike (dashed: 99 %)"
    axes.set_title(title, loc="left", fontsize=TEXT_SIZE, color=MUTED)
    quiet_axes(axes, "left", "bottom")
    axes.spines["bottom"].set_bounds(lowest - 0.06 * span, 1)


def _ticks(lowest: float) -> list[float]:
    """Round shares counted down from all, so that 100 % is always among them."""
    step = next(size for size in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if 4 * size >= 1 - lowest)
    return [1 - k * step for k in range(int((1 - lowest) / step + 1e-9), -1, -1)]


def _rates(axes: Axes, rows: Sequence[LayerAgreement], chip: str) -> None:
    places = range(len(rows))
    floats, integers = [row.rate_float for row in rows], [row.rate_int8 for row in rows]
    highest = max([*floats, *integers]) or 1.0
    axes.hlines(places, 0, highest, color=RULE, linewidth=0.5, zorder=0)
    axes.plot(
        floats,
        places,
        "o",
        color=FLOAT,
        markerfacecolor="none",
        markersize=8,
        label="float SNN",
        clip_on=False,
    )
    axes.plot(integers, places, "o", color=CHIP, markersize=4, label=chip, clip_on=False)
    axes.set_xlim(0, 1.08 * highest)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:.3g}"))
    axes.set_title("Spikes a neuron and time step", loc="left", fontsize=TEXT_SIZE, color=MUTED)
    quiet_axes(axes, "left", "bottom")
