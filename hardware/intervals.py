"""Worst cases of a population's states: intervals carried through the chip's integer arithmetic, step by step.

Every operation between two spikes is monotone, so the ends of an interval are what the arithmetic makes of the ends that
went in: no rounding is assumed, and a neuron that can receive its largest sum at every step reaches its bound exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.formats import ALIGNMENT_SHIFT, BIAS_MAX, CURRENT_DECAY_OFFSET, STATE_LIMIT, Ints, Reset
from . import arithmetic as hw
from .program import Population, Program, SynapseGroup

#: Bounds of currents stop here: far outside the 24 bits already, and still exact in 64-bit products with a decay.
FARTHEST = 1 << 50


@dataclass(frozen=True, eq=False)
class Range:
    """Smallest and largest value a neuron.

    Attributes
    ----------
    low, high : ndarray of int64
        (neurons,).
    """

    low: Ints
    high: Ints

    @classmethod
    def zero(cls, size: int) -> Range:
        """Nothing but zero."""
        return cls(np.zeros(size, np.int64), np.zeros(size, np.int64))

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def hull(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def same(self, other: Range) -> bool:
        """Equal for every neuron."""
        return bool((self.low == other.low).all() and (self.high == other.high).all())

    @property
    def magnitude(self) -> Ints:
        """Largest distance from zero a neuron."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What may arrive at a population in one step, as synaptic sums.

    Attributes
    ----------
    always : Range
        At any step: from populations, and from whatever lags.
    in_sample : Range
        While the host injects a sample, over lines that fire or not.
    constant : ndarray of int64
        While the host injects a sample, at every step: over always-on lines.
    """

    always: Range
    in_sample: Range
    constant: Ints

    @property
    def largest(self) -> Range:
        """At any step of a sample, always-on lines included."""
        return self.always + self.in_sample + Range(self.constant, self.constant)


@dataclass(frozen=True, eq=False)
class States:
    """Extremes of a population over all steps between two resets, in membrane units but for the sums.

    Attributes
    ----------
    synaptic_sum : Range
        What may arrive in one step.
    current, membrane : Range
        Before the current wraps, and before the membrane saturates and is compared with its threshold.
    current_after, membrane_after : Range
        After a step, as a recording holds them.
    may_fire : ndarray of bool
        Whose membrane can pass its threshold.
    """

    synaptic_sum: Range
    current: Range
    membrane: Range
    current_after: Range
    membrane_after: Range
    may_fire: NDArray[np.bool_]

    def hull(self, other: States) -> States:
        """Extremes of both."""
        return States(
            self.synaptic_sum.hull(other.synaptic_sum),
            self.current.hull(other.current),
            self.membrane.hull(other.membrane),
            self.current_after.hull(other.current_after),
            self.membrane_after.hull(other.membrane_after),
            self.may_fire | other.may_fire,
        )


def reach(group: SynapseGroup, sent: Range) -> Range:
    """Smallest and largest sum of a synapse group when each input is anything within its range.

    Negative and positive weights are applied apart to the ends of the ranges, by the map itself: exact at borders too,
    and never unrolled.

    Parameters
    ----------
    sent : Range
        What the inputs may carry, zero included.
    """
    weight = group.map.weight.astype(np.float64)  # sums stay far below 2^53, where doubles are exact
    parts = [
        torch.from_numpy(np.ascontiguousarray(p)) for p in (np.minimum(weight, 0), np.maximum(weight, 0))
    ]

    def sums(values: Ints, part: torch.Tensor) -> Ints:
        if not values.any():
            return np.zeros(prod(group.map.output_shape), np.int64)
        x = torch.from_numpy(values.astype(np.float64))[None]
        found: Ints = group.map.forward(x, part)[0].to(torch.int64).numpy()
        return found

    low = sums(sent.high, parts[0]) + sums(sent.low, parts[1])
    high = sums(sent.high, parts[1]) + sums(sent.low, parts[0])
    return Range(hw.synaptic_sum(low, group.exponent), hw.synaptic_sum(high, group.exponent))


def arrivals(program: Program, population: Population, sent: Mapping[str, Range]) -> Arrivals:
    """What may arrive at a population.

    Parameters
    ----------
    sent : mapping of str to Range
        What each line of a source, or spike of a population, may carry, zero included.
    """
    sources = {source.name: source for source in program.sources}
    always, in_sample = Range.zero(population.size), Range.zero(population.size)
    constant = np.zeros(population.size, np.int64)
    for group in program.inputs_of(population.name):
        found = reach(group, sent[group.source])
        source = sources.get(group.source)
        if source is None or group.lag:  # what lags may arrive before, in or after the sample's own steps
            always = always + found
        elif source.constant:
            constant = constant + found.low + found.high
        else:
            in_sample = in_sample + found
    return Arrivals(always, in_sample, constant)


def host_bias(population: Population, given: tuple[Ints, Ints] | None = None) -> Range:
    """The bias of a population: its own, or anything that the host may write, zero before the first sample included.

    Parameters
    ----------
    given : tuple of ndarray, optional
        Smallest and largest bias that the host writes, in membrane units (neurons,).
    """
    if not population.host_bias:
        return Range(population.bias, population.bias)
    if given is None:
        top = np.full(population.size, BIAS_MAX, np.int64)
        return Range(-top, top)
    return Range(np.minimum(given[0], 0), np.maximum(given[1], 0))


def worst_case(
    program: Program, population: Population, arriving: Arrivals, bias: Range, trusted: Range | None = None
) -> States:
    """Extremes of a population's states between two resets.

    Parameters
    ----------
    arriving : Arrivals
    bias : Range
        Membrane units.
    trusted : Range, optional
        Synaptic sums that no step is taken to leave, zero included.
    """
    gap = program.period - program.timesteps
    during = arriving.always + arriving.in_sample
    steady = Range(arriving.constant, arriving.constant)
    phases = [(during + steady, program.timesteps), (arriving.always, gap)]
    found = _window(population, _within(phases, trusted), bias)
    if arriving.constant.any():
        # Ahead of the first sample and behind the last, a population runs on without its always-on lines.
        found = found.hull(_window(population, _within([(during, program.period)], trusted), bias))
    return found


def _within(phases: list[tuple[Range, int]], trusted: Range | None) -> list[tuple[Range, int]]:
    if trusted is None:
        return phases
    return [
        (Range(np.clip(r.low, trusted.low, trusted.high), np.clip(r.high, trusted.low, trusted.high)), steps)
        for r, steps in phases
    ]


def _window(population: Population, phases: list[tuple[Range, int]], bias: Range) -> States:
    """Extremes from zero state, over phases of so many steps with the same arrivals."""
    p = population
    aligned = np.left_shift(p.threshold, ALIGNMENT_SHIFT)
    u, v = Range.zero(p.size), Range.zero(p.size)
    out = States(u, u, v, u, v, np.zeros(p.size, np.bool_))
    for sums, steps in phases:
        for _ in range(steps):
            before = _kept(u, p.current_decay + CURRENT_DECAY_OFFSET) + Range(
                sums.low << ALIGNMENT_SHIFT, sums.high << ALIGNMENT_SHIFT
            )
            before = Range(np.maximum(before.low, -FARTHEST), np.minimum(before.high, FARTHEST))
            current = wrapped(before)
            membrane = _kept(v, p.membrane_decay) + current + bias
            if p.reset == "subtract-delayed":
                membrane = membrane + Range(
                    np.where(v.high > aligned, -aligned, 0), np.where(v.low > aligned, -aligned, 0)
                )
            after = _saturated(membrane) if p.graded else _fired(membrane, aligned, p.reset)
            steady = u.same(current) and v.same(after)
            u, v = current, after
            sends = payloads(p, v).magnitude > 0 if p.graded else membrane.high > aligned
            out = out.hull(States(sums, before, membrane, u, v, sends))
            if steady:  # and so it stays while the same may arrive
                break
    return out


def payloads(relay: Population, membrane: Range) -> Range:
    """What a graded relay may send, zero included."""
    low, high = (
        hw.payload(end, relay.payload_bits, relay.payload_shift) for end in (membrane.low, membrane.high)
    )
    return Range(np.minimum(low, 0), np.maximum(high, 0))


def _kept(state: Range, register: Ints) -> Range:
    return Range(hw.decay(state.low, register), hw.decay(state.high, register))


def wrapped(current: Range) -> Range:
    """Range of the wrapped currents: the whole of the 24 bits, or more, where an end lies outside."""
    if (current.high <= STATE_LIMIT).all() and (current.low > -STATE_LIMIT).all():
        return current
    # Between these points the wrap is a shift, so its extremes are at them or at the ends of the range.
    points = (-STATE_LIMIT, 1 - STATE_LIMIT, STATE_LIMIT, STATE_LIMIT + 1)
    inside = [np.clip(point, current.low, current.high) for point in points]
    ends = hw.wrap_current(np.stack([current.low, current.high, *inside]))
    return Range(ends.min(0), ends.max(0))


def _fired(membrane: Range, aligned: Ints, reset: Reset) -> Range:
    """Range of the membranes after the spike check: what stayed silent, and what a spike leaves."""
    if reset == "subtract-delayed":
        return _saturated(membrane)
    low, high = hw.saturate_membrane(membrane.low), hw.saturate_membrane(membrane.high)
    fires, silent = high > aligned, low <= aligned
    left_low = np.maximum(low - aligned, 1) if reset == "subtract" else np.zeros_like(low)
    left_high = high - aligned if reset == "subtract" else np.zeros_like(high)
    bottom = np.where(silent, np.where(fires, np.minimum(low, left_low), low), left_low)
    top = np.where(fires, np.where(silent, np.maximum(aligned, left_high), left_high), high)
    return Range(bottom, top)


def _saturated(membrane: Range) -> Range:
    return Range(hw.saturate_membrane(membrane.low), hw.saturate_membrane(membrane.high))
