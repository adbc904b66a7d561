"""A network as plain layers and arrays, the one form that all simulators are handed.

It needs numpy alone, so that every worker can read it in its own environment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal[
    "conv", "transposed", "linear", "pool", "flatten", "unflatten", "add", "lif", "readout"
]
Shape: TypeAlias = tuple[int, ...]
INPUT = "input"


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    Attributes
    ----------
    kind : str
        ``conv`` and ``transposed`` as torch computes them, ``linear``, ``pool`` (the sum over windows of ``size``),
        ``flatten``, ``unflatten``, ``add`` of all inputs, ``lif`` (``v = beta v + x``, a spike where ``v`` exceeds the
        threshold, then ``v = 0``), ``readout`` (``v = beta v + x``).
    inputs : tuple of str
        Names of layers, or ``input``.
    shape : tuple of int
        Of the output, without batch and time.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: Shape
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    size: int = 1
    beta: float = 1.0
    threshold: float = 1.0


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in order of evaluation; the last one is the output.

    Attributes
    ----------
    coding : str
        ``spikes``: inputs (samples, steps, *input_shape) of 0 and 1. ``direct``: the same real values (samples,
        *input_shape) at every step.
    """

    name: str
    steps: int
    coding: Literal["spikes", "direct"]
    input_shape: Shape
    layers: tuple[Layer, ...]

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def shape_of(self, name: str) -> Shape:
        """Shape of a layer's output, or of the input."""
        return self.input_shape if name == INPUT else self.layer(name).shape

    @property
    def spiking(self) -> tuple[Layer, ...]:
        """Layers that spike."""
        return tuple(layer for layer in self.layers if layer.kind == "lif")

    @property
    def neurons(self) -> int:
        """Neurons that spike."""
        return sum(int(np.prod(layer.shape)) for layer in self.spiking)

    def last_use(self) -> dict[str, str]:
        """By layer (or ``input``): the last layer that takes it, after which nobody needs to keep it."""
        return {name: layer.name for layer in self.layers for name in layer.inputs}

    def with_thresholds(self, thresholds: dict[str, float]) -> Network:
        """The same layers with other thresholds."""
        layers = tuple(
            replace(layer, threshold=thresholds.get(layer.name, layer.threshold)) for layer in self.layers
        )
        return replace(self, layers=layers)


def save(path: Path, network: Network, inputs: NDArray[Any]) -> None:
    """Write a network and its inputs into one file."""
    arrays: dict[str, NDArray[Any]] = {"inputs": inputs}
    layers = []
    for layer in network.layers:
        entry = asdict(layer)
        for key in ("weight", "bias"):
            array = entry.pop(key)
            if array is not None:
                arrays[f"{layer.name}.{key}"] = array
        layers.append(entry)
    header = {
        "name": network.name,
        "steps": network.steps,
        "coding": network.coding,
        "input_shape": network.input_shape,
        "layers": layers,
    }
    arrays["network"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> tuple[Network, NDArray[Any]]:
    """Read what :func:`save` wrote."""
    with np.load(path) as arrays:
        header = json.loads(arrays["network"].tobytes().decode())
        layers = []
        for entry in header.pop("layers"):
            for key in ("weight", "bias"):
                name = f"{entry['name']}.{key}"
                entry[key] = arrays.get(name)
            entry["inputs"], entry["shape"] = tuple(entry["inputs"]), tuple(entry["shape"])
            layers.append(Layer(**entry))
        header["input_shape"] = tuple(header["input_shape"])
        return Network(**header, layers=tuple(layers)), arrays["inputs"]
