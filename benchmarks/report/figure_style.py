"""Looks that the pictures share: size, colours, fonts.

Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH = 9.6  # inches; at 100 pixels an inch just under the page's column
PIXELS_PER_INCH = 100

INK = "#1f2328"
MUTED = "#5b6470"
RULE = "#c9ced6"
CHIP = "#0072b2"
HOST = "#56b4e9"
FLOAT = "#d55e00"
ANN = "#7f8790"
ANN_INT8 = "#bcc2c9"

TITLE_SIZE = 11.0
TEXT_SIZE = 9.0
SMALL_SIZE = 8.0


def new_figure(width: float, height: float, *, constrained: bool) -> Figure:
    """Make a white figure; ``constrained`` leaves the placing of axes to matplotlib."""
    return Figure(figsize=(width, height), facecolor="white", layout="constrained" if constrained else None)


def set_title(figure: Figure, text: str) -> None:
    """State at the top left what is shown, and keep the axes of a constrained layout below it."""
    width, height = figure.get_size_inches()
    figure.text(
        0.08 / width, 1 - 0.08 / height, text, fontsize=TITLE_SIZE, color=INK, va="top", parse_math=False
    )
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - 0.36 / height))


def quiet_axes(axes: Axes, *spines: str) -> None:
    """Keep only the named spines, thin and grey, and small tick labels."""
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(RULE)
        spine.set_linewidth(0.8)
    axes.tick_params(length=2.5, width=0.8, color=RULE, labelsize=SMALL_SIZE, labelcolor=INK)
