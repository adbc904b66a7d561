"""The part of a network whose input never changes."""

from __future__ import annotations

from dataclasses import replace

from .network import INPUT, Layer, Network


def split_static(network: Network) -> tuple[Layer, Network]:
    """The layer that sees a constant input, and the network behind it, whose input is then that layer's output.

    Its current is the same at every step, so it is computed once.
    """
    first, *rest = network.layers
    assert network.coding == "direct"
    assert first.inputs == (INPUT,)
    layers = tuple(
        replace(layer, inputs=tuple(INPUT if source == first.name else source for source in layer.inputs))
        for layer in rest
    )
    return first, replace(network, input_shape=first.shape, layers=layers)
