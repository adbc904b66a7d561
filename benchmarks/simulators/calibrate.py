"""Thresholds that let every layer spike as often as wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .builder import GRID
from .workers.network import INPUT, Network
from .workers.torch_network import connection

#: How near a layer's rate comes to the one wanted, as a share of it.
TOLERANCE = 0.02


def calibrated(network: Network, inputs: Tensor, rate: float) -> Network:
    """Choose each layer's threshold, from first to last, so that it spikes at about a rate on these inputs.

    Thresholds are whole multiples of ``GRID``, as weights are, so that the chip's registers hold them exactly.

    Parameters
    ----------
    inputs : Tensor
        As the network takes them, samples first.
    rate : float
        Spikes a neuron and step.
    """
    samples, steps = len(inputs), network.steps
    x = inputs.float()
    if network.coding == "direct":
        x = x.unsqueeze(1).expand(-1, steps, *network.input_shape)
    values = {INPUT: x.flatten(0, 1)}
    thresholds: dict[str, float] = {}
    for layer in network.layers:
        given = [values[name] for name in layer.inputs]
        if layer.kind == "add":
            out = torch.stack(given).sum(0)
        elif layer.kind == "lif":
            current = given[0].unflatten(0, (samples, steps)).transpose(0, 1).contiguous()
            thresholds[layer.name] = threshold(current, layer.beta, rate)
            spikes = window(current, layer.beta, thresholds[layer.name])
            out = spikes.transpose(0, 1).flatten(0, 1)
        elif layer.kind == "readout":
            out = given[0]
        else:
            out = _apply(connection(layer), given[0])
        for name in layer.inputs:
            if network.last_use()[name] == layer.name:
                values.pop(name, None)
        values[layer.name] = out
    return network.with_thresholds(thresholds)


def threshold(current: Tensor, beta: float, rate: float) -> float:
    """The threshold at which currents (steps, ...) make neurons spike at a rate."""
    reach = len(current) if beta == 1 else min(len(current), 1 / (1 - beta))
    low, high = 0, max(1, int(float(current.max()) * reach / GRID))
    while high - low > 1:
        middle = (low + high) // 2
        found = float(window(current, beta, middle * GRID).mean())
        if abs(found - rate) < TOLERANCE * rate:
            return middle * GRID
        low, high = (middle, high) if found > rate else (low, middle)
    return high * GRID


def window(current: Tensor, beta: float, theta: float) -> Tensor:
    """Spikes of neurons with reset to zero for currents (steps, ...), from rest."""
    spikes = torch.empty_like(current)
    v = torch.zeros_like(current[0])
    for t in range(len(current)):
        v = v.mul_(beta).add_(current[t])
        torch.gt(v, theta, out=spikes[t])
        v.mul_(1 - spikes[t])
    return spikes


@torch.inference_mode()
def _apply(module: nn.Module, x: Tensor) -> Tensor:
    return module(x)  # type: ignore[no-any-return]
