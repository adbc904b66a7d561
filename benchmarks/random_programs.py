"""Random small networks as programs, drawn from a seed: what the reliability counts run.

Every kind of thing that a program may hold comes up: branches, residuals, several groups into one population, strides,
odd shapes, delays, relays, loops, always-on lines, graded spikes, registers a neuron. The same seed gives the same
networks wherever it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeVar

import numpy as np

from ..export import formats as hw
from ..export.formats import Reset
from ..export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap, Shape, channel_sum
from ..hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from ..hardware.relays import DelayCosts, lay_out

T = TypeVar("T")

#: Lava computes in 32 bits where the reference has 64; currents stay this far within them, wraps at 24 bits included.
WIDEST_CURRENT = 1 << 30
#: Groups that a population is counted on to have, for that bound.
MOST_GROUPS = 8
ALWAYS_ON = "on"


def largest_sum(map_: LinearMap) -> int:
    """Largest magnitude that a sum of binary spikes may reach, whatever the signs."""
    return int(channel_sum(map_, np.abs(map_.weight.astype(np.int64))).max(initial=0))


@dataclass(frozen=True)
class Frame:
    """What networks must share to run as one program.

    Attributes
    ----------
    timesteps, period, samples : int
        As in a program and its inputs.
    loops : bool
        Populations feed back, so that each sample starts anew, and biases come over always-on lines.
    subtract : bool
        Some populations reset by subtraction, which Lava cannot.
    delays, exponents : tuple of int
        What a population waits beside its synapses' own step, and what synapse groups are scaled by: a few values keep
        the processes few when networks are folded together.
    """

    timesteps: int
    period: int
    samples: int
    loops: bool
    subtract: bool
    delays: tuple[int, ...]
    exponents: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A random network with its inputs.

    Attributes
    ----------
    features : frozenset of str
        What it has, in words.
    """

    program: Program
    inputs: Inputs
    features: frozenset[str]


def draw_frame(
    rng: np.random.Generator, *, loops: bool, samples: int, subtract: bool = False, few: bool = False
) -> Frame:
    """A random frame.

    Parameters
    ----------
    few : bool
        One delay (branches of other lengths wait for others still) and two exponents, drawn among all.
    """
    timesteps = int(rng.integers(1, 9))
    period = timesteps + _choice(rng, [0, 0, 1, 3])
    delays: tuple[int, ...] = (0, 0, 0, 0, 0, 1, 2, 3, 11)
    exponents = tuple(range(hw.WEIGHT_EXPONENT_MIN, hw.WEIGHT_EXPONENT_MAX + 1))
    if few:
        delays = (_choice(rng, [0, 0, 1, 2, 4, 11]),)
        exponents = tuple(rng.choice(exponents, 2, replace=False).tolist())
    return Frame(timesteps, period, samples, loops, subtract, delays, exponents)


def draw_network(rng: np.random.Generator, frame: Frame) -> Network:
    """A random network of one to five populations."""
    return _Draft(rng, frame).network()


def _choice(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


@dataclass
class _Node:
    shape: Shape
    start: int
    #: Everything upstream.
    ancestors: set[str] = field(default_factory=set)


class _Draft:
    """A network in the making."""

    def __init__(self, rng: np.random.Generator, frame: Frame) -> None:
        self.rng, self.frame = rng, frame
        self.sources: list[SpikeSource] = []
        self.populations: list[Population] = []
        self.groups: list[SynapseGroup] = []
        self.nodes: dict[str, _Node] = {}
        self.features: set[str] = set()
        self.inputs = Inputs()

    def network(self) -> Network:
        """Draw everything, in order of data flow."""
        self._input()
        for index in range(int(self.rng.integers(1, 6))):
            self._layer(f"p{index}")
        if self.frame.loops:
            self._always_on()
            for index in range(int(self.rng.integers(1, 4))):
                self._loop(index)
        relays: list[Population] = []
        graded = any(s.peak > 1 for s in self.sources)
        if not graded and self._maybe(0.25):
            costs = DelayCosts(longest=_choice(self.rng, [0, 1, 2]))
            relays, self.groups = lay_out(self.groups, self.sources, self.populations, costs)
        self._name_features(relays)
        program = Program(
            "random", self.frame.timesteps, self.frame.period, tuple(self.sources),
            (*relays, *self.populations), tuple(self.groups),
        )  # fmt: skip
        return Network(program, self.inputs, frozenset(self.features))

    def _maybe(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _input(self) -> None:
        rng, frame = self.rng, self.frame
        shape = (int(rng.integers(1, 4)), int(rng.integers(1, 8)), int(rng.integers(1, 6)))
        size = prod(shape)
        self.nodes["in"] = _Node(shape, 0)
        if self._maybe(0.25):
            p = self._population("in", shape, 0, 500, bias=False)
            self.populations.append(replace(p, host_bias=True, readout=False))
            mantissa = rng.integers(-hw.BIAS_MANTISSA_MAX, hw.BIAS_MANTISSA_MAX + 1, (frame.samples, size))
            self.inputs = Inputs(biases={"in": (mantissa, rng.integers(0, 6, mantissa.shape))})
            return
        peak = _choice(rng, [1, 1, 1, 2, 15, 255])
        self.sources.append(SpikeSource("in", shape, peak))
        fired = rng.random((frame.samples, frame.timesteps, size)) < _choice(rng, [0.1, 0.4, 1.0])
        payload = rng.integers(1, peak + 1, fired.shape)
        self.inputs = Inputs({"in": np.where(fired, payload, 0).astype(np.uint8)})

    def _layer(self, name: str) -> None:
        """A population behind one to three groups, each from another node."""
        rng = self.rng
        origin = _choice(rng, sorted(self.nodes))
        map_ = self._map(self.nodes[origin].shape)
        delay = _choice(rng, self.frame.delays)
        start = self.nodes[origin].start + 1 + delay
        self.nodes[name] = node = _Node(map_.output_shape, start)
        first = self._join(origin, name, map_, 0)
        others = sorted(n for n, other in self.nodes.items() if other.start < start and n != origin)
        for other in rng.permutation(others).tolist()[: _choice(rng, [0, 1, 1, 2])]:
            if other in node.ancestors:
                self.features.add("residuals")
            self._join(other, name, self._dense(self.nodes[other].shape, node.shape), 0)
        largest = int(hw.weight_unit(first.exponent) * largest_sum(map_)) >> hw.ALIGNMENT_SHIFT
        bias = not (self.frame.loops and start)
        self.populations.append(self._population(name, map_.output_shape, start, largest, bias))

    def _join(self, source: str, target: str, map_: LinearMap, lag: int) -> SynapseGroup:
        """Add a group, waiting so that it arrives ``lag`` steps late, with an exponent that Lava's 32 bits bear."""
        delay = self.nodes[target].start + lag - self.nodes[source].start - 1
        peak = max((s.peak for s in self.sources if s.name == source), default=1)
        unit = hw.weight_unit(0) * largest_sum(map_) * peak * self.frame.period * MOST_GROUPS
        room = int(np.floor(np.log2(WIDEST_CURRENT / max(unit, 1.0))))
        top = max(hw.WEIGHT_EXPONENT_MIN, min(hw.WEIGHT_EXPONENT_MAX, room))
        exponent = _choice(self.rng, [e for e in self.frame.exponents if e <= top] or [top])
        label = f"{source}-{target}{f'-late{lag}' if lag else ''}"
        group = SynapseGroup(label, source, target, map_, exponent, delay, lag)
        self.groups.append(group)
        if not lag:
            self.nodes[target].ancestors |= {source, *self.nodes[source].ancestors}
        return group

    def _always_on(self) -> None:
        """A bias over a line that always fires, into some populations."""
        self.sources.append(SpikeSource(ALWAYS_ON, (1,), constant=True))
        self.nodes[ALWAYS_ON] = _Node((1,), 0)
        for p in self.populations:
            if p.start and self._maybe(0.5):
                self._join(ALWAYS_ON, p.name, self._dense((1,), p.shape), 0)

    def _loop(self, index: int) -> None:
        """A group that lags: back to the same or an earlier population, or late to a later one."""
        target = _choice(self.rng, [p.name for p in self.populations])
        source = _choice(self.rng, [p.name for p in self.populations if not p.readout] or [target])
        shortest = max(1, self.nodes[source].start + 1 - self.nodes[target].start)
        lag = shortest + _choice(self.rng, self.frame.delays)
        if any(g.source == source and g.target == target and g.lag == lag for g in self.groups):
            return
        self._join(source, target, self._dense(self.nodes[source].shape, self.nodes[target].shape), lag)
        self.features.add("loops" if source == target or target in self.nodes[source].ancestors else "lags")

    def _population(self, name: str, shape: Shape, start: int, largest: int, bias: bool) -> Population:
        """A population; ``largest`` is about the threshold that all its inputs at once just reach."""
        rng, size = self.rng, prod(shape)
        current: Any = _choice(rng, [4095, 4095, 0, 1, 700, 4094, -1])
        membrane: Any = _choice(rng, [3072, 0, 1, 819, 4095, 4096])
        if self._maybe(0.5):
            current = np.where(rng.random(size) < 0.5, current, rng.integers(-1, hw.DECAY_ONE, size))
            membrane = np.where(rng.random(size) < 0.5, membrane, rng.integers(0, hw.DECAY_ONE + 1, size))
            self.features.add("registers a neuron")
        top = _choice(rng, [largest, largest // 4, largest // 4, 60, hw.THRESHOLD_MAX])
        mantissa = np.zeros(size, np.int64)
        if bias and self._maybe(0.4):
            mantissa = rng.integers(-hw.BIAS_MANTISSA_MAX, hw.BIAS_MANTISSA_MAX + 1, size)
            self.features.add("biases")
        reset: Reset = "zero"
        if self.frame.subtract and self._maybe(0.4):
            reset = _choice(rng, ["subtract", "subtract-delayed"])
            self.features.add("delayed reset" if reset == "subtract-delayed" else "reset by subtraction")
        return Population(
            name=name,
            shape=shape,
            current_decay=current,
            membrane_decay=membrane,
            threshold=rng.integers(0, min(max(top, 1), hw.THRESHOLD_MAX) + 1, size),
            bias_mantissa=mantissa,
            bias_exponent=rng.integers(0, _choice(rng, [3, 8]), size),
            scale=np.ones(size),
            start=start,
            readout=self._maybe(0.15),
            reset=reset,
        )

    def _weights(self, *shape: int) -> np.ndarray[Any, Any]:
        span = _choice(self.rng, [1, 3, 20, 127])
        weight = self.rng.integers(-span, span + 1, shape)
        kept = self.rng.random(shape) >= _choice(self.rng, [0.0, 0.5])
        return np.where(kept, weight, 0).astype(np.int8)

    def _dense(self, source: Shape, target: Shape) -> Dense:
        return Dense(self._weights(prod(target), prod(source)), source, target)

    def _map(self, shape: Shape) -> LinearMap:
        """A map from (channels, height, width)."""
        rng = self.rng
        kinds: list[Callable[[Shape], LinearMap]] = [
            self._any_dense,
            self._conv,
            self._conv,
            self._transposed,
        ]
        try:
            return _choice(rng, kinds)(shape)
        except ValueError:  # a kernel that does not fit its input
            return self._any_dense(shape)

    def _any_dense(self, shape: Shape) -> LinearMap:
        return self._dense(shape, (_choice(self.rng, [1, 2, 3]), *self.rng.integers(1, 4, 2).tolist()))

    def _conv(self, shape: Shape) -> LinearMap:
        rng = self.rng
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        stride = (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        padding = (int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1])))
        dilation = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        groups = shape[0] if shape[0] > 1 and self._maybe(0.3) else 1
        weight = self._weights(int(rng.integers(1, 4)) * groups, shape[0] // groups, *kernel)
        return Conv2d(weight, shape, stride, padding, dilation, groups)

    def _transposed(self, shape: Shape) -> LinearMap:
        rng = self.rng
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        extra = (int(rng.integers(0, stride[0])), int(rng.integers(0, stride[1])))
        weight = self._weights(shape[0], int(rng.integers(1, 3)), *kernel)
        return ConvTranspose2d(weight, shape, stride, output_padding=extra)

    def _name_features(self, relays: Sequence[Population]) -> None:
        """What of everything this network has."""
        groups = self.groups
        fed = [g.target for g in groups if g.source != ALWAYS_ON]
        feeds = [g.source for g in groups if g.source != ALWAYS_ON]
        maps = [g.map for g in groups if g.target not in {p.name for p in relays}]
        convs = [m for m in maps if isinstance(m, Conv2d)]
        has = {
            "several groups into a population": len(set(fed)) < len(fed),
            "branches": len(set(feeds)) < len(feeds),
            "dense maps": any(isinstance(m, Dense) for m in maps),
            "convolutions": bool(convs),
            "transposed convolutions": any(isinstance(m, ConvTranspose2d) for m in maps),
            "strides": any(max(m.stride) > 1 for m in convs),
            "grouped convolutions": any(m.groups > 1 for m in convs),
            "odd, unequal sides": any(
                h % 2 and h > 1 and h != w for _, h, w in (m.input_shape for m in convs)
            ),
            "delays": any(g.delay for g in groups),
            "relays": bool(relays),
            "always-on lines": any(g.source == ALWAYS_ON for g in groups),
            "graded spikes": any(s.peak > 1 for s in self.sources),
            "biases from the host": bool(self.inputs.biases),
            "a gap between samples": self.frame.period > self.frame.timesteps,
        }
        self.features |= {name for name, found in has.items() if found}
