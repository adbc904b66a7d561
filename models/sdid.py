"""SDID: the spiking denoiser of Spiking-Diffusion (Liu et al., arXiv 2308.10187), which predicts hidden tokens.

Convolutions with batch normalisation and hard reset LIF neurons on the token grid, one skip from the first layer to
the head, logits from the mean over time. Where the authors' code feeds a token's number and the diffusion time as
magnitudes, here each token is a spike on a channel of its own: numbers of codes have no order, and a spike per position
and step is what a chip takes. The time is no input; how much is hidden says as much (Bond-Taylor et al. 2022 ignore it
as well). There is no position embedding either: the zero padding shows where the border is, as published.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import snntorch as snn
import torch
from torch import Tensor, nn

from .absorbing import hide, reweighted_bits
from .block import SpikingBlock
from .spike_losses import mean_rate
from .vq_svae import lif_block


@dataclass(frozen=True)
class SDIDConfig:
    """Size of a denoiser.

    Attributes
    ----------
    codes : int
        Tokens ``K``; token ``K`` stands for hidden.
    grid : tuple of int
        Height and width of the token grid.
    channels : tuple of int
        Channels of the spiking layers; the head sees the last and the first.
    timesteps : int
        Steps a grid is presented for; the ReLU twin has one.
    """

    codes: int = 64
    grid: tuple[int, int] = (7, 7)
    channels: tuple[int, ...] = (48, 96, 128, 96)
    timesteps: int = 4


#: The published size and those that train on a processor.
SIZES: dict[str, SDIDConfig] = {
    "XS": SDIDConfig(codes=32, grid=(4, 4), channels=(32, 64, 32)),
    "S": SDIDConfig(),
    "M": SDIDConfig(channels=(64, 96, 128, 192, 128)),
    "paper": SDIDConfig(codes=128, channels=(64, 128, 256, 512, 256), timesteps=16),
}


def one_hot(tokens: Tensor, codes: int) -> Tensor:
    """A channel for each token and one for hidden: grids (N, h, w) to 0/1 floats (N, K + 1, h, w)."""
    return nn.functional.one_hot(tokens, codes + 1).movedim(-1, 1).float()


class Denoiser(nn.Module):
    """What the spiking and the ReLU denoiser share: objective and training input; ``forward`` yields logits."""

    def __init__(self, config: SDIDConfig) -> None:
        super().__init__()
        self.config = config

    def corrupt(self, tokens: Tensor) -> Tensor:
        """Grids (N, h, w) as training shows them, with positions hidden at random."""
        return hide(tokens, self.config.codes)[0]

    def bits(self, logits: Tensor, tokens: Tensor, hidden: Tensor, time: Tensor) -> dict[str, Tensor]:
        """The objective in bits a token, and the share of hidden positions that are right."""
        asked = hidden != tokens
        right = ((logits.argmax(1) == tokens) & asked).sum() / asked.sum().clamp_min(1)
        return {"bits": reweighted_bits(logits, tokens, hidden, time), "accuracy": right}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate, as published."""
        return [{"params": list(self.parameters()), "lr": lr}]


class SDID(Denoiser):
    """Spiking denoiser: :meth:`forward` takes whole sequences, :meth:`step` one time step with hidden state."""

    def __init__(self, config: SDIDConfig) -> None:
        super().__init__(config)
        widths = (config.codes + 1, *config.channels)
        self.names = [f"s{i + 1}" for i in range(len(config.channels))]
        for name, (cin, cout) in zip(self.names, itertools.pairwise(widths), strict=True):
            self.add_module(name, lif_block(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout)))
        self.head = nn.Conv2d(config.channels[-1] + config.channels[0], config.codes, 3, padding=1)
        self.readout = snn.Leaky(beta=1.0, reset_mechanism="none", init_hidden=True, output=True)

    def blocks(self) -> Iterator[SpikingBlock]:
        """Spiking layers in order of evaluation."""
        for name in self.names:
            block = self.get_submodule(name)
            assert isinstance(block, SpikingBlock)
            yield block

    def spikes(self, tokens: Tensor) -> dict[str, Tensor]:
        """Spikes (T, N, C, h, w) by layer of grids (N, h, w), ``codes`` where hidden."""
        rasters: dict[str, Tensor] = {}
        x = one_hot(tokens, self.config.codes)
        for index, (name, block) in enumerate(zip(self.names, self.blocks(), strict=True)):
            x = block.static_sequence(x, self.config.timesteps) if index == 0 else block.sequence(x)
            rasters[name] = x
        return rasters

    def logits(self, spikes: dict[str, Tensor]) -> Tensor:
        """Logits (N, K, h, w): the head is linear, so it sees the spikes' mean over time once."""
        last, first = spikes[self.names[-1]], spikes[self.names[0]]
        logits: Tensor = self.head(torch.cat([last.mean(0), first.mean(0)], 1))
        return logits

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (N, K, h, w) of grids (N, h, w), int64, with ``codes`` where hidden."""
        return self.logits(self.spikes(tokens))

    def step(self, grid: Tensor) -> Tensor:
        """One time step: the one-hot grid (N, K + 1, h, w) to logits summed so far (N, K, h, w).

        After the last step, the sum over T of what :meth:`forward` yields; the host divides by T.
        """
        x = grid
        first: Tensor | None = None
        for block in self.blocks():
            x = block(x)
            first = x if first is None else first
        assert first is not None
        _, summed = self.readout(self.head(torch.cat([x, first], 1)))
        return summed

    def losses(self, tokens: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        tokens : Tensor
            Grids (N, h, w), int64.
        rate_penalty : float
            Weight of the mean firing rate over all spiking neurons; 0 is the published loss.
        """
        hidden, time = hide(tokens, self.config.codes)
        spikes = self.spikes(hidden)
        found = self.bits(self.logits(spikes), tokens, hidden, time)
        rate = mean_rate(list(spikes.values()))
        return {"total": found["bits"] + rate_penalty * rate, **found, "rate": rate}
