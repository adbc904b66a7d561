"""Compile the emulator's kernels ahead of their first use: ``python -m spikewright.hardware.emulation.warm``.

Compiled kernels are kept on disk, beside the package or in the user's cache, and every later process loads them.
"""

from __future__ import annotations

import numpy as np

from ...export.linear import Conv2d, Sparse
from ..emulator import Emulator
from ..program import Inputs, Population, Program, SpikeSource, SynapseGroup
from .feed import Kernel

#: Input channels, and kernels that are made for so many.
SHAPES: tuple[tuple[int, tuple[Kernel, ...]], ...] = ((17, ("events", "gather")), (2, ("table",)))


def warm() -> None:
    """Run a tiny network once through every compiled kernel."""
    from scipy import sparse

    eye = Sparse.of(sparse.csr_matrix(np.eye(4), dtype=np.int8), (4,), (4,))
    few, zeros = np.zeros((1, 1, 4, 4), np.int8) + 1, np.zeros(4, np.int64)

    def population(name: str, start: int, reset: str = "zero") -> Population:
        return Population(name, (1, 2, 2), 4095, 0, zeros, zeros, zeros, zeros + 1.0, start, reset=reset)  # type: ignore[arg-type]

    for peak, weight in ((1, 1), (1, 127), (2, 127)):  # sums of 16 bits, of 32, and of graded spikes
        for channels, kernels in SHAPES:
            kernel = Conv2d(
                (few * weight).repeat(channels, 1), (channels, 4, 4), padding=(1, 1), stride=(2, 2)
            )
            source = SpikeSource("in", (channels, 4, 4), peak)
            first = SynapseGroup("first", "in", "a", kernel, 0)
            looped = SynapseGroup("loop", "b", "b", eye, 0, 0, 1)
            program = Program(
                "warm", 2, 2, (source,), (population("a", 1), population("b", 2)),
                (first, SynapseGroup("second", "a", "b", eye, 0), looped),
            )  # fmt: skip
            inputs = Inputs({"in": np.ones((1, 2, channels * 16), np.uint8)})
            for name in kernels:
                Emulator(program, kernel=name).run(inputs)
            Emulator(program).run(inputs, "states")


if __name__ == "__main__":
    warm()
