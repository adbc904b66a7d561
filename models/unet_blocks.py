"""Blocks of the spiking U-Net: neurons first, then convolution and normalisation, sums before the next neurons.

Each equation is written once, for values (N, ...) that stand for one time step, or for a whole sequence with its time
steps behind each other on the batch axis; what differs is how neurons are asked, and that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from .initialise import xavier
from .neurons import Leaky
from .surrogates import ATan
from .time_embedding import TimeCurrent
from .unet_layout import Stage

#: Spikes of a population, by its name, from its current.
Fire: TypeAlias = Callable[[str, Leaky, Tensor], Tensor]
#: A stream as what comes behind sees it, by the name of what it leaves.
HandOn: TypeAlias = Callable[[str, Tensor], Tensor]


def integrate_and_fire() -> Leaky:
    """The published neuron: no leak, threshold 1, reset to 0 through which the gradient flows."""
    return Leaky(1.0, 1.0, ATan())


def conv(inner: int, outer: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the sides, or divides them by its stride."""
    return xavier(nn.Conv2d(inner, outer, kernel, stride, kernel // 2))


class SpikingResidual(nn.Module):
    """Two times neurons, convolution, normalisation, and a shortcut around them.

    ``a = BN(conv(s1)) + time``, ``b = BN(conv(IF(a)))``, out ``b + shortcut(stream)``; ``s1`` are the spikes of the
    stream, and behind them those of the stream taken back. The neurons that would fire the latter saw the same values
    from the same rest as those that the stream entered on the way down, so these spikes are handed in.

    Parameters
    ----------
    stage : Stage
        Widths.
    time_width : int
        Width of the vectors of the time.
    from_spikes : bool
        The shortcut reads ``s1`` instead of the streams.
    """

    def __init__(self, stage: Stage, time_width: int, from_spikes: bool) -> None:
        super().__init__()
        self.name, self.from_spikes = stage.name, from_spikes
        inner = stage.main + stage.skip
        self.n1 = integrate_and_fire()
        self.conv1, self.norm1 = conv(inner, stage.out), nn.BatchNorm2d(stage.out)
        self.time = TimeCurrent(time_width, stage.out)
        self.n2 = integrate_and_fire()
        self.conv2, self.norm2 = conv(stage.out, stage.out), nn.BatchNorm2d(stage.out)
        self.shortcut: nn.Module = nn.Identity() if inner == stage.out else conv(inner, stage.out, 1)

    def evaluate(
        self, stream: Tensor, time: Tensor, skip: tuple[Tensor, Tensor] | None, fire: Fire
    ) -> tuple[Tensor, Tensor]:
        """Stream that leaves, and spikes of the one that enters.

        Parameters
        ----------
        stream : Tensor
            Shape (N, main, h, w).
        time : Tensor
            Current of the time that broadcasts to (N, out, h, w).
        skip : tuple of Tensor, optional
            The stream taken back and its spikes, (N, skip, h, w) each.
        """
        spikes = fire(f"{self.name}.n1", self.n1, stream)
        entering = spikes if skip is None else torch.cat([spikes, skip[1]], 1)
        inner = fire(f"{self.name}.n2", self.n2, self.norm1(self.conv1(entering)) + time)
        if not self.from_spikes:
            entering = stream if skip is None else torch.cat([stream, skip[0]], 1)
        return self.norm2(self.conv2(inner)) + self.shortcut(entering), spikes


class SpikingResample(nn.Module):
    """Neurons, then a convolution of stride 2, or nearest upsampling and a convolution; normalisation. No shortcut."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.name = stage.name
        self.n1 = integrate_and_fire()
        down = stage.kind == "down"
        self.resize: nn.Module = nn.Identity() if down else nn.Upsample(scale_factor=2)
        self.conv = conv(stage.main, stage.out, stride=2 if down else 1)
        self.norm = nn.BatchNorm2d(stage.out)

    def evaluate(self, stream: Tensor, fire: Fire) -> tuple[Tensor, Tensor]:
        """Stream (N, out, h', w') that leaves, and spikes of the one (N, main, h, w) that enters."""
        spikes = fire(f"{self.name}.n1", self.n1, stream)
        return self.norm(self.conv(self.resize(spikes))), spikes
