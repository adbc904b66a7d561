"""Pictures of a pulse: waves of one video over time, and heart rates of all videos against their references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .figure_style import (
    ANN,
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
from .prediction import ORDER
from .tables import version_name
from .units import count, significant

Numbers = NDArray[np.floating[Any]]
MOST_SECONDS = 12.0
REFERENCE = "reference"
_COLOURS = {"float": FLOAT, "int8": CHIP, "ann": ANN}
_ROW, _FRAME = 1.25, 0.95  # inches
_PANEL, _SIDE, _TITLES = 3.7, 0.7, 1.05
_MARGIN_BPM = 5.0


def pulse_waves(waves: Mapping[str, Numbers], fps: float, weight_bits: int = 8) -> Figure:
    """Draw the predicted waves of one video below each other, the reference behind each.

    Waves have no common unit: each is drawn with mean 0 and standard deviation 1 over the seconds that are shown.

    Parameters
    ----------
    waves : mapping of str to ndarray
        Waves (frames,) of equal length: ``reference``, and any of ``float``, ``int8`` and ``ann``. The first twelve
        seconds are drawn.
    fps : float
        Frames a second.
    weight_bits : int
        Of the integer program.

    Raises
    ------
    ValueError
        There is nothing to draw, waves differ in length, or ``fps`` is not positive.
    """
    versions = [key for key in ORDER if key in waves]
    lengths = {len(wave) for wave in waves.values()}
    if REFERENCE not in waves or not versions or len(lengths) != 1 or lengths == {0} or not fps > 0:
        raise ValueError(
            f"waves of {', '.join(waves) or 'nothing'} with {sorted(lengths)} frames at {fps} a second; give a reference "
            "and a prediction of equal length"
        )
    (total,) = lengths
    shown = min(total, max(round(MOST_SECONDS * fps), 1))
    seconds = np.arange(shown) / fps
    reference = _standardised(waves[REFERENCE][:shown])
    figure = new_figure(WIDTH, _FRAME + _ROW * len(versions), constrained=True)
    part = f"; first {shown / fps:.3g} of {total / fps:.3g} s" if shown < total else ""
    set_title(figure, f"Pulse waves of one test video, the reference as the broad line behind{part}")
    panels = figure.subplots(len(versions), 1, sharex=True, squeeze=False)[:, 0]
    for axes, key in zip(panels, versions, strict=True):
        wave = _standardised(waves[key][:shown])
        axes.plot(seconds, reference, color=RULE, linewidth=3.2, solid_capstyle="round")
        axes.plot(seconds, wave, color=_COLOURS[key], linewidth=1.3)
        name = f"{version_name(key, weight_bits)}, correlation {significant(float((wave * reference).mean()), '.3f')}"
        axes.set_title(name, loc="left", fontsize=TEXT_SIZE, color=INK)
        axes.set_yticks([])
        axes.margins(x=0.01)
        quiet_axes(axes, "bottom")
    panels[-1].set_xlabel("seconds", fontsize=SMALL_SIZE, color=MUTED)
    return figure


def _standardised(wave: Numbers) -> Numbers:
    """Mean 0 and standard deviation 1; a flat wave stays flat."""
    centred = np.asarray(wave, np.float64) - np.mean(wave)
    spread = centred.std()
    return centred / spread if spread > 0 else centred


def heart_rates(rates: Mapping[str, Numbers], weight_bits: int = 8) -> Figure:
    """Draw predicted heart rates against the reference, a panel each, on equal axes.

    Parameters
    ----------
    rates : mapping of str to ndarray
        Heart rates (videos,) in beats a minute, of equal length: ``reference``, and ``int8``, ``POS`` or others, drawn
        in this order.

    Raises
    ------
    ValueError
        There is nothing to draw, or numbers of videos differ.
    """
    versions = [key for key in rates if key != REFERENCE]
    lengths = {len(found) for found in rates.values()}
    if REFERENCE not in rates or not versions or len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            f"heart rates of {', '.join(rates) or 'nothing'} over {sorted(lengths)} videos; give a reference and a "
            "prediction of as many"
        )
    (videos,) = lengths
    everything = np.concatenate([np.asarray(found, np.float64) for found in rates.values()])
    low, high = everything.min() - _MARGIN_BPM, everything.max() + _MARGIN_BPM
    panel = min(_PANEL, (WIDTH - _SIDE) / len(versions))
    figure = new_figure(panel * len(versions) + _SIDE, panel + _TITLES, constrained=True)
    plural = "" if videos == 1 else "s"
    set_title(figure, f"Heart rates of {count(videos)} test video{plural}")
    panels = figure.subplots(1, len(versions), sharex=True, sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, versions, strict=True):
        _scatter(axes, rates[REFERENCE], rates[key], _COLOURS.get(key, MUTED))
        axes.set_title(version_name(key, weight_bits), loc="left", fontsize=TEXT_SIZE, color=INK)
        axes.set_xlabel("reference, beats a minute", fontsize=SMALL_SIZE, color=MUTED)
        axes.set(xlim=(low, high), ylim=(low, high))
    panels[0].set_ylabel("predicted, beats a minute", fontsize=SMALL_SIZE, color=MUTED)
    return figure


def _scatter(axes: Axes, reference: Numbers, predicted: Numbers, colour: str) -> None:
    axes.axline((0, 0), slope=1, color=RULE, linewidth=1.0, zorder=0)
    axes.plot(
        reference, predicted, "o", color=colour, markersize=5, alpha=0.65, markeredgewidth=0, clip_on=False
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    quiet_axes(axes, "left", "bottom")
