"""What the spiking and the ReLU vector-quantised autoencoder share: size, codebook, scale of the losses, tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .codebook import Codebook, Quantised, Start, perplexity


@dataclass(frozen=True)
class VQConfig:
    """Size of a vector-quantised autoencoder.

    Attributes
    ----------
    image : tuple of int
        Height and width in pixels; each a multiple of ``2 ** len(channels)``.
    in_channels : int
        Image channels.
    channels : tuple of int
        Channels of the stride-2 encoder stages; the decoder mirrors them.
    dim : int
        Length of a code vector.
    codes : int
        Vectors in the codebook.
    timesteps : int
        Steps an image is presented for; the ReLU twin has one.
    start : Start
        How the codes come into use.
    """

    image: tuple[int, int] = (28, 28)
    in_channels: int = 1
    channels: tuple[int, ...] = (16, 32)
    dim: int = 16
    codes: int = 64
    timesteps: int = 8
    start: Start = field(default_factory=Start)

    def __post_init__(self) -> None:
        stride = 2 ** len(self.channels)
        if any(side % stride or side < stride for side in self.image):
            raise ValueError(
                f"image size {self.image[0]}x{self.image[1]}: {len(self.channels)} stride-2 stages "
                f"need each side to be a multiple of {stride}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the token grid."""
        stride = 2 ** len(self.channels)
        return self.image[0] // stride, self.image[1] // stride


#: The published size and those that train on a processor.
SIZES: dict[str, VQConfig] = {
    "XS": VQConfig(image=(16, 16), channels=(8, 16), dim=8, codes=32, timesteps=4),
    "S": VQConfig(),
    "M": VQConfig(channels=(24, 48)),
    "paper": VQConfig(channels=(32, 64), codes=128, timesteps=16),
}


def encoder_maps(config: VQConfig) -> list[tuple[str, nn.Module, nn.BatchNorm2d]]:
    """Convolutions of the encoder with their normalisations, by layer name."""
    widths = (config.in_channels, *config.channels)
    maps: list[tuple[str, nn.Module, nn.BatchNorm2d]] = [
        (f"e{i + 1}", nn.Conv2d(cin, cout, 3, stride=2, padding=1), nn.BatchNorm2d(cout))
        for i, (cin, cout) in enumerate(itertools.pairwise(widths))
    ]
    last = nn.Conv2d(widths[-1], config.dim, 1)
    return [*maps, (f"e{len(widths)}", last, nn.BatchNorm2d(config.dim))]


def decoder_maps(config: VQConfig) -> list[tuple[str, nn.Module, nn.BatchNorm2d]]:
    """Map of the code vectors, then the transposed convolutions of the decoder, by layer name."""
    widths = (config.dim, *reversed(config.channels))
    first = nn.Conv2d(config.dim, config.dim, 1)
    return [("g", first, nn.BatchNorm2d(config.dim))] + [
        (
            f"d{i + 1}",
            nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(cout),
        )
        for i, (cin, cout) in enumerate(itertools.pairwise(widths))
    ]


class VectorQuantised(nn.Module):
    """Base of both autoencoders.

    Images are in [-1, 1], as everywhere in the package, and so is the tanh that reads them out. The published code
    feeds and reads out [-0.5, 0.5], so that its tanh ends far from saturation. The reconstruction loss is divided by
    the variance of the training pixels, so its weight against the other losses is the published one in either range.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.codebook = Codebook(config.codes, config.dim, config.start)
        self.pixel_variance: Tensor
        self.register_buffer("pixel_variance", torch.zeros(()))

    def measure(self, images: Tensor) -> None:
        """Take the scale of the reconstruction loss from the training images, before training."""
        self.pixel_variance.copy_(images.var(correction=0))

    def reconstruction_losses(self, made: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Squared error over the variance of the training pixels, and the plain one.

        Raises
        ------
        ValueError
            The variance was not measured.
        """
        if float(self.pixel_variance) <= 0:
            raise ValueError("pixel variance unknown; call measure(training images) before training")
        mse = nn.functional.mse_loss(made, images)
        return {"rec": mse / self.pixel_variance, "mse": mse}

    def quantise(self, z: Tensor) -> Quantised:
        """Quantise in a loss: training moves the codebook's own state on, evaluation does not."""
        step: Callable[[Tensor], Quantised] = self.codebook.train_step if self.training else self.codebook
        return step(z)

    def usage(self, tokens: Tensor) -> dict[str, Tensor]:
        """How well a batch uses the codebook."""
        value, used = perplexity(tokens, self.config.codes)
        return {"perplexity": value, "used": used}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate, as published."""
        return [{"params": list(self.parameters()), "lr": lr}]
