"""How reliable is the arithmetic? Random networks on several backends, every spike and state compared.

``python -m spikewright.benchmarks.reliability --reference 2000 --lava 200`` runs so many networks through the reference
interpreter and the emulator, and so many through the reference and Intel's Lava, and writes a table. It ends with exit
status 1 if anything differs, and names the first difference with the seed that draws its network again.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, product
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ..hardware import lava, reference
from ..hardware.emulation.feed import KERNELS
from ..hardware.emulator import Emulator, order
from ..hardware.recording import Difference, Recording, compare
from .batched_programs import fold, join
from .random_programs import Frame, Network, draw_frame, draw_network

Set: TypeAlias = Literal["emulator", "joined", "folded"]

#: What keeps the random streams of the three sets apart.
STREAMS: dict[Set, int] = {"emulator": 0, "joined": 1, "folded": 2}
#: One network in so many runs on Lava with processes of its own, convolutions included; the others are folded.
JOINED_SHARE = 10
#: Networks to a start of Lava: each process is one of the operating system's, and beyond about a hundred they only wait.
JOINED_BATCH, FOLDED_BATCH = 5, 45
LAVA_SECONDS = 300.0
#: Every third network, or batch of networks, has loops.
LOOPS = 3
TITLES: dict[Set, str] = {
    "emulator": "emulator against reference",
    "joined": "Lava against reference, a process a population and synapse group",
    "folded": "Lava against reference, networks folded into shared processes",
}


@dataclass
class Tally:
    """What comparing a set of networks came to.

    Attributes
    ----------
    networks, neuron_steps, states : int
        Compared; states are currents, membranes and read-outs.
    spikes : int
        Spikes that the reference's populations fired.
    differing_spikes, differing_states : int
    first : str
        The first difference, with the seed of its network; empty if nothing differs.
    features : Counter
        Networks that have each kind of thing.
    seconds : float
        Wall time.
    runs : int
        Starts of the backend.
    """

    networks: int = 0
    neuron_steps: int = 0
    states: int = 0
    spikes: int = 0
    differing_spikes: int = 0
    differing_states: int = 0
    first: str = ""
    features: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    runs: int = 0

    @property
    def equal(self) -> bool:
        """Nothing differs."""
        return not self.differing_spikes and not self.differing_states

    def add(self, network: Network, wanted: Recording, given: Recording, seed: list[int]) -> None:
        """Compare one network's recordings."""
        program = network.program
        result = compare(wanted, given, [p.name for stage in order(program) for p in stage])
        self.networks += 1
        self.neuron_steps += result.neuron_steps
        self.states += result.compared_states
        self.spikes += sum(int(wanted.counts[p.name].sum()) for p in program.populations)
        self.differing_spikes += result.differing_spikes
        self.differing_states += result.differing_states
        self.features.update(network.features)
        if result.first is not None and not self.first:
            self.first = f"{_described(result.first)} (network of seed {seed})"


def _described(d: Difference) -> str:
    where = f"{d.population}, neuron {d.neuron}, sample {d.sample}, step {d.timestep}"
    return f"{d.quantity} of {where}: {d.left} in the reference, {d.right} in the other"


def _frame(of: Set, rng: np.random.Generator, index: int) -> Frame:
    loops = index % LOOPS == LOOPS - 1
    # With loops Lava starts anew for each sample, so there one has to do.
    samples = 1 if loops and of != "emulator" else int(rng.integers(1, 4))
    return draw_frame(rng, loops=loops, samples=samples, subtract=of == "emulator", few=of == "folded")


def _batches(
    of: Set, seed: int, count: int, size: int
) -> Iterator[tuple[Frame, list[tuple[list[int], Network]]]]:
    """Networks of a set in batches of one frame each, with the seeds that draw frame and network again."""
    for index in range(-(-count // size)):
        frame = _frame(of, np.random.default_rng([seed, STREAMS[of], index]), index)
        found = []
        for k in range(min(size, count - index * size)):
            own = [seed, STREAMS[of], index, k]
            found.append((own, draw_network(np.random.default_rng(own), frame)))
        yield frame, found


def check_emulator(seed: int, count: int, progress: Callable[[int], None] = lambda done: None) -> Tally:
    """The emulator against the reference, on ``count`` networks: each of its kernels in turn, one thread and two.

    Spikes and read-outs are those of a run that keeps no states, which takes 32 bits where they suffice; currents and
    membranes those of a run that keeps them.
    """
    tally, began = Tally(), time.perf_counter()
    turns = product((None, *KERNELS), (1, 2))
    for (_, networks), (kernel, threads) in zip(
        _batches("emulator", seed, count, 1), cycle(turns), strict=False
    ):
        own, network = networks[0]
        wanted = reference.run(network.program, network.inputs)
        emulator = Emulator(network.program, kernel=kernel, threads=threads)
        lean, full = (emulator.run(network.inputs, detail) for detail in ("spikes", "states"))
        tally.add(network, wanted, replace(full, spikes=lean.spikes, readouts=lean.readouts), own)
        tally.runs += 1
        progress(tally.networks)
    tally.seconds = time.perf_counter() - began
    return tally


def check_lava(
    of: Literal["joined", "folded"],
    seed: int,
    count: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Tally:
    """Lava against the reference, which runs each network alone, on ``count`` networks.

    Raises
    ------
    LavaError
        Lava is not installed, or failed.
    """
    tally, began = Tally(), time.perf_counter()
    combine, size = (join, JOINED_BATCH) if of == "joined" else (fold, FOLDED_BATCH)
    for frame, networks in _batches(of, seed, count, size):
        batch = combine([network for _, network in networks], frame)
        given = lava.run(batch.program, batch.inputs, time_limit=LAVA_SECONDS)
        for index, (own, network) in enumerate(networks):
            wanted = reference.run(network.program, network.inputs)
            tally.add(network, wanted, batch.part(given, index), own)
        tally.runs += frame.samples if batch.program.isolated else 1
        progress(tally.networks)
    tally.seconds = time.perf_counter() - began
    return tally


def joined_count(count: int) -> int:
    """How many of the networks for Lava run with processes of their own."""
    return -(-count // JOINED_SHARE)


def run(
    seed: int, on_reference: int, on_lava: int, progress: Callable[[Set, int], None] = lambda of, done: None
) -> dict[Set, Tally]:
    """All sets that have a network.

    Raises
    ------
    LavaError
        Networks are asked for on Lava, which is not installed or failed.
    """
    found: dict[Set, Tally] = {}
    if on_reference:
        found["emulator"] = check_emulator(seed, on_reference, lambda done: progress("emulator", done))
    own = joined_count(on_lava)
    if own:
        found["joined"] = check_lava("joined", seed, own, lambda done: progress("joined", done))
    if on_lava - own:
        found["folded"] = check_lava("folded", seed, on_lava - own, lambda done: progress("folded", done))
    return found


def table(found: dict[Set, Tally], seed: int, command: str) -> str:
    """The counts as a Markdown document; nothing in it depends on the day."""
    lines = [
        "# Reliability of the integer arithmetic",
        "",
        "Random small networks, run by two backends each; every spike, current and membrane of every neuron and step is "
        "compared. Written by",
        "",
        f"    {command}",
        "",
        "| compared | networks | runs | neuron steps | spikes fired | states | differing spikes | differing states |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for of, t in found.items():
        numbers = (
            t.networks,
            t.runs,
            t.neuron_steps,
            t.spikes,
            t.states,
            t.differing_spikes,
            t.differing_states,
        )
        lines.append(f"| {TITLES[of]} | {' | '.join(f'{n:,}' for n in numbers)} |")
    for of, t in found.items():
        if t.first:
            lines += ["", f"First difference, {TITLES[of]}: {t.first}."]
    lines += [
        "",
        "A folded network keeps its neurons and weights; populations of several networks that start at the same step share "
        "a Lava process, and so do synapse groups of the same exponent. The others have a process for each, Lava's own "
        "convolution among them.",
        "",
        "Networks that have",
        "",
        f"| | {' | '.join(found)} |",
        f"| --- |{' ---: |' * len(found)}",
    ]
    for feature in sorted(set().union(*(t.features for t in found.values()))):
        counts = " | ".join(f"{t.features[feature]:,}" for t in found.values())
        lines.append(f"| {feature} | {counts} |")
    lines += ["", f"Seed {seed}. {_versions()}", ""]
    return "\n".join(lines)


def _versions() -> str:
    names = ("spikewright", "lava-nc", "numpy", "numba", "torch")
    return (
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in names)
        + "."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikewright.benchmarks.reliability", description=__doc__)
    parser.add_argument("--reference", type=int, default=2000, metavar="N", help="networks for the emulator")
    parser.add_argument("--lava", type=int, default=200, metavar="N", help="networks for Lava")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the table here as well")
    arguments = parser.parse_args(given)
    if (
        min(arguments.reference, arguments.lava, arguments.seed) < 0
        or not arguments.reference + arguments.lava
    ):
        parser.error(
            "--reference, --lava and --seed take counts from 0, and one of the first two more than that"
        )
    return arguments


def main(given: list[str] | None = None) -> int:
    """Run, print and write the table; the exit status is 1 if anything differs, 2 if Lava does not run."""
    arguments = _arguments(sys.argv[1:] if given is None else given)

    def progress(of: Set, done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{of}: {done} networks", end="", file=sys.stderr, flush=True)

    began = time.perf_counter()
    try:
        found = run(arguments.seed, arguments.reference, arguments.lava, progress)
    except lava.LavaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = (
        f"python -m spikewright.benchmarks.reliability --reference {arguments.reference} --lava {arguments.lava} "
        f"--seed {arguments.seed}"
    )
    text = table(found, arguments.seed, command)
    print(text)
    for of, tally in found.items():
        print(f"{TITLES[of]}: {tally.networks} networks in {tally.seconds:.0f} s", file=sys.stderr)
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")
    for of, tally in found.items():
        if not tally.equal:
            print(f"error: {TITLES[of]}: {tally.first}", file=sys.stderr)
    return int(any(not tally.equal for tally in found.values()))


if __name__ == "__main__":
    sys.exit(main())
