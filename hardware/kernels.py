"""Fused integer neuron updates, compiled: all steps of a sample with the state in cache.

The formulas are those of :mod:`spikewright.hardware.arithmetic`, written out in scalars; the tests hold them equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..export.formats import ALIGNMENT_SHIFT, DECAY_BITS, RESETS, STATE_LIMIT

SUBTRACT, DELAYED = RESETS.index("subtract"), RESETS.index("subtract-delayed")


@njit(inline="always")
def _decay(state, kept):  # type: ignore[no-untyped-def]
    if state < 0:
        return -((-state * kept) >> DECAY_BITS)
    return (state * kept) >> DECAY_BITS


@njit(inline="always")
def _neuron(u, v, arriving, keep_u, keep_v, bias, threshold, reset):  # type: ignore[no-untyped-def]
    """State after a step, and whether the neuron fired."""
    c = np.int64(arriving) << ALIGNMENT_SHIFT
    if keep_u:
        c += _decay(u, keep_u)
    w = c - 2 * STATE_LIMIT if c > STATE_LIMIT else c
    w = c + 2 * STATE_LIMIT if w <= -STATE_LIMIT else w
    aligned = threshold << ALIGNMENT_SHIFT
    m = _decay(v, keep_v) + w + bias
    if reset == DELAYED and v > aligned:
        m -= aligned
    m = min(max(m, -(STATE_LIMIT - 1)), STATE_LIMIT - 1)
    fired = m > aligned
    if fired and reset != DELAYED:
        m = m - aligned if reset == SUBTRACT else 0
    return w, m, fired


@njit(nogil=True, cache=True)
def lif_window(  # type: ignore[no-untyped-def]
    synaptic, bias, threshold, keep_u, keep_v, reset, spikes, currents, membranes, readout
):
    """Run a population over one window per sample, from zero state.

    Parameters
    ----------
    synaptic : ndarray of int32 or int64
        Synaptic sums (samples, steps, neurons); one step only means the same sum at every step.
    bias : ndarray of int64
        (samples or 1, neurons), membrane units.
    threshold : ndarray of int64
        Mantissas (neurons,).
    keep_u, keep_v : ndarray of int64
        What a current and a membrane keep of themselves, of 4096 (neurons,).
    reset : int
        What a spike does to the membrane, by its place in :data:`~spikewright.export.formats.RESETS`.
    spikes : ndarray of uint8
        Output (samples, steps, neurons).
    currents, membranes : ndarray of int64
        Outputs of the same shape, or with zero steps to leave them out.
    readout : ndarray of int64
        Output (samples, neurons): last membrane.
    """
    samples, steps, neurons = spikes.shape
    record = currents.shape[1] > 0
    for n in range(samples):
        u = np.zeros(neurons, np.int64)
        v = np.zeros(neurons, np.int64)
        own_bias = bias[n if bias.shape[0] > 1 else 0]
        for t in range(steps):
            arriving = synaptic[n, t if synaptic.shape[1] > 1 else 0]
            for i in range(neurons):
                u[i], v[i], fired = _neuron(
                    u[i], v[i], arriving[i], keep_u[i], keep_v[i], own_bias[i], threshold[i], reset
                )
                spikes[n, t, i] = fired
                if record:
                    currents[n, t, i] = u[i]
                    membranes[n, t, i] = v[i]
        readout[n] = v


@njit(nogil=True, cache=True)
def lif_advance(arriving, bias, threshold, keep_u, keep_v, reset, u, v, spikes):  # type: ignore[no-untyped-def]
    """One step of all samples of a population in a loop; ``u`` and ``v`` (samples, neurons) are updated in place."""
    for n in range(u.shape[0]):
        own_bias = bias[n if bias.shape[0] > 1 else 0]
        for i in range(u.shape[1]):
            u[n, i], v[n, i], fired = _neuron(
                u[n, i], v[n, i], arriving[n, i], keep_u[i], keep_v[i], own_bias[i], threshold[i], reset
            )
            spikes[n, i] = fired
