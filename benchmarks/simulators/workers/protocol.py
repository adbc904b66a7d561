"""What every worker does: read a command a line, run its simulator, answer a line of JSON.

Commands: ``load`` a network file, ``run`` a batch some times and say how long each took, ``counts`` the spikes of a batch.
The answers go to the standard output that the worker was started with; what libraries print goes to the error output.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .network import Network, load


class Simulator(Protocol):
    """A network in one simulator, with its inputs, ready to run."""

    def run(self, batch: int) -> object:
        """Run the first samples from rest; return when the result is there."""

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron over the sample, by spiking layer: (samples, neurons in C order of the layer's shape)."""


def serve(version: str, make: Callable[[Network, NDArray[Any]], Simulator]) -> None:
    """Answer commands until the input ends.

    Parameters
    ----------
    version : str
        Of the simulator.
    make : callable
        Builds the simulator of a network and its inputs.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    simulator: Simulator | None = None
    print(json.dumps({"version": version}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "load":
                simulator = None  # the old one makes room first
                simulator = make(*load(Path(command["file"])))
                answer: dict[str, Any] = {}
            elif simulator is None:
                answer = {"error": "nothing is loaded"}
            elif command["do"] == "run":
                answer = _timed(simulator, command["batch"], command["times"])
            else:
                counts = simulator.counts(command["batch"])
                with open(command["file"], "wb") as file:
                    np.savez(file, **counts)  # type: ignore[arg-type]
                answer = {}
        except Exception as error:  # one network that a simulator refuses must not end the others
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


def _timed(simulator: Simulator, batch: int, times: int) -> dict[str, Any]:
    """Wall time of a run, and processor time, which says how many cores it really used."""
    began, busy = time.perf_counter(), time.process_time()
    for _ in range(times):
        simulator.run(batch)
    return {
        "seconds": (time.perf_counter() - began) / times,
        "processor": (time.process_time() - busy) / times,
    }
