"""The machine that figures come from, and whether it is at rest."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numba
import torch

#: Instruction sets that decide how fast small integers and floats multiply, by their names in ``/proc/cpuinfo``.
SETS = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "int8 matrix",
    "sve": "SVE",
}
BUSY_LOAD = 0.5
#: A row whose slowest run took so many times its median was disturbed.
WIDE_SPREAD = 1.5


@dataclass(frozen=True)
class Machine:
    """Where and how a run took place.

    Attributes
    ----------
    load : float
        Average over the minute before the run began; NaN where the system does not tell.
    """

    processor: str
    sets: tuple[str, ...]
    cores: int
    threads: int
    load: float
    python: str
    torch: str

    @property
    def busy(self) -> bool:
        """Other work ran when the benchmark began."""
        return self.load > BUSY_LOAD

    def sentence(self) -> str:
        """One line."""
        sets = ", ".join(self.sets) or "no instruction set known here"
        return (
            f"{self.processor} ({sets}), {self.cores} {'core' if self.cores == 1 else 'cores'}, {self.threads} "
            f"{'thread' if self.threads == 1 else 'threads'} for every simulator, load {self.load:.2f} before the run, "
            f"Python {self.python}, torch {self.torch}"
        )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def look(threads: int) -> Machine:
    """Describe this machine."""
    info = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return Machine(
        processor=fields.get("model name") or platform.processor() or platform.machine(),
        sets=tuple(name for flag, name in SETS.items() if flag in flags),
        cores=cores(),
        threads=threads,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
        python=platform.python_version(),
        torch=torch.__version__,
    )


def use_threads(threads: int) -> None:
    """Let this process's kernels use so many threads."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
