"""Layers of a lava-dl ``.net`` file as netx 0.6.0 runs them: what reader and writer have in common.

Weights are what one spike adds to the synaptic input, thresholds and biases are in the same unit, and everything a
neuron has is in C order of (channels, height, width). netx itself holds images as (width, height, channels).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .formats import DECAY_ONE, THRESHOLD_MAX, Ints
from .linear import Conv2d, Dense, Shape

#: Membrane units of a weight, a threshold or a bias of 1 (netx fixes the bias exponent at 6).
UNIT = 64
#: What netx gives a layer that must not fire: above every membrane.
NEVER = THRESHOLD_MAX + 1
#: Beyond this a threshold shifted by 6 bits overflows in Lava, and one that cannot be reached could be.
LARGEST_THRESHOLD = (1 << 25) - 1
LARGEST_LAYER = 1 << 23
#: Weight of an input layer that states none.
INPUT_WEIGHT = 64


@dataclass(frozen=True, eq=False)
class NetNeurons:
    """CUBA neurons.

    Attributes
    ----------
    shape : tuple of int
        (channels, height, width), or (neurons,).
    current_decay, membrane_decay : ndarray of int64
        ``iDecay`` and ``vDecay``, 0..4096, one a neuron.
    threshold : ndarray of int64
        ``vThMant``, one a neuron; 131072 and above never fires.
    bias : ndarray of int64
        One a neuron.
    """

    shape: Shape
    current_decay: Ints
    membrane_decay: Ints
    threshold: Ints
    bias: Ints

    @classmethod
    def silent(cls, shape: Shape, bias: Ints) -> NetNeurons:
        """What a dense layer without neurons gets: they keep their current, lose their membrane and never fire."""
        zeros = np.zeros(len(bias), np.int64)
        return cls(shape, zeros, zeros + DECAY_ONE, zeros + NEVER, bias)

    @property
    def never_fires(self) -> bool:
        """No neuron can."""
        return bool((self.threshold >= NEVER).all())


@dataclass(frozen=True, eq=False)
class NetInput:
    """Where samples enter.

    Attributes
    ----------
    neurons : NetNeurons or None
        Neurons that the host drives through their bias; None where spikes enter.
    weight, bias : int
        What turns a value into a bias, for an input with neurons.
    """

    shape: Shape
    neurons: NetNeurons | None = None
    weight: int = INPUT_WEIGHT
    bias: int = 0


@dataclass(frozen=True, eq=False)
class NetLayer:
    """A layer with synapses.

    Attributes
    ----------
    label : str
        Type and number in the file.
    map : Conv2d or Dense
        With int64 weights.
    delay : ndarray of int64
        Extra steps of each synapse of a dense map; empty for none.
    recurrent : ndarray of int64
        Weights (neurons, neurons) from the layer to itself; empty for none.
    recurrent_delay : ndarray of int64
        Extra steps of each of those; empty for none.
    """

    label: str
    map: Conv2d | Dense
    neurons: NetNeurons
    delay: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    recurrent: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    recurrent_delay: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))


@dataclass(frozen=True, eq=False)
class NetNetwork:
    """A whole file: strictly sequential.

    Attributes
    ----------
    input : NetInput
    layers : tuple of NetLayer
    """

    name: str
    input: NetInput
    layers: tuple[NetLayer, ...]


def channels_last(values: Ints, shape: Shape) -> Ints:
    """Values in C order of (channels, height, width) as netx lays them out; vectors stay."""
    return values.reshape(shape).T


def channels_first(values: Ints, shape: Shape) -> Ints:
    """Values as netx lays them out, broadcast over ``shape`` (channels, height, width), in its C order.

    Raises
    ------
    ValueError
        They cannot be broadcast.
    """
    return np.ascontiguousarray(np.broadcast_to(values, shape[::-1]).T).ravel()
