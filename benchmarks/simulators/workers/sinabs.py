"""Sinabs with its squeezing neurons: batch and time share the first axis, so that torch's own layers stand between them.

Its neurons are told to fire once a step at most and to reset to zero, and take the decay itself (``train_alphas``) and
not a time constant.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import sinabs.layers as sl
import torch
from numpy.typing import NDArray
from sinabs.activation import MembraneReset, SingleSpike
from torch import Tensor, nn

from .network import Layer, Network
from .protocol import serve
from .static import split_static
from .torch_network import Wired, connection, just_above, use_threads


def _make(layer: Layer, steps: int) -> nn.Module:
    if layer.kind == "lif":
        common = {
            "num_timesteps": steps,
            "spike_threshold": torch.tensor(just_above(layer.threshold)),
            "spike_fn": SingleSpike,
            "reset_fn": MembraneReset(),
        }
        if layer.beta == 1:
            return sl.IAFSqueeze(**common)  # type: ignore[no-any-return]
        neuron = sl.LIFSqueeze(tau_mem=1.0, norm_input=False, train_alphas=True, **common)
    elif layer.kind == "readout":
        neuron = sl.ExpLeakSqueeze(tau_mem=1.0, norm_input=False, train_alphas=True, num_timesteps=steps)
    elif layer.kind == "pool":
        return sl.SumPool2d(layer.size)  # type: ignore[no-any-return]
    else:
        return connection(layer)
    neuron.alpha_mem.data = torch.tensor(layer.beta)
    return neuron  # type: ignore[no-any-return]


class Sinabs:
    """One network."""

    def __init__(self, network: Network, inputs: NDArray[Any]) -> None:
        self.static: nn.Module | None = None
        self.steps = network.steps
        self.inputs = torch.from_numpy(inputs.astype(np.float32))
        if network.coding == "direct":
            first, network = split_static(network)
            self.static = connection(first)
        self.module = Wired(network, lambda layer: _make(layer, self.steps)).eval()
        self.stateful = [m for m in self.module.modules() if isinstance(m, sl.StatefulLayer)]

    @torch.inference_mode()
    def run(self, batch: int) -> Tensor:
        """All steps."""
        for layer in self.stateful:
            layer.reset_states()
        x = self.inputs[:batch]
        if self.static is not None:
            x = self.static(x)
            x = x.unsqueeze(1).expand(-1, self.steps, *x.shape[1:])
        return self.module(x.flatten(0, 1))  # type: ignore[no-any-return]

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron."""
        self.module.watched = {}
        self.run(batch)
        counts = {
            name: s.unflatten(0, (batch, self.steps)).sum(1).flatten(1).numpy()
            for name, s in self.module.watched.items()
        }
        self.module.watched = None
        return counts


if __name__ == "__main__":
    use_threads()
    serve(version("sinabs"), Sinabs)
