"""How good the ANN twin is as one would ship it: its ONNX files run in 32-bit floats and in 8-bit integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .benchmarks.errors import AnnError
from .benchmarks.onnx_run import OnnxNetwork, quantise_onnx, runtime
from .benchmarks.report.schema import TwinRun

CALIBRATION_SAMPLES = 64
MOST_SAMPLES = 1000  # that a twin is judged on


@dataclass(frozen=True, eq=False)
class TwinFile:
    """A part of a twin.

    Attributes
    ----------
    path : Path
        Its ONNX file; the one in integers is written beside it, named ``.int8.onnx``.
    seen : ndarray of float32
        What it sees of training samples (N, ...), to find the ranges of its activations.
    """

    path: Path
    seen: NDArray[np.float32]


def twin_runs(
    files: Mapping[str, TwinFile],
    judge: Callable[[Mapping[str, OnnxNetwork]], Mapping[str, float]],
    samples: int,
) -> list[TwinRun]:
    """Judge a twin in both precisions.

    Parameters
    ----------
    files : mapping
        The twin's parts.
    judge : callable
        From the parts to figures by what they measure.
    samples : int
        How many it looks at.

    Returns
    -------
    list of TwinRun
        Without ONNX Runtime, or where it cannot run the twin, rows that say so.
    """
    rows = []
    for precision in ("float32", "int8"):
        try:
            runtime()
            found = judge({name: _open(file, precision) for name, file in files.items()})
        except AnnError as error:
            rows.append(TwinRun(precision=precision, measure="", value=None, samples=0, reason=str(error)))  # type: ignore[arg-type]
            continue
        rows += [
            TwinRun(precision=precision, measure=measure, value=value, samples=samples)  # type: ignore[arg-type]
            for measure, value in found.items()
        ]
    return rows


def _open(file: TwinFile, precision: str) -> OnnxNetwork:
    if precision == "float32":
        return OnnxNetwork(file.path)
    target = file.path.with_suffix(".int8.onnx")
    quantise_onnx(file.path, target, file.seen)
    return OnnxNetwork(target)
