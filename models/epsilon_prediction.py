"""Learning to tell the noise in an image: the objective of DDPM (Ho et al., arXiv 2006.11239, eq. 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .draws import Purpose, normals, uniforms
from .noise_schedule import NoiseSchedule
from .spike_losses import mean_rate
from .unet_layout import UNetConfig

#: Noise (N, C, H, W) in images (N, C, H, W) at an index of the diffusion, or at one each (N,), whoever tells it.
NoisePredictor: TypeAlias = Callable[[NDArray[np.float64], int | NDArray[np.int64]], NDArray[np.float64]]


class EpsilonPrediction(nn.Module):
    """What the spiking U-Net and its ANN twin share; ``forward(images, times)`` predicts the noise.

    What they tell is the noise, or a velocity that it follows from, as their configuration says.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        schedule = NoiseSchedule(config.diffusion_steps)
        self.kept: Tensor
        self.added: Tensor
        # No weights: they follow from the configuration, and no checkpoint needs them.
        for name, table in (("kept", schedule.alpha_bar), ("added", 1 - schedule.alpha_bar)):
            self.register_buffer(name, torch.from_numpy(np.sqrt(table)).float(), persistent=False)

    def noisy(self, images: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Images (N, C, H, W) after the steps up to ``times`` (N,): ``sqrt(abar) x + sqrt(1 - abar) noise``."""
        kept, added = self._shares(times)
        return kept * images + added * noise

    def aim(self, images: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """What should be told (N, C, H, W) of images (N, C, H, W) that are seen with a noise at indices (N,)."""
        if self.config.prediction == "noise":
            return noise
        kept, added = self._shares(times)
        return kept * noise - added * images

    @property
    def noise_tables(self) -> dict[str, Tensor]:
        """What the noise has of the image as it is seen and of what is told, (steps,) each; empty where it is told itself."""
        return {} if self.config.prediction == "noise" else {"of_seen": self.added, "of_told": self.kept}

    def noise_in(self, seen: Tensor, times: Tensor, told: Tensor) -> Tensor:
        """Noise (N, C, H, W) in images as they are seen at indices (N,), from what was told of them."""
        shares = {name: table[times][:, None, None, None] for name, table in self.noise_tables.items()}
        return shares["of_seen"] * seen + shares["of_told"] * told if shares else told

    def _shares(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Of the image and of the noise in what is seen."""
        kept, added = (table[times][:, None, None, None] for table in (self.kept, self.added))
        return kept, added

    def corrupt(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images as training shows them, at indices drawn uniformly, and these indices (N,)."""
        return self.draw(images)[:2]

    def draw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images as training shows them, at indices drawn uniformly, these indices (N,), and the noise in them."""
        times = torch.randint(len(self.kept), (len(images),), device=images.device)
        noise = torch.randn_like(images)
        return self.noisy(images, times, noise), times, noise

    def predict(self, images: Tensor, times: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What is told of images (N, C, H, W) at indices (N,), and spikes (T, N, ...) by population, if there are any."""
        raise NotImplementedError

    def forward(self, images: Tensor, times: Tensor) -> Tensor:
        """Noise (N, C, H, W) in images (N, C, H, W) at indices (N,), int64."""
        return self.noise_in(images, times, self.predict(images, times)[0])

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        images : Tensor
            Batch (N, C, H, W) in [-1, 1].
        rate_penalty : float
            Weight of the mean firing rate over all spiking neurons; 0 is the published loss.
        """
        seen, times, noise = self.draw(images)
        told, spikes = self.predict(seen, times)
        error = (told - self.aim(images, times, noise)).square().mean()
        if not spikes:
            return {"total": error, "mse": error}
        rate = mean_rate(list(spikes.values()))
        return {"total": error + rate_penalty * rate, "mse": error, "rate": rate}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate, as published."""
        return [{"params": list(self.parameters()), "lr": lr}]


def predictor(network: EpsilonPrediction) -> NoisePredictor:
    """What a sampler asks, answered by a network in evaluation mode."""
    device = network.kept.device

    def predict(images: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float64]:
        times = torch.from_numpy(np.full(len(images), time, np.int64)).to(device)
        with torch.no_grad():
            told = network(torch.from_numpy(images).float().to(device), times)
        return np.asarray(told.cpu().numpy(), np.float64)

    return predict


def held_out_error(
    predict: NoisePredictor,
    images: NDArray[np.floating],
    schedule: NoiseSchedule,
    *,
    seed: int = 0,
    parts: int = 20,
    batch: int = 100,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> float:
    """Mean squared error of the noise in images (N, C, H, W) that training did not show.

    Image k is seen at a random index out of its own ``1 / parts`` of the diffusion, in turn, so that all of it counts
    alike and few images do; noise and indices follow from the seed and the image's number. ``batch`` images are seen at
    once, and ``report`` is told how many of how many were.
    """
    numbers = np.arange(len(images))
    chance = uniforms(seed, Purpose.STAGE, numbers, 1)[:, 0]
    times = np.floor((numbers % parts + chance) / parts * schedule.steps).astype(np.int64)
    left = schedule.alpha_bar[times][:, None, None, None]
    total = 0.0
    for start in range(0, len(images), batch):
        some = slice(start, start + batch)
        drawn = normals(seed, Purpose.NOISE, numbers[some], images[0].size).reshape(images[some].shape)
        told = predict(np.sqrt(left[some]) * images[some] + np.sqrt(1 - left[some]) * drawn, times[some])
        total += float(np.square(told - drawn).sum())
        report(min(start + batch, len(images)), len(images))
    return total / images.size
