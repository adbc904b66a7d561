"""From a trained module to artefacts: float NIR, integer NIR, program. The same path for a recipe and for a user's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .deploy_recipe import QuantiseRecipe
from .errors import BuildError
from .export.calibration import Calibration
from .export.correct_biases import quantise_corrected
from .export.fine_tune import Schedule, fine_tune
from .export.float_run import run_float
from .export.formats import PAYLOAD_BITS
from .export.graph import Graph, HostStep, Relay
from .export.nir_build import DENSE_LIMIT
from .export.nir_read import read_graph
from .export.nir_write import write_nir
from .export.passes import to_float
from .export.trace import trace
from .hardware.chip import Chip, load_chip
from .hardware.compile import compile_program
from .hardware.overflow import require_no_overflow
from .hardware.program import Program
from .hardware.program_io import load_program, save_program
from .hardware.relays import DelayCosts
from .progress import Step

FLOAT, INTEGER, PROGRAM = "model.nir", "model.int8.nir", "program.npz"


@dataclass(frozen=True, eq=False)
class Tuning:
    """Quantisation-aware fine-tuning ahead of the integer level.

    Attributes
    ----------
    schedule : Schedule
    samples : ndarray or None
        What it learns from; by default the samples of calibration.
    targets : ndarray or None
        What the output should be, by default what the float network says.
    progress : callable
        As in :func:`~spikewright.export.fine_tune.fine_tune`.
    """

    schedule: Schedule
    samples: NDArray[np.float32] | None = None
    targets: NDArray[np.float32] | None = None
    progress: Callable[[int, int, float], None] = lambda done, total, error: None

    @classmethod
    def of(
        cls,
        asked: QuantiseRecipe,
        step: Step,
        samples: NDArray[np.float32] | None = None,
        targets: NDArray[np.float32] | None = None,
    ) -> Tuning | None:
        """What a recipe asks for, shown in a step; None for nothing."""
        if not asked.tune:
            return None
        show = lambda done, total, error: step.update(done, total)  # noqa: E731
        return cls(Schedule(asked.tune, operations=asked.operations_penalty), samples, targets, show)


@dataclass(frozen=True, eq=False)
class Lowered:
    """One network at three levels."""

    float_graph: Graph
    integer_graph: Graph
    program: Program

    @property
    def latent(self) -> str | None:
        """Population where the host may resample, if the network has one."""
        step = self.float_graph.host_step("resample")
        return None if step is None else step.node

    @property
    def decoder(self) -> Program:
        """The program behind the resampling point, fed by the host's spikes.

        Raises
        ------
        BuildError
            The network has no such point.
        """
        if self.latent is None:
            raise BuildError(f"{self.program.name}: has no resampling point, so nothing to generate from")
        return compile_program(self.integer_graph, inject=self.latent, period=self.program.period)


def lower(
    module: nn.Module,
    samples: NDArray[np.float32],
    folder: Path,
    *,
    name: str,
    timesteps: int,
    coding: Literal["direct", "spikes"] = "direct",
    method: str = "forward",
    bits: int = 8,
    per_channel: bool = True,
    host_steps: Sequence[HostStep] = (),
    wide: Collection[str] | None = (),
    strict: bool = False,
    chip: str | None = None,
    tune: Tuning | None = None,
    dense_limit: int = DENSE_LIMIT,
    payload_bits: int = PAYLOAD_BITS,
) -> Lowered:
    """Export, quantise and compile a module, and write every level.

    Each level is read back from its file, and the next one starts from what was read: the files are the result.

    Parameters
    ----------
    module : nn.Module
        snnTorch neurons; its ``method`` computes one time step.
    samples : ndarray
        Representative samples for calibration: (N, ...) with direct coding, (N, timesteps, ...) with spikes.
    folder : Path
        Takes ``model.nir``, ``model.int8.nir`` and ``program.npz``.
    host_steps : sequence of HostStep
        What the host does that the module's step does not show, such as a prior.
    wide : collection of str, or None
        Layers with 15-bit weights; None chooses those that rounding to 8 bits hurts.
    strict : bool
        Every state must be proven to stay inside 24 bits, and an overflow is an error.
    chip : str, optional
        Chip whose costs decide between delays and relays where branches wait.
    tune : Tuning, optional
        Fine-tune weights for their bits.
    dense_limit : int
        As in :func:`~spikewright.export.nir_write.write_nir`.
    payload_bits : int
        Bits of the values that graded relays send, at most.

    Raises
    ------
    BuildError
        Fine-tuning is asked of wide weights, with a proof of all states or around relays; or the chip has no graded spikes.
    """
    if tune is not None and (wide or strict):
        raise BuildError(
            f"{name}: fine-tuning moves weights of one width without a proof; leave out wide and strict"
        )
    folder.mkdir(parents=True, exist_ok=True)
    first = samples[0] if coding == "direct" else samples[0, 0]
    traced = trace(
        module, torch.from_numpy(first), timesteps=timesteps, coding=coding, name=name, method=method
    )
    graph = to_float(traced)
    for step in host_steps:
        graph = graph.with_host_step(step)
    if chip is not None:
        _require_graded_spikes(graph, load_chip(chip), payload_bits)
    if tune is not None and graph.select(Relay):
        raise BuildError(
            f"{name}: weights around graded relays are not fine-tuned; leave out tune, or unroll the stream"
        )
    graph = write_nir(graph, folder / FLOAT, dense_limit)
    calibration = Calibration.of(run_float(graph, samples))
    if tune is None:
        quantised = quantise_corrected(
            graph, samples, calibration, bits=bits, per_channel=per_channel, wide=wide, strict=strict,
            payload_bits=payload_bits,
        )  # fmt: skip
    else:
        quantised = fine_tune(
            graph, samples if tune.samples is None else tune.samples, calibration, targets=tune.targets, bits=bits,
            per_channel=per_channel, schedule=tune.schedule, progress=tune.progress,
        ).graph  # fmt: skip
    integer = write_nir(quantised, folder / INTEGER, dense_limit)
    costs = None if chip is None else DelayCosts.of(load_chip(chip))
    program = compile_program(integer, costs=costs)
    if strict:
        require_no_overflow(program)
    save_program(program, folder / PROGRAM)
    return load(folder)


def _require_graded_spikes(graph: Graph, chip: Chip, bits: int) -> None:
    """Refuse relays on a chip whose spikes carry no such values, before anything is quantised."""
    relays = graph.select(Relay)
    if not relays:
        return
    if chip.graded_spike_bits is None:
        raise BuildError(
            f"{relays[0]}: is a graded relay, spikes of {chip.title} carry no values; unroll the stream "
            "(residual = 'unrolled'), or take a chip with graded spikes"
        )
    if bits > chip.graded_spike_bits.value:
        raise BuildError(
            f"{relays[0]}: a payload of {bits} bits, a spike of {chip.title} carries {chip.graded_spike_bits.value}; "
            "ask for fewer payload bits"
        )


def load(folder: Path) -> Lowered:
    """Read the levels of a folder."""
    for name in (FLOAT, INTEGER, PROGRAM):
        if not (folder / name).exists():
            raise BuildError(f"{folder / name}: missing; run `spikewright export` first")
    return Lowered(read_graph(folder / FLOAT), read_graph(folder / INTEGER), load_program(folder / PROGRAM))
