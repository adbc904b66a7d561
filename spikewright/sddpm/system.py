"""The program of an SDDPM beside the network that it came from, whose tail the host may need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ..deploy_recipe import Residual
from ..errors import BuildError
from ..export.fine_tune import shown_again
from ..hardware.chip import load_chip
from ..hardware.noise import Tail
from ..hardware.program import Population
from ..lowering import Lowered, Tuning, load
from ..models.noise_schedule import NoiseSchedule
from ..models.spiking_unet import SpikingUNet
from ..progress import Step, Steps
from ..recipe import UNetRecipe
from ..workspace import Workspace
from .lowering import host_tail, lower_denoiser, noisy_samples

#: The only program, and what it is for.
NAME = "denoiser"
PURPOSES = {
    "noise": "noisy image and the currents of its time to the noise in it",
    "velocity": "noisy image and the currents of its time to its velocity, from which the host has the noise",
}
FAITHFUL_PURPOSE = "noisy image and the currents of its time to the stream that the host's tail reads"


@dataclass(frozen=True, eq=False)
class System:
    """A U-Net at three levels, and as the float network.

    Attributes
    ----------
    denoiser : Lowered
    network : SpikingUNet
        With its trained thresholds.
    threshold : float
        What all neurons of the program fire above, in the network's units (threshold guidance).
    residual : str
        How the stream between blocks is deployed.
    """

    denoiser: Lowered
    network: SpikingUNet
    threshold: float
    residual: Residual = "unrolled"

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.network.config.in_channels, *self.network.config.image

    @property
    def schedule(self) -> NoiseSchedule:
        """The diffusion that the network was trained on."""
        return NoiseSchedule(self.network.config.diffusion_steps)

    @cached_property
    def tail(self) -> Tail | None:
        """The host's last layers; None where the program has them."""
        return host_tail(self.network)

    @property
    def firing(self) -> list[Population]:
        """Populations that are the network's neurons: neither read out nor there to hand spikes or values on."""
        return [p for p in self.denoiser.program.populations if not (p.readout or p.relay or p.graded)]

    @property
    def purpose(self) -> str:
        """What the program is for."""
        return PURPOSES[self.network.config.prediction] if self.tail is None else FAITHFUL_PURPOSE


def export_system(workspace: Workspace, steps: Steps) -> System:
    """Export, quantise and compile a recipe's U-Net into its build folder."""
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    per_channel = recipe.quantise.per_channel
    if per_channel == "auto":
        per_channel = load_chip(recipe.deploy.chip).per_neuron_threshold.value
    network = _network(workspace)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.save_recipe()
    workspace.equivalence.unlink(missing_ok=True)  # it spoke of the artefacts that are about to change
    images = torch.from_numpy(workspace.train_images[: recipe.quantise.calibration_images])
    with steps("Export to NIR, quantise, compile") as step:
        lowered = lower_denoiser(
            network,
            images,
            workspace.folder,
            name=recipe.name,
            threshold=recipe.deploy.threshold_scale,
            bits=recipe.quantise.bits,
            per_channel=per_channel,
            chip=recipe.deploy.chip,
            tune=_tuning(workspace, network, step),
            residual=recipe.deploy.residual,
            payload_bits=recipe.deploy.payload_bits,
        )
    return System(lowered, network, recipe.deploy.threshold_scale, recipe.deploy.residual)


def _tuning(workspace: Workspace, network: SpikingUNet, step: Step) -> Tuning | None:
    """Fine-tuning towards what should be told; a program with a tail on the host learns to say what it said before rounding."""
    recipe = workspace.recipe
    if not recipe.quantise.tune:
        return None
    asked = recipe.quantise.tuning_images
    images = torch.from_numpy(workspace.train_images[:asked])
    samples, wanted = noisy_samples(network, images[shown_again(len(images), asked)], recipe.seed + 1)
    return Tuning.of(recipe.quantise, step, samples, None if host_tail(network) else wanted)


def load_system(folder: Path) -> System:
    """Read what :func:`export_system` wrote, and the network's weights.

    Raises
    ------
    BuildError
        A level is missing, or the folder is of another system; names the command that writes it.
    """
    workspace = Workspace.open(folder)
    recipe = workspace.recipe
    if not isinstance(recipe, UNetRecipe):
        raise BuildError(f"{folder}: holds {recipe.name}, which is no SDDPM")
    return System(load(folder), _network(workspace), recipe.deploy.threshold_scale, recipe.deploy.residual)


def _network(workspace: Workspace) -> SpikingUNet:
    network = workspace.network("unet")
    assert isinstance(network, SpikingUNet)
    return network
