"""Leaky integrate-and-fire sequences on a processor: all steps of a block of neurons while they are in the cache.

Elementwise, one operation after the other, a sequence is read and written a dozen times, and in small networks that
takes as long as their convolutions. The loops here do the same operations in the same order on each neuron, so the
floats are the same; tests hold them to those of :mod:`~spikewright.models.neurons`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from .surrogates import ATan, Rectangle

_BLOCK = 2048  # neurons: membrane and gradient of a block stay in the first-level cache


@njit(nogil=True, cache=True, error_model="numpy")
def _forward(current, beta, threshold, membranes, spikes, low, high):  # type: ignore[no-untyped-def]
    """Membranes and spikes (T, M) of neurons ``low`` to ``high``; currents (T, M), or (1, M) for all steps."""
    steps = membranes.shape[0]
    one = np.float32(1)
    for start in range(low, high, _BLOCK):
        stop = min(start + _BLOCK, high)
        for t in range(steps):
            given = current[min(t, current.shape[0] - 1)]
            now, fired = membranes[t], spikes[t]
            if t == 0:
                for i in range(start, stop):
                    now[i] = given[i]
                    fired[i] = one if now[i] - threshold > 0 else np.float32(0)
            else:
                before, reset = membranes[t - 1], spikes[t - 1]
                for i in range(start, stop):
                    now[i] = (one - reset[i]) * before[i] * beta + given[i]
                    fired[i] = one if now[i] - threshold > 0 else np.float32(0)


@njit(nogil=True, cache=True, error_model="numpy")
def _backward(gradient, membranes, spikes, beta, threshold, rectangle, a, b, out, low, high):  # type: ignore[no-untyped-def]
    """Gradient of the currents (T, M) from that of the spikes; the surrogate has two constants ``a`` and ``b``."""
    steps = membranes.shape[0]
    one = np.float32(1)
    later = np.empty(_BLOCK, np.float32)  # dL/du[t+1]
    for start in range(low, high, _BLOCK):
        count = min(_BLOCK, high - start)
        later[:count] = 0
        for t in range(steps - 1, -1, -1):
            end = start + count
            g, u = gradient[t, start:end], membranes[t, start:end]
            o, made = spikes[t, start:end], out[t, start:end]
            for i in range(count):
                x = u[i] - threshold
                if rectangle:
                    gate = one if (x > a) & (x < b) else np.float32(0)
                else:
                    scaled = x * a
                    gate = one / (scaled * scaled + one) * b
                carried = beta * later[i]
                later[i] = (g[i] - carried * u[i]) * gate + carried * (one - o[i])
                made[i] = later[i]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lif")


def _over_neurons(count: int, work: Callable[[int, int], None]) -> None:
    """Call ``work`` for ranges that cover all neurons, as many at once as torch uses threads."""
    threads = torch.get_num_threads()
    if threads == 1 or count < 4 * _BLOCK:
        work(0, count)
        return
    share = -(-count // (threads * _BLOCK)) * _BLOCK
    parts = [(low, min(low + share, count)) for low in range(0, count, share)]
    list(_pool(threads).map(work, *zip(*parts, strict=True)))


def leaky_forward(current: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Membranes and spikes (T, ...) of currents (T, ...), from rest."""
    steps = len(current)
    static = steps > 1 and current.stride(0) == 0  # one current for all steps
    given = (current[:1] if static else current).detach().contiguous().reshape(1 if static else steps, -1)
    membranes, spikes = torch.empty(current.shape), torch.empty(current.shape)
    arrays = given.numpy(), membranes.view(steps, -1).numpy(), spikes.view(steps, -1).numpy()
    constants = np.float32(beta), np.float32(threshold)
    _over_neurons(
        given.shape[1], lambda low, high: _forward(arrays[0], *constants, arrays[1], arrays[2], low, high)
    )
    return membranes, spikes


def leaky_backward(
    gradient: Tensor,
    membranes: Tensor,
    spikes: Tensor,
    beta: float,
    threshold: float,
    surrogate: Rectangle | ATan,
) -> Tensor:
    """Gradient of the currents (T, ...) from that of the spikes, through the reset as well."""
    steps = len(membranes)
    out = torch.empty(membranes.shape)
    flat = [x.detach().contiguous().view(steps, -1).numpy() for x in (gradient, membranes, spikes)]
    a, b = surrogate.constants
    constants = (
        np.float32(beta),
        np.float32(threshold),
        isinstance(surrogate, Rectangle),
        np.float32(a),
        np.float32(b),
    )
    found = out.view(steps, -1).numpy()
    _over_neurons(flat[0].shape[1], lambda low, high: _backward(*flat, *constants, found, low, high))
    return out
