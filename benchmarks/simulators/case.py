"""One network at one input density: as plain layers, and as the program that its snnTorch module compiles to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.calibration import Calibration
from ...export.float_run import run_float
from ...export.passes import to_float
from ...export.quantise import quantise
from ...export.trace import trace
from ...hardware import host
from ...hardware.compile import compile_program
from ...hardware.program import Inputs, Program
from ...hardware.recording import Recording
from ..counting import count, totals
from .networks import Entry, make
from .workers.network import Network
from .workers.snntorch_network import StepNetwork

#: Samples that the quantiser's calibration sees.
CALIBRATION_SAMPLES = 4


@dataclass(frozen=True, eq=False)
class Case:
    """One network at one density.

    Attributes
    ----------
    key : str
        Of the network.
    density : float or None
        Share of input spikes; None where the input is an image.
    samples : ndarray
        Inputs as all simulators get them.
    inputs : Inputs
        The same, encoded for the program.
    """

    key: str
    title: str
    density: float | None
    network: Network
    samples: NDArray[np.uint8] | NDArray[np.float32]
    program: Program
    inputs: Inputs

    @property
    def label(self) -> str:
        """The input in a word or two."""
        return "image" if self.density is None else f"{100 * self.density:g} %"


def compiled(network: Network, samples: NDArray[np.uint8] | NDArray[np.float32]) -> Program:
    """The program of a network: traced from its snnTorch module and quantised as any user's.

    One scale a population, since the weights lie on one grid each: eight bits then hold them exactly.
    """
    floats = samples[:CALIBRATION_SAMPLES].astype(np.float32)
    one = torch.from_numpy(floats[0] if network.coding == "direct" else floats[0, 0])
    graph = to_float(
        trace(StepNetwork(network), one, timesteps=network.steps, coding=network.coding, name=network.name)
    )
    return compile_program(quantise(graph, Calibration.of(run_float(graph, floats)), per_channel=False))


def build_case(key: str, entry: Entry, density: float | None, samples: int) -> Case:
    """Build a network, its inputs and its program."""
    network, given = make(entry, density, samples)
    program = compiled(network, given)
    inputs, clipped = host.encode(program, given.astype(np.float32))
    if clipped:
        raise ValueError(f"{key}: {clipped} currents of the input exceed the largest bias; lower its weights")
    return Case(key, entry.title, density, network, given, program, inputs)


@dataclass(frozen=True)
class Activity:
    """What a case does in a sample: spikes a neuron and step of each layer, and synaptic operations a step."""

    rates: dict[str, float]
    operations: float


def activity(case: Case, recording: Recording) -> Activity:
    """Measured rates, and synaptic operations of a sample and step."""
    samples = len(next(iter(recording.counts.values())))
    layers = count(case.program, recording, samples)
    wanted = {layer.name for layer in case.network.spiking}
    rates = {layer.name: layer.rate for layer in layers if layer.name in wanted}
    return Activity(rates, totals(layers).sops / case.network.steps)
