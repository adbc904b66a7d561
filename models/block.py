"""The repeating unit of the spiking image models: affine map, batch normalisation, LIF neuron."""

from __future__ import annotations

from torch import Tensor, nn

from .neurons import Leaky


class SpikingBlock(nn.Module):
    """Affine map, batch normalisation, LIF neuron.

    Parameters
    ----------
    affine : nn.Module
        Convolution, transposed convolution or linear map.
    norm : nn.BatchNorm1d or nn.BatchNorm2d
        Normalises the current.
    neuron : Leaky
        Fires.
    scale : float
        Initial weight of the normalisation, a factor on the current that training starts from.
    reshape : nn.Module, optional
        Between normalisation and neuron.
    """

    def __init__(
        self,
        affine: nn.Module,
        norm: nn.BatchNorm1d | nn.BatchNorm2d,
        neuron: Leaky,
        scale: float,
        reshape: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.affine = affine
        self.norm = norm
        nn.init.constant_(norm.weight, scale)
        self.reshape = reshape if reshape is not None else nn.Identity()
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """One time step, (N, ...) to spikes (N, ...)."""
        spikes: Tensor = self.neuron(self.reshape(self.norm(self.affine(x))))
        return spikes

    def sequence(self, x: Tensor) -> Tensor:
        """All time steps, (T, N, ...) to spikes (T, N, ...); statistics over batch, space and time."""
        current = self.reshape(self.norm(self.affine(x.flatten(0, 1))))
        return self.neuron.sequence(current.unflatten(0, x.shape[:2]))

    def static_sequence(self, x: Tensor, timesteps: int) -> Tensor:
        """As :meth:`sequence` for an input (N, ...) that stays the same: the current is computed once."""
        current = self.reshape(self.norm(self.affine(x)))
        return self.neuron.sequence(current.expand(timesteps, *current.shape))
