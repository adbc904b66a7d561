"""The ANN twin of the spiking U-Net: same plan, SiLU in place of neurons, one step.

Its first convolution makes the stream at once: the second one of the spiking network is there because spikes lie
between them. The shortcuts read the stream, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .epsilon_prediction import EpsilonPrediction
from .initialise import xavier
from .spiking_unet import PUBLISHED_GAIN
from .time_embedding import TimeCurrent, TimeEmbedding
from .unet_blocks import conv
from .unet_layout import Stage, UNetConfig, plan


class Residual(nn.Module):
    """Two times SiLU, convolution, normalisation, and a shortcut around them."""

    def __init__(self, stage: Stage, time_width: int) -> None:
        super().__init__()
        inner = stage.main + stage.skip
        self.conv1, self.norm1 = conv(inner, stage.out), nn.BatchNorm2d(stage.out)
        self.time = TimeCurrent(time_width, stage.out)
        self.conv2, self.norm2 = conv(stage.out, stage.out), nn.BatchNorm2d(stage.out)
        self.shortcut: nn.Module = nn.Identity() if inner == stage.out else conv(inner, stage.out, 1)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Stream (N, main + skip, h, w) and vectors of the time to the stream (N, out, h, w)."""
        a = self.norm1(self.conv1(nn.functional.silu(x))) + self.time(vectors)[:, :, None, None]
        out: Tensor = self.norm2(self.conv2(nn.functional.silu(a))) + self.shortcut(x)
        return out


def resample(stage: Stage) -> nn.Sequential:
    """SiLU, convolution of stride 2 or after nearest upsampling, normalisation."""
    if stage.kind == "down":
        return nn.Sequential(nn.SiLU(), conv(stage.main, stage.out, stride=2), nn.BatchNorm2d(stage.out))
    upsample = nn.Upsample(scale_factor=2)
    return nn.Sequential(nn.SiLU(), upsample, conv(stage.main, stage.out), nn.BatchNorm2d(stage.out))


class UNet(EpsilonPrediction):
    """U-Net with the blocks of :class:`~.spiking_unet.SpikingUNet`; the configuration's build is of no effect."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.plan = plan(config)
        width = config.channels
        self.coding = conv(config.in_channels, width)
        self.embedding = TimeEmbedding(config.diffusion_steps, width)
        for stage in self.plan.stages:
            residual = stage.kind == "residual"
            self.add_module(stage.name, Residual(stage, 4 * width) if residual else resample(stage))
        last = xavier(nn.Conv2d(width, config.in_channels, 3, padding=1), PUBLISHED_GAIN)
        self.tail = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), last)

    def evaluate(self, images: Tensor, vectors: Tensor) -> Tensor:
        """What is told of images for vectors of the time; this is the ANN baseline whose operations count."""
        stream: Tensor = self.coding(images)
        left = [stream]
        for index, stage in enumerate(self.plan.stages):
            block = self.get_submodule(stage.name)
            if stage.skip:
                stream = torch.cat([stream, left.pop()], 1)
            stream = block(stream, vectors) if stage.kind == "residual" else block(stream)
            if index < len(self.plan.down):
                left.append(stream)
        told: Tensor = self.tail(stream)
        return told

    def predict(self, images: Tensor, times: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What is told (N, C, H, W) of images (N, C, H, W) at indices (N,); there are no spikes."""
        return self.evaluate(images, self.embedding(times)), {}
