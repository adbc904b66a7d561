"""The ANN twin of SDID: same convolutions and skip, ReLU, one step."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .absorbing import hide
from .sdid import Denoiser, SDIDConfig, one_hot


class ANNDenoiser(Denoiser):
    """Denoiser with the layers of :class:`~.sdid.SDID`."""

    def __init__(self, config: SDIDConfig) -> None:
        super().__init__(config)
        widths = (config.codes + 1, *config.channels)
        layers = [
            nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())
            for cin, cout in itertools.pairwise(widths)
        ]
        self.first, self.others = layers[0], nn.Sequential(*layers[1:])
        self.head = nn.Conv2d(config.channels[-1] + config.channels[0], config.codes, 3, padding=1)

    def evaluate(self, grid: Tensor) -> Tensor:
        """Logits (N, K, h, w) of one-hot grids (N, K + 1, h, w); this is the ANN baseline whose operations count."""
        first = self.first(grid)
        logits: Tensor = self.head(torch.cat([self.others(first), first], 1))
        return logits

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (N, K, h, w) of grids (N, h, w), int64, with ``codes`` where hidden."""
        return self.evaluate(one_hot(tokens, self.config.codes))

    def losses(self, tokens: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; there are no spikes to penalise."""
        hidden, time = hide(tokens, self.config.codes)
        found = self.bits(self(hidden), tokens, hidden, time)
        return {"total": found["bits"], **found}
