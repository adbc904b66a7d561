"""A small training that tests run, stop and compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.models.esvae import ESVAE, ESVAEConfig
from spikewright.models.recipe import TrainRecipe
from spikewright.models.train import Progress, train

CONFIG = ESVAEConfig(image=(16, 8), channels=(4, 6), latent=8, timesteps=3)
RECIPE = TrainRecipe(epochs=3, batch=20, lr=5e-3)  # 64 images: three batches of 20, four left over
STEPS = 9
Report = Callable[[Progress], None]


def images(count: int = 64) -> Tensor:
    return torch.rand(count, 1, 16, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def fresh(kind: type[nn.Module] = ESVAE) -> Any:
    torch.manual_seed(7)
    return kind(CONFIG)


def run(
    folder: Path, network: Any = None, recipe: TrainRecipe = RECIPE, seed: int = 3, **settings: Any
) -> tuple[Any, Any]:
    network = network or fresh()
    options: dict[str, Any] = {"accelerator": "cpu", "checkpoint_every": 2, **settings}
    return network, train(network, images(), recipe, folder=folder, seed=seed, **options)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


def stop_at(step: int, error: BaseException) -> Report:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise error

    return report
