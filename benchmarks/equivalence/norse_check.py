"""The float NIR file in norse, against the snnTorch module it came from.

The file is read by stock ``nir`` and run by norse's own neurons through ``norse.torch.from_nir``'s module map; norse has
no leaky integrator without spikes in that map, so the read-out is given to its ``LIBoxCell`` here. Both sides compute in
float32 with different orders of operation, so a membrane may fall on either side of its threshold. Such a spike is
counted, with its distance from the threshold; what it causes downstream is counted too, and nothing else is excused.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...export import nir_extension
from ...export.graph import LIF, Graph, Synapses
from ...export.linear import channel_sum
from ...export.record import ModuleRun

#: A mismatch counts as rounding within this many float32 roundings of the largest input a neuron can get.
ROUNDINGS = 32


@dataclass(frozen=True)
class NorseResult:
    """Outcome of the comparison.

    Attributes
    ----------
    neuron_steps, spike_mismatches : int
        Compared, and unequal.
    explained_by_rounding : int
        Mismatches at a membrane within rounding of its threshold, and those that follow from one.
    smallest_margin, largest_margin_at_mismatch : float or None
        Distances of float membranes from their thresholds, overall and at mismatches that follow from no other.
    readout_max_error : float or None
        Largest difference of a read-out membrane over samples without a mismatch.
    """

    neuron_steps: int
    spike_mismatches: int
    explained_by_rounding: int
    smallest_margin: float | None
    largest_margin_at_mismatch: float | None
    readout_max_error: float | None

    @property
    def equal(self) -> bool:
        """Equal but for explained rounding, and something was compared."""
        return self.neuron_steps > 0 and self.spike_mismatches == self.explained_by_rounding


def available() -> tuple[bool, str]:
    """Whether norse is installed, and the line that installs it."""
    if importlib.util.find_spec("norse") is None:
        return False, "norse is not installed: pip install 'spikewright[norse]'"
    return True, ""


def run_norse(
    path: Path, samples: NDArray[np.float32], timesteps: int, dt: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Step a NIR file through norse, sample by sample.

    Returns
    -------
    spikes : dict of str to ndarray of uint8
        By node: (samples, timesteps, neurons).
    readouts : dict of str to ndarray of float32
        Membranes after the last step: (samples, neurons).
    """
    import nir
    import nirtorch
    from norse.torch.module.leaky_integrator_box import LIBoxCell, LIBoxParameters
    from norse.torch.utils.import_nir import _import_norse_module

    def convert(node: nir.NIRNode) -> torch.nn.Module | None:
        if isinstance(node, nir.LI):
            inner = LIBoxCell(LIBoxParameters(tau_mem_inv=1 / torch.from_numpy(node.tau).float()), dt=dt)
            return _Readout(inner, torch.from_numpy(node.r).float())
        if isinstance(node, nir_extension.ConvolutionMap):
            return _Map(node)
        module: torch.nn.Module | None = partial(_import_norse_module, dt=dt, ignore_warnings=True)(node)
        return module

    nir_extension.register()
    file = nir.read(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nirtorch.load is deprecated, but it is what norse itself calls
        network = nirtorch.load(file, convert)
    _in_order(network, file)
    spikes: dict[str, list[list[torch.Tensor]]] = {}
    readouts: dict[str, list[torch.Tensor]] = {}
    fired: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: fired.__setitem__(name, output[0].flatten())

    neurons = {
        n: m
        for n, m in network.named_modules()
        if n in file.nodes and isinstance(file.nodes[n], nir.LIF | nir.IF | nir.LI)
    }
    handles = [module.register_forward_hook(keep(name)) for name, module in neurons.items()]
    with torch.no_grad():
        for sample in torch.from_numpy(samples):
            state = None
            rasters: dict[str, list[torch.Tensor]] = {name: [] for name in neurons}
            for _ in range(timesteps):
                _, state = network(sample, state)
                for name in neurons:
                    rasters[name].append(fired[name])
            for name, raster in rasters.items():
                if isinstance(file.nodes[name], nir.LI):
                    readouts.setdefault(name, []).append(raster[-1])
                else:
                    spikes.setdefault(name, []).append(raster)
    for handle in handles:
        handle.remove()
    return (
        {
            name: torch.stack([torch.stack(r) for r in s]).to(torch.uint8).numpy()
            for name, s in spikes.items()
        },
        {name: torch.stack(r).numpy() for name, r in readouts.items()},
    )


class _Readout(torch.nn.Module):
    """NIR's LI in norse: resistance, then the leaky integrator."""

    def __init__(self, integrator: torch.nn.Module, resistance: torch.Tensor) -> None:
        super().__init__()
        self.integrator, self.resistance = integrator, resistance

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        return self.integrator(self.resistance * x, state)


class _Map(torch.nn.Module):
    """Our extension node as a torch module."""

    def __init__(self, node: nir_extension.ConvolutionMap) -> None:
        super().__init__()
        self.map = node.map
        self.weight = torch.from_numpy(node.kernel).float()
        self.bias = (
            torch.from_numpy(node.bias)
            .float()
            .repeat_interleave(int(node.output_type["output"][0]) // len(node.bias))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map.forward(x[None], self.weight)[0] + self.bias


def compare_with_module(
    graph: Graph, module_run: ModuleRun, spikes: dict[str, Any], readouts: dict[str, Any]
) -> NorseResult:
    """Compare norse's spikes with the module's, and explain what differs.

    Parameters
    ----------
    graph : Graph
        The float graph: thresholds, weights, and the order of layers.
    """
    mismatches = explained = steps = 0
    smallest: float = np.inf
    worst: float | None = None
    tainted: dict[
        str, NDArray[np.bool_]
    ] = {}  # (samples, steps): something upstream differs at or before this step
    samples_differ: NDArray[np.bool_] | None = None
    for name in graph.select(LIF):
        node = graph.nodes[name]
        assert isinstance(node, LIF)
        before = [graph.sources(s)[0] for s in graph.sources(name)]
        if name not in module_run.spikes:
            # A product is no neuron of the module: its factors are compared, and what it feeds.
            known = [tainted[source] for source in before if source in tainted]
            tainted[name] = np.logical_or.reduce(known) if known else np.zeros(spikes[name].shape[:2], bool)
            continue
        ours, theirs = module_run.spikes[name], spikes[name]
        unequal = ours != theirs
        margin = np.abs(module_run.membranes[name] - node.threshold)
        steps += unequal.size
        mismatches += int(unequal.sum())
        smallest = min(smallest, float(margin.min()))
        upstream = np.zeros(unequal.shape[:2], bool)
        for source in before:
            if source in tainted:
                upstream |= tainted[source]
        earlier = np.logical_or.accumulate(unequal, axis=1)
        own_past = np.concatenate([np.zeros_like(earlier[:, :1]), earlier[:, :-1]], axis=1)
        follows = unequal & (upstream[:, :, None] | own_past)
        root = unequal & ~follows
        rounding = root & (margin <= tolerance(graph, name))
        explained += int(follows.sum() + rounding.sum())
        if root.any():
            worst = max(worst or 0.0, float(margin[root].max()))
        tainted[name] = np.logical_or.accumulate(unequal.any(2), axis=1) | upstream
        differ = unequal.any((1, 2))
        samples_differ = differ if samples_differ is None else samples_differ | differ
    error = None
    assert samples_differ is not None
    for name, values in readouts.items():
        same = ~samples_differ
        if same.any():
            error = max(error or 0.0, float(np.abs(values - module_run.membranes[name][:, -1])[same].max()))
    return NorseResult(steps, mismatches, explained, None if steps == 0 else smallest, worst, error)


def _in_order(network: Any, file: Any) -> None:
    """Visit nodes in order of data flow: nirtorch goes breadth first, and sums a longer branch a step late."""
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(file.nodes, ()))
    for a, b in file.edges:
        sorter.add(b, a)
    try:
        place = {name: at for at, name in enumerate(sorter.static_order())}
    except CycleError:
        return  # with loops its own order decides what is of the step before
    network.execution_order.sort(key=lambda node: place[node.name])


def tolerance(graph: Graph, name: str) -> float:
    """Distance from the threshold within which two float32 evaluations may disagree."""
    node = graph.nodes[name]
    assert isinstance(node, LIF)
    largest = float(node.threshold.max())
    for s in graph.sources(name):
        synapses = graph.nodes[s]
        assert isinstance(synapses, Synapses)
        largest += float(channel_sum(synapses.map, np.abs(synapses.map.weight)).max())
        largest += 0.0 if synapses.bias is None else float(np.abs(synapses.bias).max())
    return ROUNDINGS * float(np.finfo(np.float32).eps) * largest / (1 - float(node.beta.max()) or 1)
