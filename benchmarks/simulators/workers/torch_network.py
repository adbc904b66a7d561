"""Layers of a network as torch modules, wired as the network says; simulators on torch bring their own neurons."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from .network import INPUT, Layer, Network


def use_threads() -> None:
    """As many threads as every other simulator of the run."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def just_above(threshold: float) -> float:
    """The next float, for neurons that fire where the membrane meets their threshold: here it must exceed it."""
    return float(torch.nextafter(torch.tensor(threshold), torch.tensor(float("inf"))))


def connection(layer: Layer, library: ModuleType = nn) -> nn.Module:
    """A layer without neurons.

    Parameters
    ----------
    library : module
        Whose ``Conv2d``, ``ConvTranspose2d``, ``Linear``, ``AvgPool2d`` and ``Flatten`` to take.
    """
    if layer.kind == "flatten":
        return library.Flatten()  # type: ignore[no-any-return]
    if layer.kind == "unflatten":
        return nn.Unflatten(1, layer.shape)
    if layer.kind == "pool":
        return library.AvgPool2d(layer.size, divisor_override=1)  # type: ignore[no-any-return]
    assert layer.weight is not None
    weight = torch.from_numpy(layer.weight)
    has_bias = layer.bias is not None
    module: Any
    if layer.kind == "linear":
        module = library.Linear(weight.shape[1], weight.shape[0], bias=has_bias)
    elif layer.kind == "conv":
        side = weight.shape[2]
        module = library.Conv2d(
            weight.shape[1], weight.shape[0], side, layer.stride, layer.padding, bias=has_bias
        )
    else:
        side = weight.shape[2]
        module = library.ConvTranspose2d(
            weight.shape[0],
            weight.shape[1],
            side,
            layer.stride,
            layer.padding,
            output_padding=layer.output_padding,
            bias=has_bias,
        )
    with torch.no_grad():
        module.weight.copy_(weight)
        if layer.bias is not None:
            module.bias.copy_(torch.from_numpy(layer.bias))
    return module  # type: ignore[no-any-return]


class Wired(nn.Module):
    """A network's layers in order of evaluation, whatever the axes of the values between them are.

    Parameters
    ----------
    make : callable
        The module of a layer; ``add`` has none.
    """

    def __init__(self, network: Network, make: Callable[[Layer], nn.Module]) -> None:
        super().__init__()
        self.plan = [(layer.name, layer.kind, layer.inputs) for layer in network.layers]
        self.last_use = network.last_use()
        self.watched: dict[str, Tensor] | None = None
        for layer in network.layers:
            if layer.kind != "add":
                self.add_module(layer.name, make(layer))

    def one(self, kind: str, module: nn.Module, x: Tensor) -> Tensor:
        """The output of one module."""
        return module(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """From the network's input to its last layer's output."""
        values = {INPUT: x}
        for name, kind, inputs in self.plan:
            given = [values[source] for source in inputs]
            if kind == "add":
                x = given[0]
                for other in given[1:]:
                    x = x + other
            else:
                x = self.one(kind, self._modules[name], given[0])  # type: ignore[arg-type]
            if self.watched is not None and kind == "lif":
                self.watch(name, x)
            for source in inputs:
                if self.last_use[source] == name:
                    values.pop(source, None)
            values[name] = x
        return x

    def watch(self, name: str, spikes: Tensor) -> None:
        """Keep a layer's spikes, or add them to those of the steps before where a call is one step."""
        assert self.watched is not None
        self.watched[name] = self.watched[name] + spikes if name in self.watched else spikes
