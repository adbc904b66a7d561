"""Operations of a generated image, over all programs that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.ann import MacCount
from ..benchmarks.counting import LayerCount, count
from ..hardware import host
from ..hardware.chip import Chip
from ..hardware.emulator import Emulator
from ..hardware.fit import FitResult, fit
from ..hardware.placement import Hops, Placement, hops, place
from ..hardware.program import Program
from ..hardware.recording import Recording
from .tally import Tally

STATE_SAMPLES = 16  # samples whose states say which neuron updates had something to do


def layers_of(tally: Tally, samples: NDArray[np.float32]) -> list[LayerCount]:
    """Operations of a program's layers, mean over the runs that were tallied; active updates from a few test samples."""
    program = tally.program
    counted = count(program, tally.recording(), tally.samples)
    return _with_active(program, counted, samples)


def layers_in(
    program: Program, recording: Recording, runs: int, samples: NDArray[np.float32]
) -> list[LayerCount]:
    """The same of a recording of so many runs."""
    return _with_active(program, count(program, recording, runs), samples)


def _with_active(
    program: Program, counted: list[LayerCount], samples: NDArray[np.float32]
) -> list[LayerCount]:
    few, _ = host.encode(program, samples[:STATE_SAMPLES])
    states = Emulator(program).run(few, "states")
    active = {layer.name: layer.active_updates for layer in count(program, states, few.samples)}
    return [replace(layer, active_updates=active[layer.name]) for layer in counted]


def times(layers: list[LayerCount], runs: float) -> list[LayerCount]:
    """What so many runs come to, updates rounded to whole ones."""
    found = []
    for layer in layers:
        updates, active = round(layer.neuron_updates * runs), layer.active_updates
        found.append(
            replace(
                layer,
                spikes=layer.spikes * runs,
                sops=layer.sops * runs,
                neuron_updates=updates,
                active_updates=None if active is None else min(active * runs, updates),
                messages=layer.messages * runs,
                graded_sops=layer.graded_sops * runs,
                payload_bits=layer.payload_bits * runs,
            )
        )
    return found


def baseline_of(runs: Mapping[str, tuple[MacCount, float]]) -> MacCount:
    """Operations of counted ANNs for an image that takes so many runs of each, as one count."""
    nodes = [
        replace(node, name=f"{part}/{node.name}", macs=round(node.macs * many))
        for part, (counted, many) in runs.items()
        for node in counted.nodes
    ]
    return MacCount(
        name="ann",
        macs=round(sum(counted.macs * many for counted, many in runs.values())),
        parameters=sum(counted.parameters for counted, _ in runs.values()),
        activations=round(sum(counted.activations * many for counted, many in runs.values())),
        nodes=tuple(nodes),
        not_counted={},
    )


def placed(programs: dict[str, Program], chip: Chip) -> tuple[dict[str, Placement], dict[str, FitResult]]:
    """Every program on cores of its own."""
    placements = {name: place(program, chip) for name, program in programs.items()}
    return placements, {name: fit(programs[name], chip, placements[name]) for name in programs}


def together(fits: dict[str, FitResult], chip: Chip) -> FitResult:
    """Programs that stay on one chip at the same time."""
    cores = [f.cores_placed for f in fits.values()]
    least = sum(f.cores_lower_bound for f in fits.values())
    need = sum(c for c in cores if c is not None) if all(c is not None for c in cores) else None
    findings = [
        replace(finding, node=f"{name}/{finding.node}") for name, f in fits.items() for finding in f.findings
    ]
    largest = max(fits.values(), key=lambda f: f.cores_placed or f.cores_lower_bound)
    return FitResult(
        chip=chip.title,
        neurons=sum(f.neurons for f in fits.values()),
        synapses=sum(f.synapses for f in fits.values()),
        cores_lower_bound=least,
        cores_available=largest.cores_available,
        binding=largest.binding,
        findings=tuple(findings),
        cores_placed=need,
    )


def journeys(placements: dict[str, Placement], tallies: dict[str, Tally], images: int) -> Hops | None:
    """Hops of an image's spikes, or None where a program is not placed."""
    if not all(placements[name].complete for name in tallies):
        return None
    found = [
        hops(placements[name], {k: v / images for k, v in tally.totals.items()})
        for name, tally in tallies.items()
    ]
    return Hops(*(sum(getattr(h, f) for h in found) for f in Hops.__dataclass_fields__))
