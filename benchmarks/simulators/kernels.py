"""Rates of single kernels, against the best that this machine's matrix products reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch

from ...hardware.program import Inputs, Program

#: Sides (rows, inner, columns) of the products tried; the fastest counts.
PRODUCTS = ((512, 512, 512), (1024, 1024, 1024), (2048, 576, 128), (4096, 1152, 256))
LEAST_SECONDS, MOST_SECONDS = 0.1, 1.0
ROUNDS = 6


def matrix_rates() -> dict[str, float]:
    """Multiply-accumulates a second of exact matrix products, the best of several sizes and rounds.

    int8 to int32 by ``torch._int_mm``, and float32, which is exact while no partial sum leaves 24 bits.
    """
    rates = {"int8 (torch._int_mm)": 0.0, "float32": 0.0}
    for rows, inner, columns in PRODUCTS:
        a = torch.randint(-127, 128, (rows, inner), dtype=torch.int8)
        b = torch.randint(-127, 128, (inner, columns), dtype=torch.int8)
        x, y = a.float(), b.float()
        products: Mapping[str, Callable[[], object]] = {
            "int8 (torch._int_mm)": lambda a=a, b=b: torch._int_mm(a, b),  # type: ignore[misc]
            "float32": lambda x=x, y=y: x @ y,  # type: ignore[misc]
        }
        for name, product in products.items():
            product()
            for took in _times(product):
                rates[name] = max(rates[name], rows * inner * columns / took)
    return rates


def _times(product: Callable[[], object]) -> Iterator[float]:
    """Seconds of a product, a few times, unless that takes long: without the right instructions int8 is very slow."""
    end = time.perf_counter() + MOST_SECONDS
    times = 1
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            product()
        took = (time.perf_counter() - began) / times
        yield took
        if time.perf_counter() > end:
            return
        times = max(1, round(LEAST_SECONDS / max(took, 1e-7)))


def dense_rate(program: Program, inputs: Inputs) -> float | None:
    """Multiply-accumulates a second of the emulator's dense kernels on a program's convolutions.

    Of all synapse groups whose map is a convolution or a transposed one, those of the ESVAE of the published size: the
    multiply-accumulates of the dense product, borders excluded, over the time that the kernels alone take for the
    spikes that arrive when these inputs run. Neuron updates do not count.

    Returns
    -------
    float or None
        None until the kernels can be called by themselves.
    """
    del program, inputs
    return None


def event_rate(program: Program, inputs: Inputs) -> float | None:
    """Synaptic operations a second and core of the emulator's event-driven kernel on a program.

    The operations that :func:`spikewright.benchmarks.counting.count` counts in the synapse groups that the kernel takes,
    over the time that the kernel alone takes for the spikes that arrive when these inputs run, over the threads in use.

    Returns
    -------
    float or None
        None until the kernel can be called by itself.
    """
    del program, inputs
    return None
