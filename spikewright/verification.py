"""The verification step: every check of a deployment, written beside its artefacts."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from .benchmarks.equivalence.explain import sentence
from .benchmarks.equivalence.stages import Stage, after_each_pass
from .benchmarks.equivalence.verify import (
    agreement,
    check_lava,
    check_norse,
    check_reference,
    first_below,
    not_run,
)
from .benchmarks.report.generation import SameImage
from .benchmarks.report.schema import Equivalence
from .errors import BuildError
from .export.float_run import run_float
from .export.trace import trace
from .hardware import host
from .hardware.emulator import Emulator
from .hardware.overflow import findings, prove
from .hardware.silence import silent
from .lowering import Lowered
from .progress import Steps
from .workspace import Workspace, write_text

#: Images that run again after each lowering step.
LOWERING_IMAGES = 4


class LoweringStep(BaseModel):
    """One lowering step on the same samples as the step before it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    against: str
    outcome: Literal["compared", "unchanged", "not runnable", "first"]
    neuron_steps: int = 0
    differing_spikes: int = 0
    first: str | None = None
    layers: dict[str, float] = {}

    @classmethod
    def of(cls, stage: Stage) -> LoweringStep:
        """The step as the file keeps it; the agreement of a layer is the share of neuron steps with the same spike."""
        report = stage.report
        if report is None:
            return cls(name=stage.name, against=stage.against, outcome=stage.outcome)
        return cls(
            name=stage.name,
            against=stage.against,
            outcome=stage.outcome,
            neuron_steps=report.neuron_steps,
            differing_spikes=report.differing_spikes,
            first=None if report.first is None else sentence(report.first),
            layers={layer.name: layer.agreement for layer in report.layers if layer.agreement is not None},
        )


class Verification(BaseModel):
    """What the checks found, with what only a run in global time can tell."""

    model_config = ConfigDict(extra="forbid")
    equivalence: Equivalence
    overhead_spikes: dict[str, int]
    norse_images: int
    reference_images: int
    lava_images: int
    seconds: dict[str, float]
    lowering: list[LoweringStep] = []
    lowering_images: int = 0
    same_images: list[SameImage] = []

    @property
    def failed(self) -> list[str]:
        """Names of the checks that ran and did not agree."""
        e = self.equivalence
        bad = []
        if e.norse.ran and e.norse.spike_mismatches != e.norse.explained_by_rounding:
            bad.append("norse")
        bad += [
            name
            for name, check in (("reference", e.reference), ("lava", e.lava))
            if check.ran and not check.equal
        ]
        return bad + [f"images on {same.backend}" for same in self.same_images if same.equal is False]


def verify(workspace: Workspace, lowered: Lowered, steps: Steps, *, use_lava: bool = True) -> Verification:
    """Run all checks on the first test images and keep the result as ``equivalence.json``."""
    deploy = workspace.recipe.deploy
    images = workspace.test_images
    program = lowered.program
    with steps(f"Float NIR in norse against snnTorch, {deploy.norse_images} images"):
        norse = check_norse(
            workspace.network("snn"),
            "step",
            lowered.float_graph,
            workspace.float_nir,
            images[: deploy.norse_images],
        )
    with steps(f"Emulator against the reference interpreter, {deploy.reference_images} images"):
        inputs, _ = host.encode(program, images[: deploy.reference_images])
        reference, recording = check_reference(program, inputs)
    with steps(f"Emulator against Lava, {deploy.lava_images} images"):
        inputs, _ = host.encode(program, images[: deploy.lava_images])
        lava = (
            check_lava(program, inputs, deploy.lava_seconds)
            if use_lava
            else not_run("switched off by --no-lava")
        )
    if not lava.ran:
        steps.note(f"Lava did not run: {lava.reason}")
    with steps("Integer program against the float network, layer by layer"):
        some = images[:64]
        inputs, _ = host.encode(program, some)
        floats = run_float(lowered.float_graph, some)
        integers = Emulator(program).run(inputs, detail="spikes")
        rows = agreement(floats, program, integers)
    counts = {name: spikes.sum(1) for name, spikes in floats.spikes.items()}
    for finding in (*silent(program, counts, integers.counts), *findings(prove(program))):
        if finding.severity != "note":
            steps.note(f"{finding.severity}: {finding}")
    some = images[:LOWERING_IMAGES]
    with steps(f"The same {len(some)} images after each lowering step"):
        stages = _after_each_step(workspace, lowered, some)
    result = Verification(
        equivalence=Equivalence(
            norse=norse,
            reference=reference,
            lava=lava,
            quantisation=rows,
            first_layer_below_99_percent=first_below(rows),
        ),
        overhead_spikes=recording.overhead_spikes or {},
        norse_images=deploy.norse_images if norse.ran else 0,
        reference_images=deploy.reference_images,
        lava_images=deploy.lava_images if lava.ran else 0,
        seconds=dict(steps.seconds),
        lowering=[LoweringStep.of(stage) for stage in stages],
        lowering_images=len(some),
    )
    write_text(workspace.equivalence, result.model_dump_json(indent=2) + "\n")
    return result


def _after_each_step(workspace: Workspace, lowered: Lowered, images: NDArray[np.float32]) -> list[Stage]:
    network, graph = workspace.network("snn"), lowered.float_graph
    traced = trace(
        network, torch.from_numpy(images[0]), timesteps=graph.settings.timesteps, coding="direct", name=graph.name,
        method="step",
    )  # fmt: skip
    return after_each_pass(
        traced, images, module=network, method="step", written=graph, program=lowered.program
    )


def load_verification(workspace: Workspace) -> Verification:
    """Read what :func:`verify` wrote.

    Raises
    ------
    BuildError
        Nothing was verified yet, or the file is damaged.
    """
    path = workspace.require(workspace.equivalence, "verify")
    try:
        return Verification.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise BuildError(f"{path}: damaged ({error}); run `spikewright verify` again") from None
