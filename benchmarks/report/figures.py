"""All pictures of a report: each a pure function to a matplotlib figure, and the set of them as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from matplotlib.figure import Figure

from .energy_figure import energies
from .figure_style import PIXELS_PER_INCH
from .image_figures import generated, reconstructions
from .layer_figures import layer_activity, layer_agreement
from .pictures import Pictures
from .raster_figure import rasters
from .schema import Report

__all__ = [
    "CAPTIONS", "Drawing", "draw", "energies", "generated", "layer_activity", "layer_agreement", "rasters",
    "reconstructions",
]  # fmt: skip

DPI = 200

#: What each picture shows, by its name, which is also its file's name.
CAPTIONS = {
    "reconstructions": "Test images and what each version of the network makes of them.",
    "generated": "Images drawn from each version's latent space; float and chip share their latent spikes.",
    "rasters": "Spikes of one sample on the chip, each population in its own time from its start step on.",
    "agreement": "Agreement and spike rates of the integer program and the float network, layer by layer.",
    "layers": "Spikes a layer emits and synaptic operations in the synapses into it, mean of a sample.",
    "energy": "Energy of a sample. The axis is logarithmic: read where a bar ends, not how long it is.",
}


@dataclass(frozen=True)
class Drawing:
    """A picture as a file's content.

    Attributes
    ----------
    png : bytes
        The encoded picture.
    width : int
        Width on a page in pixels.
    caption : str
        What it shows.
    """

    png: bytes
    width: int
    caption: str


def draw(report: Report, pictures: Pictures) -> dict[str, Drawing]:
    """Draw every picture that there is something to draw for, by name."""
    bits, energy, rows = report.weight_bits, report.energy, report.equivalence.quantisation
    drawings: dict[str, Callable[[], Figure]] = {}
    if len(pictures.originals):
        drawings["reconstructions"] = lambda: reconstructions(
            pictures.originals, pictures.reconstructions, bits
        )
    if any(len(images) for images in pictures.generated.values()):
        drawings["generated"] = lambda: generated(pictures.generated, bits)
    if pictures.rasters:
        drawings["rasters"] = lambda: rasters(pictures.rasters)
    if rows:
        drawings["agreement"] = lambda: layer_agreement(rows, bits)
    if report.layers:
        drawings["layers"] = lambda: layer_activity(report.layers)
    if energy:
        drawings["energy"] = lambda: energies(energy)
    return {name: _encode(figure(), CAPTIONS[name]) for name, figure in drawings.items()}


def _encode(figure: Figure, caption: str) -> Drawing:
    buffer = BytesIO()
    # Without the software's name in it, the same figure is the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Drawing(buffer.getvalue(), round(float(figure.get_size_inches()[0]) * PIXELS_PER_INCH), caption)
