"""The page of a sweep over firing thresholds: what was found in a sentence, a table, a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

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
        Error of the noise in test images, and Frechet distances of generated images; None where there were too few.
    rate : float, optional
        Spikes a neuron and time step; not counted in float.
    """

    version: str
    factor: float
    bits: int | None
    noise_mse: float
    fad: float
    classifier: float | None
    rate: float | None


def write_page(path: Path, name: str, command: str, points: Sequence[Point], count: int, images: int) -> None:
    """Write the page and its picture beside it, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    buffer = BytesIO()
    draw(name, points).savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    for target, content in (
        (picture, buffer.getvalue()),
        (path, markdown(name, command, points, count, images, picture.name).encode()),
    ):
        with whole_file(target) as temporary:
            temporary.write_bytes(content)


def markdown(name: str, command: str, points: Sequence[Point], count: int, images: int, picture: str) -> str:
    """The page."""
    lines = [
        "# Threshold guidance",
        "",
        "Written by",
        "",
        f"    {command}",
        "",
        f"`{name}` sampled with thresholds other than those it was trained with (SDDPM, arXiv 2306.17046, section on threshold "
        f"guidance), no weight trained anew. Error of the noise over {images:,} test images; Frechet distances of {count:,} "
        "generated images to all test images. Every row sees the same noise, so that rows differ by the threshold alone.",
        "",
        *(f"- {found(points, version)}" for version in VERSIONS if any(p.version == version for p in points)),
        "",
        f"![Quality against the firing threshold]({picture})",
        "",
        "| Version | Factor | Bits | Error of the noise | FAD | Classifier distance | Spike rate |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for p in points:
        bits = "" if p.bits is None else f"{p.bits:+d}" if p.bits else "0"
        cells = (
            VERSIONS[p.version][0],
            f"{p.factor:.4f}",
            bits,
            f"{p.noise_mse:.5f}",
            f"{p.fad:.3f}",
            "" if p.classifier is None else f"{p.classifier:.2f}",
            "" if p.rate is None else f"{p.rate:.4f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def found(points: Sequence[Point], version: str) -> str:
    """The best FAD of a version beside that at the trained threshold, in a sentence."""
    some = [p for p in points if p.version == version]
    title = VERSIONS[version][0]
    trained = next((p for p in some if p.factor == 1.0), None)
    if trained is None:
        return f"{title}: the trained threshold is not among the points, so nothing can be said of a gain."
    best = min(some, key=lambda p: p.fad)
    if best is trained:
        return f"{title}: no factor has a lower FAD than the trained threshold, {trained.fad:.3f}."
    at = (
        f"a factor of {best.factor:.4f}"
        if best.bits is None
        else f"{best.bits:+d} bits (a factor of {best.factor:.4f})"
    )
    gain = 100 * (1 - best.fad / trained.fad)
    change = 100 * (best.noise_mse / trained.noise_mse - 1)
    return (
        f"{title}: the lowest FAD, {best.fad:.3f} at {at}, is {gain:.1f} % below the {trained.fad:.3f} of the trained threshold; "
        f"the error of the noise changes by {change:+.2f} %. The best of {len(some)} points was chosen on the figures shown."
    )


def draw(name: str, points: Sequence[Point]) -> Figure:
    """Every measure against the factor, a line a version; the trained threshold is marked."""
    figure = new_figure(WIDTH, 3.4, constrained=True)
    set_title(figure, f"{name}: quality against the firing threshold, lower is better")
    for axes, (measure, title) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        quiet_axes(axes, "left", "bottom")
        axes.axvline(1.0, color=RULE, linewidth=0.8)
        for version, (label, colour) in VERSIONS.items():
            some = sorted((p for p in points if p.version == version), key=lambda p: p.factor)
            shown = [(p.factor, getattr(p, measure)) for p in some if getattr(p, measure) is not None]
            if shown:
                axes.plot(
                    *zip(*shown, strict=True), "o-", markersize=3, linewidth=1, color=colour, label=label
                )
        axes.set_xlabel("factor on thresholds", fontsize=SMALL_SIZE)
        axes.set_ylabel(title, fontsize=SMALL_SIZE)
    figure.axes[0].legend(frameon=False, fontsize=SMALL_SIZE)
    return figure
