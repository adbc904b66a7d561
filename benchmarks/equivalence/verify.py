"""The checks of one deployment, as the report wants them: norse, reference, Lava, and float against integer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...export.float_run import FloatRun
from ...export.graph import Graph
from ...export.record import run_module
from ...hardware import lava, reference
from ...hardware.emulator import Emulator
from ...hardware.program import Inputs, Program
from ...hardware.recording import Recording, compare
from ..report.schema import BackendCheck, FirstDifference, LayerAgreement, NorseCheck
from . import norse_check

AGREEMENT_LIMIT = 0.99


def check_norse(
    module: nn.Module, method: str, graph: Graph, path: Path, samples: NDArray[np.float32]
) -> NorseCheck:
    """Float NIR in norse against the module, spike for spike."""
    ran, reason = norse_check.available()
    coding = graph.nodes[graph.order()[0]]
    if ran and getattr(coding, "coding", "direct") != "direct":
        ran, reason = False, "norse is run on directly coded inputs only"
    if ran and any(getattr(node, "reset", "zero") != "zero" for node in graph.nodes.values()):
        ran, reason = False, "norse resets to a value only, not by subtraction"
    if not ran:
        return NorseCheck(
            ran=False, reason=reason, neuron_steps=0, spike_mismatches=0, explained_by_rounding=0,
            smallest_margin=None, largest_margin_at_mismatch=None, readout_max_error=None,
        )  # fmt: skip
    source = run_module(module, torch.from_numpy(samples), graph.settings.timesteps, method=method)
    spikes, readouts = norse_check.run_norse(path, samples, graph.settings.timesteps, graph.settings.dt)
    result = norse_check.compare_with_module(graph, source, spikes, readouts)
    return NorseCheck(ran=True, reason="", **vars(result))


def check_reference(program: Program, inputs: Inputs) -> tuple[BackendCheck, Recording]:
    """Emulator against the reference interpreter; also returns the reference's recording."""
    slow = reference.run(program, inputs)
    return _backend_check(program, Emulator(program).run(inputs, detail="states"), slow), slow


def check_lava(program: Program, inputs: Inputs, time_limit: float) -> BackendCheck:
    """Emulator against Lava, every spike and every state."""
    usable, reason = lava.available()
    if not usable:
        return not_run(f"Lava is not installed: {reason}")
    try:
        outside = lava.run(program, inputs, time_limit=time_limit)
    except lava.LavaError as error:
        return not_run(str(error))
    return _backend_check(program, Emulator(program).run(inputs, detail="states"), outside)


def not_run(reason: str) -> BackendCheck:
    """A check that did not run: never equal, never passed."""
    return BackendCheck(
        ran=False, reason=reason, equal=None, neuron_steps=0, differing_spikes=0, compared_states=0,
        differing_states=0, first=None, seconds=0.0,
    )  # fmt: skip


def _backend_check(program: Program, ours: Recording, theirs: Recording) -> BackendCheck:
    result = compare(ours, theirs, [p.name for p in program.populations])
    return BackendCheck(
        ran=True,
        reason="",
        equal=result.equal,
        neuron_steps=result.neuron_steps,
        differing_spikes=result.differing_spikes,
        compared_states=result.compared_states,
        differing_states=result.differing_states,
        first=None if result.first is None else FirstDifference(**vars(result.first)),
        seconds=theirs.seconds,
    )


def agreement(run: FloatRun, program: Program, recording: Recording) -> list[LayerAgreement]:
    """Spikes of the integer program against those of the float graph, layer by layer."""
    return [
        LayerAgreement(
            name=p.name,
            agreement=float((run.spikes[p.name] == recording.spikes[p.name]).mean()),
            rate_float=float(run.spikes[p.name].mean()),
            rate_int8=float(recording.spikes[p.name].mean()),
        )
        for p in program.populations
        if p.name in run.spikes
    ]


def first_below(rows: list[LayerAgreement]) -> str | None:
    """The first layer whose agreement falls below 99 %."""
    return next((row.name for row in rows if row.agreement < AGREEMENT_LIMIT), None)
