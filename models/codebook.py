"""The codebook of a vector-quantised autoencoder, started from the data so that its codes come into use.

The published codes start from a standard normal, far from what an encoder of spikes puts out, and most of them are
never chosen. Here the first iterations pass without a quantiser, the codes are then drawn from encoder outputs, and
those that nothing chose are drawn again a few times. The state of all that is in buffers, so that an interrupted
training continues to the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

COMMITMENT = 0.25


@dataclass(frozen=True)
class Start:
    """How the codes come into use.

    Attributes
    ----------
    warmup : int
        Iterations without a quantiser; the codes are drawn after them.
    reseed_every, reseed_until : int
        Unused codes are drawn anew every so many iterations, up to and including the last one named.
    """

    warmup: int = 60
    reseed_every: int = 100
    reseed_until: int = 800


@dataclass(frozen=True)
class Quantised:
    """What the quantiser hands on.

    Attributes
    ----------
    vectors : Tensor
        Code vectors (N, D, h, w); the gradient passes straight through to the encoder.
    tokens : Tensor
        Their numbers (N, h, w), int64.
    loss : Tensor
        Distance of the codes from the encoder's outputs, plus the commitment of the encoder to its codes.
    """

    vectors: Tensor
    tokens: Tensor
    loss: Tensor


class Codebook(nn.Module):
    """``K`` vectors of length ``D``; a vector is replaced by the nearest one.

    Parameters
    ----------
    codes, dim : int
        ``K`` and ``D``.
    """

    def __init__(self, codes: int, dim: int, start: Start) -> None:
        super().__init__()
        self.start = start
        self.vectors = nn.Parameter(torch.randn(codes, dim))
        self.iteration: Tensor
        self.usage: Tensor
        self.register_buffer("iteration", torch.zeros((), dtype=torch.int64))
        self.register_buffer("usage", torch.zeros(codes, dtype=torch.int64))

    def nearest(self, z: Tensor) -> Tensor:
        """Numbers (N, h, w) of the codes nearest to (N, D, h, w); the first of several."""
        # |z - e|^2 without |z|^2, which is the same for all codes.
        distance = self.vectors.square().sum(1)[:, None, None] - 2 * torch.einsum(
            "ndhw,kd->nkhw", z, self.vectors
        )
        return distance.argmin(1)

    def lookup(self, tokens: Tensor) -> Tensor:
        """Vectors (N, D, h, w) of tokens (N, h, w)."""
        return self.vectors[tokens].permute(0, 3, 1, 2)

    def forward(self, z: Tensor) -> Quantised:
        """Quantise encoder outputs (N, D, h, w)."""
        tokens = self.nearest(z.detach())
        vectors = self.lookup(tokens)
        loss = (vectors - z.detach()).square().mean() + COMMITMENT * (z - vectors.detach()).square().mean()
        # The order of operations leaves the vectors as they are to the last bit: a rounded one could flip a spike.
        return Quantised(vectors.detach() + (z - z.detach()), tokens, loss)

    def train_step(self, z: Tensor) -> Quantised:
        """As :meth:`forward`, for one iteration of training; warms up, draws and draws again as it is due."""
        done = int(self.iteration)
        self.iteration += 1
        if done < self.start.warmup:
            # No code has a gradient yet, yet the optimiser's state is to be whole at any checkpoint.
            return Quantised(z, self.nearest(z.detach()), 0.0 * self.vectors.sum())
        if done == self.start.warmup:
            self._draw(torch.ones_like(self.usage, dtype=torch.bool), z.detach())
        elif done <= self.start.reseed_until and done % self.start.reseed_every == 0:
            self._draw(self.usage == 0, z.detach())
        quantised = self(z)
        self.usage += torch.bincount(quantised.tokens.flatten(), minlength=len(self.usage))
        return quantised

    @torch.no_grad()
    def _draw(self, replaced: Tensor, z: Tensor) -> None:
        """Put encoder outputs in the place of some codes, and count usage from zero."""
        # Distinct ones: most of an image is background, and of equal codes only the first is ever chosen.
        found = z.permute(0, 2, 3, 1).flatten(0, 2).unique(dim=0)
        wanted = int(replaced.sum())
        order = torch.randperm(len(found), device=found.device).repeat(-(-wanted // len(found)))
        self.vectors[replaced] = found[order[:wanted]]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(self.vectors.data, 0)  # each process has drawn from its own images
        self.usage.zero_()


def perplexity(tokens: Tensor, codes: int) -> tuple[Tensor, Tensor]:
    """Exponential of the entropy of tokens of any shape, and how many different ones there are.

    Returns
    -------
    perplexity, used : Tensor
        Scalars; the former is ``codes`` where all are equally frequent.
    """
    counts = torch.bincount(tokens.flatten(), minlength=codes).double()
    share = counts / counts.sum()
    return torch.special.entr(share).sum().exp(), (counts > 0).sum()
