"""The training step: a recipe's networks, unless shipped weights fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from .models.checkpoint import load_tensors, save_tensors
from .models.train import train
from .progress import Steps
from .stage import Samples
from .workspace import Workspace


def ensure_weights(
    workspace: Workspace,
    steps: Steps,
    *,
    kinds: Collection[str] | None = None,
    force: bool = False,
    resume: bool = True,
    accelerator: str = "auto",
    devices: int | str = 1,
    precision: str = "32-true",
) -> dict[str, Path]:
    """Weights of all networks by kind; trains what is neither shipped nor trained yet.

    Parameters
    ----------
    kinds : collection of str, optional
        Only these networks, among them whatever the others learn from.
    force : bool
        Train even where weights exist.
    accelerator, devices, precision
        As Lightning Fabric takes them.
    """
    paths: dict[str, Path] = {}
    for kind in workspace.stages if kinds is None else (k for k in workspace.stages if k in kinds):
        known = None if force else workspace.weights(kind)
        if known is None:
            known = _train(workspace, kind, paths, steps, resume, accelerator, devices, precision)
        paths[kind] = known
    return paths


def figures(paths: Mapping[str, Path]) -> dict[str, dict[str, float]]:
    """What each network reached on the test split, from its weights file."""
    return {kind: load_tensors(path)[1]["test"] for kind, path in paths.items()}


def _train(
    workspace: Workspace,
    kind: str,
    before: Mapping[str, Path],
    steps: Steps,
    resume: bool,
    accelerator: str,
    devices: int | str,
    precision: str,
) -> Path:
    recipe = getattr(workspace.recipe.train, kind)
    stage = workspace.stages[kind]
    network = workspace.fresh_network(kind)
    folder = workspace.training_folder(kind)
    with steps(f"Train the {stage.title}") as step:

        def show(progress: Any) -> None:
            step.update(progress.step, progress.steps)
            step.say(f"epoch {progress.epoch} {stage.shown} {progress.losses[stage.shown]:.4f}")

        inputs, labels = _tensors(stage.samples(workspace, "train", before))
        stage.begin(network, inputs, workspace, before)
        renewed = stage.renewed(workspace)
        rows = train(
            network,
            inputs,
            recipe,
            folder=folder,
            seed=workspace.recipe.train_seed,
            labels=labels,
            renew=None if renewed is None else lambda epoch: _tensors(renewed(epoch)),
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
            "test": stage.evaluate(network, stage.samples(workspace, "test", before)),
        }
    path = folder / "weights.safetensors"
    save_tensors(path, network.state_dict(), metadata)
    return path


def _tensors(samples: Samples) -> tuple[torch.Tensor, torch.Tensor | None]:
    labels = None if samples.labels is None else torch.from_numpy(samples.labels)
    return torch.from_numpy(samples.inputs), labels
