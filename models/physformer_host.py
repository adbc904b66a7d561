"""What of a PhysFormer stays on the host: patch embedding ahead of the transformer, and the predictor behind it.

Layers and widths are PhysFormer's (Yu et al., arXiv 2111.12082), with one normalisation more: of the embedding, so that
the spiking neurons that it feeds start from a known range.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .physformer_layout import PATCH_FRAMES, PhysFormerConfig


class Stage(nn.Module):
    """Convolution, normalisation, halving, ReLU (which may follow the pool, as both only compare).

    Parameters
    ----------
    inner, outer : int
        Channels.
    kernel : tuple of int
        Frames, height and width, all odd.
    """

    def __init__(self, inner: int, outer: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        frames, height, width = (side // 2 for side in kernel)
        self.conv = nn.Conv3d(inner, outer, kernel, padding=(frames, height, width), bias=False)
        self.norm = nn.BatchNorm3d(outer)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, inner, T, H, W) to (N, outer, T, H / 2, W / 2)."""
        found: Tensor = self.norm(self.conv(clips))
        whole = self.training or torch.onnx.is_in_onnx_export()
        return F.relu(F.max_pool3d(found, (1, 2, 2)) if whole else _halved(found))


def _halved(frames: Tensor) -> Tensor:
    """``max_pool3d`` over 2 x 2 pixels, value for value, in a ninth to a half of its time on a CPU."""
    rows = torch.maximum(frames[..., 0:-1:2, :], frames[..., 1::2, :])
    return torch.maximum(rows[..., 0:-1:2], rows[..., 1::2])


class PatchEmbedding(nn.Module):
    """Three halving stages, then one vector a patch, normalised.

    In the deployment variant no stage looks beyond a frame; in the published one, the second and the third do.
    """

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        quarter, half, width = config.width // 4, config.width // 2, config.width
        frames = 1 if config.variant == "deployment" else 3
        self.stem = nn.Sequential(
            Stage(3, quarter, (1, 5, 5)),
            Stage(quarter, half, (frames, 3, 3)),
            Stage(half, width, (frames, 3, 3)),
        )
        patch = (PATCH_FRAMES, *config.patch)
        self.patches = nn.Conv3d(width, width, patch, stride=patch, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, 3, frames, H, W) to embeddings (N, width, tokens in time, height and width)."""
        out: Tensor = self.norm(self.patches(self.stem(clips)))
        return out


class Predictor(nn.Module):
    """From what the transformer says of each token to a wave of one value a frame."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        width, half = config.width, config.width // 2
        self.first = _upsampling(width, width)
        self.second = _upsampling(width, half)
        self.out = nn.Conv1d(half, 1, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, width, tokens in time, height and width) to waves (N, frames)."""
        wave: Tensor = self.out(self.second(self.first(tokens)).mean((3, 4)))
        return wave.squeeze(1)


def _upsampling(inner: int, outer: int) -> nn.Sequential:
    """Twice the time slices, then a convolution over three of them."""
    return nn.Sequential(
        nn.Upsample(scale_factor=(2, 1, 1)),
        nn.Conv3d(inner, outer, (3, 1, 1), padding=(1, 0, 0)),
        nn.BatchNorm3d(outer),
        nn.ELU(),
    )
