"""The three programs of a Spiking-Diffusion: lowering them from its networks, and reading them back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..diffusion_stages import extract_tokens
from ..errors import BuildError
from ..export.graph import HostStep
from ..hardware import tokens
from ..hardware.chip import load_chip
from ..lowering import Lowered, Tuning, load, lower
from ..models.sdid import SDID, one_hot
from ..models.vq_svae import VQSVAE
from ..progress import Steps
from ..workspace import Workspace

#: Folders of the parts, and what each is for.
PARTS = {
    "encoder": "image to spikes, from which the host chooses codes; not part of generating",
    "denoiser": "partly hidden grid of tokens to logits, from which the host draws tokens",
    "decoder": "code vectors to an image",
}


@dataclass(frozen=True, eq=False)
class System:
    """Three networks, each at three levels."""

    encoder: Lowered
    denoiser: Lowered
    decoder: Lowered

    @property
    def parts(self) -> dict[str, Lowered]:
        """The three by name."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def codes(self) -> int:
        """Number of codes ``K``; also the token of a hidden position."""
        return len(tokens.codebook(self.decoder.program))

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid of tokens."""
        height, width = self.denoiser.program.populations[-1].shape[1:]
        return height, width


def export_system(workspace: Workspace, steps: Steps) -> System:
    """Export, quantise and compile a recipe's networks, each into a folder of its own."""
    recipe = workspace.recipe
    per_channel = recipe.quantise.per_channel
    if per_channel == "auto":
        per_channel = load_chip(recipe.deploy.chip).per_neuron_threshold.value
    vq, sdid = workspace.network("vq"), workspace.network("sdid")
    assert isinstance(vq, VQSVAE)
    assert isinstance(sdid, SDID)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.save_recipe()
    workspace.equivalence.unlink(missing_ok=True)  # it spoke of the artefacts that are about to change
    codes = vq.codebook.vectors.detach().numpy()
    weights = vq.quantiser_weights().detach().numpy()
    images, hidden, vectors = _inputs(workspace, vq, sdid, recipe.quantise.calibration_images)
    with steps("Export to NIR, quantise, compile: encoder, denoiser, decoder") as step:
        given: tuple[NDArray[np.float32] | None, ...] = (None, None, None)
        if recipe.quantise.tune:
            given = _inputs(workspace, vq, sdid, recipe.quantise.tuning_images)
        tune_encoder, tune_denoiser, tune_decoder = (Tuning.of(recipe.quantise, step, part) for part in given)
        lower(
            vq, images, workspace.folder / "encoder", tune=tune_encoder, name=f"{recipe.name}-encoder", timesteps=vq.config.timesteps,
            method="encode_step", bits=recipe.quantise.bits, per_channel=per_channel, chip=recipe.deploy.chip,
            host_steps=[HostStep(tokens.CHOOSE, f"{vq.encoder_names[-1]}_neuron", {"time_weights": weights, "codes": codes})],
        )  # fmt: skip
        lower(
            sdid, hidden, workspace.folder / "denoiser", tune=tune_denoiser, name=f"{recipe.name}-denoiser",
            timesteps=sdid.config.timesteps, coding="spikes", method="step", bits=recipe.quantise.bits,
            per_channel=per_channel, chip=recipe.deploy.chip,
        )  # fmt: skip
        lower(
            vq, vectors, workspace.folder / "decoder", tune=tune_decoder, name=f"{recipe.name}-decoder",
            timesteps=vq.config.timesteps, method="decode_step", bits=recipe.quantise.bits, per_channel=per_channel,
            chip=recipe.deploy.chip,
            host_steps=[HostStep(tokens.LOOK_UP, f"{vq.decoder_names[0]}_neuron", {"codes": codes})],
        )  # fmt: skip
    return load_system(workspace.folder)


def _inputs(
    workspace: Workspace, vq: VQSVAE, sdid: SDID, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What encoder, denoiser and decoder see of so many training images."""
    images = workspace.train_images[:count]
    chosen = extract_tokens(vq, images)
    with torch.no_grad():
        vectors = vq.codebook.lookup(torch.from_numpy(chosen)).numpy()
    return images, hidden_spikes(sdid, chosen), np.ascontiguousarray(vectors)


def hidden_spikes(sdid: SDID, grids: NDArray[np.int64], seed: int = 0) -> NDArray[np.float32]:
    """What a denoiser sees of grids (N, h, w) with positions hidden as in training: (N, T, K + 1, h, w), zeros and ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = sdid.corrupt(torch.from_numpy(grids))
    spikes = one_hot(hidden, sdid.config.codes)
    # The same at every step, and in memory once: there may be many grids.
    every: NDArray[np.float32] = spikes[:, None].expand(-1, sdid.config.timesteps, *spikes.shape[1:]).numpy()
    return every


def load_system(folder: Path) -> System:
    """Read the levels of all parts.

    Raises
    ------
    BuildError
        A part is missing; names the command that writes it.
    """
    missing = [name for name in PARTS if not (folder / name).is_dir()]
    if missing:
        raise BuildError(f"{folder / missing[0]}: missing; run `spikewright export` first")
    return System(**{name: load(folder / name) for name in PARTS})
