"""A network as a snnTorch module that computes one time step: what is traced for the emulator, and what snnTorch runs."""

from __future__ import annotations

import snntorch as snn
from torch import Tensor, nn

from .network import Layer, Network
from .torch_network import Wired, connection


def _make(layer: Layer) -> nn.Module:
    if layer.kind == "lif":
        return snn.Leaky(beta=layer.beta, threshold=layer.threshold, init_hidden=True, reset_mechanism="zero")
    if layer.kind == "readout":
        return snn.Leaky(beta=layer.beta, init_hidden=True, reset_mechanism="none", output=True)
    return connection(layer)


class StepNetwork(Wired):
    """One step of a network, (N, ...) to the output's spikes or membrane; neurons keep their state."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, _make)

    def one(self, kind: str, module: nn.Module, x: Tensor) -> Tensor:
        """The output of one module; a read-out's membrane."""
        out = module(x)
        return out[1] if kind == "readout" else out  # type: ignore[no-any-return]

    def reset(self) -> None:
        """Put all neurons to rest."""
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()
