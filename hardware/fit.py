"""Does a program fit a chip? Plain rules over the chip's figures.

Without a placement the number of cores is a lower bound: all neurons together, or all weights together, in full cores.
It counts only what no placement can avoid, weights without index, delay and padding bits (a convolution kernel once,
where the chip shares kernels). With a placement its cores and findings take the place of the rules over cores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..export.formats import Ints
from ..export.levels import Finding
from ..export.linear import LinearMap
from .chip import Chip
from .choices import CHOICES
from .placement import Core, Placement
from .placement.geometry import whole
from .placement.limits import signed_width, stored_width
from .placement.reach import Reach
from .program import Program

NEURONS, MEMORY = "neurons per core", "synaptic memory per core"
Rule: TypeAlias = Callable[[Program, Chip], list[Finding]]


@dataclass(frozen=True)
class Demand:
    """What a population asks of a chip.

    Attributes
    ----------
    synapses : int
        Synapses into the population: borders and zero weights excluded.
    memory_words : int
        Words of synaptic memory that its weights fill at least.
    cores_by_neurons, cores_by_memory : int
        Cores that its neurons and its weights fill at least.
    """

    name: str
    neurons: int
    synapses: int
    memory_words: int
    cores_by_neurons: int
    cores_by_memory: int

    @property
    def cores(self) -> int:
        """Cores at least."""
        return max(self.cores_by_neurons, self.cores_by_memory)


@dataclass(frozen=True)
class FitResult:
    """Whether a program fits a chip, and why not.

    Attributes
    ----------
    chip : str
        The chip's printed name.
    neurons, synapses : int
        Of the whole program; synapses unrolled, borders and zero weights excluded.
    cores_lower_bound, cores_available : int
        Cores that the program takes at least, and that the chip has.
    cores_placed : int or None
        Cores that its placement takes; None without one.
    binding : str
        The limit that binds most of the placed cores; without a placement, the one behind the lower bound.
    findings : tuple of Finding
        Every breach; an ``error`` means that it does not fit.
    """

    chip: str
    neurons: int
    synapses: int
    cores_lower_bound: int
    cores_available: int
    binding: str
    findings: tuple[Finding, ...]
    cores_placed: int | None = None

    @property
    def fits(self) -> bool:
        """No rule found an error."""
        return all(finding.severity != "error" for finding in self.findings)


def fit(program: Program, chip: Chip, placement: Placement | None = None, chips: int = 1) -> FitResult:
    """Hold a program against every rule of a chip; never raises for a program that does not fit.

    Parameters
    ----------
    placement : Placement, optional
        Of the program on the chip; otherwise the rules over cores judge by lower bounds.
    chips : int
        Chips that the placement may take.
    """
    asked = demands(program, chip)
    if placement is None:
        found = [finding for rule in CORE_RULES for finding in rule(program, chip)]
    else:
        found = [*placement.findings, *placed_cores(placement, chips)]
    return FitResult(
        chip=chip.title,
        neurons=sum(d.neurons for d in asked),
        synapses=sum(d.synapses for d in asked),
        cores_lower_bound=lower_bound(asked, chip),
        cores_available=chip.cores.value * chips,
        binding=binding_limit(asked, chip) if placement is None else most_binding(placement.cores),
        findings=(
            *found,
            *(finding for rule in (*FORMAT_RULES, *CHOICES) for finding in rule(program, chip)),
        ),
        cores_placed=None if placement is None else len(placement.cores),
    )


def demands(program: Program, chip: Chip) -> list[Demand]:
    """What each population asks of the chip, in the order of the program."""
    found = []
    for p in program.populations:
        groups = program.inputs_of(p.name)
        reaches = [whole(g.map) for g in groups]
        bits = sum(
            _stored(reach, chip) * stored_width(g.map.weight, chip)
            for g, reach in zip(groups, reaches, strict=True)
        )
        words = -(-bits // chip.synapse_word_bits.value)
        found.append(
            Demand(
                name=p.name,
                neurons=p.size,
                synapses=sum(reach.fans.total for reach in reaches),
                memory_words=words,
                cores_by_neurons=-(-p.size // chip.neurons_per_core.value),
                cores_by_memory=-(-words // chip.synapse_words_per_core.value),
            )
        )
    return found


def lower_bound(asked: list[Demand], chip: Chip) -> int:
    """Cores that all populations together fill at least; a core may hold several."""
    return max(_full_cores(asked, chip))


def binding_limit(asked: list[Demand], chip: Chip) -> str:
    """The limit that alone would take the most cores."""
    by_neurons, by_memory = _full_cores(asked, chip)
    return MEMORY if by_memory > by_neurons else NEURONS


def _full_cores(asked: list[Demand], chip: Chip) -> tuple[int, int]:
    """Cores that the neurons fill, and the weights."""
    return (
        -(-sum(d.neurons for d in asked) // chip.neurons_per_core.value),
        -(-sum(d.memory_words for d in asked) // chip.synapse_words_per_core.value),
    )


def most_binding(cores: Sequence[Core]) -> str:
    """The limit that binds most of some cores."""
    counted = Counter(core.binding for core in cores).most_common(1)
    return counted[0][0] if counted else "nothing"


def placed_cores(placement: Placement, chips: int = 1) -> list[Finding]:
    """The cores of a placement are on so many chips."""
    needed, available = len(placement.cores), chips * placement.chip.cores.value
    if needed <= available:
        return []
    binding = most_binding(placement.cores)
    name, largest = max(placement.cores_of.items(), key=lambda item: len(item[1]))
    several = f"{chips} chips of {placement.chip.title} have" if chips > 1 else f"{placement.chip.title} has"
    detail = f"takes {needed} cores, {several} {available}; most cores are bound by {binding}"
    remedy = f"make {name} smaller ({len(largest)} cores), or spread the network over {placement.chips} chips"
    return [Finding("error", placement.program.name, "cores", detail, remedy)]


def cores(program: Program, chip: Chip) -> list[Finding]:
    """All populations together need no more cores than there are."""
    asked = demands(program, chip)
    bound, available = lower_bound(asked, chip), chip.cores.value
    if bound <= available:
        return []
    largest, limit = max(asked, key=lambda d: d.cores), binding_limit(asked, chip)
    smaller = (
        "use smaller or fewer feature maps"
        if limit == NEURONS
        else "use fewer weight bits or a sparser network"
    )
    remedy = f"{smaller} ({largest.name} takes {largest.cores}), or at least {-(-bound // available)} chips"
    detail = f"needs at least {bound} cores, {chip.title} has {available}; the limit is {limit}"
    return [Finding("error", program.name, "cores", detail, remedy)]


def population_size(program: Program, chip: Chip) -> list[Finding]:
    """No population alone is larger than the chip."""
    available = chip.cores.value
    return [
        Finding(
            "error", d.name, "population size",
            f"needs at least {d.cores} cores alone ({d.neurons} neurons, {d.memory_words} words of weights), "
            f"{chip.title} has {available}",
            "give the layer fewer channels or a larger stride",
        )
        for d in demands(program, chip)
        if d.cores > available
    ]  # fmt: skip


def fan_in(program: Program, chip: Chip) -> list[Finding]:
    """No neuron listens to more sources than a core has input axons."""
    limit, found = chip.input_axons_per_core.value, []
    for p in program.populations:
        most = int(sum((_fan_in(g.map) for g in program.inputs_of(p.name)), np.zeros(p.size)).max())
        if most > limit:
            detail = f"a neuron listens to {most} others, a core of {chip.title} has {limit} input axons"
            remedy = "let several sources share an axon, or give the layer fewer inputs"
            found.append(Finding("warning", p.name, "fan-in", detail, remedy))
    return found


def thresholds(program: Program, chip: Chip) -> list[Finding]:
    """Where neurons of a core share thresholds, a population has no more of them than its cores hold."""
    if chip.per_neuron_threshold.value or chip.threshold_configurations is None:
        return []
    each, found = chip.threshold_configurations.value, []
    for p, demand in zip(program.populations, demands(program, chip), strict=True):
        distinct = len(np.unique(p.threshold))
        if distinct > each * demand.cores:
            held = f"{demand.cores} cores hold" if demand.cores > 1 else "a core holds"
            detail = f"has {distinct} distinct thresholds, {held} {each * demand.cores} on {chip.title}"
            found.append(Finding("error", p.name, "thresholds", detail, "quantise with one scale a layer"))
    return found


def weights(program: Program, chip: Chip) -> list[Finding]:
    """Weights and their exponents have a format."""
    widest = max(chip.weight_bits.value)
    low, high = chip.weight_exponent_min.value, chip.weight_exponent_max.value
    found = []
    for g in program.synapses:
        needed = signed_width(g.map.weight)
        if needed > widest:
            detail = f"weights need {needed} bits, {chip.title} stores at most {widest}"
            found.append(Finding("error", g.name, "weight bits", detail, f"quantise to {widest} bits"))
        if not low <= g.exponent <= high:
            detail = f"weight exponent {g.exponent} is outside {low}..{high} of {chip.title}"
            found.append(
                Finding(
                    "error", g.name, "weight exponent", detail, "scale the layer's weights and quantise again"
                )
            )
    return found


def delays(program: Program, chip: Chip) -> list[Finding]:
    """Synapses wait no longer than they can."""
    longest = chip.delay_max.value
    return [
        Finding(
            "error", g.name, "delay",
            f"delays spikes by {g.delay} steps, a synapse of {chip.title} by at most {longest}",
            "shorten the longer branch, or relay the shorter one through a layer",
        )
        for g in program.synapses
        if not 0 <= g.delay <= longest
    ]  # fmt: skip


def registers(program: Program, chip: Chip) -> list[Finding]:
    """Neuron parameters fit their registers."""
    decay, threshold = (1 << chip.decay_bits.value) - 1, (1 << chip.threshold_bits.value) - 1
    mantissa = (1 << (chip.bias_mantissa_bits.value - 1)) - 1
    found = []
    for p in program.populations:
        if p.graded:  # a program of its own on the neuron, without decays
            continue
        if (p.current_decay < 0).any():
            detail = f"current decay {p.current_decay.min()} keeps the whole current, {chip.title} loses 1/4096 a step"
            found.append(
                Finding("error", p.name, "registers", detail, "give it a current decay of at least 1 / 4096")
            )
        for label, value, limit, remedy in (
            ("current decay", _largest(p.current_decay), decay, f"use {decay}"),
            (
                "membrane decay",
                _largest(p.membrane_decay),
                decay,
                f"use {decay}, or keep a small part of the membrane (beta > 0)",
            ),
            ("threshold", _largest(p.threshold), threshold, "quantise with a smaller scale"),
            ("bias mantissa", _largest(p.bias_mantissa), mantissa, "quantise with a smaller scale"),
            (
                "bias exponent",
                _largest(p.bias_exponent),
                chip.bias_exponent_max.value,
                "quantise with a smaller scale",
            ),
        ):
            if value > limit:
                detail = f"{label} {value} exceeds {limit}, the largest of {chip.title}"
                found.append(Finding("error", p.name, "registers", detail, remedy))
    return found


def graded_spikes(program: Program, chip: Chip) -> list[Finding]:
    """Spikes carry values where a population sends some, wide enough for them."""
    widest = None if chip.graded_spike_bits is None else chip.graded_spike_bits.value
    found = []
    for p in program.populations:
        if not p.graded:
            continue
        if widest is None:
            detail = f"is a graded relay that sends values of {p.payload_bits} bits, spikes of {chip.title} carry none"
            remedy = "export the residual stream unrolled into synapses, or take a chip with graded spikes"
            found.append(Finding("error", p.name, "graded spikes", detail, remedy))
        elif p.payload_bits > widest:
            detail = (
                f"sends values of {p.payload_bits} bits, a spike of {chip.title} carries at most {widest}"
            )
            found.append(
                Finding("error", p.name, "graded spikes", detail, f"quantise with a payload of {widest} bits")
            )
    return found


def reset_interval(program: Program, chip: Chip) -> list[Finding]:
    """Where resets come every 2^n steps only, samples follow each other so."""
    period = program.period
    # Where samples do not stream the host resets, whenever it likes.
    if not chip.reset_interval_power_of_two.value or program.isolated or not period & (period - 1):
        return []
    above = 1 << period.bit_length()
    choice = f"{above // 2} or {above}" if program.timesteps <= above // 2 else str(above)
    detail = f"a sample every {period} steps, {chip.title} resets its neurons every 2^n steps only"
    remedy = f"set the period to {choice}, or train with 8 or 16 time steps"
    return [Finding("warning", program.name, "reset interval", detail, remedy)]


#: Rules over cores, by what no placement can avoid.
CORE_RULES: tuple[Rule, ...] = (cores, population_size, fan_in, thresholds)
#: Rules over single numbers, which no placement changes.
FORMAT_RULES: tuple[Rule, ...] = (weights, delays, registers, graded_spikes, reset_interval)


def _stored(reach: Reach, chip: Chip) -> int:
    """Weights that must be stored, zeros excluded."""
    if chip.shared_kernels.value and reach.kernel is not None:
        return reach.kernel.total
    return reach.fans.total


def _fan_in(map_: LinearMap) -> NDArray[np.float64]:
    """Synapses into each neuron; shape (outputs,)."""
    import torch

    mask = torch.from_numpy((map_.weight != 0).astype(np.float64))
    ones = torch.ones(1, prod(map_.input_shape), dtype=torch.float64)
    counts: NDArray[np.float64] = map_.forward(ones, mask)[0].round().numpy()
    return counts


def _largest(values: Ints | int) -> int:
    return int(np.abs(np.atleast_1d(values)).max(initial=0))
