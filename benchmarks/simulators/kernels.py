"""Rates of single kernels, against the best that this machine's matrix products reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.linear import Conv2d, ConvTranspose2d, Dense, dense_operations, fan_out
from ...hardware.emulation.feed import Feed, Kernel
from ...hardware.emulation.integer import integer_kernel, integers_are_exact
from ...hardware.emulation.layout import Layout, padded
from ...hardware.emulator import Emulator
from ...hardware.program import Inputs, Program

#: Sides (rows, inner, columns) of the products tried; the fastest counts.
PRODUCTS = ((512, 512, 512), (1024, 1024, 1024), (2048, 576, 128), (4096, 1152, 256))
LEAST_SECONDS, MOST_SECONDS = 0.1, 1.0
ROUNDS = 6
#: Runs after which an emulator has tried what may be better than its first guess.
RUNS_TO_CHOOSE = 12


def matrix_rates() -> dict[str, float]:
    """Multiply-accumulates a second of exact matrix products, the best of several sizes and rounds.

    int8 by torch's product and by oneDNN's, which the emulator takes, and float32, which is exact while no partial sum leaves
    24 bits.
    """
    rates = {"int8": 0.0, "float32": 0.0}
    for rows, inner, columns in PRODUCTS:
        a = torch.randint(-127, 128, (rows, inner), dtype=torch.int8)
        b = torch.randint(-127, 128, (inner, columns), dtype=torch.int8)
        x, y = a.float(), b.float()
        products: list[tuple[str, Callable[[], object]]] = [
            ("int8", lambda a=a, b=b: torch._int_mm(a, b)),  # type: ignore[misc]
            ("float32", lambda x=x, y=y: x @ y),  # type: ignore[misc]
        ]
        if integers_are_exact():
            map_ = Dense(np.ascontiguousarray(b.numpy().T), (inner,), (columns,))
            kernel = integer_kernel(map_, Layout(inner), Layout(columns))
            spikes = a.abs().to(torch.uint8).numpy()
            products.append(("int8", lambda k=kernel, s=spikes: k.apply(s)))  # type: ignore[misc]
        for name, product in products:
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


def convolution_rate(program: Program, inputs: Inputs, kernel: Kernel | None) -> float | None:
    """Multiply-accumulates a second of the dense product, for a program's convolutions as the emulator computes them.

    Of all synapse groups whose map is a convolution or a transposed one, those of the ESVAE of the published size: the
    multiply-accumulates of the dense product, borders excluded, over the time that the kernels alone take for the
    spikes that arrive when these inputs run, in the emulator's tiles and with all threads in use. Neuron updates do not
    count.

    Parameters
    ----------
    kernel : str, optional
        The kernel to take; by default what the emulator chooses at these rates, which may leave most of the products out.

    Returns
    -------
    float or None
        None where the program has no such group.
    """
    operations = seconds = 0.0
    threads = torch.get_num_threads()
    # As the emulator does: each thread computes tiles of its own.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for feed, raster, tile in _fed(program, inputs, kernel):
            if isinstance(feed.group.map, Conv2d | ConvTranspose2d):
                tiles = [raster[first : first + tile] for first in range(0, len(raster), tile)]
                fired = [float(np.count_nonzero(part)) for part in tiles]
                operations += dense_operations(feed.group.map) * raster.shape[0] * raster.shape[1]
                seconds += _least(lambda f=feed, t=tiles, n=fired: _run_all(pool, f, t, n))  # type: ignore[misc]
    torch.set_num_threads(threads)
    return operations / seconds if seconds else None


def _run_all(
    pool: ThreadPoolExecutor, feed: Feed, tiles: list[NDArray[np.uint8]], fired: list[float]
) -> None:
    # Sums are let go at once, as the emulator does: fresh memory for all of them would cost more than the products.
    for _ in pool.map(lambda tile, count: feed.apply(tile, count) is None, tiles, fired):
        pass


def event_rate(program: Program, inputs: Inputs) -> float | None:
    """Synaptic operations a second and core of the emulator's event-driven kernel on a program.

    The operations that :func:`spikewright.benchmarks.counting.count` counts in the synapse groups that the kernel takes,
    over the time that the kernel alone takes, on one core, for the spikes that arrive when these inputs run.

    Returns
    -------
    float or None
        None where the program has no synapses.
    """
    operations = seconds = 0.0
    for feed, raster, _ in _fed(program, inputs, "events"):
        fired = float(raster.sum())
        arriving = feed.source.leave(raster[:, :, : feed.source.neurons].sum((0, 1), dtype=np.int64))
        operations += float(arriving @ fan_out(feed.group.map))
        seconds += _least(lambda f=feed, r=raster, n=fired: f.apply(r, n))  # type: ignore[misc]
    return operations / seconds if seconds else None


def _fed(
    program: Program, inputs: Inputs, kernel: Kernel | None
) -> Iterator[tuple[Feed, NDArray[np.uint8], int]]:
    """Synapse groups with what arrives at them, a raster in the emulator's order, and the samples of a tile."""
    emulator = Emulator(program, kernel=kernel)
    for _ in range(1 if kernel else RUNS_TO_CHOOSE):
        ran = emulator.run(inputs, "spikes")
    for feed in emulator.feeds.values():
        spikes = ran.spikes[feed.group.source]
        raster = np.zeros((*spikes.shape[:2], padded(spikes.shape[2])), np.uint8)
        raster[:, :, : spikes.shape[2]] = feed.source.enter(spikes)
        yield feed, raster, emulator.tile


def _least(run: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    run()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)
