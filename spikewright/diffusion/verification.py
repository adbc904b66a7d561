"""The checks of a deployed Spiking-Diffusion: each program by itself, then whole images on two backends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from ..diffusion_stages import extract_tokens
from ..export.float_run import run_float
from ..export.trace import trace
from ..hardware import host, tokens
from ..hardware.emulator import Emulator
from ..hardware.overflow import findings, prove
from ..hardware.session import SessionError
from ..hardware.silence import silent
from ..lowering import FLOAT, Lowered
from ..models.sdid import SDID
from ..models.vq_svae import VQSVAE
from ..progress import Steps
from ..recipe import DiffusionRecipe
from ..verification import LOWERING_IMAGES, LoweringStep, Verification
from ..workspace import Workspace, write_text
from .checks import same_images
from .system import System, hidden_spikes

AGREEMENT_SAMPLES = 64


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
    """

    name: str
    lowered: Lowered
    module: nn.Module
    method: str
    coding: str
    samples: NDArray[np.float32]


def parts_of(workspace: Workspace, system: System, count: int) -> list[Part]:
    """The three programs with samples made from the first test images."""
    vq, sdid = workspace.network("vq"), workspace.network("sdid")
    assert isinstance(vq, VQSVAE)
    assert isinstance(sdid, SDID)
    images = workspace.test_images[:count]
    grids = extract_tokens(vq, images)
    vectors = tokens.look_up(system.decoder.program, grids)
    return [
        Part("encoder", system.encoder, vq, "encode_step", "direct", images),
        Part("denoiser", system.denoiser, sdid, "step", "spikes", hidden_spikes(sdid, grids, seed=1)),
        Part("decoder", system.decoder, vq, "decode_step", "direct", vectors),
    ]


def verify_system(
    workspace: Workspace, system: System, steps: Steps, *, use_lava: bool = True
) -> Verification:
    """Run all checks and keep the result as ``equivalence.json``."""
    recipe = workspace.recipe
    assert isinstance(recipe, DiffusionRecipe)
    deploy = recipe.deploy
    parts = parts_of(workspace, system, AGREEMENT_SAMPLES)
    with steps(f"Float NIR in norse against snnTorch, {deploy.norse_images} images"):
        norse = _norse(parts, workspace.folder, deploy.norse_images)
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
    same = []
    for backend in ("reference", "lava") if use_lava else ("reference",):
        with steps(f"{deploy.lava_generations} images on the emulator and on {backend}, all evaluations"):
            same.append(_same(system, backend, recipe))
    result = Verification(
        equivalence=Equivalence(
            norse=norse,
            reference=_joined(references),
            lava=lava,
            quantisation=rows,
            first_layer_below_99_percent=first_below(rows),
        ),
        overhead_spikes=overhead,
        norse_images=deploy.norse_images if norse.ran else 0,
        reference_images=deploy.reference_images,
        lava_images=deploy.lava_images if lava.ran else 0,
        seconds=dict(steps.seconds),
        lowering=stages,
        lowering_images=LOWERING_IMAGES,
        same_images=same,
    )
    write_text(workspace.equivalence, result.model_dump_json(indent=2) + "\n")
    return result


def _norse(parts: Sequence[Part], folder: Path, count: int) -> NorseCheck:
    checks = [
        check_norse(p.module, p.method, p.lowered.float_graph, folder / p.name / FLOAT, p.samples[:count])
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


def _same(system: System, backend: str, recipe: DiffusionRecipe) -> SameImage:
    deploy = recipe.deploy
    limit = float(deploy.lava_seconds) if backend == "lava" else None
    try:
        found = same_images(
            system, backend, deploy.lava_generations, seed=recipe.seed, temperature=deploy.temperature,
            time_limit=limit,
        )  # fmt: skip
    except SessionError as error:
        return SameImage(
            backend=backend, images=deploy.lava_generations, evaluations=0, chip_steps=0, equal=None,
            reason=str(error), neuron_steps=0, differing_spikes=0, seconds=0.0,
        )  # fmt: skip
    return SameImage(
        backend=backend,
        images=found.images,
        evaluations=found.evaluations,
        chip_steps=found.chip_steps,
        equal=found.equal,
        reason=found.first,
        neuron_steps=found.neuron_steps,
        differing_spikes=found.differing_spikes,
        seconds=found.seconds,
    )
