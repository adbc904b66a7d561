"""Spike rasters: one sample on the chip, population by population."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .figure_style import INK, MUTED, SMALL_SIZE, TEXT_SIZE, WIDTH, new_figure, quiet_axes, set_title
from .names import shorten
from .units import count, rate

MOST_NEURONS = 100
_COLUMNS, _PANEL_HEIGHT, _TITLE = 3, 1.85, 0.5
_CRISP_STEPS = 300  # beyond it a step is narrower than a pixel, and nearest sampling would drop spikes
_SPIKES = LinearSegmentedColormap.from_list("spikes", ["white", INK])


def rasters(spikes: Mapping[str, NDArray[np.uint8]], of: str = "one sample") -> Figure:
    """Draw one panel a population, in the mapping's order, left to right and down.

    Parameters
    ----------
    spikes : mapping of str to ndarray
        Spikes (timesteps, neurons) by population. Of a population larger than a hundred neurons, an even
        selection is drawn; its mean rate is over all of them.
    of : str
        What they are spikes of.
    """
    if not spikes:
        raise ValueError("there are no rasters to draw")
    columns = min(len(spikes), _COLUMNS)
    lines = -(-len(spikes) // columns)
    width = WIDTH if columns > 1 else 5.0
    figure = new_figure(width, _TITLE + lines * _PANEL_HEIGHT, constrained=True)
    set_title(figure, f"Spikes of {of} on the chip, in order of data flow")
    grid = figure.add_gridspec(lines, columns)
    for index, (name, raster) in enumerate(spikes.items()):
        axes = figure.add_subplot(grid[divmod(index, columns)])
        _panel(axes, name, raster)
        if index + columns >= len(spikes):
            axes.set_xlabel("time step of the population", fontsize=SMALL_SIZE, color=MUTED)
        if index % columns == 0:
            axes.set_ylabel("neuron", fontsize=SMALL_SIZE, color=MUTED)
    return figure


def _panel(axes: Axes, name: str, raster: NDArray[np.uint8]) -> None:
    steps, neurons = raster.shape
    quiet_axes(axes, "left", "right", "top", "bottom")
    shown = np.linspace(0, neurons - 1, min(neurons, MOST_NEURONS)).round().astype(int)
    mean = rate(float((raster > 0).mean())) if raster.size else "undefined, nothing recorded"
    selection = f"{len(shown)} of {count(neurons)} neurons shown" if len(shown) < neurons else _all(neurons)
    axes.set_title(shorten(name, 36), loc="left", fontsize=TEXT_SIZE, color=INK, pad=16, parse_math=False)
    axes.text(
        0,
        1.03,
        f"rate {mean} · {selection}",
        transform=axes.transAxes,
        fontsize=SMALL_SIZE,
        color=MUTED,
        va="bottom",
    )
    if not raster.size:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.imshow(
        (raster[:, shown] > 0).T.astype(np.float32),
        cmap=_SPIKES,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest" if steps <= _CRISP_STEPS else "antialiased",
        # True neuron numbers on the axis, also of a selection.
        extent=(-0.5, steps - 0.5, neurons - 0.5, -0.5),
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ends = sorted({0, neurons - 1})
    axes.set_yticks(ends, [f"{end:,}" for end in ends])


def _all(neurons: int) -> str:
    return "1 neuron" if neurons == 1 else f"all {count(neurons)} neurons"
