"""Fused integer neuron updates, compiled: all steps of a sample with the state in cache.

The formulas are those of :mod:`spikewright.hardware.arithmetic`, written out in scalars; the tests hold them equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..export.formats import ALIGNMENT_SHIFT, CURRENT_DECAY_OFFSET, DECAY_BITS, DECAY_ONE, STATE_LIMIT


@njit(inline="always")
def _decay(state, kept):  # type: ignore[no-untyped-def]
    if state < 0:
        return -((-state * kept) >> DECAY_BITS)
    return (state * kept) >> DECAY_BITS


@njit(parallel=True, cache=True)
def lif_window(  # type: ignore[no-untyped-def]
    synaptic, bias, threshold, current_decay, membrane_decay, spikes, currents, membranes, readout
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
    spikes : ndarray of uint8
        Output (samples, steps, neurons).
    currents, membranes : ndarray of int64
        Outputs of the same shape, or with zero steps to leave them out.
    readout : ndarray of int64
        Output (samples, neurons): last membrane.
    """
    samples, steps, neurons = spikes.shape
    keep_u = DECAY_ONE - current_decay - CURRENT_DECAY_OFFSET
    keep_v = DECAY_ONE - membrane_decay
    record = currents.shape[1] > 0
    for n in prange(samples):
        u = np.zeros(neurons, np.int64)
        v = np.zeros(neurons, np.int64)
        own_bias = bias[np.int64(n) if bias.shape[0] > 1 else 0]
        for t in range(steps):
            arriving = synaptic[n, t if synaptic.shape[1] > 1 else 0]
            for i in range(neurons):
                c = np.int64(arriving[i]) << ALIGNMENT_SHIFT
                if keep_u:
                    c += _decay(u[i], keep_u)
                w = c - 2 * STATE_LIMIT if c > STATE_LIMIT else c
                w = c + 2 * STATE_LIMIT if w <= -STATE_LIMIT else w
                m = _decay(v[i], keep_v) + w + own_bias[i]
                m = min(max(m, -(STATE_LIMIT - 1)), STATE_LIMIT - 1)
                fired = m > (threshold[i] << ALIGNMENT_SHIFT)
                m = 0 if fired else m
                u[i] = w
                v[i] = m
                spikes[n, t, i] = fired
                if record:
                    currents[n, t, i] = w
                    membranes[n, t, i] = m
        readout[n] = v
