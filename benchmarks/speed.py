"""Speed of one ESVAE deployment on the emulator, Lava and snnTorch, side by side in one run.

``python -m spikewright.benchmarks.speed`` (or ``make benchmark``). Times are medians of several runs on this machine;
the ratios are the result. Every figure says which arithmetic it is for.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..export.float_run import run_float
from ..export.passes import to_float
from ..export.quantise import Calibration, quantise
from ..export.record import run_module
from ..export.trace import trace
from ..hardware import host, reference
from ..hardware.compile import compile_program
from ..hardware.emulator import Emulator
from ..hardware.lava import LavaError, available
from ..hardware.lava import run as run_lava
from ..hardware.program import Program
from ..models.data import load_images, prepare
from ..models.esvae import ESVAE, SIZES

RUNS = 5
BATCH = 64
LAVA_SAMPLES = 8


@dataclass(frozen=True)
class Row:
    """One simulator's time."""

    name: str
    arithmetic: str
    batch: int
    seconds: float  # a sample and time step
    note: str = ""


def measure(run: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall time of several runs after one that does not count."""
    run()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def rows() -> list[Row]:
    """Measure every simulator on the same network and images."""
    torch.manual_seed(0)
    network = ESVAE(SIZES["S"]).eval()
    steps = network.config.timesteps
    images = prepare(load_images("digits", "test"), network.config.image, "resize")[:BATCH]
    graph = to_float(
        trace(
            network,
            torch.from_numpy(images[0]),
            timesteps=steps,
            coding="direct",
            name="esvae",
            method="step",
        )
    )
    program = compile_program(quantise(graph, Calibration.of(run_float(graph, images))))
    emulator = Emulator(program)
    out: list[Row] = []
    for batch in (1, BATCH):
        inputs, _ = host.encode(program, images[:batch])
        out.append(Row("emulator", "integer", batch, measure(partial(emulator.run, inputs)) / batch / steps))
        stepped = partial(run_module, network, torch.from_numpy(images[:batch]), steps, method="step")
        module = measure(stepped)
        out.append(Row("snnTorch, step by step", "float32", batch, module / batch / steps))
    inputs, _ = host.encode(program, images[:1])
    out.append(
        Row("reference interpreter", "integer", 1, measure(partial(reference.run, program, inputs)) / steps)
    )
    out.append(_lava(program, images))
    return out


def _lava(program: Program, images: NDArray[np.float32]) -> Row:
    """Lava's time a step: the slope between a short and a long run, so that start-up does not count."""
    usable, reason = available()
    if not usable:
        return Row("Lava", "integer", 1, float("nan"), reason)
    times = []
    try:
        for samples in (1, LAVA_SAMPLES):
            inputs, _ = host.encode(program, images[:samples])
            times.append(min(run_lava(program, inputs, detail="spikes").seconds for _ in range(2)))
    except LavaError as error:
        return Row("Lava", "integer", 1, float("nan"), str(error))
    slope = (times[1] - times[0]) / (LAVA_SAMPLES - 1) / program.timesteps
    return Row("Lava fixed_pt", "integer", 1, slope, f"start-up {times[0]:.1f} s not counted")


def main() -> None:
    """Print the table."""
    console = Console()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    found = rows()
    best = min(r.seconds for r in found if r.name == "emulator" and r.batch == 1)
    table = Table(
        "simulator",
        "arithmetic",
        "batch",
        "us a sample and step",
        "times the emulator at batch 1",
        "note",
        box=None,
    )
    for r in found:
        table.add_row(
            r.name, r.arithmetic, str(r.batch), f"{1e6 * r.seconds:.1f}", f"{r.seconds / best:.2f}", r.note
        )
    console.print(table)
    busy = " (busy: only the ratios hold)" if load > 1 else ""
    console.print(f"load {load:.1f}{busy}, {torch.get_num_threads()} threads, ESVAE-S with random weights")


if __name__ == "__main__":
    main()
