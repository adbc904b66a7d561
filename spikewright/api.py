"""One call for a network of your own: export, quantise, compile, run, verify."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .benchmarks.counting import LayerCount, count
from .benchmarks.equivalence.verify import check_lava, check_norse, check_reference, not_run
from .benchmarks.report.schema import BackendCheck, NorseCheck
from .export.record import run_module
from .hardware import host
from .hardware.emulator import Emulator
from .hardware.recording import Recording
from .lowering import FLOAT, Lowered, lower


@dataclass(frozen=True, eq=False)
class Deployment:
    """A deployed network and what the checks say.

    Attributes
    ----------
    lowered : Lowered
        The float graph, the integer graph and the program; their files are in the folder.
    recording : Recording
        The emulator's run over all samples: spike counts and read-outs.
    outputs, float_outputs : ndarray
        What the chip gives and what the module gives after the last step: a read-out membrane in float units, through
        the host's functions, or spike counts.
    norse, reference, lava : NorseCheck, BackendCheck, BackendCheck
        Comparisons; ``ran`` and ``equal`` say what happened.
    layers : list of LayerCount
        Spikes, synaptic operations and updates a sample.
    """

    lowered: Lowered
    recording: Recording
    outputs: NDArray[np.float32]
    float_outputs: NDArray[np.float32]
    norse: NorseCheck
    reference: BackendCheck
    lava: BackendCheck
    layers: list[LayerCount]


def deploy(
    module: nn.Module,
    samples: NDArray[np.float32] | torch.Tensor,
    *,
    timesteps: int,
    folder: str | Path,
    coding: Literal["direct", "spikes"] = "direct",
    method: str = "forward",
    name: str = "network",
    bits: int = 8,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    strict: bool = False,
    chip: str | None = None,
    checked: int = 4,
    lava: bool = True,
    lava_seconds: float = 600.0,
) -> Deployment:
    """Take a module of snnTorch neurons to a verified integer program.

    Parameters
    ----------
    module : nn.Module
        Its ``method`` computes one time step; neurons use ``reset_mechanism="zero"``, a membrane that is read out
        ``reset_mechanism="none"``.
    samples : ndarray or Tensor
        Samples for calibration and checks: (N, ...) with direct coding, (N, timesteps, ...) of 0/1 with spikes.
    folder : str or Path
        Takes ``model.nir``, ``model.int8.nir`` and ``program.npz``.
    wide, strict, chip
        As in :func:`spikewright.lowering.lower`: layers with 15-bit weights, proofs against overflow, costs of waiting.
    checked : int
        Samples that norse, the reference and Lava run.
    lava : bool
        Run the Lava check; it says so where Lava is not installed.

    Raises
    ------
    ExportError, ProgramError
        A layer, setting or sample that cannot be deployed; the message names it and the remedy.
    """
    array = np.asarray(samples.detach().numpy() if isinstance(samples, torch.Tensor) else samples, np.float32)
    place = Path(folder)
    lowered = lower(
        module, array, place, name=name, timesteps=timesteps, coding=coding, method=method, bits=bits,
        per_channel=per_channel, wide=wide, strict=strict, chip=chip,
    )  # fmt: skip
    inputs, _ = host.encode(lowered.program, array)
    recording = Emulator(lowered.program).run(inputs)
    few = inputs.select(slice(0, checked))
    reference, _ = check_reference(lowered.program, few)
    source = run_module(module, torch.from_numpy(array), timesteps, method=method, coding=coding)
    last = lowered.program.populations[-1]
    if last.readout:
        membrane = source.membranes[last.name][:, -1].astype(np.float64)
        float_outputs = host.apply_functions(lowered.program, last.name, membrane)
    else:
        float_outputs = source.spikes[last.name].sum(1)
    return Deployment(
        lowered=lowered,
        recording=recording,
        outputs=host.decode(lowered.program, recording),
        float_outputs=float_outputs.reshape(-1, *last.shape).astype(np.float32),
        norse=check_norse(module, method, lowered.float_graph, place / FLOAT, array[:checked]),
        reference=reference,
        lava=check_lava(lowered.program, few, lava_seconds) if lava else not_run("switched off"),
        layers=count(lowered.program, recording, len(array)),
    )
