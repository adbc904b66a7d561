"""The timed integer program: populations, synapse groups, and when each population's sample begins and is reset.

Every synapse group takes one step. A population at depth d therefore sees the first step of a sample d steps late; its
start step says so, and its reset falls exactly there, so that biases never integrate ahead of their input and samples
stream back to back, one every ``period`` steps.

In a streamed program the samples are the frames of one stream: synapses that lag by whole periods join a frame to those
before and after it. Outside the stream the host holds its populations silent (:data:`SILENCE`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export import formats as hw
from ..export.formats import RESETS, Ints, Reset
from ..export.linear import LinearMap, Shape

#: Mantissa and exponent of the bias that holds a population of a streamed program silent.
SILENCE = (-hw.BIAS_MANTISSA_MAX, hw.BIAS_EXPONENT_MAX)


class ProgramError(Exception):
    """A program that no backend may run; the message names the population or synapse group."""


@dataclass(frozen=True)
class SpikeSource:
    """Spikes that the host injects.

    Attributes
    ----------
    peak : int
        Largest value a spike may carry: 1 for plain spikes, up to 255 for graded ones.
    constant : bool
        An always-on line: it fires at every step of a sample, and whoever hands inputs leaves it out. The biases of
        current-based neurons arrive over it.
    """

    name: str
    shape: Shape
    peak: int = 1
    constant: bool = False

    @property
    def size(self) -> int:
        """Number of lines."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that share a schedule.

    Attributes
    ----------
    shape : tuple of int
        Shape of the population; arrays below are flat in C order, and a single number stands for all neurons.
    current_decay, membrane_decay : ndarray of int64
        Registers du (-1..4095; -1 keeps the whole current, as Lava computes it) and dv (0..4096), one a neuron.
    threshold : ndarray of int64
        Mantissa a neuron, 0..131071; a spike needs a membrane above ``threshold << 6``.
    bias_mantissa, bias_exponent : ndarray of int64
        Constant bias a neuron, ``mantissa << exponent`` membrane units each step.
    host_bias : bool
        The host writes mantissa and exponent for each sample; the arrays above are zero.
    readout : bool
        The neurons never fire; the host reads their membrane at the last step of a sample.
    scale : ndarray of float64
        Membrane units per float unit, one a neuron.
    start : int
        Global steps after which a sample's first step reaches the population.
    reset : str
        What a spike does to the membrane: one of :data:`~spikewright.export.formats.RESETS`; Lava's neurons know ``zero`` only.
    relay : bool
        Hands spikes on a few steps later, to line branches up; not part of the network.
    payload_bits : int
        Makes a graded relay: at every step each neuron sends its membrane, rounded to units of ``2^payload_shift`` and
        saturated to so many bits (sign included), as the value of one graded spike; zero sends nothing. It keeps nothing
        from step to step and has no threshold. 0 for neurons that fire plain spikes.
    payload_shift : int
        See above; 0..23.
    """

    name: str
    shape: Shape
    current_decay: Ints
    membrane_decay: Ints
    threshold: Ints
    bias_mantissa: Ints
    bias_exponent: Ints
    scale: NDArray[np.float64]
    start: int
    host_bias: bool = False
    readout: bool = False
    reset: Reset = "zero"
    relay: bool = False
    payload_bits: int = 0
    payload_shift: int = 0

    def __post_init__(self) -> None:
        for name in ("current_decay", "membrane_decay"):
            register = np.asarray(getattr(self, name))
            if not register.ndim:
                object.__setattr__(self, name, np.full(self.size, register, np.int64))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    @cached_property
    def bias(self) -> Ints:
        """Constant bias in membrane units."""
        return hw.bias_value(self.bias_mantissa, self.bias_exponent)

    @property
    def graded(self) -> bool:
        """Whether it is a graded relay."""
        return self.payload_bits > 0

    @property
    def peak(self) -> int:
        """Largest magnitude that a spike carries."""
        return hw.payload_limit(self.payload_bits) if self.graded else 1


@dataclass(frozen=True, eq=False)
class SynapseGroup:
    """Synapses from one population (or source) to another.

    Attributes
    ----------
    map : LinearMap
        Connectivity with int8 weights q; the chip stores 2 q.
    exponent : int
        Power of two on the synaptic sum, -1..7.
    delay : int
        Extra steps beside the one that every synapse takes, 0..62.
    lag : int
        Steps by which spikes arrive late in the target's local time: 0 in a balanced feed-forward network, at least 1
        in a loop, negative where nobody lined the branches up.
    """

    name: str
    source: str
    target: str
    map: LinearMap
    exponent: int
    delay: int = 0
    lag: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """A network on the chip's schedule.

    Attributes
    ----------
    timesteps : int
        Steps of a sample.
    period : int
        Steps between the starts of two samples, at least ``timesteps``.
    host : dict
        What the host does before and after, as JSON-able settings (see :mod:`spikewright.hardware.host`).
    host_arrays : dict of str to ndarray
        Arrays that the host steps use.
    streamed : bool
        Samples are frames of one stream: what lags, by whole periods of either sign, belongs to frames after or before.
        The host holds populations with ``host_bias`` silent before the first frame and after the last one.
    """

    name: str
    timesteps: int
    period: int
    sources: tuple[SpikeSource, ...]
    populations: tuple[Population, ...]
    synapses: tuple[SynapseGroup, ...]
    host: dict[str, Any] = field(default_factory=dict)
    host_arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    streamed: bool = False

    def population(self, name: str) -> Population:
        """The population of that name."""
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    def inputs_of(self, name: str) -> tuple[SynapseGroup, ...]:
        """Synapse groups into a population."""
        return tuple(group for group in self.synapses if group.target == name)

    def outputs_of(self, name: str) -> tuple[SynapseGroup, ...]:
        """Synapse groups out of a population or source."""
        return tuple(group for group in self.synapses if group.source == name)

    def reset_offset(self, population: Population) -> int:
        """Lava's reset offset: states clear at steps t (counted from 1) with ``t % period == offset``."""
        return (population.start + 1) % self.period

    @cached_property
    def peaks(self) -> dict[str, int]:
        """Largest magnitude that a spike of each source or population carries."""
        return {s.name: s.peak for s in self.sources} | {p.name: p.peak for p in self.populations}

    @cached_property
    def isolated(self) -> bool:
        """Samples may not stream: spikes that lag would reach the next sample, so the host starts each one anew."""
        return not self.streamed and any(group.lag > 0 for group in self.synapses)

    def shift(self, group: SynapseGroup) -> int:
        """Frames of a stream by which what a synapse group carries is late: below 0 it comes from a later frame."""
        return group.lag // self.period if self.streamed else 0

    @property
    def depth(self) -> int:
        """Latest start step; a run of S samples takes ``S * period + depth`` steps."""
        return max((p.start for p in self.populations), default=0)

    def steps(self, samples: int) -> int:
        """Global steps of a run, up to the end of the last sample in the deepest population."""
        return samples * self.period + self.depth


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the host hands a program for a batch of samples.

    Attributes
    ----------
    spikes : dict of str to ndarray of uint8
        By source: (samples, timesteps, lines); always-on lines may be left out.
    biases : dict of str to tuple of ndarray
        By population with ``host_bias``: mantissa and exponent, each (samples, neurons).
    """

    spikes: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    biases: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples."""
        for raster in self.spikes.values():
            return len(raster)
        for mantissa, _ in self.biases.values():
            return len(mantissa)
        return 0

    def select(self, index: slice) -> Inputs:
        """The samples of a slice."""
        return Inputs(
            {k: v[index] for k, v in self.spikes.items()},
            {k: (m[index], e[index]) for k, (m, e) in self.biases.items()},
        )


def check_inputs(program: Program, inputs: Inputs) -> None:
    """Refuse inputs that do not fit a program.

    Raises
    ------
    ProgramError
        Names the source or population, what it wants and what it got.
    """
    samples = inputs.samples
    if samples < 1:
        raise ProgramError(f"{program.name}: no samples; give at least one")
    shapes = {source.name: (samples, program.timesteps, source.size) for source in program.sources}
    wanted_spikes = {
        s.name: shapes[s.name] for s in program.sources if not s.constant or s.name in inputs.spikes
    }
    peak = {source.name: source.peak for source in program.sources}
    wanted_bias = {p.name: (samples, p.size) for p in program.populations if p.host_bias}
    exponents = {k: e for k, (_, e) in inputs.biases.items()}
    mantissas = {k: m for k, (m, _) in inputs.biases.items()}
    largest = hw.BIAS_MANTISSA_MAX
    for kind, wanted, given, low, high in (
        ("spikes", wanted_spikes, inputs.spikes, 0, 1),
        ("bias mantissas", wanted_bias, mantissas, -largest, largest),
        ("bias exponents", wanted_bias, exponents, 0, hw.BIAS_EXPONENT_MAX),
    ):
        if wanted.keys() != given.keys():
            raise ProgramError(
                f"input {kind} for {sorted(given)}, the program takes them for {sorted(wanted)}"
            )
        for name, shape in wanted.items():
            top = peak[name] if kind == "spikes" else high
            _check_integers(f"input {kind} for {name}", given[name], shape, low, top)


def with_constants(program: Program, inputs: Inputs) -> Inputs:
    """The inputs with the spikes of the always-on lines."""
    shape = (inputs.samples, program.timesteps)
    constant = {s.name: np.ones((*shape, s.size), np.uint8) for s in program.sources if s.constant}
    return Inputs({**inputs.spikes, **constant}, inputs.biases)


def _check_integers(label: str, array: NDArray[Any], shape: Shape, low: int, high: int) -> None:
    if array.shape != shape:
        raise ProgramError(f"{label}: shape {array.shape}, wanted {shape}")
    if array.dtype.kind not in "iub":
        raise ProgramError(f"{label}: {array.dtype} is no integer type")
    if array.size and (array.min() < low or array.max() > high):
        worst = array.min() if array.min() < low else array.max()
        raise ProgramError(f"{label}: {worst} is outside {low}..{high}")


def validate(program: Program) -> None:
    """Refuse a program that breaks a rule every backend relies on.

    Raises
    ------
    ProgramError
        A register out of range, a dangling name, mismatched sizes, or a synapse group out of step with its target.
    """
    starts = {p.name: p.start for p in program.populations} | {s.name: 0 for s in program.sources}
    sizes = {p.name: p.size for p in program.populations} | {s.name: s.size for s in program.sources}
    if len(starts) != len(program.populations) + len(program.sources):
        raise ProgramError("two populations or sources share a name")
    groups = [g.name for g in program.synapses]
    if len(set(groups)) != len(groups):
        raise ProgramError("two synapse groups share a name")
    if not program.populations:
        raise ProgramError(f"{program.name}: has no population")
    if not 1 <= program.timesteps <= program.period:
        raise ProgramError(f"{program.timesteps} time steps do not fit a period of {program.period}")
    for source in program.sources:
        if source.size < 1 or not 1 <= source.peak <= 255 or (source.constant and source.peak != 1):
            raise ProgramError(
                f"source {source.name}: {source.size} lines of up to {source.peak}; 1..255 is possible"
            )
    for p in program.populations:
        _check_population(p)
    for g in program.synapses:
        if g.source not in sizes or g.target not in sizes:
            raise ProgramError(
                f"synapse group {g.name}: {g.source} -> {g.target} names an unknown population"
            )
        if prod(g.map.input_shape) != sizes[g.source] or prod(g.map.output_shape) != sizes[g.target]:
            raise ProgramError(
                f"synapse group {g.name}: maps {g.map.input_shape} to {g.map.output_shape}, "
                f"but joins {sizes[g.source]} to {sizes[g.target]} neurons"
            )
        limit = 1 << (hw.WEIGHT_BITS - 1)
        if (
            g.map.weight.dtype != np.int8
            or int(np.abs(g.map.weight.astype(np.int64)).max(initial=0)) >= limit
        ):
            raise ProgramError(f"synapse group {g.name}: weights must be int8 within +-{limit - 1}")
        if not hw.WEIGHT_EXPONENT_MIN <= g.exponent <= hw.WEIGHT_EXPONENT_MAX:
            raise ProgramError(f"synapse group {g.name}: weight exponent {g.exponent} is outside -1..7")
        if not 0 <= g.delay <= hw.DELAY_MAX:
            raise ProgramError(f"synapse group {g.name}: delay {g.delay} is outside 0..{hw.DELAY_MAX}")
        if program.streamed and g.lag % program.period:
            raise ProgramError(
                f"synapse group {g.name}: lags by {g.lag} steps, which is no whole number of frames of {program.period}"
            )
        if starts[g.source] + 1 + g.delay != starts[g.target] + g.lag:
            late = f" and wants them {g.lag} late" if g.lag else ""
            raise ProgramError(
                f"synapse group {g.name}: {g.source} starts at {starts[g.source]}, its spikes arrive "
                f"{1 + g.delay} later, but {g.target} starts at {starts[g.target]}{late}; balance the delays"
            )
    if program.isolated:
        for p in program.populations:
            if p.start and p.bias_mantissa.any():
                raise ProgramError(
                    f"population {p.name}: has a bias of its own and a start of {p.start}, so it would fire ahead of "
                    "its sample into spikes that lag; bring the bias over an always-on line"
                )


def _check_population(p: Population) -> None:
    if p.size < 1:
        raise ProgramError(f"population {p.name}: shape {p.shape} holds no neuron")
    for label, array, low, high in (
        ("threshold", p.threshold, 0, hw.THRESHOLD_MAX),
        ("bias mantissa", p.bias_mantissa, -hw.BIAS_MANTISSA_MAX, hw.BIAS_MANTISSA_MAX),
        ("bias exponent", p.bias_exponent, 0, hw.BIAS_EXPONENT_MAX),
        ("current decay", p.current_decay, -1, hw.DECAY_ONE - 1),
        ("membrane decay", p.membrane_decay, 0, hw.DECAY_ONE),
    ):
        _check_integers(f"population {p.name}: {label}", array, (p.size,), low, high)
    if p.scale.shape != (p.size,) or not (np.isfinite(p.scale) & (p.scale > 0)).all():
        raise ProgramError(f"population {p.name}: scale must be one finite number above zero a neuron")
    if p.reset not in RESETS:
        raise ProgramError(f"population {p.name}: reset {p.reset!r} is none of {', '.join(RESETS)}")
    if p.start < 0:
        raise ProgramError(f"population {p.name}: starts at {p.start}, before the run does")
    if p.host_bias and p.bias_mantissa.any():
        raise ProgramError(f"population {p.name}: the host writes its bias, so it may have none of its own")
    if p.payload_bits or p.payload_shift:
        _check_relay(p)


def _check_relay(p: Population) -> None:
    low, high, shift = hw.PAYLOAD_BITS_MIN, hw.PAYLOAD_BITS_MAX, hw.PAYLOAD_SHIFT_MAX
    if not low <= p.payload_bits <= high or not 0 <= p.payload_shift <= shift:
        raise ProgramError(
            f"population {p.name}: a payload of {p.payload_bits} bits in units of 2^{p.payload_shift}; a graded relay sends "
            f"{low}..{high} bits in units of 2^0..2^{shift}"
        )
    keeps = (p.current_decay != hw.DECAY_ONE - 1).any() or (p.membrane_decay != hw.DECAY_ONE).any()
    if keeps or p.threshold.any() or p.readout or p.reset != "zero":
        raise ProgramError(
            f"population {p.name}: is a graded relay, which has no memory, threshold or read-out: its decays are "
            f"{hw.DECAY_ONE - 1} and {hw.DECAY_ONE}, its threshold 0 and its reset 'zero'"
        )
