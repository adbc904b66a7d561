"""Time and memory from a torch module to placed cores: ``python -m spikewright.benchmarks.compile_time``.

A convolutional network (strides, a pool, a skip) and a fully connected one, from 10^5 to 10^8 unrolled synapses; each
size in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn

from ..export.calibration import Calibration
from ..export.linear import fan_out
from ..export.passes import to_float
from ..export.quantise import quantise
from ..export.trace import trace
from ..hardware.chip import load_chip
from ..hardware.compile import compile_program
from ..hardware.placement import place


def _leaky() -> snn.Leaky:
    return snn.Leaky(beta=0.9, threshold=1.0, init_hidden=True, reset_mechanism="zero")


class Sized(nn.Module):
    """A network that knows the shape of its input."""

    shape: tuple[int, ...]


class Convolutional(Sized):
    """Four convolutions over an image that is not square, a pool, and a skip around one of them."""

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        self.first, self.a = nn.Conv2d(2, channels, 3, padding=1), _leaky()
        self.second, self.b = nn.Conv2d(channels, channels, 3, padding=1), _leaky()
        self.third, self.c = nn.Conv2d(channels, 2 * channels, 3, stride=(2, 1), padding=1), _leaky()
        self.pool = nn.AvgPool2d(2)
        self.head, self.d = nn.Conv2d(2 * channels, 10, 3, padding=1), _leaky()
        self.shape = (2, side, side + side // 2)

    def forward(self, x: Tensor) -> Tensor:
        """One time step."""
        x = self.a(self.first(x))
        x = self.b(self.second(x) + x)
        return self.d(self.head(self.pool(self.c(self.third(x)))))  # type: ignore[no-any-return]


class Dense(Sized):
    """Two fully connected layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.a, self.second, self.b = (
            nn.Linear(width, width),
            _leaky(),
            nn.Linear(width, 100),
            _leaky(),
        )
        self.shape = (width,)

    def forward(self, x: Tensor) -> Tensor:
        """One time step."""
        return self.b(self.second(self.a(self.first(x))))  # type: ignore[no-any-return]


#: Networks by size: (name, builder), from about 10^5 to 10^8 synapses.
NETWORKS: dict[str, Callable[[], Sized]] = {
    "convolutional 1e5": lambda: Convolutional(8, 8),
    "convolutional 1e6": lambda: Convolutional(16, 12),
    "convolutional 1e7": lambda: Convolutional(32, 20),
    "convolutional 1e8": lambda: Convolutional(64, 32),
    "dense 1e5": lambda: Dense(300),
    "dense 1e6": lambda: Dense(1000),
    "dense 1e7": lambda: Dense(3100),
}


def measure(name: str, chip: str) -> dict[str, float]:
    """Compile one network in this process; times in seconds, peak memory in GB."""
    torch.manual_seed(0)
    module = NETWORKS[name]()
    marks = [time.perf_counter()]
    sample = torch.zeros(module.shape)
    graph = to_float(trace(module, sample, timesteps=8, coding="spikes", name="network"))
    marks.append(time.perf_counter())
    integer = quantise(graph, Calibration({}, {}))
    marks.append(time.perf_counter())
    program = compile_program(integer)
    marks.append(time.perf_counter())
    placement = place(program, load_chip(chip))
    marks.append(time.perf_counter())
    spans = np.diff(marks)
    return {
        "synapses": float(sum(int(fan_out(g.map).sum()) for g in program.synapses)),
        "trace": float(spans[0]), "quantise": float(spans[1]), "compile": float(spans[2]), "place": float(spans[3]),
        "total": float(spans.sum()), "cores": float(len(placement.cores)),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def markdown(rows: dict[str, dict[str, float]], chip: str) -> str:
    """The page."""
    lines = [
        "# Compile time",
        "",
        f"Written by `python -m spikewright.benchmarks.compile_time` on 2 cores, for {chip}. From the torch module to placed",
        "cores; peak memory includes torch itself. Each size runs in a process of its own.",
        "",
        "| network | synapses | trace and passes | quantise | compile | place | total | cores | memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        parts = " | ".join(f"{row[k]:.2f} s" for k in ("trace", "quantise", "compile", "place", "total"))
        lines.append(
            f"| {name} | {row['synapses']:,.0f} | {parts} | {row['cores']:.0f} | {row['memory']:.2f} GB |"
        )
    for kind in ("convolutional", "dense"):
        sizes = [r for n, r in rows.items() if n.startswith(kind)]
        slope = np.polyfit(np.log([r["synapses"] for r in sizes]), np.log([r["total"] for r in sizes]), 1)[0]
        lines += ["", f"{kind.capitalize()}: time grows as synapses to the power {slope:.2f} (1 is linear)."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all sizes and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chip", default="loihi2")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("docs/compile_time.md"))
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.chip)))
        return
    rows = {}
    for name in NETWORKS:
        command = [sys.executable, "-m", __spec__.name, "--only", name, "--chip", options.chip]
        rows[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(name, {key: round(value, 2) for key, value in rows[name].items()}, flush=True)
    options.out.write_text(markdown(rows, options.chip), encoding="utf-8")


if __name__ == "__main__":
    main()
