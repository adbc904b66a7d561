"""norse: modules lifted over time, time first, as its documentation builds them.

``LIFBoxCell`` computes ``v += dt tau_mem_inv (x - v)``: the membrane of the others times ``1 - beta``, and so is its
threshold. Without decay the neuron is its ``IAFCell``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from numpy.typing import NDArray
from torch import Tensor, nn

from .network import Layer, Network
from .protocol import serve
from .static import split_static
from .torch_network import Wired, connection, use_threads

DT = 0.001


def _leak(beta: float) -> Tensor:
    return torch.tensor((1 - beta) / DT)


def _make(layer: Layer) -> nn.Module:
    if layer.kind == "lif" and layer.beta == 1:
        return norse.Lift(norse.IAFCell(norse.IAFParameters(v_th=torch.tensor(layer.threshold))))
    if layer.kind == "lif":
        # A few roundings above, or a membrane that meets the threshold exactly would be decided by rounding.
        threshold = torch.tensor(layer.threshold * (1 - layer.beta) * (1 + 4e-7))
        return norse.Lift(
            norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=_leak(layer.beta), v_th=threshold), DT)
        )
    if layer.kind == "readout":
        return norse.Lift(norse.LIBoxCell(LIBoxParameters(tau_mem_inv=_leak(layer.beta)), dt=DT))
    return norse.Lift(connection(layer))


class Lifted(Wired):
    """Values are (time, batch, ...); neurons hand their state back, and it is dropped."""

    def one(self, kind: str, module: nn.Module, x: Tensor) -> Tensor:
        """The output of one module over all steps."""
        out = module(x)
        return out[0] if kind in ("lif", "readout") else out  # type: ignore[no-any-return]


class Norse:
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
        self.module = Lifted(network, _make).eval()

    @torch.no_grad()
    def run(self, batch: int) -> Tensor:
        """All steps."""
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
    serve(version("norse"), Norse)
