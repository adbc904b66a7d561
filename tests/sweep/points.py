"""Points that cost nothing, for tests of everything around the measuring; loads no torch, as workers import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spikewright.sweep.figures import Failure, Figures, Joules, Quality, Record
from spikewright.sweep.job import Job

#: Environment variable with the file that every measuring is written to as it begins and ends.
LOG = "SPIKEWRIGHT_TEST_LOG"


def figures(bits: int, seed: int = 1, *, cores: int | None = 3, joule: float | None = None) -> Figures:
    """Figures that follow from a point's values, all different."""
    price = (bits + seed / 100) * 1e-6 if joule is None else joule
    energy = Joules(
        snn_joule=price, host_joule=0.1e-6, ann_joule=12e-6, ann_int8_joule=2e-6, ratio=price / 12e-6, break_even_rate=None
    )  # fmt: skip
    quality = Quality(
        measure="error (MSE)", chip=1 / bits + seed / 1000, chip_ci95=0.01, float_network=0.1, ann=0.05
    )
    return Figures(
        quality=[quality], samples=10, evaluations=1.0, spikes=100.0 * bits, sops=1000.0, neuron_updates=500, host_macs=5,
        ann_macs=2000, energy=dict.fromkeys(("memory", "cmos45", "loihi1"), energy), neurons=60, synapses=600,
        cores=cores, cores_available=128, chips=None if cores is None else -(-cores // 128),
        fits=cores is not None and cores <= 128, errors=[], binding="neurons", timesteps=8, period=8, latency_steps=18,
        rate=0.25, rates={"a": 0.2, "b": 0.3}, clipped=0,
    )  # fmt: skip


def _tell(what: str, key: str) -> None:
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{what} {key}\n")


def cheap(job: Job) -> Record:
    """A tenth of a second, by its key."""
    _tell("began", job.key)
    time.sleep(0.02 + int(job.key[:2], 16) / 2000)
    found = figures(job.recipe["quantise"]["bits"], job.recipe["seed"])
    _tell("finished", job.key)
    return Record(key=job.key, status="done", figures=found, seconds=0.1)


def failing(job: Job) -> Record:
    """Fails at four bits."""
    if job.recipe["quantise"]["bits"] == 4:
        return Record(
            key=job.key, status="failed", failure=Failure(kind="ProgramError", text="four bits are none")
        )
    return cheap(job)


def deadly(job: Job) -> Record:
    """Ends its process at four bits, as the kernel does to one that takes too much memory."""
    if job.recipe["quantise"]["bits"] == 4:
        os.kill(os.getpid(), 9)
    return cheap(job)
