"""Picture of a placement: every chip's mesh, how full each core is, and whose neurons it holds."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ...hardware.fit import most_binding
from ...hardware.placement import Core, Placement
from ...hardware.placement import limits as names
from ...hardware.placement.mesh import columns, positions
from .figure_style import CHIP, INK, MUTED, RULE, SMALL_SIZE, TEXT_SIZE, WIDTH, new_figure, set_title
from .names import shorten
from .units import count

Colour: TypeAlias = tuple[float, float, float, float]
MOST_CHIPS, MOST_NAMES = 48, 36
_BAND = 0.24  # of a core's height, for the colours of its populations
_FILL = LinearSegmentedColormap.from_list("share", ["#f2f6fa", CHIP, "#06263c"])
_LETTERS, _LARGEST = 0.3, 0.46  # inches: cores smaller than the first have no room for words
_GAP, _EDGE = 0.05, 0.09  # of a core's width: between cores, and around a tile


def utilisation(placement: Placement) -> Figure:
    """Draw one panel a chip: cores on the mesh, their colour the share of their binding limit.

    A band at the top of each core has the colours of its populations; the legend names them.
    """
    chips = max(1, placement.chips)
    shown = min(chips, MOST_CHIPS)
    across = min(shown, 4 if shown > 4 else 2 if shown > 1 else 1)
    lines = ceil(shown / across)
    side, wide, high = _mesh(placement)
    cell = min((WIDTH - 0.3 * across) / (across * wide), _LARGEST)
    populations = [p.name for p in placement.program.populations]
    legend = 0.2 * ceil(min(len(populations), MOST_NAMES + 1) / 3) + 0.25
    figure = new_figure(WIDTH, 0.8 + lines * (cell * high + 0.2) + legend, constrained=True)
    used = f"{count(len(placement.cores))} of {count(chips * placement.chip.cores.value)} cores"
    plural = f", {chips} chips" if chips > 1 else ""
    set_title(figure, f"{used} of {placement.chip.title}{plural}: share of the limit that binds each core")
    colours = _colours(populations)
    panels = figure.subplots(lines, across, squeeze=False).ravel()
    for number, axes in enumerate(panels):
        axes.set_axis_off()
        if number < shown:
            cores = [core for core in placement.cores if placement.chip_of(core) == number]
            _panel(axes, placement, cores, colours, side, cell)
            if chips > 1:
                axes.set_title(f"chip {number + 1}", loc="left", fontsize=SMALL_SIZE, color=MUTED, pad=2)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _FILL),
        ax=list(panels),
        location="bottom",
        shrink=0.35,
        aspect=45,
        pad=0.015,
        anchor=(0.0, 0.5),
        format="{x:.0%}",
    )
    bar.outline.set_edgecolor(RULE)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=SMALL_SIZE, labelcolor=INK, length=2, color=RULE)
    if shown < chips:
        bar.ax.set_title(f"the first {shown} of {chips} chips", fontsize=SMALL_SIZE, color=MUTED, loc="left")
    _legend(figure, placement, colours)
    return figure


def _mesh(placement: Placement) -> tuple[int, int, int]:
    """Cores along the side of a tile, and along the width and height of a chip."""
    chip = placement.chip
    side = ceil(sqrt(chip.cores_per_tile.value))
    rows = min(chip.mesh_rows.value, ceil(chip.cores.value / chip.cores_per_tile.value))
    return side, side * columns(chip), side * rows


def _panel(
    axes: Axes,
    placement: Placement,
    cores: list[Core],
    colours: dict[str, Colour],
    side: int,
    cell: float,
) -> None:
    _, wide, high = _mesh(placement)
    chip = placement.chip
    x, y, _ = positions(np.arange(chip.cores.value), chip)
    inner = np.arange(chip.cores.value) % chip.cores_per_tile.value
    step = (side - 2 * _EDGE) / side
    width = step - _GAP
    lefts = x * side + _EDGE + inner % side * step + _GAP / 2
    tops = y * side + _EDGE + inner // side * step + _GAP / 2
    spots = [Rectangle((left, top), width, width) for left, top in zip(lefts, tops, strict=True)]
    axes.add_collection(PatchCollection(spots, facecolor="none", edgecolor=RULE, linewidth=0.5))
    boxes, fills, bands, hues = [], [], [], []
    for core in cores:
        at = core.index % chip.cores.value
        boxes.append(Rectangle((lefts[at], tops[at] + _BAND), width, width - _BAND))
        fills.append(_FILL(min(core.share, 1.0)))
        part = width / len(core.populations)
        for index, name in enumerate(core.populations):
            bands.append(Rectangle((lefts[at] + index * part, tops[at]), part, _BAND))
            hues.append(colours[name])
        if cell > _LETTERS:
            words = f"{core.share:.0%}\n{_short(core.binding)}"
            middle = lefts[at] + width / 2, tops[at] + (width + _BAND) / 2
            ink = "white" if core.share > 0.45 else INK
            axes.text(
                *middle, words, ha="center", va="center", fontsize=13 * cell, color=ink, linespacing=1.0
            )
    axes.add_collection(PatchCollection(boxes, facecolor=fills, edgecolor="none"))
    axes.add_collection(PatchCollection(bands, facecolor=hues, edgecolor="none"))
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.set_aspect("equal", anchor="NW")


def _short(limit: str) -> str:
    """A word that fits into a core."""
    return {names.INPUT_AXONS: "axons in", names.OUTPUT_AXONS: "axons out"}.get(limit, limit.split()[-1])


def _colours(populations: list[str]) -> dict[str, Colour]:
    """A colour for each population; neighbours in the data flow differ."""
    palette = [mpl.colormaps["tab20"](index) for index in (*range(0, 20, 2), *range(1, 20, 2))]
    return {name: palette[index % len(palette)] for index, name in enumerate(populations)}


def _legend(figure: Figure, placement: Placement, colours: dict[str, Colour]) -> None:
    handles = []
    for name, cores in list(placement.cores_of.items())[:MOST_NAMES]:
        if cores:
            cut = f"{count(len(cores))} core{'s' * (len(cores) > 1)}, {most_binding(cores)}"
        else:
            cut = "not placed"
        handles.append(Patch(color=colours[name], label=f"{shorten(name, 20)}: {cut}"))
    hidden = len(placement.cores_of) - len(handles)
    if hidden:
        handles.append(Patch(color="none", label=f"and {hidden} more populations"))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=min(3, len(handles)), fontsize=SMALL_SIZE, frameon=False, labelcolor=INK,
        title="Populations: cores, and the limit that binds most of them", title_fontsize=TEXT_SIZE,
        alignment="left", handlelength=1.2,
    )  # fmt: skip
