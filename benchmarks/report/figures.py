"""All pictures of a report: each a pure function to a matplotlib figure, and the set of them as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from matplotlib.figure import Figure

from . import tables
from .captions import Drawing, captions
from .energy_figure import energies
from .figure_style import PIXELS_PER_INCH
from .image_figures import Shared, generated, reconstructions
from .layer_figures import layer_activity, layer_agreement
from .pictures import Pictures
from .raster_figure import rasters
from .schema import Report
from .wave_figure import heart_rates, pulse_waves

__all__ = [
    "draw", "energies", "generated", "heart_rates", "layer_activity", "layer_agreement", "pulse_waves", "rasters",
    "reconstructions",
]  # fmt: skip

DPI = 200


def draw(report: Report, pictures: Pictures) -> dict[str, Drawing]:
    """Draw every picture that there is something to draw for, by name."""
    bits, energy, rows = report.weight_bits, report.energy, report.equivalence.quantisation
    shared, run = _kind(report)
    sample = tables.sample_name(report)
    drawings: dict[str, Callable[[], Figure]] = {}
    if len(pictures.originals) and pictures.reconstructions:
        drawings["reconstructions"] = lambda: reconstructions(
            pictures.originals, pictures.reconstructions, bits
        )
    if any(len(images) for images in pictures.generated.values()):
        drawings["generated"] = lambda: generated(pictures.generated, bits, shared=shared)
    if pictures.waves:
        drawings["waves"] = lambda: pulse_waves(pictures.waves, pictures.wave_fps, bits)
    if pictures.heart_rates:
        drawings["heart_rates"] = lambda: heart_rates(pictures.heart_rates, bits)
    if pictures.rasters:
        drawings["rasters"] = lambda: rasters(pictures.rasters, run)
    if rows:
        drawings["agreement"] = lambda: layer_agreement(rows, bits)
    if report.layers:
        drawings["layers"] = lambda: layer_activity(report.layers, sample)
    if energy:
        drawings["energy"] = lambda: energies(energy, sample)
    said = captions(report)
    return {name: _encode(figure(), said[name]) for name, figure in drawings.items() if name in said}


def _kind(report: Report) -> tuple[Shared, str]:
    """What images of float and chip share, and what a raster is of."""
    if report.pulse is not None:
        return "latent spikes", "one clip"
    if report.generation is None:
        return "latent spikes", "one sample"
    if report.generation.sampler is None:
        return "random numbers", "one run of each program"
    return "noise", "one evaluation"


def _encode(figure: Figure, caption: str) -> Drawing:
    buffer = BytesIO()
    # Without the software's name in it, the same figure is the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Drawing(buffer.getvalue(), round(float(figure.get_size_inches()[0]) * PIXELS_PER_INCH), caption)
