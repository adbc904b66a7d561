"""Picture of energies: the spiking network next to the ANN, under each energy model."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .figure_style import (
    ANN,
    ANN_INT8,
    CHIP,
    HOST,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    WIDTH,
    new_figure,
    quiet_axes,
    set_title,
)
from .names import printable
from .schema import EnergyRow
from .tables import host_share
from .units import joule

_MODEL, _FRAME = 1.0, 1.35  # inches
_BAR = 0.25  # of the height of a model


def energies(models: Mapping[str, EnergyRow], sample: str = "sample") -> Figure:
    """Draw bars of each model's energies of a sample, on a logarithmic axis.

    The spiking network's bar changes colour at the chip's energy and ends at chip and host together.
    """
    if not models:
        raise ValueError("there are no energies to draw")
    rows = list(models.values())
    figure = new_figure(WIDTH, _FRAME + _MODEL * len(rows), constrained=True)
    set_title(figure, f"Energy of a {sample} under each energy model (logarithmic axis)")
    axes = figure.subplots()
    low, high = _limits(rows)
    for index, row in enumerate(rows):
        chip = max(row.snn_joule - row.host_joule, 0.0)
        top = index - 1.1 * _BAR
        axes.barh(top, max(row.snn_joule - low, 0), left=low, height=_BAR, color=HOST)
        axes.barh(top, max(chip - low, 0), left=low, height=_BAR, color=CHIP)
        _label(axes, row.snn_joule, low, top, f"{joule(row.snn_joule)}  SNN, host {host_share(row)}")
        axes.barh(index, max(row.ann_joule - low, 0), left=low, height=_BAR, color=ANN)
        _label(axes, row.ann_joule, low, index, f"{joule(row.ann_joule)}  ANN fp32")
        bottom = index + 1.1 * _BAR
        if row.ann_int8_joule is None:
            _label(axes, low, low, bottom, "ANN int8: not priced by this model")
        else:
            axes.barh(bottom, max(row.ann_int8_joule - low, 0), left=low, height=_BAR, color=ANN_INT8)
            _label(axes, row.ann_int8_joule, low, bottom, f"{joule(row.ann_int8_joule)}  ANN int8")
    axes.set_xscale("log")
    # Room to the right of the longest bar for its label.
    axes.set_xlim(low, high * (high / low) ** 0.32)
    axes.xaxis.set_major_locator(LogLocator(numticks=8))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: _tick(tick)))
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(
        range(len(rows)), [_wrapped(row.title) for row in rows], fontsize=SMALL_SIZE, parse_math=False
    )
    quiet_axes(axes, "left", "bottom")
    axes.tick_params(axis="y", length=0, labelsize=TEXT_SIZE)
    _legend(figure)
    return figure


def _limits(rows: Sequence[EnergyRow]) -> tuple[float, float]:
    """Axis limits in joules: a decade's start below the least energy, the greatest energy above."""
    energies = [
        value
        for row in rows
        for value in (row.snn_joule, row.ann_joule, row.ann_int8_joule or 0.0)
        if value > 0
    ]  # fmt: skip
    if not energies:
        return 1e-9, 1e-6
    least = 10.0 ** math.floor(math.log10(min(energies) / 2))
    return least, max(*energies, 10 * least)


def _label(axes: Axes, value: float, low: float, row: float, text: str) -> None:
    axes.text(max(value, low), row, f" {text}", va="center_baseline", fontsize=SMALL_SIZE, color=INK)


def _tick(value: float) -> str:
    number, unit = joule(value).split(" ", 1)
    return f"{number.removesuffix('.0').removesuffix('.00')} {unit}"


def _wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(printable(title), 24, max_lines=3, placeholder=" …"))


def _legend(figure: Figure) -> None:
    kinds = ((CHIP, "SNN: chip"), (HOST, "SNN: host, on top"), (ANN, "ANN fp32"), (ANN_INT8, "ANN int8"))
    patches = [Patch(color=colour, label=name) for colour, name in kinds]
    figure.legend(
        handles=patches,
        loc="outside lower left",
        ncols=4,
        fontsize=SMALL_SIZE,
        frameon=False,
        labelcolor=MUTED,
    )
