"""Convolution over space and time: its third axis is the time step, so on a chip its taps are axonal delays."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .pooling import pair


class CausalConv3d(nn.Conv3d):
    """``nn.Conv3d`` over (time, height, width) that sees one time step a call and looks back only.

    ``y[t] = bias + sum_i weight[:, :, i] * x[t - (n - 1 - i) d]`` with n taps at a dilation of d steps and zeros ahead of
    the sample, which is torch's convolution of the whole sequence padded by ``(n - 1) d`` steps in front.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels.
    kernel_size : tuple of int
        (taps in time, height, width).
    stride, padding : int or tuple of int
        Height and width; every time step gives one.
    dilation : tuple of int
        (steps between taps, height, width).
    groups : int
        As in torch.
    bias : bool
        Whether it has one.
    """

    #: The exporter keeps the module as one layer, whose first kernel axis is the time step.
    spikewright_time_axis = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: tuple[int, int, int] = (1, 1, 1),
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        own: dict[str, Any] = {"stride": (1, *pair(stride)), "padding": (0, *pair(padding))}
        super().__init__(
            in_channels, out_channels, kernel_size, dilation=dilation, groups=groups, bias=bias, **own
        )
        self.past: tuple[Tensor, ...] = ()

    def reset_mem(self) -> None:
        """Forget the steps before."""
        self.past = ()

    def forward(self, input: Tensor) -> Tensor:
        """Output (N, out channels, height, width) of one step (N, in channels, height, width)."""
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        if self.past and self.past[0].shape != input.shape:
            raise ValueError(
                f"an input of shape {tuple(input.shape)} after one of {tuple(self.past[0].shape)}; call reset_mem "
                "between samples"
            )
        before = self.past or (torch.zeros_like(input),) * reach
        window = (*before, input)
        self.past = window[1:]
        return super().forward(torch.stack(window, 2)).squeeze(2)

    def sequence(self, x: Tensor) -> Tensor:
        """Output (steps, N, ...) of a whole sequence (steps, N, ...) from zero state, in one convolution."""
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        whole = F.pad(x.permute(1, 2, 0, 3, 4), (0, 0, 0, 0, reach, 0))
        return super().forward(whole).permute(2, 0, 1, 3, 4)
