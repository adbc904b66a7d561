"""Interpreter of the float level: what the graph means before any integer.

Plain and batched; the order of operations is snnTorch's. It serves calibration and the layer by layer comparison of the
integer program with the float network.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ExportError
from .graph import LI, LIF, Graph, Input, Synapses
from .levels import require


@dataclass(frozen=True, eq=False)
class FloatRun:
    """Result of a float run.

    Attributes
    ----------
    spikes : dict of str to ndarray of uint8
        By population: (samples, timesteps, neurons).
    readouts : dict of str to ndarray of float32
        Membrane at the last step, by read-out: (samples, neurons).
    static_peak : dict of str to float
        Largest magnitude of the static current of a population.
    """

    spikes: dict[str, NDArray[np.uint8]]
    readouts: dict[str, NDArray[np.float32]]
    static_peak: dict[str, float]

    def rates(self) -> dict[str, NDArray[np.float64]]:
        """Mean spikes a step of each neuron, by population."""
        return {name: spikes.mean((0, 1)) for name, spikes in self.spikes.items()}


def run_float(
    graph: Graph,
    samples: NDArray[np.float32] | None = None,
    injected: dict[str, NDArray[np.uint8]] | None = None,
) -> FloatRun:
    """Run a float graph.

    Parameters
    ----------
    graph : Graph
        At the float level.
    samples : ndarray, optional
        Direct coding: (samples, ...) real values; spike coding: (samples, timesteps, ...).
    injected : dict of str to ndarray, optional
        Spikes (samples, timesteps, neurons) that the host puts in place of a population's own; what feeds only such
        populations is not run.

    Raises
    ------
    ExportError
        The samples do not have the input's shape.
    """
    require(graph, "float")
    injected = injected or {}
    timesteps = graph.settings.timesteps
    values: dict[str, Tensor] = {name: torch.from_numpy(s).float() for name, s in injected.items()}
    result = FloatRun(dict(injected.items()), {}, {})
    with torch.no_grad():
        for name in _needed(graph, set(injected)):
            node = graph.nodes[name]
            if isinstance(node, Input):
                values[name] = _enter(name, node, samples, timesteps)
            elif isinstance(node, Synapses):
                x = values[graph.sources(name)[0]]
                y = node.map.forward(x.flatten(0, 1), torch.from_numpy(node.map.weight))
                if node.bias is not None:
                    y = y + torch.from_numpy(node.bias).repeat_interleave(
                        prod(node.shape) // node.map.channels
                    )
                values[name] = y.unflatten(0, x.shape[:2])
            elif isinstance(node, LIF | LI):
                currents = [values.pop(s) for s in graph.sources(name)]
                current = (
                    torch.stack(list(torch.broadcast_tensors(*currents))).sum(0)
                    if currents[1:]
                    else currents[0]
                )
                if isinstance(node, LIF) and node.static:
                    result.static_peak[name] = float(current.abs().max())
                spikes, membrane = _neurons(node, current.expand(-1, timesteps, -1))
                if isinstance(node, LIF):
                    values[name] = spikes
                    result.spikes[name] = spikes.to(torch.uint8).numpy()
                else:
                    result.readouts[name] = membrane.numpy()
    return result


def _needed(graph: Graph, injected: set[str]) -> list[str]:
    """Nodes in order that something reads, once the injected populations are given."""
    wanted: set[str] = set()
    for name in reversed(graph.order()):
        targets = graph.targets(name)
        if name not in injected and (not targets or any(t in wanted for t in targets)):
            wanted.add(name)
    return [name for name in graph.order() if name in wanted]


def _enter(name: str, node: Input, samples: NDArray[np.float32] | None, timesteps: int) -> Tensor:
    if samples is None:
        raise ExportError(f"{name}: the graph needs samples of shape {node.shape}")
    lead = 1 if node.coding == "direct" else 2
    if samples.shape[lead:] != node.shape or (lead == 2 and samples.shape[1] != timesteps):
        wanted = ("samples", *([timesteps] if lead == 2 else []), *node.shape)
        raise ExportError(f"{name}: samples of shape {samples.shape}, wanted ({', '.join(map(str, wanted))})")
    if not len(samples):
        raise ExportError(f"{name}: no samples; give at least one")
    if not np.isfinite(samples).all():
        raise ExportError(f"{name}: the samples hold NaN or infinite values; check the loader")
    flat = torch.from_numpy(np.ascontiguousarray(samples, np.float32)).reshape(
        len(samples), -1, prod(node.shape)
    )
    return flat


def _neurons(node: LIF | LI, current: Tensor) -> tuple[Tensor, Tensor]:
    membrane, reset = torch.zeros_like(current[:, 0]), torch.zeros_like(current[:, 0])
    beta = torch.tensor(node.beta, dtype=current.dtype)
    threshold = torch.from_numpy(node.threshold) if isinstance(node, LIF) else torch.tensor(torch.inf)
    spikes = torch.empty_like(current, memory_format=torch.contiguous_format)
    for t in range(current.shape[1]):
        membrane = (1 - reset) * membrane * beta + current[:, t]
        reset = (membrane > threshold).to(current.dtype)
        spikes[:, t] = reset
    return spikes, membrane
