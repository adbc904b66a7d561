"""Worst cases of a program against its 24 bits: which population may pass which limit, and by how much.

A current is safe within -2^23 + 1 .. 2^23 and wraps beyond; a membrane saturates at +-(2^23 - 1). Every worst case comes
from :mod:`spikewright.hardware.intervals`, what calibration saw from :mod:`spikewright.hardware.observed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..export.formats import (
    ALIGNMENT_SHIFT,
    STATE_BITS,
    STATE_LIMIT,
    WEIGHT_BITS,
    WEIGHT_EXPONENT_MIN,
    Ints,
    payload_limit,
)
from .emulator import order
from .intervals import Arrivals, Range, States, arrivals, host_bias, payloads, worst_case
from .observed import Bounds, Observed
from .program import Population, Program, ProgramError, SynapseGroup, validate

Kind: TypeAlias = Literal["may wrap", "may saturate"]
Verdict: TypeAlias = Literal[
    "cannot overflow", "cannot overflow on calibrated spikes", "may wrap", "may saturate"
]
#: Bits that weights may lose below the lowest exponent; an eighth would leave nothing of them.
SPARE_WEIGHT_BITS = WEIGHT_BITS - 2
#: Halvings of the scale that are tried; more would leave nothing of 24 bits.
HALVINGS = STATE_BITS


@dataclass(frozen=True)
class Fault:
    """A limit that a population may pass.

    Attributes
    ----------
    kind : str
        ``may wrap`` (the current) or ``may saturate`` (the membrane; also a read-out that may reach its threshold, and the
        value that a graded relay sends).
    neuron : int
        The one that may go farthest beyond its limit.
    value, limit : int
        Its worst case and the last value that is safe, in membrane units.
    neurons : int
        How many neurons may.
    halvings : int or None
        Smallest k for which a scale 2^k times smaller prevents it; None where no scale does.
    exponents : dict of str to int
        Weight exponent that each synapse group then has. Below -1 there is none: such weights lose bits instead.
    """

    kind: Kind
    neuron: int
    value: int
    limit: int
    neurons: int
    halvings: int | None
    exponents: dict[str, int]


@dataclass(frozen=True, eq=False)
class PopulationProof:
    """What may happen in a population.

    Attributes
    ----------
    by_weights : States
        Worst cases of anything that the sources and the populations before may send.
    faults : tuple of Fault
        Limits that may be passed, by weights alone; the current's first.
    harmless : int
        Neurons whose membrane may saturate upward, but which fire there anyway and are cleared.
    current_bits, membrane_bits : float
        Bits to spare by weights alone, negative beyond a limit, at most 24. A membrane's upper end counts only where
        it matters.
    observed : Observed or None
        What calibration saw.
    observed_bits : float or None
        Bits that the largest state seen had to spare, without any margin.
    calibrated : bool or None
        Whether states stay inside that leave what was seen by no more than the margin.
    sustained : bool or None
        Whether they do so for ever, should each step bring the largest sum seen and the margin.
    """

    name: str
    neurons: int
    readout: bool
    by_weights: States
    faults: tuple[Fault, ...]
    harmless: int
    current_bits: float
    membrane_bits: float
    observed: Observed | None = None
    observed_bits: float | None = None
    calibrated: bool | None = None
    sustained: bool | None = None

    @property
    def by_weights_verdict(self) -> Verdict:
        """What the weights alone prove."""
        return self.faults[0].kind if self.faults else "cannot overflow"

    @property
    def verdict(self) -> Verdict:
        """What is known with the calibration."""
        if self.faults and self.calibrated:
            return "cannot overflow on calibrated spikes"
        return self.by_weights_verdict

    @property
    def bits(self) -> float:
        """Bits to spare by weights alone."""
        return min(self.current_bits, self.membrane_bits)

    def __str__(self) -> str:
        spare = f"{self.bits:.1f} bits to spare" if self.bits >= 0 else f"{-self.bits:.1f} bits beyond"
        seen = ""
        if self.observed_bits is not None:
            seen = f"; on calibration samples {self.observed_bits:.1f} bits to spare"
        return f"{self.name}: {self.verdict} (by weights {spare}{seen})"


@dataclass(frozen=True, eq=False)
class Proof:
    """The populations of a program, in its order."""

    program: str
    populations: tuple[PopulationProof, ...]
    bounds: Bounds | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> PopulationProof:
        return next(p for p in self.populations if p.name == name)

    @property
    def by_weights(self) -> bool:
        """No population can overflow, whatever arrives."""
        return all(not p.faults for p in self.populations)

    @property
    def holds(self) -> bool:
        """No population can overflow, by weights or on calibrated spikes."""
        return all(p.verdict.startswith("cannot") for p in self.populations)


def prove(
    program: Program,
    bounds: Bounds | None = None,
    *,
    host_biases: Mapping[str, tuple[Ints, Ints]] | None = None,
) -> Proof:
    """Worst cases of all states of a program, over all steps between two resets.

    Parameters
    ----------
    program : Program
        A valid program.
    bounds : Bounds, optional
        What :func:`spikewright.hardware.observed.calibrate` saw.
    host_biases : mapping of str to tuple of ndarray, optional
        Smallest and largest bias that the host writes, by population, in membrane units (neurons,); by default
        anything that mantissa and exponent can hold.

    Raises
    ------
    ProgramError
        The program is not valid, or the calibration belongs to another one.
    """
    validate(program)
    _check_bounds(program, bounds)
    given = host_biases or {}
    sent = {s.name: _up_to(np.full(s.size, s.peak, np.int64)) for s in program.sources}
    for p in program.populations:
        peak = np.full(p.size, p.peak, np.int64)
        sent[p.name] = Range(-peak, peak) if p.graded else _up_to(peak)
    found: dict[str, PopulationProof] = {}
    for stage in order(program):
        for p in stage:
            arriving = arrivals(program, p, sent)
            proof = _population(program, p, arriving, host_bias(p, given.get(p.name)), bounds)
            found[p.name] = proof
            # Who cannot fire sends nothing; within a loop the later ones are still taken to send.
            states = proof.by_weights
            sent[p.name] = (
                payloads(p, states.membrane_after) if p.graded else _up_to(states.may_fire.astype(np.int64))
            )
    return Proof(program.name, tuple(found[p.name] for p in program.populations), bounds)


def _up_to(peak: Ints) -> Range:
    return Range(np.zeros_like(peak), peak)


def _check_bounds(program: Program, bounds: Bounds | None) -> None:
    sizes = {p.name: p.size for p in program.populations}
    if bounds is not None and {k: o.current.low.size for k, o in bounds.populations.items()} != sizes:
        raise ProgramError(f"{program.name}: the calibration is of other populations; calibrate this program")


def _population(
    program: Program, p: Population, arriving: Arrivals, bias: Range, bounds: Bounds | None
) -> PopulationProof:
    states = worst_case(program, p, arriving, bias)
    excess = _excess(p, states.current, states.membrane)
    faults = tuple(
        _fault(program, p, arriving, bias, states, kind) for kind in excess if excess[kind].max() > 1
    )
    harmless = 0
    if not p.readout and not p.graded and p.reset == "zero":
        harmless = int((states.membrane.high >= STATE_LIMIT).sum())
    current_bits, membrane_bits = (_bits(ratio) for ratio in excess.values())
    proof = PopulationProof(p.name, p.size, p.readout, states, faults, harmless, current_bits, membrane_bits)
    if bounds is None:
        return proof
    seen = bounds.populations[p.name]
    wide = _excess(p, bounds.widened(seen.current), bounds.widened(seen.membrane))
    held = worst_case(program, p, arriving, bias, bounds.widened(seen.synaptic_sum))
    kept = _excess(p, held.current, held.membrane)
    return replace(
        proof,
        observed=seen,
        observed_bits=min(_bits(ratio) for ratio in _excess(p, seen.current, seen.membrane).values()),
        calibrated=all(ratio.max() <= 1 for ratio in wide.values()),
        sustained=all(ratio.max() <= 1 for ratio in kept.values()),
    )


def _limits(p: Population) -> dict[Kind, tuple[Range, bool]]:
    """Last safe values of current and membrane, and whether the upper end matters."""
    full = np.full(p.size, STATE_LIMIT, np.int64)
    # A current of +2^23 stays and -2^23 does not; a membrane saturates at 2^23 - 1 on either side.
    top = full - 1
    if p.readout:  # at its threshold even a read-out is cleared, and the highest one lies below the last bit
        top = np.minimum(top, np.left_shift(p.threshold, ALIGNMENT_SHIFT))
    # What saturates upward is above every threshold there is: it fires, and a spike clears the membrane.
    matters = p.readout or p.reset != "zero"
    if p.graded:  # beyond its last value a relay sends that one still
        top = np.minimum(top, payload_limit(p.payload_bits) << p.payload_shift)
        return {"may wrap": (Range(1 - full, full), True), "may saturate": (Range(-top, top), True)}
    return {"may wrap": (Range(1 - full, full), True), "may saturate": (Range(1 - full, top), matters)}


def _excess(p: Population, current: Range, membrane: Range) -> dict[Kind, NDArray[np.float64]]:
    """Share of its limit that each neuron's worst case takes; above 1 it is beyond."""
    out: dict[Kind, NDArray[np.float64]] = {}
    for (kind, (limit, upper)), states in zip(_limits(p).items(), (current, membrane), strict=True):
        ratio = np.maximum(states.low / limit.low, 0.0)
        if upper:
            # A threshold of zero leaves no room at all above zero.
            ratio = np.maximum(
                ratio, np.where(states.high > 0, states.high / np.maximum(limit.high, 0.5), 0.0)
            )
        out[kind] = ratio
    return out


def _bits(ratio: NDArray[np.float64]) -> float:
    return float(min(STATE_BITS, -np.log2(max(float(ratio.max()), 2.0**-STATE_BITS))))


def _fault(
    program: Program,
    p: Population,
    arriving: Arrivals,
    bias: Range,
    states: States,
    kind: Kind,
) -> Fault:
    ratio = _excess(p, states.current, states.membrane)[kind]
    neuron, beyond = int(ratio.argmax()), ratio > 1
    limit, upper = _limits(p)[kind]
    worst = states.current if kind == "may wrap" else states.membrane
    low, high = int(worst.low[neuron]), int(worst.high[neuron])
    above = upper and high / max(int(limit.high[neuron]), 0.5) >= low / int(limit.low[neuron])
    halvings = _halvings(program, p, arriving, bias, kind, np.flatnonzero(beyond))
    return Fault(
        kind=kind,
        neuron=neuron,
        value=high if above else low,
        limit=int((limit.high if above else limit.low)[neuron]),
        neurons=int(beyond.sum()),
        halvings=halvings,
        exponents={g.name: g.exponent - (halvings or 0) for g in _feeding(program, p)},
    )


def _feeding(program: Program, p: Population) -> list[SynapseGroup]:
    """Groups with any weight; the others take no part in a scale."""
    return [group for group in program.inputs_of(p.name) if group.map.weight.any()]


def _halvings(
    program: Program,
    p: Population,
    arriving: Arrivals,
    bias: Range,
    kind: Kind,
    neurons: NDArray[np.intp],
) -> int | None:
    """How often the scale must be halved until these neurons stay inside; tried on them, not estimated."""

    def part(r: Range, k: int) -> Range:
        # Sums and biases shrink with the scale; a fraction that the chip would round counts as a whole unit.
        return Range(r.low[neurons] >> k, -(-r.high[neurons] >> k))

    lowest = min((g.exponent for g in _feeding(program, p)), default=HALVINGS)
    for k in range(1, min(HALVINGS, lowest - WEIGHT_EXPONENT_MIN + SPARE_WEIGHT_BITS) + 1):
        threshold = p.threshold[neurons]
        chosen = Population(
            p.name,
            (neurons.size,),
            p.current_decay[neurons],
            p.membrane_decay[neurons],
            threshold if p.readout else threshold >> k,
            p.bias_mantissa[neurons],
            p.bias_exponent[neurons],
            p.scale[neurons],
            p.start,
            readout=p.readout,
            reset=p.reset,
            payload_bits=p.payload_bits,
            payload_shift=p.payload_shift,
        )
        constant = arriving.constant[neurons]
        steady = np.sign(constant) * -(-np.abs(constant) >> k)
        smaller = Arrivals(part(arriving.always, k), part(arriving.in_sample, k), steady)
        states = worst_case(program, chosen, smaller, part(bias, k))
        if _excess(chosen, states.current, states.membrane)[kind].max() <= 1:
            return k
    return None
