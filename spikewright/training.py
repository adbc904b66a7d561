"""The training step: a recipe's three networks, unless shipped weights fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .benchmarks.quality import mean_and_interval, reconstruction_error
from .models.checkpoint import save_tensors
from .models.esvae import ESVAE
from .models.train import train
from .progress import Steps
from .workspace import KINDS, Kind, Workspace

TITLES: dict[Kind, str] = {"snn": "spiking network", "ann": "ANN twin", "fad": "autoencoder for FAD"}


def ensure_weights(
    workspace: Workspace,
    steps: Steps,
    *,
    force: bool = False,
    resume: bool = True,
    accelerator: str = "auto",
    devices: int | str = 1,
    precision: str = "32-true",
) -> dict[str, Path]:
    """Weights of all three networks; trains what is neither shipped nor trained yet.

    Parameters
    ----------
    force : bool
        Train even where weights exist.
    accelerator, devices, precision
        As Lightning Fabric takes them.
    """
    paths: dict[str, Path] = {}
    for kind in KINDS:
        known = None if force else workspace.weights(kind)
        if known is None:
            known = _train(workspace, kind, steps, resume, accelerator, devices, precision)
        paths[kind] = known
    return paths


def _train(
    workspace: Workspace,
    kind: Kind,
    steps: Steps,
    resume: bool,
    accelerator: str,
    devices: int | str,
    precision: str,
) -> Path:
    recipe = getattr(workspace.recipe.train, kind)
    network = workspace.fresh_network(kind)
    folder = workspace.training_folder(kind)
    with steps(f"Train the {TITLES[kind]}") as step:

        def show(progress: Any) -> None:
            step.update(progress.step, progress.steps)
            step.say(f"epoch {progress.epoch} mse {progress.losses['mse']:.4f}")

        rows = train(
            network,
            torch.from_numpy(workspace.train_images),
            recipe,
            folder=folder,
            seed=workspace.recipe.train_seed,
            accelerator=accelerator,
            devices=devices,
            precision=precision,
            resume=resume,
            report=show,
        )
    network = network.cpu()
    metadata = {
        "recipe": workspace.recipe.model_dump(mode="json"),
        "history": rows,
        "test": evaluate(network, workspace.test_images),
    }
    path = folder / "weights.safetensors"
    save_tensors(path, network.state_dict(), metadata)
    return path


def evaluate(network: torch.nn.Module, images: NDArray[np.float32], seed: int = 0) -> dict[str, float]:
    """Reconstruction error over a whole test split, and how it was taken."""
    figures: dict[str, float] = {}
    modes = {"mse_sampled": True, "mse_pass_through": False} if isinstance(network, ESVAE) else {"mse": None}
    for name, sample in modes.items():
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs = []
            for batch in torch.from_numpy(images).split(100):
                outputs.append(network(batch) if sample is None else network(batch, sample=sample).images)
        errors = reconstruction_error(torch.cat(outputs).numpy(), images)
        figures[name], figures[f"{name}_ci95"] = mean_and_interval(errors)
    return {**figures, "images": len(images)}
