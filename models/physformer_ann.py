"""The conventional twin: PhysFormer's layers (Yu et al., arXiv 2111.12082) between the same embedding and predictor.

Softmax attention whose queries and keys come from temporal difference convolutions, then an MLP with a depthwise
convolution over space and time; a residual around each, a normalisation ahead of each.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .physformer_host import PatchEmbedding, Predictor
from .physformer_layout import PhysFormerConfig
from .pulse_losses import PulseLoss
from .pulse_network import PulseNetwork
from .temporal_difference import TemporalDifferenceConv3d

SHARPNESS = 2.0  # what scores are divided by ahead of the softmax
HIDDEN = 1.5  # hidden channels of the MLP over those of a token


class TransformerLayer(nn.Module):
    """One of PhysFormer's layers: attention, then an MLP."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        width, hidden = config.width, int(config.width * HIDDEN)
        self.heads, self.shape = config.heads, config.grid
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Sequential(TemporalDifferenceConv3d(width, width), nn.BatchNorm3d(width))
        self.key = nn.Sequential(TemporalDifferenceConv3d(width, width), nn.BatchNorm3d(width))
        self.value = nn.Conv3d(width, width, 1, bias=False)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Conv3d(width, hidden, 1, bias=False), nn.BatchNorm3d(hidden), nn.ELU(),
            nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm3d(hidden), nn.ELU(),
            nn.Conv3d(hidden, width, 1, bias=False), nn.BatchNorm3d(width),
        )  # fmt: skip

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, count, width) to the same."""
        tokens = tokens + self.project(self._attend(self._grid(self.norm1(tokens))))
        return tokens + self.mlp(self._grid(self.norm2(tokens))).flatten(2).transpose(1, 2)

    def _grid(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).unflatten(2, self.shape)

    def _attend(self, grid: Tensor) -> Tensor:
        query, key, value = (
            layer(grid).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.softmax(query @ key.transpose(2, 3) / SHARPNESS, -1) @ value
        return mixed.transpose(1, 2).flatten(2)


class PhysFormer(PulseNetwork):
    """The twin: as many layers as the spiking network has blocks."""

    def __init__(self, config: PhysFormerConfig, criterion: PulseLoss | None = None) -> None:
        super().__init__(config, criterion)
        self.embedding = PatchEmbedding(config)
        self.layers = nn.Sequential(*(TransformerLayer(config) for _ in range(config.blocks)))
        self.predictor = Predictor(config)

    def predict(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waves (N, frames); nothing spikes."""
        tokens = self.layers(self.embedding(clips.float()).flatten(2).transpose(1, 2))
        wave: Tensor = self.predictor(tokens.transpose(1, 2).unflatten(2, self.config.grid))
        return wave, {}
