"""Checks a placement from scratch: every neuron once, every limit of every core counted again.

Nothing of the accounting is taken over. Synapses are listed one by one (:mod:`.entries`), sets are sets, and memory is
added up block by block, so that a mistake in a closed form shows as a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.levels import Finding
from ..chip import Chip
from ..program import SynapseGroup
from . import limits as names
from .entries import Synapses
from .geometry import has_kernel
from .layout import Core, Placement, Slice

REMEDY = "place the program again; if it stays, the placement is at fault"


def validate(placement: Placement) -> list[Finding]:
    """What is wrong with a placement; nothing is what there should be.

    Time grows with the synapses of the program, memory with its neurons and weights.
    """
    found = _strangers(placement)
    if found:
        return found
    found = _coverage(placement)
    counted, departures = _recount(placement)
    allowed = names.capacities(placement.chip)
    for core, use in zip(placement.cores, counted, strict=True):
        if names.OUTPUT_AXONS in allowed:
            use[names.OUTPUT_AXONS] = sum(int(departures[s.population][s.neurons].sum()) for s in core.slices)
        for name, most in allowed.items():
            where, recorded = f"core {core.index}", core.use.get(name)
            if recorded != use[name]:
                found.append(_error(where, name, f"records {recorded}, holds {use[name]}"))
            if use[name] > most:
                found.append(_error(where, name, f"takes {use[name]} of {most}"))
    return found


def _error(node: str, rule: str, detail: str) -> Finding:
    return Finding("error", node, rule, detail, REMEDY)


def _strangers(placement: Placement) -> list[Finding]:
    """Slices that are no part of a population, and cores out of order."""
    sizes = {p.name: p.size for p in placement.program.populations}
    found = []
    for position, core in enumerate(placement.cores):
        if core.index != position:
            found.append(_error(f"core {core.index}", "order", f"stands at position {position}"))
        found += [
            _error(f"core {core.index}", "coverage", f"{part} is no part of a population")
            for part in core.slices
            if not _inside(part, sizes)
        ]
    return found


def _coverage(placement: Placement) -> list[Finding]:
    """Neurons that do not lie in exactly one slice."""
    times = {p.name: np.zeros(p.size, np.int64) for p in placement.program.populations}
    for core in placement.cores:
        for part in core.slices:
            np.add.at(times[part.population], part.neurons, 1)
    found = []
    for name, each in times.items():
        wrong = np.flatnonzero(each != 1)
        if len(wrong):
            detail = f"{len(wrong)} neurons do not lie in one core each; neuron {wrong[0]} lies in {each[wrong[0]]}"
            found.append(_error(name, "coverage", detail))
    return found


def _inside(part: Slice, sizes: dict[str, int]) -> bool:
    return (
        part.population in sizes
        and prod(part.grid) == sizes[part.population]
        and len(part.grid) == len(part.bounds)
        and all(0 <= low < high <= side for (low, high), side in zip(part.bounds, part.grid, strict=True))
    )


def _recount(placement: Placement) -> tuple[list[dict[str, int]], dict[str, Ints]]:
    """Use of each core without its output axons, and the cores that each neuron reaches."""
    program = placement.program
    sizes = {p.name: p.size for p in program.populations} | {s.name: s.size for s in program.sources}
    departures = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
    synapses = {group.name: Synapses(group.map) for group in program.synapses}
    widths = {g.name: _width(g, placement.chip, placement.weight_bits) for g in program.synapses}
    counted = []
    for core in placement.cores:
        use = Counter(dict.fromkeys(names.REMEDIES, 0))
        formats: set[tuple[int, ...]] = set()
        heard: dict[str, NDArray[np.bool_]] = {}
        for part in core.slices:
            for group in program.inputs_of(part.population):
                fans, cells = _synapses_into(part, group, synapses[group.name], sizes[group.source])
                heard[group.source] = heard.get(group.source, np.zeros(1, np.bool_)) | (fans > 0)
                words, form = _stored(placement, part, group, widths[group.name], fans, cells)
                use[names.MEMORY] += words
                formats |= form
        for source, mask in heard.items():
            departures[source] += mask
            use[names.INPUT_AXONS] += int(mask.sum())
        use[names.FORMATS] = len(formats)
        use.update(_registers(placement, core))
        counted.append(dict(use))
    return counted, departures


def _synapses_into(part: Slice, group: SynapseGroup, synapses: Synapses, inputs: int) -> tuple[Ints, Ints]:
    """Synapses from each source neuron into a slice, and the source channel of each weight cell used (or -1)."""
    fans = np.zeros(inputs, np.int64)
    kernel = has_kernel(group.map) and part.grid == group.map.output_shape
    cells = np.full(group.map.weight.size if kernel else 0, -1, np.int64)
    for columns, used in synapses.into(part.neurons):
        fans += np.bincount(columns, minlength=inputs)
        if kernel:
            cells[used] = columns // prod(group.map.input_shape[1:])
    return fans, cells


def _stored(
    placement: Placement, part: Slice, group: SynapseGroup, width: int, fans: Ints, cells: Ints
) -> tuple[int, set[tuple[int, ...]]]:
    """Words of one group's synapses into a slice, and the format they use."""
    chip = placement.chip
    if not fans.any():
        return 0, set()
    bits = width + (group.delay.bit_length() if group.delay else 0)
    index = next(
        (w for w in sorted(chip.synapse_index_bits.value) if 1 << w >= part.size),
        max((part.size - 1).bit_length(), 1),
    )
    if len(cells) and chip.shared_kernels.value:
        carried = index if chip.shared_kernel_indices.value else 0
        lists = Counter(cells[cells >= 0].tolist()).values()
        return _words(lists, bits + carried, chip), {(width, group.exponent, group.delay, carried)}
    lists = fans[fans > 0].tolist()
    named, dense = _words(lists, bits + index, chip), _words([part.size] * len(lists), bits, chip)
    if dense <= named:
        return dense, {(width, group.exponent, group.delay, 0)}
    return named, {(width, group.exponent, group.delay, index)}


def _width(group: SynapseGroup, chip: Chip, most: int | None) -> int:
    """Bits of a stored weight, sign included."""
    values = [int(group.map.weight.min(initial=0)), int(group.map.weight.max(initial=0))]
    needed = next(b for b in range(1, 64) if all(-(1 << (b - 1)) <= v < 1 << (b - 1) for v in values))
    needed = needed if most is None else min(needed, most)
    return next((width for width in sorted(chip.weight_bits.value) if width >= needed), needed)


def _words(lists: Iterable[int], bits: int, chip: Chip) -> int:
    """Words of lists of so many synapses each, block by block."""
    word, header, total = chip.synapse_word_bits.value, chip.synapse_block_bits.value, 0
    for synapses, times in Counter(lists).items():
        left, words = synapses, 0
        while left > 0:
            block = left if chip.synapse_block_size is None else min(left, chip.synapse_block_size.value)
            words += (block * bits + header + word - 1) // word
            left -= block
        total += words * times
    return total


def _registers(placement: Placement, core: Core) -> dict[str, int]:
    """Neurons, and what they share or wait in."""
    thresholds: set[int] = set()
    settings: set[tuple[int, int]] = set()
    neurons = slots = 0
    for part in core.slices:
        population = placement.program.population(part.population)
        chosen = part.neurons
        neurons += len(chosen)
        thresholds |= set(population.threshold[chosen].tolist())
        decays = (
            np.broadcast_to(value, population.size)[chosen].tolist()
            for value in (population.current_decay, population.membrane_decay)
        )
        settings |= set(zip(*decays, strict=True))
        delays = [group.delay for group in placement.program.inputs_of(part.population)]
        slots += len(chosen) * (max(delays, default=0) + 1)
    return {
        names.NEURONS: neurons,
        names.THRESHOLDS: len(thresholds),
        names.SETTINGS: len(settings),
        names.GROUPS: len({part.population for part in core.slices}),
        names.DELAYS: slots,
    }
