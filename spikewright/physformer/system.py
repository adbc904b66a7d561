"""The program of a Spiking-PhysFormer's blocks beside the network, whose embedding and predictor are the host's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.errors import AnnError
from ..errors import BuildError
from ..hardware.chip import load_chip
from ..lowering import Lowered, Tuning, load
from ..models.physformer import SpikingPhysFormer
from ..progress import Step, Steps
from ..recipe import PulseRecipe
from ..stage import Split
from ..workspace import Workspace
from .data import Video, recordings
from .host_part import CALIBRATION_CLIPS, export_host, quantise_host
from .lowering import embeddings, lower_blocks

#: The only program, and what it is for.
NAME = "blocks"
PURPOSE = "embedding of a clip to what the predictor reads"


@dataclass(frozen=True, eq=False)
class System:
    """The spiking blocks at three levels, and the whole as the float network."""

    blocks: Lowered
    network: SpikingPhysFormer


def recipe_of(workspace: Workspace) -> PulseRecipe:
    """The recipe of a workspace of this system.

    Raises
    ------
    BuildError
        It is of another system.
    """
    recipe = workspace.recipe
    if not isinstance(recipe, PulseRecipe):
        raise BuildError(f"{workspace.folder}: holds {recipe.name}, which is no Spiking-PhysFormer")
    return recipe


def network_of(workspace: Workspace) -> SpikingPhysFormer:
    """The trained network."""
    network = workspace.network("physformer")
    assert isinstance(network, SpikingPhysFormer)
    return network


def videos(workspace: Workspace, split: Split, most: int | None = None) -> list[Video]:
    """Videos of a split."""
    recipe = recipe_of(workspace)
    return list(recordings(recipe.data, split, recipe.train_seed, most))


def clips(workspace: Workspace, split: Split, count: int) -> NDArray[np.float32]:
    """The first clips of a split, (count, 3, frames, H, W); fewer where there are no more."""
    recipe = recipe_of(workspace)
    each = (clip for video in recordings(recipe.data, split, recipe.train_seed) for clip in video.clips)
    return np.stack(list(islice(each, count)))


def export_system(workspace: Workspace, steps: Steps) -> System:
    """Export, quantise and compile a recipe's spiking blocks into its build folder."""
    network = network_of(workspace)
    lowered = export_blocks(workspace, network, steps)
    with steps("The host's part as ONNX"):
        export_host(network, workspace.folder)
        try:
            quantise_host(network, clips(workspace, "train", CALIBRATION_CLIPS), workspace.folder)
        except AnnError as error:
            steps.note(f"the host's part is there in 32-bit floats only: {error}")
    return System(lowered, network)


def export_blocks(workspace: Workspace, network: SpikingPhysFormer, steps: Steps) -> Lowered:
    """The part of it that the chip computes."""
    recipe = recipe_of(workspace)
    per_channel = recipe.quantise.per_channel
    if per_channel == "auto":
        per_channel = load_chip(recipe.deploy.chip).per_neuron_threshold.value
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.save_recipe()
    workspace.equivalence.unlink(missing_ok=True)  # it spoke of the artefacts that are about to change
    with steps("Export to NIR, quantise, compile") as step:
        return lower_blocks(
            network,
            clips(workspace, "train", recipe.quantise.calibration_images),
            workspace.folder,
            name=recipe.name,
            bits=recipe.quantise.bits,
            per_channel=per_channel,
            chip=recipe.deploy.chip,
            tune=_tuning(workspace, network, step),
        )


def _tuning(workspace: Workspace, network: SpikingPhysFormer, step: Step) -> Tuning | None:
    """Fine-tuning towards what the float blocks say: the predictor behind them has learned to read that."""
    quantise = workspace.recipe.quantise
    if not quantise.tune:
        return None
    samples = embeddings(network, clips(workspace, "train", quantise.tuning_images))
    return Tuning.of(quantise, step, samples)


def load_system(folder: Path) -> System:
    """Read what :func:`export_system` wrote, and the network's weights.

    Raises
    ------
    BuildError
        A level is missing, or the folder is of another system; names the command that writes it.
    """
    workspace = Workspace.open(folder)
    recipe_of(workspace)
    return System(load(folder), network_of(workspace))
