"""The page of a sweep over firing thresholds: what was found in a sentence, a picture, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from ..benchmarks.report.figure_style import (
    CHIP,
    FLOAT,
    HOST,
    PIXELS_PER_INCH,
    RULE,
    SMALL_SIZE,
    WIDTH,
    new_figure,
    quiet_axes,
    set_title,
)
from ..export.whole_file import whole_file

#: Versions by their names on the page, and their colours.
VERSIONS = {
    "float": ("float SNN", FLOAT),
    "requantised": ("chip, requantised for the factor", CHIP),
    "moved": ("chip, thresholds moved by whole bits", HOST),
}
MEASURES = {"noise_mse": "error of the noise", "fad": "FAD", "classifier": "classifier distance"}
#: Changes of the threshold in per cent that the picture's axis names; between the inner two it is linear.
TICKS = (-10, -5, -2, -1, -0.3, 0, 0.3, 1, 2, 5, 10)
LINEAR = 0.3


@dataclass(frozen=True)
class Point:
    """One version at one threshold.

    Attributes
    ----------
    version : str
        ``float``, ``requantised`` or ``moved``.
    factor : float
        On all thresholds; the mean over neurons where they were moved by bits.
    bits : int, optional
        Least significant bits that thresholds were moved by.
    noise_mse, fad, classifier : float
        Error of the noise in test images, and Frechet distances of generated images.
    rate : float, optional
        Spikes a neuron and time step; not counted in float.
    """

    version: str
    factor: float
    bits: int | None
    noise_mse: float
    fad: float
    classifier: float
    rate: float | None


@dataclass(frozen=True)
class Again:
    """A version with other seeds than the sweep's.

    Attributes
    ----------
    fad, classifier : tuple of float
        Least and largest distance at the trained threshold.
    fad_change, classifier_change : tuple of float
        From the trained threshold to the sweep's best, in per cent: mean over seeds, half width of its 95 % interval.
    """

    version: str
    fad: tuple[float, float]
    classifier: tuple[float, float]
    fad_change: tuple[float, float]
    classifier_change: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Sweep:
    """All that the page is made of.

    Attributes
    ----------
    again : mapping of str to Again
        By version.
    floors : tuple of float
        FAD and classifier distance of as many real training images as were generated.
    thresholds : ndarray of int
        Of all neurons of the program as it was trained.
    sampling_steps : int
        Of DDIM, an image.
    count, images, seeds : int
        Generated images and test images a point; seeds that the best points were judged by again.
    """

    name: str
    command: str
    points: Sequence[Point]
    again: Mapping[str, Again]
    floors: tuple[float, float]
    thresholds: NDArray[np.integer]
    sampling_steps: int
    count: int
    images: int
    seeds: int


def trained(points: Sequence[Point], version: str) -> Point | None:
    """A version's point at its trained threshold, where there is one."""
    return next((p for p in points if p.version == version and p.factor == 1.0), None)


def best(points: Sequence[Point], version: str) -> Point:
    """A version's point of the lowest classifier distance."""
    return min((p for p in points if p.version == version), key=lambda p: p.classifier)


def write_page(path: Path, sweep: Sweep) -> None:
    """Write the page and its picture beside it, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    buffer = BytesIO()
    draw(sweep).savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    for target, content in (
        (picture, buffer.getvalue()),
        (path, markdown(sweep, picture.name).encode()),
    ):
        with whole_file(target) as temporary:
            temporary.write_bytes(content)


def markdown(sweep: Sweep, picture: str) -> str:
    """The page."""
    points = sweep.points
    percents = 100 / sweep.thresholds
    lines = [
        "# Threshold guidance",
        "",
        "Written by",
        "",
        f"    {sweep.command}",
        "",
        f"`{sweep.name}` sampled with firing thresholds other than those it was trained with, no weight trained anew. SDDPM's "
        "authors report that it lowers FID on CIFAR-10 from 19.73 to 19.20 at a factor of 0.997 (arXiv 2408.16467, table 3).",
        "",
        f"Error of the noise over {sweep.images:,} test images; Frechet distances of {sweep.count:,} images, generated in "
        f"{sweep.sampling_steps} steps of DDIM, to all test images, in an autoencoder's features (FAD) and in a classifier's. Every "
        "row has the same noise, so that rows differ by the threshold alone.",
        "",
        f"One bit is {percents.min():.2g} to {percents.max():.2g} % of a trained integer threshold, {percents.mean():.2g} % in "
        "the mean, so that smaller factors need weights quantised anew; moved by whole bits, a chip keeps its weights.",
        "",
        f"The best of several points is better by chance as well. Each version's point of the lowest classifier distance was "
        f"therefore judged again with {sweep.seeds} other seeds, beside the trained threshold with the same; ± is half the 95 % "
        "interval.",
        "",
        *(f"- {found(sweep, version)}" for version in VERSIONS if any(p.version == version for p in points)),
        "",
        f"![Quality against the firing threshold]({picture})",
        "",
        "Bands span the trained threshold's distances with the other seeds.",
        "",
        "| Version | Factor | Bits | Error of the noise | FAD | Classifier distance | Spike rate |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for p in points:
        bits = "" if p.bits is None else f"{p.bits:+d}" if p.bits else "0"
        rate = "" if p.rate is None else f"{p.rate:.4f}"
        cells = (VERSIONS[p.version][0], f"{p.factor:.4f}", bits, f"{p.noise_mse:.5f}", f"{p.fad:.3f}", f"{p.classifier:.2f}", rate)  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines.append(f"| real training images, as many | | | | {sweep.floors[0]:.3f} | {sweep.floors[1]:.2f} | |")
    return "\n".join(lines) + "\n"


def found(sweep: Sweep, version: str) -> str:
    """A version's best point beside its trained threshold, in the sweep and again, in a sentence or two."""
    title = VERSIONS[version][0]
    own = trained(sweep.points, version)
    if own is None:
        return f"{title}: the trained threshold is not among the points, so nothing can be said of a gain."
    chosen = best(sweep.points, version)
    if chosen is own:
        return f"{title}: no factor has a lower classifier distance than the trained threshold, {own.classifier:.2f}."
    by_bits = "" if chosen.bits is None else f"{chosen.bits:+d} bits, "
    again = sweep.again[version]
    mean, half = again.classifier_change
    verdict = "a gain" if mean + half < 0 else "a loss" if mean - half > 0 else "no gain is shown"
    return (
        f"{title}: lowest at {by_bits}a factor of {chosen.factor:.4f}, {chosen.classifier:.2f} against {own.classifier:.2f} at the "
        f"trained threshold. With other seeds it changes by {mean:+.1f} ± {half:.1f} %, FAD by {again.fad_change[0]:+.1f} ± "
        f"{again.fad_change[1]:.1f} %: {verdict}. The error of the noise changes by "
        f"{100 * (chosen.noise_mse / own.noise_mse - 1):+.2f} %."
    )


def draw(sweep: Sweep) -> Figure:
    """Every measure against the change of the threshold, a line a version; the trained threshold is marked."""
    figure = new_figure(WIDTH, 3.6, constrained=True)
    set_title(figure, f"{sweep.name}: quality against the firing threshold, lower is better")
    for axes, (measure, title) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        quiet_axes(axes, "left", "bottom")
        axes.axvline(0, color=RULE, linewidth=0.8)
        for version, (label, colour) in VERSIONS.items():
            some = sorted((p for p in sweep.points if p.version == version), key=lambda p: p.factor)
            if some:
                changes = [100 * (p.factor - 1) for p in some]
                values = [getattr(p, measure) for p in some]
                axes.plot(changes, values, "o-", markersize=3, linewidth=1, color=colour, label=label)
            # The program at its trained threshold is the same however it came about.
            if measure != "noise_mse" and version != "moved" and version in sweep.again:
                axes.axhspan(*getattr(sweep.again[version], measure), color=colour, alpha=0.12, linewidth=0)
        axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.6)
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
        axes.set_xlabel("change of the threshold, %", fontsize=SMALL_SIZE)
        axes.set_ylabel(title, fontsize=SMALL_SIZE)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL_SIZE,
    )  # fmt: skip
    return figure
