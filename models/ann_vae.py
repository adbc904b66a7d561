"""The ANN twin of ESVAE: same topology, ReLU, one step, Gaussian latent; and the autoencoder behind FAD."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .esvae import ESVAEConfig, Reconstruction

KL_WEIGHT = 1e-3


def _encoder(config: ESVAEConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (config.in_channels, *config.channels)
    for cin, cout in itertools.pairwise(widths):
        layers += [nn.Conv2d(cin, cout, 3, stride=2, padding=1), nn.BatchNorm2d(cout), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())


def _decoder(config: ESVAEConfig) -> nn.Sequential:
    flat = config.bottom[0] * config.bottom[1] * config.bottom[2]
    layers: list[nn.Module] = [
        nn.Linear(config.latent, flat), nn.BatchNorm1d(flat), nn.ReLU(), nn.Unflatten(1, config.bottom)
    ]  # fmt: skip
    widths = (*reversed(config.channels), config.channels[0])
    for cin, cout in itertools.pairwise(widths):
        up = nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1)
        layers += [up, nn.BatchNorm2d(cout), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.ConvTranspose2d(config.channels[0], config.in_channels, 3, padding=1), nn.Tanh()
    )


class Autoencoder(nn.Module):
    """Deterministic convolutional autoencoder; its latent is the feature space of the Frechet autoencoder distance.

    Parameters
    ----------
    config : ESVAEConfig
        Topology; the number of time steps is not used.
    """

    def __init__(self, config: ESVAEConfig) -> None:
        super().__init__()
        self.config = config
        flat = config.bottom[0] * config.bottom[1] * config.bottom[2]
        self.encoder = _encoder(config)
        self.mean = nn.Linear(flat, config.latent)
        self.decoder = _decoder(config)

    def features(self, images: Tensor) -> Tensor:
        """Latent vectors (N, d) of images (N, C, H, W) in [-1, 1]."""
        features: Tensor = self.mean(self.encoder(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images deterministically; this is the network whose operations are the ANN baseline."""
        decoded: Tensor = self.decoder(self.features(images))
        return decoded

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Reconstruction error of a batch; there are no spikes to penalise."""
        mse = nn.functional.mse_loss(self(images), images)
        return {"total": mse, "mse": mse}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate."""
        return [{"params": list(self.parameters()), "lr": lr}]


class ANNVAE(Autoencoder):
    """Variational autoencoder with ESVAE's topology; :meth:`forward` decodes the posterior mean."""

    def __init__(self, config: ESVAEConfig) -> None:
        super().__init__(config)
        flat = config.bottom[0] * config.bottom[1] * config.bottom[2]
        self.log_variance = nn.Linear(flat, config.latent)

    def sample_posterior(self, images: Tensor) -> tuple[Reconstruction, Tensor]:
        """Reconstruction through a sampled latent, and the KL divergence to the standard normal, in nats an image."""
        hidden = self.encoder(images)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        latent = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
        return Reconstruction(self.decoder(latent), mean, {}), divergence

    def generate(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Images (count, C, H, W) decoded from the standard normal prior."""
        weight = self.mean.weight
        noise = torch.randn(count, self.config.latent, generator=generator, device=weight.device)
        images: Tensor = self.decoder(noise)
        return images

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Reconstruction error plus weighted KL divergence."""
        out, divergence = self.sample_posterior(images)
        mse = nn.functional.mse_loss(out.images, images)
        return {"total": mse + KL_WEIGHT * divergence, "mse": mse, "kl": divergence}
