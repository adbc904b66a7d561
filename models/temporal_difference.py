"""Temporal difference convolution of PhysFormer (Yu et al., arXiv 2111.12082), and the plain one that it equals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THETA = 0.7  # share of the difference, as PhysFormer was trained


class TemporalDifferenceConv3d(nn.Conv3d):
    """``conv(x, w) - theta * conv(x, d)`` over (time, height, width), kernel 3, sides kept, no bias.

    ``d`` has one tap: the sum of the weights of the outer two time slices. A tap on the centre is part of the kernel, so
    all of it is one convolution whose centre is ``w - theta d``.

    Parameters
    ----------
    inner, outer : int
        Channels.
    theta : float
        Share of the difference, 0 (plain) to 1.
    """

    def __init__(self, inner: int, outer: int, theta: float = THETA) -> None:
        super().__init__(inner, outer, 3, padding=1, bias=False)
        self.theta = theta

    @property
    def folded(self) -> Tensor:
        """Kernel (outer, inner, 3, 3, 3) of the plain convolution that this one equals."""
        outer_slices = self.weight[:, :, 0::2].sum((2, 3, 4))
        return self.weight - self.theta * F.pad(outer_slices[:, :, None, None, None], (1, 1, 1, 1, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """(N, inner, T, H, W) to (N, outer, T, H, W)."""
        return F.conv3d(input, self.folded, padding=1)

    def plain(self) -> nn.Conv3d:
        """The same map as torch's own convolution, which exports as it is."""
        conv = nn.Conv3d(self.in_channels, self.out_channels, 3, padding=1, bias=False)
        with torch.no_grad():
            conv.weight.copy_(self.folded)
        return conv.train(self.training)


def without_differences(network: nn.Module) -> None:
    """Replace every temporal difference convolution of a network by its plain one, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, TemporalDifferenceConv3d):
                setattr(module, name, child.plain())
