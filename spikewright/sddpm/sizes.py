"""Depth, size and compile time of the U-Net, untrained: ``python -m spikewright.sddpm.sizes``.

Depth and delays belong to the architecture, so no weights are needed to know them; cores, which depend on how many weights
are zero, are those of random weights. Each row is compiled in a process of its own, so that its peak memory is its own.
Writes ``docs/unet_sizes.md``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch

from ..benchmarks.report.units import count
from ..errors import USER_ERRORS, BuildError
from ..hardware.chip import load_chip
from ..hardware.fit import fit
from ..hardware.placement import place
from ..hardware.program import Program
from ..models.spiking_unet import SpikingUNet
from ..models.unet_layout import SIZES, Build
from ..workspace import write_text
from .lowering import lower_denoiser

BUILDS: tuple[str, ...] = get_args(Build)


@dataclass(frozen=True)
class Size:
    """One U-Net, compiled and placed.

    Attributes
    ----------
    populations, relays : int
        Populations of the network, the read-out among them, and those that only hand spikes on.
    depth : int
        Steps from the image to the read-out ``D``: an evaluation takes ``D + T`` steps, N images back to back ``D + N T``.
    longest_wait : int
        Extra steps that the spikes of the longest skip wait, in relays and synaptic delays together.
    compile_seconds, place_seconds : float
        From the torch module to the program, and from there to the cores.
    memory_gb : float
        Peak of the process, torch included.
    obstacle : str
        Why some neurons have no place on however many chips; empty where all have one.
    """

    parameters: int
    populations: int
    relays: int
    neurons: int
    synapses: int
    depth: int
    longest_wait: int
    timesteps: int
    cores: int
    chips: int
    obstacle: str
    compile_seconds: float
    place_seconds: float
    memory_gb: float


def longest_wait(program: Program) -> int:
    """Extra steps that spikes wait at most between two populations of the network."""
    sender = {p.name: p.name for p in program.populations if not p.relay}
    for relay in sorted((p for p in program.populations if p.relay), key=lambda p: p.start):
        (group,) = program.inputs_of(relay.name)
        sender[relay.name] = sender[group.source]
    start = {p.name: p.start for p in program.populations}
    return max(
        start[group.target] - start[sender[group.source]] - 1
        for group in program.synapses
        if group.source in sender and group.target in sender and group.target == sender[group.target]
    )


def measure(size: str, build: Build, chip_name: str) -> Size:
    """Compile and place one U-Net of random weights in this process."""
    torch.manual_seed(0)
    network = SpikingUNet(replace(SIZES[size], build=build)).eval()
    config, chip = network.config, load_chip(chip_name)
    images = torch.rand(1, config.in_channels, *config.image) * 2 - 1
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        program = lower_denoiser(network, images, Path(folder), chip=chip_name).program
    compiled = time.perf_counter()
    placement = place(program, chip)
    placed = time.perf_counter()
    relays = sum(p.relay for p in program.populations)
    found = fit(program, chip, placement)
    return Size(
        parameters=sum(p.numel() for p in network.parameters()),
        populations=len(program.populations) - relays, relays=relays,
        neurons=found.neurons, synapses=found.synapses, depth=program.depth,
        longest_wait=longest_wait(program), timesteps=program.timesteps,
        cores=len(placement.cores), chips=placement.chips, obstacle=next((str(f) for f in placement.findings if f.severity == "error"), ""),
        compile_seconds=compiled - start, place_seconds=placed - compiled,
        memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    )  # fmt: skip


def measure_apart(size: str, build: str, chip: str) -> Size:
    """The same in a process of its own.

    Raises
    ------
    BuildError
        The process failed; its last words are in the message.
    """
    command = [sys.executable, "-m", __spec__.name, "--only", size, build, "--chip", chip]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise BuildError(f"size {size}, build {build}: {last}")
    return Size(**json.loads(done.stdout.splitlines()[-1]))


def page(found: Sequence[tuple[str, str, Size]], title: str, command: str) -> str:
    """The page: one row a U-Net."""
    head = (
        "size", "build", "parameters", "populations", "relays", "depth D", "longest wait", "D + T", "neurons", "synapses",
        "cores", "chips", "compile", "place", "peak memory",
    )  # fmt: skip
    lines = [
        "# Sizes of the U-Net",
        "",
        "Written by",
        "",
        f"    {command}",
        "",
        f"Untrained networks on {title}. Depth and waits are the architecture's: an evaluation takes D + T",
        "steps, N images back to back D + N T. Synapses are unrolled. Times are from the",
        "torch module to the program, and from there to cores under all limits of the chip; peak memory includes torch.",
        "",
        f"| {' | '.join(head)} |",
        f"| --- | --- |{' ---: |' * (len(head) - 2)}",
    ]
    for size, build, row in found:
        cells = (
            size, build, count(row.parameters), count(row.populations), count(row.relays), count(row.depth),
            count(row.longest_wait), count(row.depth + row.timesteps), count(row.neurons), count(row.synapses),
            f"more than {count(row.cores)}" if row.obstacle else count(row.cores), count(row.chips),
            f"{row.compile_seconds:.0f} s", f"{row.place_seconds:.0f} s", f"{row.memory_gb:.1f} GB",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        line
        for size, build, row in found
        if row.obstacle
        for line in ("", f"Size {size}, {build}: {row.obstacle}.")
    ]
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> int:
    """Measure and write the page; the exit status is 1 where a size could not be compiled."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.sddpm.sizes",
        description="Depth, size and compile time of the U-Net, untrained.",
    )
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["M", "L", "paper"])
    parser.add_argument("--builds", nargs="+", choices=BUILDS, default=list(BUILDS))
    parser.add_argument("--chip", default="loihi2")
    parser.add_argument("--out", type=Path, default=Path("docs/unet_sizes.md"))
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    try:
        title = load_chip(options.chip).title
        if options.only:
            size, build = options.only
            print(json.dumps(asdict(measure(size, build, options.chip))))
            return 0
        found = []
        for size, build in product(options.sizes, options.builds):
            found.append((size, build, measure_apart(size, build, options.chip)))
            print(size, build, found[-1][2], flush=True)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    parts = ("--sizes", *options.sizes, "--builds", *options.builds, "--chip", options.chip)
    text = page(found, title, f"{parser.prog} {' '.join(parts)}")
    write_text(options.out, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
