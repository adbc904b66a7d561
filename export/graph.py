"""The graph that passes work on: frozen nodes, edges that carry flat vectors, settings, host steps.

Several edges into one node mean the sum, as in NIR. Activations are flat in C order, so a node's shape is a view and
never a computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import ExportError
from .formats import Ints
from .linear import LinearMap, Shape

FloatArray: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """Where samples enter.

    Attributes
    ----------
    coding : str
        ``direct``: the same real-valued sample at every step; ``spikes``: 0/1 at each step.
    """

    shape: Shape
    coding: Literal["direct", "spikes"]


@dataclass(frozen=True)
class Output:
    """Where results leave: the spikes or the membrane of the node before."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Synapses:
    """A linear map with an optional bias.

    Attributes
    ----------
    map : LinearMap
        Connectivity and weights: float32, or int8 after quantisation.
    bias : ndarray or None
        One value an output channel; None also after quantisation, when the bias is the neuron's.
    exponent : int or None
        Weight exponent after quantisation.
    """

    map: LinearMap
    bias: FloatArray | None = None
    exponent: int | None = None

    @property
    def shape(self) -> Shape:
        """Output shape."""
        return self.map.output_shape


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Batch normalisation with running statistics: ``(x - mean) / sqrt(var + eps) * weight + bias`` by channel."""

    shape: Shape
    weight: FloatArray
    bias: FloatArray
    mean: FloatArray
    variance: FloatArray
    eps: float


@dataclass(frozen=True)
class Reshape:
    """Another view of the same values."""

    shape: Shape


@dataclass(frozen=True)
class Identity:
    """Nothing: dropout at inference, identity, the meeting point of an addition."""

    shape: Shape


@dataclass(frozen=True)
class HostFunction:
    """An elementwise function or resampling that the host computes: ``tanh``, ``sigmoid``, ``resample``."""

    shape: Shape
    kind: str


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire neurons: ``v = beta v + I``; a spike where ``v > threshold``, and then ``v = 0``.

    Attributes
    ----------
    threshold : ndarray of float32
        One value, or one a neuron.
    static : bool
        The current is the same at every step of a sample and the host computes it (set by a pass).
    """

    shape: Shape
    beta: float
    threshold: FloatArray
    static: bool = False


@dataclass(frozen=True)
class LI:
    """Leaky integrators that never fire: ``v = beta v + I``; a read-out."""

    shape: Shape
    beta: float


@dataclass(frozen=True, eq=False)
class IntegerNeuron:
    """Quantised neurons: registers, and the scale that leads back to floats.

    Attributes
    ----------
    current_decay, membrane_decay : int
        Registers du and dv.
    threshold, bias_mantissa, bias_exponent : ndarray of int64
        One a neuron.
    scale : ndarray of float64
        Membrane units per float unit, one a neuron.
    static, readout : bool
        As before quantisation.
    """

    shape: Shape
    current_decay: int
    membrane_decay: int
    threshold: Ints
    bias_mantissa: Ints
    bias_exponent: Ints
    scale: NDArray[np.float64]
    static: bool
    readout: bool
    origin: LIF | LI


Node: TypeAlias = (
    Input | Output | Synapses | BatchNorm | Reshape | Identity | HostFunction | LIF | LI | IntegerNeuron
)
Neuron: TypeAlias = LIF | LI | IntegerNeuron


@dataclass(frozen=True, eq=False)
class HostStep:
    """Work the host does outside the graph.

    Attributes
    ----------
    kind : str
        ``tanh`` (after ``node``), ``resample`` (between ``node`` and what it feeds; bypassed when spikes pass
        through), ``rate_prior`` (generates rates that feed ``node``).
    node : str
        The node it stands at.
    arrays : dict of str to ndarray
        Parameters.
    """

    kind: str
    node: str
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What NIR has no field for; it travels as metadata.

    Attributes
    ----------
    timesteps : int
        Steps of a sample.
    dt : float
        Seconds a step, by which time constants are expressed in NIR.
    reset : str
        Reset of the firing neurons.
    weight_bits : int or None
        Set after quantisation.
    """

    timesteps: int
    dt: float = 1e-4
    reset: Literal["zero"] = "zero"
    weight_bits: int | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """A network at one level.

    Attributes
    ----------
    nodes : dict of str to Node
        By name, in no particular order.
    edges : tuple of (str, str)
        From, to.
    """

    name: str
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    settings: Settings
    host_steps: tuple[HostStep, ...] = ()

    def sources(self, name: str) -> list[str]:
        """Nodes that feed ``name``."""
        return [a for a, b in self.edges if b == name]

    def targets(self, name: str) -> list[str]:
        """Nodes that ``name`` feeds."""
        return [b for a, b in self.edges if a == name]

    def order(self) -> list[str]:
        """Names in order of data flow.

        Raises
        ------
        ExportError
            The graph has a loop.
        """
        sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(self.nodes, ()))
        for a, b in self.edges:
            sorter.add(b, a)
        try:
            return list(sorter.static_order())
        except CycleError as error:
            loop = " -> ".join(error.args[1])
            raise ExportError(
                f"{self.name}: the graph has a loop ({loop}); recurrent graphs are not lowered yet"
            ) from None

    def with_node(self, name: str, node: Node) -> Graph:
        """The graph with one node replaced."""
        return replace(self, nodes={**self.nodes, name: node})

    def without(self, name: str) -> Graph:
        """The graph with one node taken out and its neighbours joined."""
        before, after = self.sources(name), self.targets(name)
        edges = [e for e in self.edges if name not in e] + [(a, b) for a in before for b in after]
        nodes = {n: node for n, node in self.nodes.items() if n != name}
        steps = tuple(replace(s, node=before[0]) if s.node == name and before else s for s in self.host_steps)
        return replace(self, nodes=nodes, edges=tuple(edges), host_steps=steps)

    def with_host_step(self, step: HostStep) -> Graph:
        """The graph with one more host step."""
        return replace(self, host_steps=(*self.host_steps, step))

    def select(self, *kinds: type) -> list[str]:
        """Names of the nodes of some kinds, in order of data flow."""
        return [name for name in self.order() if isinstance(self.nodes[name], kinds)]

    def host_step(self, kind: str) -> HostStep | None:
        """The host step of a kind, if there is one."""
        return next((step for step in self.host_steps if step.kind == kind), None)


Pass: TypeAlias = Callable[[Graph], Graph]


def size(node: Node) -> int:
    """Values that leave a node."""
    return prod(node.shape)
