"""snnTorch networks in the styles that users write, and their spikes when stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def leaky(beta: float = 0.5, threshold: float = 1.0, **settings: Any) -> snn.Leaky:
    """A neuron that keeps its state and resets to zero."""
    return snn.Leaky(
        **{"beta": beta, "threshold": threshold, "init_hidden": True, "reset_mechanism": "zero", **settings}
    )


def readout(beta: float = 0.8) -> snn.Leaky:
    """A leaky membrane that never fires."""
    return leaky(beta, reset_mechanism="none", output=True)


class Written(nn.Module):
    """A module whose step is a function: ``Written(lambda m, x: ..., fc=nn.Linear(...))``."""

    def __init__(self, step: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.written = step
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Any:
        return self.written(self, x)


class Residual(nn.Module):
    """Batch normalisation, a residual addition, and a flatten, over images that are not square."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0)), nn.BatchNorm2d(4), leaky(0.5, 0.7)
        )
        self.left = nn.Sequential(nn.Conv2d(4, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3))
        self.right = nn.Conv2d(4, 3, 1)
        self.joined = leaky(0.9, 0.6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3 * 4 * 4, 7)
        self.norm = nn.BatchNorm1d(7)
        self.out = leaky(0.25, 0.4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        h = self.joined(self.left(h) + self.right(h))
        return self.out(self.norm(self.head(self.drop(h).flatten(1))))


class Generator(nn.Module):
    """Transposed convolutions with a membrane read-out and tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Linear(5, 4 * 3 * 2)
        self.norm = nn.BatchNorm1d(24)
        self.seed = leaky(0.25, 0.5)
        self.up = nn.ConvTranspose2d(4, 3, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0))
        self.up_norm = nn.BatchNorm2d(3)
        self.up_neuron = leaky(0.5, 0.5)
        self.head = nn.ConvTranspose2d(3, 2, 3, padding=1)
        self.read = readout()

    def forward(self, x: Tensor) -> Tensor:
        x = self.seed(self.norm(self.expand(x)).view(-1, 4, 3, 2))
        _, membrane = self.read(self.head(self.up_neuron(self.up_norm(self.up(x)))))
        return torch.tanh(membrane)


class Explicit(nn.Module):
    """Membranes handed in and back, as in the snnTorch tutorials."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 9), nn.Linear(9, 4)
        self.lif1 = snn.Leaky(beta=0.9, threshold=0.5, reset_mechanism="zero")
        self.lif2 = snn.Leaky(beta=0.7, threshold=0.5, reset_mechanism="zero")

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


def sequential() -> nn.Sequential:
    """The documentation's first example."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=(2, 1), padding=(0, 1)),
        leaky(0.8, 0.5),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(3 * 3 * 5, 8),
        leaky(0.8, 0.5),
        nn.Unflatten(1, (2, 2, 2)),
        nn.Conv2d(2, 2, (1, 2), groups=2),
        leaky(1.0, 0.5, output=True),
    )


#: Name: module, shape of a sample, coding.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "sequential": (sequential, (1, 7, 5), "spikes"),
    "residual": (Residual, (2, 7, 5), "direct"),
    "residual-spikes": (Residual, (2, 7, 5), "spikes"),
    "generator": (Generator, (5,), "spikes"),
    "explicit": (Explicit, (6,), "spikes"),
}


def build(name: str, seed: int = 0) -> nn.Module:
    """A network with weights that make it fire, and normalisations with a past."""
    torch.manual_seed(seed)
    module = NETWORKS[name][0]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.1, 2.0)
        elif isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            part.weight.data *= 2
    return module


def samples(name: str, count: int = 3, timesteps: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """Samples (count, ...) with direct coding, (count, timesteps, ...) with spikes."""
    _, shape, coding = NETWORKS[name]
    rng = np.random.default_rng(seed)
    if coding == "direct":
        return rng.normal(size=(count, *shape)).astype(np.float32)
    return (rng.random((count, timesteps, *shape)) < 0.5).astype(np.float32)


def stepped(
    module: nn.Module, given: NDArray[np.float32], timesteps: int, coding: str
) -> tuple[dict[str, Any], Any]:
    """Spikes (samples, timesteps, neurons) of each neuron, stepped as snnTorch does, and the last output."""
    module.eval()
    rasters: dict[str, list[Tensor]] = {}
    neurons = {path.replace(".", "_"): m for path, m in module.named_modules() if isinstance(m, snn.Leaky)}

    def hook(name: str) -> Callable[..., None]:
        def keep(neuron: Any, inputs: Any, output: Any) -> None:
            fired = output[0] if isinstance(output, tuple) else output
            rasters.setdefault(name, []).append(fired.flatten(1).to(torch.uint8))

        return keep

    handles = [neuron.register_forward_hook(hook(name)) for name, neuron in neurons.items()]
    for neuron in neurons.values():
        neuron.reset_mem()
    states = [neuron.mem for neuron in neurons.values()] if isinstance(module, Explicit) else []
    with torch.no_grad():
        for t in range(timesteps):
            out = module(torch.from_numpy(given if coding == "direct" else given[:, t]), *states)
            states = list(out[1:]) if isinstance(module, Explicit) else []
    for handle in handles:
        handle.remove()
    result = out[0] if isinstance(out, tuple) else out
    return {name: torch.stack(steps, 1).numpy() for name, steps in rasters.items()}, result.numpy()
