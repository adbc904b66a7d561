"""lava-dl's netx as an outside oracle, in a child process with a time limit of which nothing is left."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.hardware import lava
from spikewright.hardware.lava.group import Group
from spikewright.hardware.lava.job import sweep_segments

INSTALL = "pip install --no-deps --ignore-requires-python lava-dl==0.6.0"
CHILD = Path(__file__).with_name("netx_child.py")


def available() -> tuple[bool, str]:
    """Whether netx can run, and if not, why."""
    possible, reason = lava.available()
    if not possible:
        return possible, reason
    # Looking for the module itself would import its parents, and Lava stays out of this process.
    found = any(importlib.metadata.distributions(name="lava-dl"))
    return found, "" if found else f"lava-dl is not installed; install with: {INSTALL}"


@dataclass(frozen=True, eq=False)
class Case:
    """A file and what it is run on: a raster of global steps (steps, ...), or biases of its input neurons."""

    path: Path
    steps: int
    raster: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def run(cases: Sequence[Case], time_limit: float) -> list[dict[str, NDArray[Any]]]:
    """Spikes of each layer, by case; a case that netx refuses has an ``error``.

    Raises
    ------
    AssertionError
        netx failed or did not finish in time; with its log.
    """
    # Lava opens unix sockets, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="netx-", dir="/tmp") as name:
        folder = Path(name)
        for index, case in enumerate(cases):
            (folder / f"{index:03}.net").write_bytes(case.path.read_bytes())
            given = {k: v for k, v in (("raster", case.raster), ("bias", case.bias)) if v is not None}
            np.savez(
                folder / f"{index:03}.npz", steps=case.steps, arguments=json.dumps(case.arguments), **given
            )
        log = folder / "log"
        environment = {**os.environ, "TMPDIR": name, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        group = Group([sys.executable, str(CHILD), name], log, Path.cwd(), environment)
        try:
            with group:
                status = group.wait(time_limit)
        finally:
            sweep_segments(group.pid)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        assert status == 0, f"netx ended with {status} (None: out of time)\n{tail}"
        return [dict(np.load(folder / f"{index:03}.out.npz")) for index in range(len(cases))]
