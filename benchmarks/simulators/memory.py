"""Peak memory of evaluating a test split, in a process of its own: ``python -m spikewright.benchmarks.simulators.memory``."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch

from ...export.calibration import Calibration
from ...export.float_run import run_float
from ...export.passes import to_float
from ...export.quantise import quantise
from ...export.trace import trace
from ...hardware import evaluation
from ...hardware.compile import compile_program
from ...hardware.emulator import Emulator
from ...models.data import load_images, prepare
from ...models.esvae import ESVAE, SIZES

IMAGES = 10_000
CALIBRATION_IMAGES = 16


def peak_memory(images: int = IMAGES) -> float:
    """Bytes that evaluating so many images on ESVAE-S takes at most, torch and the compiler included."""
    command = [sys.executable, "-m", __spec__.name, "--images", str(images)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["bytes"])


def evaluate(images: int) -> int:
    """Run images as the report does, and return all spikes; the results of all images are kept."""
    torch.manual_seed(0)
    network = ESVAE(SIZES["S"]).eval()
    digits = prepare(load_images("digits", "test"), network.config.image, "resize")
    steps = network.config.timesteps
    one = torch.from_numpy(digits[0])
    graph = to_float(trace(network, one, timesteps=steps, coding="direct", name="esvae", method="step"))
    program = compile_program(quantise(graph, Calibration.of(run_float(graph, digits[:CALIBRATION_IMAGES]))))
    ran = evaluation.evaluate(Emulator(program), digits[np.arange(images) % len(digits)])
    return round(sum(float(mean.sum()) for mean in ran.means().values()) * ran.samples)


def main() -> None:
    """Evaluate, and print the peak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=IMAGES)
    spikes = evaluate(parser.parse_args().images)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"bytes": peak, "spikes": spikes}))


if __name__ == "__main__":
    main()
