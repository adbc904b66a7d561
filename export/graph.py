"""The graph that passes work on: frozen nodes, edges that carry flat vectors, settings, host steps.

Several edges into one node mean the sum, as in NIR. Activations are flat in C order, so a node's shape is a view and
never a computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import ExportError
from .formats import Ints, Reset
from .linear import LinearMap, Shape
from .order import stages

FloatArray: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Input:
    """Where samples enter.

    Attributes
    ----------
    coding : str
        ``direct``: the same real-valued sample at every step; ``spikes``: whole numbers 0..peak at each step.
    peak : int
        Largest value of a spike: 1, or up to 255 for graded spikes.
    """

    shape: Shape
    coding: Literal["direct", "spikes"]
    peak: int = 1


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
        One value an output channel, or one an output; None also after quantisation, when the bias is the neuron's.
    exponent : int or None
        Weight exponent after quantisation.
    lag : int
        Steps by which spikes arrive late: at least 1 somewhere in every loop, more where the network delays.
    refines : str
        Name of the synapses whose weights these carry on, 128 times finer; empty for synapses of their own.
    """

    map: LinearMap
    bias: FloatArray | None = None
    exponent: int | None = None
    lag: int = 0
    refines: str = ""

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
class MaxPool:
    """The largest of the spikes in each window, as ``torch.nn.MaxPool2d`` over (channels, height, width)."""

    shape: Shape
    input_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Select:
    """Values picked from the node before: permutation, slice, place in a concatenation, nearest upsampling.

    Attributes
    ----------
    index : ndarray of int64
        For each output the input that it takes, or -1 for zero; flat.
    lag : int
        Steps by which they are taken late: 1 for the spikes of the step before.
    """

    shape: Shape
    index: Ints
    lag: int = 0


@dataclass(frozen=True)
class Product:
    """The product of the spikes of all nodes that feed it."""

    shape: Shape


@dataclass(frozen=True)
class HostFunction:
    """An elementwise function or resampling that the host computes: ``tanh``, ``sigmoid``, ``resample``."""

    shape: Shape
    kind: str


def _per_neuron(node: LIF | LI, *fields: str) -> None:
    """Hold numbers as arrays of one value, or one a neuron."""
    for name in fields:
        value = np.asarray(getattr(node, name), np.float64).reshape(-1)
        object.__setattr__(node, name, value)


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire neurons: ``u = alpha u + I``, ``v = beta v + u``; a spike where ``v > threshold``.

    Attributes
    ----------
    beta : ndarray of float64
        What the membrane keeps of itself each step; one value, or one a neuron (a number will do to build it).
    threshold : ndarray of float32
        One value, or one a neuron.
    static : bool
        A directly coded input feeds it: that current is the same at every step of a sample, and the host computes it
        (set by a pass).
    alpha : ndarray of float64
        What the synaptic current keeps; 0 for neurons without a current of their own.
    reset : str
        What a spike does to the membrane: one of :data:`~spikewright.export.formats.RESETS`.
    unit : ndarray of float64
        This graph's membrane units per unit of the network it came from, where the two differ; one, or one a neuron.
    """

    shape: Shape
    beta: Floats
    threshold: FloatArray
    static: bool = False
    alpha: Floats = field(default_factory=lambda: np.zeros(1))
    reset: Reset = "zero"
    unit: Floats = field(default_factory=lambda: np.ones(1))

    def __post_init__(self) -> None:
        _per_neuron(self, "beta", "alpha", "unit")


@dataclass(frozen=True, eq=False)
class LI:
    """Leaky integrators that never fire: ``u = alpha u + I``, ``v = beta v + u``; a read-out."""

    shape: Shape
    beta: Floats
    alpha: Floats = field(default_factory=lambda: np.zeros(1))
    unit: Floats = field(default_factory=lambda: np.ones(1))

    def __post_init__(self) -> None:
        _per_neuron(self, "beta", "alpha", "unit")


@dataclass(frozen=True, eq=False)
class Relay(LI):
    """Hands its input on: ``v = I``, which the synapses behind it weigh. On a chip it sends v as a graded spike a step."""

    beta: Floats = field(default_factory=lambda: np.zeros(1))


@dataclass(frozen=True, eq=False)
class IntegerNeuron:
    """Quantised neurons: registers, and the scale that leads back to floats.

    Attributes
    ----------
    current_decay, membrane_decay, threshold, bias_mantissa, bias_exponent : ndarray of int64
        Registers, one a neuron; a number stands for all.
    scale : ndarray of float64
        Membrane units per unit of the source network, one a neuron.
    static, readout : bool
        As before quantisation.
    line : ndarray of int64
        Bias that reaches the current and not the membrane, over an always-on line: integers in units of the synaptic
        input (64 membrane units), one a neuron; empty for none.
    payload_bits, payload_shift : int
        Of a relay: width of the value that it sends, sign included, and membrane units a unit of it, as a power of two;
        0 for neurons that fire or are read.
    """

    shape: Shape
    current_decay: Ints
    membrane_decay: Ints
    threshold: Ints
    bias_mantissa: Ints
    bias_exponent: Ints
    scale: Floats
    static: bool
    readout: bool
    origin: LIF | LI
    line: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    payload_bits: int = 0
    payload_shift: int = 0

    def __post_init__(self) -> None:
        for name in ("current_decay", "membrane_decay"):
            register = np.asarray(getattr(self, name), np.int64)
            if not register.ndim:
                object.__setattr__(self, name, np.full(prod(self.shape), register, np.int64))

    @property
    def reset(self) -> Reset:
        """What a spike does to the membrane."""
        return self.origin.reset if isinstance(self.origin, LIF) else "zero"

    @property
    def payload_unit(self) -> float:
        """Units of a sent value per unit of this graph; 1 for spikes."""
        return float((self.scale / self.origin.unit)[0]) / 2**self.payload_shift if self.payload_bits else 1.0


Node: TypeAlias = (
    Input
    | Output
    | Synapses
    | BatchNorm
    | Reshape
    | Identity
    | Select
    | MaxPool
    | Product
    | HostFunction
    | LIF
    | LI
    | IntegerNeuron
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
    weight_bits : int or None
        Set after quantisation.
    """

    timesteps: int
    dt: float = 1e-4
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

    def direct(self, name: str) -> list[str]:
        """The synapses into a population that see a directly coded input: their current is the host's."""

        def real(synapses: str) -> bool:
            sources = [self.nodes[s] for s in self.sources(synapses)]
            return bool(sources) and all(isinstance(s, Input) and s.coding == "direct" for s in sources)

        return [s for s in self.sources(name) if isinstance(self.nodes[s], Synapses) and real(s)]

    def loops(self) -> list[list[str]]:
        """Names in order of data flow, those that a loop joins together; within a loop, lagging synapses come first.

        Raises
        ------
        ExportError
            A loop in which nothing lags: its spikes would have to arrive before they are sent.
        """
        sources: dict[str, list[str]] = {name: [] for name in self.nodes}
        for a, b in self.edges:
            if a in sources and b in sources:  # the level check reports the others
                sources[b].append(a)
        late = {(s, n) for n, feeds in sources.items() if getattr(self.nodes[n], "lag", 0) for s in feeds}
        try:
            return stages(sources, late)
        except CycleError as error:
            loop = " -> ".join(error.args[1])
            raise ExportError(
                f"{self.name}: the graph has a loop in which nothing lags ({loop}); feed back the spikes of the step before"
            ) from None

    def order(self) -> list[str]:
        """Names in order of data flow; see :meth:`loops`.

        Raises
        ------
        ExportError
            A loop in which nothing lags.
        """
        return [name for group in self.loops() for name in group]

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
