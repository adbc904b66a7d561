"""SpikingJelly in its multi-step mode: its own layers over (time, batch, ...), layer by layer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from .network import Layer, Network
from .protocol import serve
from .static import split_static
from .torch_network import Wired, connection, just_above, use_threads


def _make(given: Layer) -> nn.Module:
    if given.kind == "lif" and given.beta == 1:
        return neuron.IFNode(v_threshold=just_above(given.threshold), v_reset=0.0)  # type: ignore[no-any-return]
    if given.kind == "lif":
        return neuron.LIFNode(  # type: ignore[no-any-return]
            tau=1 / (1 - given.beta), decay_input=False, v_threshold=just_above(given.threshold), v_reset=0.0
        )
    if given.kind == "readout":
        return neuron.NonSpikingLIFNode(tau=1 / (1 - given.beta), decode="last_mem")  # type: ignore[no-any-return]
    if given.kind == "unflatten":
        return layer.SeqToANNContainer(connection(given))  # type: ignore[no-any-return]
    return connection(given, layer)


class SpikingJelly:
    """One network."""

    def __init__(self, network: Network, inputs: NDArray[Any]) -> None:
        self.static: nn.Module | None = None
        self.steps = network.steps
        x = torch.from_numpy(inputs.astype(np.float32))
        if network.coding == "direct":
            first, network = split_static(network)
            self.static = connection(first)
            self.inputs = x
        else:
            self.inputs = x.transpose(0, 1).contiguous()
        self.module = Wired(network, _make).eval()
        functional.set_step_mode(self.module, "m")

    @torch.inference_mode()
    def run(self, batch: int) -> Tensor:
        """All steps."""
        functional.reset_net(self.module)
        if self.static is None:
            return self.module(self.inputs[:, :batch])  # type: ignore[no-any-return]
        current = self.static(self.inputs[:batch])
        return self.module(current.expand(self.steps, *current.shape))  # type: ignore[no-any-return]

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron."""
        self.module.watched = {}
        self.run(batch)
        counts = {name: s.sum(0).flatten(1).numpy() for name, s in self.module.watched.items()}
        self.module.watched = None
        return counts


if __name__ == "__main__":
    use_threads()
    serve(version("spikingjelly"), SpikingJelly)
