"""The plot, ``docs/performance.png``: time of a sample and step against the batch, a panel a network."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from ..report.figure_style import (
    ANN,
    CHIP,
    FLOAT,
    HOST,
    INK,
    MUTED,
    PIXELS_PER_INCH,
    RULE,
    SMALL_SIZE,
    TEXT_SIZE,
    WIDTH,
    new_figure,
    quiet_axes,
    set_title,
)
from .results import Results
from .rivals import OURS, RIVALS
from .table import chosen, names, networks, number

#: Colour and marker; Okabe and Ito's colours beside those of the other pictures.
LOOKS = {
    OURS: (CHIP, "o"),
    "lava": (INK, "X"),
    "snntorch": (FLOAT, "s"),
    "norse": ("#e69f00", "^"),
    "spikingjelly": ("#009e73", "D"),
    "sinabs": ("#cc79a7", "v"),
    "spyx": (HOST, "P"),
    "nengo-loihi": (ANN, "*"),
}
COLUMNS = 3
PANEL_HEIGHT = 2.5


def draw(results: Results, path: Path) -> None:
    """Draw the plot."""
    found = networks(results)
    across = min(COLUMNS, max(1, len(found)))
    down = -(-len(found) // across) or 1
    figure = new_figure(WIDTH, 0.9 + PANEL_HEIGHT * down, constrained=True)
    panels = figure.subplots(down, across, squeeze=False)
    for index, axes in enumerate(panels.flat):
        if index >= len(found):
            axes.axis("off")
            continue
        _panel(axes, results, found[index])
        if index % across == 0:
            axes.set_ylabel("µs a sample and step", fontsize=SMALL_SIZE, color=MUTED)
        if index + across >= len(found):
            axes.set_xlabel("batch", fontsize=SMALL_SIZE, color=MUTED)
    handles = [
        Line2D(
            [],
            [],
            color=LOOKS[n][0],
            marker=LOOKS[n][1],
            label=RIVALS[n].title,
            linewidth=2.2 if n == OURS else 1.2,
        )
        for n in names(results)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(4, len(handles) or 1),
        frameon=False,
        fontsize=SMALL_SIZE,
    )
    set_title(
        figure,
        "Time of a sample and step, lower is faster; bars reach from the sparsest input to the densest",
    )
    figure.savefig(path, dpi=2 * PIXELS_PER_INCH, format="png")


def _panel(axes: Axes, results: Results, network: str) -> None:
    case = chosen(results.cases, network)
    batches = sorted({row.batch for row in case.rows if row.seconds is not None})
    for place, name in enumerate(names(results)):
        colour, marker = LOOKS[name]
        points = sorted(
            (row.batch, 1e6 * row.seconds.median)
            for row in case.rows
            if row.simulator == name and row.seconds
        )
        if not points:
            continue
        # A little apart, or the bars would cover each other.
        shift = 1 + 0.045 * (place - len(names(results)) / 2)
        x = [batch * shift for batch, _ in points]
        ours = name == OURS
        axes.plot(
            x,
            [y for _, y in points],
            color=colour,
            marker=marker,
            markersize=5 if ours else 4,
            linewidth=2.2 if ours else 1.2,
            zorder=3 if ours else 2,
        )
        for at, (batch, _) in zip(x, points, strict=True):
            others = [
                1e6 * row.seconds.median
                for row in results.rows
                if row.network == network and row.simulator == name and row.batch == batch and row.seconds
            ]
            axes.vlines(at, min(others), max(others), color=colour, linewidth=0.9, alpha=0.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(batches, [str(b) for b in batches])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: number(value).rstrip("0").rstrip(".") if value < 10 else number(value))
    )
    axes.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
    axes.set_title(f"{network}, {case.label}", fontsize=TEXT_SIZE, color=INK, loc="left")
    quiet_axes(axes, "left", "bottom")
