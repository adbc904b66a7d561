"""Convolutional integrate-and-fire classifier of N-MNIST with sum pooling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .augment import shifted, thinned
from .neurons import Leaky
from .pooling import SumPool2d
from .spike_losses import classification


@dataclass(frozen=True)
class NMNISTConfig:
    """Size and constants of an :class:`NMNISTNet`.

    Attributes
    ----------
    channels : tuple of int
        Of the two convolutions.
    hidden, classes : int
        Neurons of the dense layers.
    timesteps : int
        Steps a sample is presented for.
    threshold : float
        Of every neuron.
    shift : int
        In training, each sample is moved by up to so many pixels along both axes.
    drop : float
        In training, each event is left out with this probability.
    """

    channels: tuple[int, int] = (12, 24)
    hidden: int = 64
    classes: int = 10
    timesteps: int = 32
    threshold: float = 1.0
    shift: int = 2
    drop: float = 0.1


INITIAL_GAIN = 2.0  # against torch's default weights
RATES = (0.005, 0.2)  # spikes a step that the rate penalty asks of each hidden neuron


class NMNISTNet(nn.Module):
    """2x34x34 -> conv 5x5 stride 2 -> IF -> sum pool 2 -> conv 3x3 -> IF -> sum pool 2 -> dense -> IF -> dense -> IF.

    Maps have no bias: a neuron that receives no event stays silent. :meth:`forward` takes one time step with hidden
    neuron state (deployment), :meth:`sequence` whole samples (training).
    """

    def __init__(self, config: NMNISTConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.channels
        window = (-config.threshold, config.threshold)
        self.conv1 = nn.Conv2d(2, first, 5, stride=2, padding=1, bias=False)  # 34 -> 16
        self.if1 = Leaky(1.0, config.threshold, window)
        self.pool1 = SumPool2d(2)  # 16 -> 8
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.if2 = Leaky(1.0, config.threshold, window)
        self.pool2 = SumPool2d(2)  # 8 -> 4
        self.flatten = nn.Flatten()
        self.dense1 = nn.Linear(second * 16, config.hidden, bias=False)
        self.if3 = Leaky(1.0, config.threshold, window)
        self.dense2 = nn.Linear(config.hidden, config.classes, bias=False)
        self.if4 = Leaky(1.0, config.threshold, window)
        with (
            torch.no_grad()
        ):  # torch's defaults suit dense inputs; sparse spikes would leave the first layers silent
            for affine in (self.conv1, self.conv2, self.dense1, self.dense2):
                affine.weight.mul_(INITIAL_GAIN * config.threshold)

    def reset(self) -> None:
        """Put all neurons to rest, as between samples."""
        for neuron in (self.if1, self.if2, self.if3, self.if4):
            neuron.reset_mem()

    def forward(self, x: Tensor) -> Tensor:
        """One time step: input spikes 0/1 (N, 2, 34, 34) to output spikes (N, classes)."""
        x = self.pool1(self.if1(self.conv1(x)))
        x = self.pool2(self.if2(self.conv2(x)))
        x = self.if3(self.dense1(self.flatten(x)))
        spikes: Tensor = self.if4(self.dense2(x))
        return spikes

    def counts(self, samples: Tensor) -> Tensor:
        """Output spikes of whole samples (N, T, 2, 34, 34), stepped from rest: shape (N, classes)."""
        self.reset()
        dtype = self.conv1.weight.dtype
        return torch.stack([self(x.to(dtype)) for x in samples.unbind(1)]).sum(0)

    def sequence(self, samples: Tensor) -> dict[str, Tensor]:
        """Spikes (T, N, ...) of each population, from rest, for samples (N, T, 2, 34, 34)."""
        count, steps = samples.shape[:2]
        x = samples.to(self.conv1.weight.dtype).transpose(0, 1).flatten(0, 1)
        spikes: dict[str, Tensor] = {}
        stages = (
            ("if1", self.conv1, self.if1, self.pool1),
            ("if2", self.conv2, self.if2, nn.Sequential(self.pool2, self.flatten)),
            ("if3", self.dense1, self.if3, nn.Identity()),
            ("if4", self.dense2, self.if4, nn.Identity()),
        )
        for name, affine, neuron, after in stages:
            spikes[name] = neuron.sequence(affine(x).unflatten(0, (steps, count)))
            x = after(spikes[name].flatten(0, 1))
        return spikes

    def losses(
        self, samples: Tensor, rate_penalty: float = 0.0, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        samples : Tensor
            Spikes 0/1, shape (N, T, 2, 34, 34).
        rate_penalty : float
            Weight of the firing rate regulariser over the three hidden populations.
        labels : Tensor
            Classes (N,).
        """
        assert labels is not None
        if self.training:
            samples = thinned(shifted(samples, self.config.shift), self.config.drop)
        spikes = self.sequence(samples)
        hidden = [spikes[name] for name in ("if1", "if2", "if3")]
        return classification(spikes["if4"].sum(0), labels, hidden, samples.shape[1], rate_penalty, RATES)

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate."""
        return [{"params": list(self.parameters()), "lr": lr}]
