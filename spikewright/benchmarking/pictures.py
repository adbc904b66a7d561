"""Two pictures that a report does not have: where the program lies on the chip, and where it parts from the floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..benchmarks.equivalence import observe
from ..benchmarks.equivalence.diff import diff
from ..benchmarks.equivalence.diff_figure import diff_figure
from ..benchmarks.overview.schema import Picture
from ..benchmarks.report.captions import captions
from ..benchmarks.report.figures import DPI
from ..benchmarks.report.markdown import PICTURE_FOLDER
from ..benchmarks.report.placement_figure import utilisation
from ..benchmarks.report.schema import Report
from ..diffusion import verification as diffusion
from ..diffusion.system import System
from ..export.whole_file import whole_file
from ..generating.checking import Part
from ..hardware.chip import Chip
from ..hardware.placement import place
from ..hardware.program import Program
from ..models.esvae import ESVAE
from ..physformer import verification as physformer
from ..recipe import DiffusionRecipe, PulseRecipe, UNetRecipe
from ..sddpm import verification as sddpm
from ..workspace import Workspace

CORES, DIVERGENCE = "cores", "divergence"
SAMPLES = 8  # that the float network and the program are compared on


def main_part(workspace: Workspace, lowered: Any) -> Part:
    """The program of a system that runs most often, with the first test samples."""
    recipe = workspace.recipe
    if isinstance(recipe, UNetRecipe):
        return sddpm.part_of(workspace, lowered, SAMPLES)
    if isinstance(recipe, PulseRecipe):
        return physformer.part_of(workspace, lowered, SAMPLES)
    if isinstance(recipe, DiffusionRecipe):
        assert isinstance(lowered, System)
        return next(
            part for part in diffusion.parts_of(workspace, lowered, SAMPLES) if part.name == "denoiser"
        )
    network = workspace.network("snn")
    assert isinstance(network, ESVAE)
    return Part("", lowered, network, "step", "direct", workspace.test_images[:SAMPLES], workspace.folder)


def draw_cores(program: Program, chip: Chip, folder: Path) -> None:
    """The core map of a program."""
    _save(utilisation(place(program, chip)), folder, CORES)


def draw_divergence(part: Part, folder: Path) -> None:
    """Agreement of the float network and the program by layer and time step, and the neuron that first parts."""
    a = observe.trace_float(part.lowered.float_graph, part.samples, "float network")
    b = observe.trace_program(part.lowered.program, part.samples, "emulator", what="chip (emulator)")
    _save(diff_figure(diff(a, b), a, b), folder, DIVERGENCE)


def _save(figure: Figure, folder: Path, name: str) -> None:
    path = folder / PICTURE_FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def pictures_of(report: Report, part: Part, folder: Path, anew: str) -> list[Picture]:
    """Every picture in the folder, what it shows and what draws it again.

    Parameters
    ----------
    folder : Path
        Of the model's build.
    anew : str
        The command that measures the model again.
    """
    said = {name: (text, f"spikewright report {folder}") for name, text in captions(report).items()}
    program = f" ({part.name})" if part.name else ""
    said[CORES] = (
        f"Cores of {report.fit.chip} that the program{program} takes, by the share of the limit that binds each.",
        f"spikewright fit {part.folder} --picture cores.png",
    )
    said[DIVERGENCE] = (
        f"Neurons of the program{program} that spike as in the float network, by layer and time step, on {SAMPLES} "
        "samples; below, the neuron that parts first.",
        anew,
    )
    return [
        Picture(name=name, file=f"{folder.name}/{PICTURE_FOLDER}/{name}.png", caption=text, command=command)
        for name, (text, command) in said.items()
        if (folder / PICTURE_FOLDER / f"{name}.png").exists()
    ]
