"""ESVAE: spiking variational autoencoder with a Poisson latent (Zhan et al., arXiv 2310.14839).

Direct coding (the same image at every step), stride-2 convolutions with threshold-dependent batch normalisation, hard
reset LIF neurons, a latent of firing rates resampled as Bernoulli spike trains, a learned prior, transposed
convolutions, and a leaky membrane read-out followed by tanh.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import snntorch as snn
import torch
from torch import Tensor, nn

from .block import SpikingBlock
from .latent import PoissonLatent, RatePrior, squared_mmd
from .neurons import Leaky

BETA = 0.25  # membrane decay of every spiking layer
THRESHOLD = 0.2
SURROGATE_WINDOW = (
    -0.7,
    0.3,
)  # |u| < 0.5, centred on u = 0 and not on the threshold, as the authors train it
READOUT_BETA = 0.8  # inherited by the authors from FSVAE
MMD_WEIGHT = 1e-3


@dataclass(frozen=True)
class ESVAEConfig:
    """Size of an ESVAE.

    Attributes
    ----------
    image : tuple of int
        Height and width in pixels; each a multiple of ``2 ** len(channels)``.
    in_channels : int
        Image channels.
    channels : tuple of int
        Channels of the stride-2 encoder stages; the decoder mirrors them.
    latent : int
        Length of the latent spike vector.
    timesteps : int
        Steps a sample is presented for.
    """

    image: tuple[int, int] = (32, 32)
    in_channels: int = 1
    channels: tuple[int, ...] = (8, 16, 32, 64)
    latent: int = 32
    timesteps: int = 8

    def __post_init__(self) -> None:
        stride = 2 ** len(self.channels)
        if any(side % stride or side < stride for side in self.image):
            raise ValueError(
                f"image size {self.image[0]}x{self.image[1]}: {len(self.channels)} stride-2 stages "
                f"need each side to be a multiple of {stride}"
            )

    @property
    def bottom(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of the deepest feature map."""
        stride = 2 ** len(self.channels)
        return self.channels[-1], self.image[0] // stride, self.image[1] // stride


#: The published size and the two that train on a processor.
SIZES: dict[str, ESVAEConfig] = {
    "XS": ESVAEConfig(image=(16, 16), channels=(4, 8, 16), latent=16, timesteps=4),
    "S": ESVAEConfig(),
    "paper": ESVAEConfig(channels=(32, 64, 128, 256), timesteps=16),
}


def _block(affine: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d, *reshape: nn.Module) -> SpikingBlock:
    # tdBN scales the normalised current to the threshold; as the initial weight it enters exactly once.
    return SpikingBlock(affine, norm, Leaky(BETA, THRESHOLD, SURROGATE_WINDOW), THRESHOLD, *reshape)


@dataclass
class Reconstruction:
    """What a forward pass yields.

    Attributes
    ----------
    images : Tensor
        Reconstructed images (N, C, H, W) in [-1, 1].
    rates : Tensor
        Posterior rates (N, d), multiples of 1/T.
    spikes : dict of str to Tensor
        Spikes (T, N, ...) by layer name.
    """

    images: Tensor
    rates: Tensor
    spikes: dict[str, Tensor]


class ESVAE(nn.Module):
    """Spiking VAE with a Poisson latent.

    Two orders of evaluation over the same modules: :meth:`forward` takes whole sequences layer by layer (training),
    :meth:`step` takes one time step through all layers with snnTorch's hidden state (deployment; the latent spikes
    pass through).
    """

    def __init__(self, config: ESVAEConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.in_channels, *config.channels)
        depth = len(config.channels)
        flat = config.bottom[0] * config.bottom[1] * config.bottom[2]
        self.encoder_names = [f"e{i + 1}" for i in range(depth + 1)]
        self.decoder_names = [f"d{i}" for i in range(depth + 1)]
        for name, (cin, cout) in zip(self.encoder_names, itertools.pairwise(widths), strict=False):
            block = _block(nn.Conv2d(cin, cout, 3, stride=2, padding=1), nn.BatchNorm2d(cout))
            self.add_module(name, block)
        to_latent = nn.Sequential(nn.Flatten(), nn.Linear(flat, config.latent))
        self.add_module(self.encoder_names[-1], _block(to_latent, nn.BatchNorm1d(config.latent)))
        self.sampler = PoissonLatent()
        self.prior = RatePrior(config.latent)
        from_latent = _block(
            nn.Linear(config.latent, flat), nn.BatchNorm1d(flat), nn.Unflatten(1, config.bottom)
        )
        self.add_module("d0", from_latent)
        down = (*reversed(config.channels), config.channels[0])
        for name, (cin, cout) in zip(self.decoder_names[1:], itertools.pairwise(down), strict=True):
            up = nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1)
            self.add_module(name, _block(up, nn.BatchNorm2d(cout)))
        self.head = nn.ConvTranspose2d(config.channels[0], config.in_channels, 3, padding=1)
        self.readout = snn.Leaky(beta=READOUT_BETA, reset_mechanism="none", init_hidden=True, output=True)

    def blocks(self, names: list[str]) -> Iterator[tuple[str, SpikingBlock]]:
        """Blocks by name, in order of evaluation."""
        for name in names:
            block = self.get_submodule(name)
            assert isinstance(block, SpikingBlock)
            yield name, block

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Spikes (T, N, ...) of each encoder layer for images (N, C, H, W) in [-1, 1]."""
        spikes: dict[str, Tensor] = {}
        x = images
        for index, (name, block) in enumerate(self.blocks(self.encoder_names)):
            x = block.static_sequence(x, self.config.timesteps) if index == 0 else block.sequence(x)
            spikes[name] = x
        return spikes

    def decode(self, latent: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Images (N, C, H, W) and decoder spikes for latent spikes (T, N, d)."""
        spikes: dict[str, Tensor] = {}
        x = latent
        for name, block in self.blocks(self.decoder_names):
            x = block.sequence(x)
            spikes[name] = x
        # The head is linear, so the leaky sum over time may be taken before it: one evaluation instead of T.
        steps = torch.arange(x.shape[0] - 1, -1, -1, device=x.device, dtype=x.dtype)
        weights = READOUT_BETA**steps
        membrane = self.head(torch.einsum("t,t...->...", weights, x))
        if self.head.bias is not None:
            membrane = membrane + (weights.sum() - 1) * self.head.bias[:, None, None]
        return torch.tanh(membrane), spikes

    def forward(self, images: Tensor, sample: bool = True) -> Reconstruction:
        """Reconstruct images (N, C, H, W); ``sample=False`` passes the encoder's own spikes to the decoder."""
        encoded = self.encode(images)
        latent = encoded[self.encoder_names[-1]]
        rates = latent.mean(0)
        decoded, spikes = self.decode(self.sampler(latent) if sample else latent)
        return Reconstruction(decoded, rates, {**encoded, **spikes})

    def generate(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Images (count, C, H, W) from the learned prior."""
        rates = self.prior(count, generator)
        device = rates.device
        noise = torch.rand(self.config.timesteps, *rates.shape, generator=generator, device=device)
        images, _ = self.decode((noise < rates).to(rates.dtype))
        return images

    def step(self, image: Tensor) -> Tensor:
        """One time step: image (N, C, H, W) to the image read out so far (N, C, H, W)."""
        x = image
        for _, block in self.blocks(self.encoder_names):
            x = block(x)
        x = self.sampler.relay(x)
        for _, block in self.blocks(self.decoder_names):
            x = block(x)
        _, membrane = self.readout(self.head(x))
        return torch.tanh(membrane)

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        images : Tensor
            Batch (N, C, H, W) in [-1, 1].
        rate_penalty : float
            Weight of the mean firing rate over all spiking neurons.
        """
        out = self(images)
        mse = nn.functional.mse_loss(out.images, images)
        mmd = squared_mmd(out.rates, self.prior(images.shape[0]))
        neurons = sum(s[0, 0].numel() for s in out.spikes.values())
        rate = torch.stack([s.mean() * (s[0, 0].numel() / neurons) for s in out.spikes.values()]).sum()
        total = mse + MMD_WEIGHT * mmd + rate_penalty * rate
        return {"total": total, "mse": mse, "mmd": mmd, "rate": rate}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """Parameters with their learning rates: the prior learns ten times faster, as published."""
        prior = list(self.prior.parameters())
        known = {id(p) for p in prior}
        return [
            {"params": [p for p in self.parameters() if id(p) not in known], "lr": lr},
            {"params": prior, "lr": 10 * lr},
        ]
