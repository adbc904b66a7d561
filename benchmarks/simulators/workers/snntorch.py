"""snnTorch: its module stepped through time, without autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch
import torch
from numpy.typing import NDArray
from torch import Tensor

from .network import Network
from .protocol import serve
from .snntorch_network import StepNetwork
from .torch_network import use_threads


class Stepped:
    """One network."""

    def __init__(self, network: Network, inputs: NDArray[Any]) -> None:
        self.network, self.module = network, StepNetwork(network).eval()
        self.inputs = torch.from_numpy(inputs.astype(np.float32))

    @torch.inference_mode()
    def run(self, batch: int) -> list[Tensor]:
        """All steps."""
        x = self.inputs[:batch]
        self.module.reset()
        spikes = self.network.coding == "spikes"
        return [self.module(x[:, t] if spikes else x) for t in range(self.network.steps)]

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron."""
        self.module.watched = {}
        self.run(batch)
        counts = {name: spikes.flatten(1).numpy() for name, spikes in self.module.watched.items()}
        self.module.watched = None
        return counts


if __name__ == "__main__":
    use_threads()
    serve(snntorch.__version__, Stepped)
