"""Builds networks of random weights, layer by layer.

Weights are whole multiples of ``GRID`` and the largest of each layer is ``127 GRID``, so that eight bits hold them exactly:
floats and integers run the same network, and their spikes may be compared one for one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .workers.network import INPUT, Layer, Network, Shape

GRID = 1 / 64
TOP = 127


def on_grid(weight: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights scaled so that the largest is ``127 GRID``, rounded to whole multiples of ``GRID``."""
    return (np.rint(weight * (TOP / np.abs(weight).max())) * GRID).astype(np.float32)


class Builder:
    """A network in the making; each method adds a layer after the last one, or after the one named.

    Parameters
    ----------
    seed : int
        Of the weights.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        self.input_shape = shape
        self.layers: list[Layer] = []
        self.random = np.random.default_rng(seed)

    @property
    def last(self) -> str:
        """Name of the last layer."""
        return self.layers[-1].name if self.layers else INPUT

    def shape(self, name: str) -> Shape:
        """Shape of a layer's output."""
        return next((x.shape for x in self.layers if x.name == name), self.input_shape)

    def add(self, layer: Layer) -> str:
        """A layer as it is."""
        self.layers.append(layer)
        return layer.name

    def conv(
        self, channels: int, kernel: int, *, stride: int = 1, padding: int = 0, after: str | None = None
    ) -> str:
        """A convolution."""
        source = after or self.last
        inputs, *sides = self.shape(source)
        shape = (channels, *((n + 2 * padding - kernel) // stride + 1 for n in sides))
        weight = on_grid(self.random.standard_normal((channels, inputs, kernel, kernel)))
        name = f"conv{self._count('conv') + 1}"
        return self.add(Layer(name, "conv", (source,), shape, weight, stride=stride, padding=padding))

    def linear(self, size: int) -> str:
        """A fully connected layer, its input flattened."""
        if len(self.shape(self.last)) > 1:
            flat = (int(np.prod(self.shape(self.last))),)
            self.add(Layer(f"flatten{self._count('flatten') + 1}", "flatten", (self.last,), flat))
        weight = on_grid(self.random.standard_normal((size, *self.shape(self.last))))
        return self.add(Layer(f"linear{self._count('linear') + 1}", "linear", (self.last,), (size,), weight))

    def pool(self, size: int) -> str:
        """Sums over windows."""
        channels, *sides = self.shape(self.last)
        shape = (channels, *(n // size for n in sides))
        return self.add(Layer(f"pool{self._count('pool') + 1}", "pool", (self.last,), shape, size=size))

    def plus(self, *names: str) -> str:
        """Sum of layers."""
        return self.add(Layer(f"add{self._count('add') + 1}", "add", names, self.shape(names[0])))

    def lif(self, beta: float) -> str:
        """Neurons on the last layer."""
        shape = self.shape(self.last)
        return self.add(Layer(f"spikes{self._count('lif') + 1}", "lif", (self.last,), shape, beta=beta))

    def network(self, name: str, steps: int) -> Network:
        """The network, its thresholds still to be chosen."""
        return Network(name, steps, "spikes", self.input_shape, tuple(self.layers))

    def _count(self, kind: str) -> int:
        return sum(layer.kind == kind for layer in self.layers)
