"""The checks of programs by themselves: norse, reference interpreter, Lava, agreement with floats, every lowering step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..benchmarks.equivalence.stages import after_each_pass
from ..benchmarks.equivalence.verify import (
    agreement,
    check_lava,
    check_norse,
    check_reference,
    first_below,
    not_run,
)
from ..benchmarks.report.generation import SameImage
from ..benchmarks.report.schema import BackendCheck, Equivalence, LayerAgreement, NorseCheck
from ..benchmarks.report.units import plural
from ..deploy_recipe import DeployRecipe
from ..export.float_run import run_float
from ..export.trace import trace
from ..hardware import host
from ..hardware.emulator import Emulator
from ..hardware.overflow import findings, prove
from ..hardware.session import SessionError
from ..hardware.silence import silent
from ..lowering import FLOAT, Lowered
from ..progress import Steps
from ..verification import LOWERING_IMAGES, LoweringStep, Verification
from ..workspace import Workspace, write_text
from .same import SameImages

AGREEMENT_SAMPLES = 64  # that integers and floats are compared on, layer by layer


@dataclass(frozen=True, eq=False)
class Part:
    """One program with its module and what test images hand to it.

    Attributes
    ----------
    method : str
        Of the module: one time step.
    coding : str
        As of :func:`spikewright.export.trace.trace`.
    samples : ndarray
        Test samples as :func:`spikewright.hardware.host.encode` takes them.
    folder : Path
        Where its levels lie.
    """

    name: str
    lowered: Lowered
    module: nn.Module
    method: str
    coding: str
    samples: NDArray[np.float32]
    folder: Path


@dataclass(eq=False)
class Checks:
    """What the checks of programs found, as :class:`~spikewright.verification.Verification` says it."""

    equivalence: Equivalence
    overhead_spikes: dict[str, int] = field(default_factory=dict)
    lowering: list[LoweringStep] = field(default_factory=list)


def check_parts(parts: Sequence[Part], deploy: DeployRecipe, steps: Steps, *, use_lava: bool) -> Checks:
    """Run every check of every program."""
    with steps(f"Float NIR in norse against snnTorch, {plural(deploy.norse_images, 'image')}"):
        norse = _norse(parts, deploy.norse_images)
    overhead: dict[str, int] = {}
    references, lavas, rows, stages = [], [], [], []
    with steps(
        f"Emulator against the reference interpreter, {deploy.reference_images} samples of each program"
    ):
        for part in parts:
            inputs, _ = host.encode(part.lowered.program, part.samples[: deploy.reference_images])
            check, recording = check_reference(part.lowered.program, inputs)
            references.append(check)
            overhead |= {f"{part.name}/{k}": v for k, v in (recording.overhead_spikes or {}).items()}
    with steps(f"Emulator against Lava, {deploy.lava_images} samples of each program"):
        for part in parts:
            inputs, _ = host.encode(part.lowered.program, part.samples[: deploy.lava_images])
            lavas.append(
                check_lava(part.lowered.program, inputs, deploy.lava_seconds)
                if use_lava
                else not_run("switched off by --no-lava")
            )
    lava = _joined(lavas)
    if not lava.ran:
        steps.note(f"Lava did not run: {lava.reason}")
    with steps("Integer programs against the float networks, layer by layer"):
        for part in parts:
            rows += _agreement(part, steps)
    with steps(f"The same {LOWERING_IMAGES} samples after each lowering step"):
        for part in parts:
            stages += _lowering(part)
    equivalence = Equivalence(
        norse=norse,
        reference=_joined(references),
        lava=lava,
        quantisation=rows,
        first_layer_below_99_percent=first_below(rows),
    )
    return Checks(equivalence, overhead, stages)


def compare_images(
    make: Callable[[str, float | None], SameImages],
    images: int,
    seconds: int,
    steps: Steps,
    *,
    use_lava: bool,
    each: str = "all evaluations",
) -> list[SameImage]:
    """Generate the same images on the emulator and on every other backend.

    Parameters
    ----------
    make : callable
        Generates them on a backend, with a time limit for Lava.
    each : str
        How much of the sampling they go through, for the progress.
    """
    found = []
    for backend in ("reference", "lava") if use_lava else ("reference",):
        with steps(f"{plural(images, 'image')} on the emulator and on {backend}, {each}"):
            try:
                same = make(backend, float(seconds) if backend == "lava" else None)
            except SessionError as error:
                found.append(
                    SameImage(
                        backend=backend, images=images, evaluations=0, chip_steps=0, equal=None, reason=str(error),
                        neuron_steps=0, differing_spikes=0, seconds=0.0,
                    )
                )  # fmt: skip
                continue
            found.append(
                SameImage(
                    backend=backend, images=same.images, evaluations=same.evaluations, chip_steps=same.chip_steps,
                    equal=same.equal, reason=same.first, neuron_steps=same.neuron_steps,
                    differing_spikes=same.differing_spikes, seconds=same.seconds, whole=same.whole,
                )
            )  # fmt: skip
    return found


def keep(
    workspace: Workspace, checks: Checks, same_images: list[SameImage], deploy: DeployRecipe, steps: Steps
) -> Verification:
    """Write all results as ``equivalence.json``."""
    e = checks.equivalence
    result = Verification(
        equivalence=e,
        overhead_spikes=checks.overhead_spikes,
        norse_images=deploy.norse_images if e.norse.ran else 0,
        reference_images=deploy.reference_images,
        lava_images=deploy.lava_images if e.lava.ran else 0,
        seconds=dict(steps.seconds),
        lowering=checks.lowering,
        lowering_images=LOWERING_IMAGES,
        same_images=same_images,
    )
    write_text(workspace.equivalence, result.model_dump_json(indent=2) + "\n")
    return result


def _norse(parts: Sequence[Part], count: int) -> NorseCheck:
    checks = [
        check_norse(p.module, p.method, p.lowered.float_graph, p.folder / FLOAT, p.samples[:count])
        for p in parts
        if p.coding == "direct"  # norse is run on those only
    ]
    if not all(c.ran for c in checks):
        return next(c for c in checks if not c.ran)

    def worst(name: str, choose: object) -> float | None:
        values = [v for v in (getattr(c, name) for c in checks) if v is not None]
        return choose(values) if values else None  # type: ignore[operator, no-any-return]

    return NorseCheck(
        ran=True,
        reason="",
        neuron_steps=sum(c.neuron_steps for c in checks),
        spike_mismatches=sum(c.spike_mismatches for c in checks),
        explained_by_rounding=sum(c.explained_by_rounding for c in checks),
        smallest_margin=worst("smallest_margin", min),
        largest_margin_at_mismatch=worst("largest_margin_at_mismatch", max),
        readout_max_error=worst("readout_max_error", max),
    )


def _joined(checks: Sequence[BackendCheck]) -> BackendCheck:
    """Checks of several programs as one: it ran if all did, and is equal if all are."""
    missing = next((c for c in checks if not c.ran), None)
    if missing is not None:
        return missing
    return BackendCheck(
        ran=True,
        reason="",
        equal=all(c.equal for c in checks),
        neuron_steps=sum(c.neuron_steps for c in checks),
        differing_spikes=sum(c.differing_spikes for c in checks),
        compared_states=sum(c.compared_states for c in checks),
        differing_states=sum(c.differing_states for c in checks),
        first=next((c.first for c in checks if c.first is not None), None),
        seconds=sum(c.seconds for c in checks),
    )


def _agreement(part: Part, steps: Steps) -> list[LayerAgreement]:
    program = part.lowered.program
    inputs, clipped = host.encode(program, part.samples)
    if clipped:
        steps.note(f"{part.name}: {clipped} input currents exceed the largest bias and were clipped")
    floats = run_float(part.lowered.float_graph, part.samples)
    integers = Emulator(program).run(inputs, detail="spikes")
    counts = {name: spikes.sum(1) for name, spikes in floats.spikes.items()}
    for finding in (*silent(program, counts, integers.counts), *findings(prove(program))):
        if finding.severity != "note":
            steps.note(f"{part.name}: {finding.severity}: {finding}")
    found = agreement(floats, program, integers)
    return [row.model_copy(update={"name": f"{part.name}: {row.name}"}) for row in found]


def _lowering(part: Part) -> list[LoweringStep]:
    graph, some = part.lowered.float_graph, part.samples[:LOWERING_IMAGES]
    first = some[0] if part.coding == "direct" else some[0, 0]
    traced = trace(
        part.module, torch.from_numpy(np.ascontiguousarray(first)), timesteps=graph.settings.timesteps,
        coding=part.coding, name=graph.name, method=part.method,  # type: ignore[arg-type]
    )  # fmt: skip
    found = after_each_pass(
        traced, some, module=part.module, method=part.method, coding=part.coding, written=graph,
        program=part.lowered.program,
    )  # fmt: skip
    return [
        step.model_copy(update={"name": f"{part.name}: {step.name}"}) for step in map(LoweringStep.of, found)
    ]
