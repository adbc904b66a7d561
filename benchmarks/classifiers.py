"""Accuracy of the two event classifiers at every level: ``python -m spikewright.benchmarks.classifiers``.

Each shipped network is exported, read back from its own ``.nir``, quantised, written and read back again, compiled, run
on the emulator over the whole test split and on Lava over its first samples.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.calibration import Calibration
from ..export.float_run import run_float
from ..export.graph import Output
from ..export.linear import fan_out
from ..export.nir_write import write_nir
from ..export.passes import to_float
from ..export.quantise import quantise
from ..export.trace import trace
from ..hardware import host
from ..hardware.compile import ALWAYS_ON, compile_program
from ..hardware.emulator import Emulator
from ..hardware.lava import driver
from ..hardware.program import Program
from ..hardware.recording import compare
from ..models.classifiers import classifier_samples, load_classifier, predict

TITLES = {
    "braille": "Braille letters (7), recurrent, current-based, 24-38-7, 128 steps",
    "nmnist": "N-MNIST (1,000 training recordings), convolutional, integrate-and-fire, sum pools, 32 steps",
}
#: Weight bits and the populations with 15-bit weights, None for the automatic choice.
CASES: dict[str, tuple[int, tuple[str, ...] | None]] = {
    "8-bit": (8, ()), "8-bit, 15-bit where rounding hurts": (8, None), "15-bit": (15, ())
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One level of one network.

    Attributes
    ----------
    correct, samples : int
        Over the test split.
    agreement : float
        Share of the neuron steps of all populations that equal the float network's.
    synapses : int
        Synapses of the program, those of the always-on line included.
    lava : str
        Spikes and states that differ on Lava.
    """

    level: str
    correct: int
    samples: int
    agreement: float
    synapses: int
    lava: str


def rows_of(name: str, lava_samples: int) -> list[Row]:
    """All levels of a classifier, each read back from its file."""
    network = load_classifier(name)
    samples, labels = classifier_samples(name)
    spikes = samples.astype(np.float32)
    calibration_samples, _ = classifier_samples(name, "validation")
    timesteps = spikes.shape[1]
    rows = [Row("snnTorch", int((predict(network, samples) == labels).sum()), len(labels), 1.0, 0, "")]
    with tempfile.TemporaryDirectory() as folder:
        first = torch.from_numpy(spikes[0, 0])
        traced = trace(network, first, timesteps=timesteps, coding="spikes", name=name)
        graph = write_nir(to_float(traced), Path(folder, "float.nir"))
        run = run_float(graph, spikes)
        last = graph.sources(graph.select(Output)[0])[0]
        rows.append(Row("float NIR", _correct(run.spikes[last].sum(1), labels), len(labels), 1.0, 0, ""))
        calibration = Calibration.of(run_float(graph, calibration_samples.astype(np.float32)))
        for level, (bits, wide) in CASES.items():
            integer = write_nir(
                quantise(graph, calibration, bits=bits, wide=wide), Path(folder, f"{bits}.nir")
            )
            program = compile_program(integer)
            rows.append(_row(level, program, last, spikes, labels, run.spikes, lava_samples))
    return rows


def _row(
    level: str,
    program: Program,
    last: str,
    spikes: NDArray[np.float32],
    labels: NDArray[np.int64],
    wanted: dict[str, NDArray[np.uint8]],
    lava_samples: int,
) -> Row:
    inputs, _ = host.encode(program, spikes)
    ran = Emulator(program).run(inputs, detail="spikes")
    same = sum(int((ran.spikes[n] == w).sum()) for n, w in wanted.items())
    synapses = sum(int(fan_out(g.map).sum()) for g in program.synapses)
    line = sum(int(fan_out(g.map).sum()) for g in program.synapses if g.source == ALWAYS_ON)
    lava = "not run"
    if lava_samples:
        some = inputs.select(slice(0, lava_samples))
        try:
            theirs = driver.run(program, some)
            ours = Emulator(program).run(some, detail="states")
            result = compare(ours, theirs, [p.name for p in program.populations])
            lava = (
                f"{result.differing_spikes} of {result.neuron_steps:,} spikes, {result.differing_states} of "
                f"{result.compared_states:,} states ({lava_samples} samples)"
            )
        except driver.LavaUnavailable as error:
            lava = f"not run: {error}"
    agreement = same / sum(w.size for w in wanted.values())
    correct = _correct(ran.counts[last], labels)
    label = f"{level} ({line:,} of the synapses bring biases)" if line else level
    return Row(label, correct, len(labels), agreement, synapses, lava)


def _correct(counts: NDArray[np.integer], labels: NDArray[np.int64]) -> int:
    return int((counts.argmax(1) == labels).sum())


def markdown(tables: dict[str, Sequence[Row]]) -> str:
    """The page."""
    lines = [
        "# Event classifiers on the chip",
        "",
        "Written by `python -m spikewright.benchmarks.classifiers`. Accuracy is over the whole test split, the class with",
        "most output spikes, the first of equals. Agreement is the share of neuron steps that equal the float network's.",
        "The last column counts what differs between our emulator and Lava.",
    ]
    for name, rows in tables.items():
        lines += [
            "",
            f"## {TITLES[name]}",
            "",
            "| level | accuracy | agreement | synapses | differing on Lava |",
        ]
        lines += ["| --- | --- | --- | --- | --- |"]
        for row in rows:
            accuracy = f"{row.correct / row.samples:.3f} ({row.correct} of {row.samples})"
            synapses = f"{row.synapses:,}" if row.synapses else ""
            lines.append(f"| {row.level} | {accuracy} | {row.agreement:.4f} | {synapses} | {row.lava} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lava", type=int, default=2, help="samples to run on Lava")
    parser.add_argument("--out", type=Path, default=Path("docs/classifiers.md"))
    options = parser.parse_args()
    text = markdown({name: rows_of(name, options.lava) for name in TITLES})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
