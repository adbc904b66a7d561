"""Integrate-and-fire neurons over all steps of a sample, compiled: a block of neurons at a time, its state in cache.

The formulas are those of :mod:`spikewright.hardware.arithmetic`, in 32 bits. They fit where the synaptic input of a step
stays within ``SUM_LIMIT``: input aligned by 6 bits and a state together are below 2^25. A decay's product of 36 bits is
made of two of 24: ``(|s| k) >> 12 = (|s| >> 12) k + ((|s| & 4095) k >> 12)``, exactly.

Each loop writes one array and reads few: with more the compiler cannot tell them apart, and makes no vector
instructions of it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...export.formats import ALIGNMENT_SHIFT, DECAY_BITS, RESETS, STATE_LIMIT

#: Largest synaptic input of a step that the 32-bit formulas hold.
SUM_LIMIT = 1 << 18
BLOCK = 512
SUBTRACT, DELAYED = RESETS.index("subtract"), RESETS.index("subtract-delayed")

_I = np.int32
_ALIGN, _BITS, _LOW = _I(ALIGNMENT_SHIFT), _I(DECAY_BITS), _I((1 << DECAY_BITS) - 1)
_LIMIT, _TURN, _TOP = _I(STATE_LIMIT), _I(2 * STATE_LIMIT), _I(STATE_LIMIT - 1)


@njit(inline="always")
def _kept(state, keep):  # type: ignore[no-untyped-def]
    size = _I(abs(state))
    rest = _I(_I(_I(size >> _BITS) * keep) + _I(_I(_I(size & _LOW) * keep) >> _BITS))
    return rest if state >= 0 else _I(-rest)


@njit(inline="always")
def _wrapped(c):  # type: ignore[no-untyped-def]
    c = _I(c - _TURN) if c > _LIMIT else c
    return _I(c + _TURN) if c <= -_LIMIT else c


@njit(inline="always")
def _saturated(m):  # type: ignore[no-untyped-def]
    m = m if m < _TOP else _TOP
    return m if m > -_TOP else _I(-_TOP)


@njit
def _drive(u, sums, factor, constant):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        u[i] = _wrapped(_I(_I(_I(_I(sums[i]) * factor) + constant[i]) << _ALIGN))


@njit
def _drive_current(u, sums, factor, constant, keep):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        arriving = _I(_I(_I(_I(sums[i]) * factor) + constant[i]) << _ALIGN)
        u[i] = _wrapped(_I(arriving + _kept(u[i], keep[i])))


@njit
def _take(due, v, aligned):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        due[i] = aligned[i] if v[i] > aligned[i] else _I(0)


@njit
def _integrate(v, keep, u, bias):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        v[i] = _saturated(_I(_I(_kept(v[i], keep[i]) + u[i]) + bias[i]))


@njit
def _integrate_delayed(v, keep, u, bias, due):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        v[i] = _saturated(_I(_I(_I(_kept(v[i], keep[i]) + u[i]) + bias[i]) - due[i]))


@njit
def _step(v, keep, sums, gain, pushed, aligned, spikes):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        m = _saturated(_I(_I(_kept(v[i], keep) + _I(_I(sums[i]) * gain)) + pushed[i]))
        fired = m > aligned[i]
        spikes[i] = np.uint8(fired)
        v[i] = _I(0) if fired else m


@njit
def _fire(v, aligned, spikes):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        spikes[i] = np.uint8(v[i] > aligned[i])


@njit
def _fire_to_zero(v, aligned, spikes):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        fired = v[i] > aligned[i]
        spikes[i] = np.uint8(fired)
        v[i] = _I(0) if fired else v[i]


@njit
def _fire_and_subtract(v, aligned, spikes):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        fired = v[i] > aligned[i]
        spikes[i] = np.uint8(fired)
        v[i] = _I(v[i] - aligned[i]) if fired else v[i]


@njit
def _tally(counts, spikes):  # type: ignore[no-untyped-def]
    for i in range(counts.size):
        counts[i] = np.uint8(counts[i] + spikes[i])


@njit
def _carry(counts, tally):  # type: ignore[no-untyped-def]
    for i in range(counts.size):
        counts[i] = _I(counts[i] + _I(tally[i]))
        tally[i] = np.uint8(0)


#: Types that the kernel takes sums in, by their number.
KINDS = (np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.float32))


def by_kind(sums):  # type: ignore[no-untyped-def]
    """Sums as the kernel takes them: three arrays, of which one holds them, and its number."""
    kind = KINDS.index(sums.dtype)
    arrays = [np.empty((1, 1, 0), dtype) for dtype in KINDS]
    arrays[kind] = sums
    return (*arrays, kind)


@njit
def window(  # type: ignore[no-untyped-def]
    sums, n, source, same, size, factor, constant, bias, aligned, keep_u, keep_v, plain, current, reset, spikes, sample,
    target, counts, last, room, tallies,
):  # fmt: skip
    """Run ``size`` neurons over the steps of a sample.

    They take ``sums[n, step, source:]`` and fire into ``spikes[sample, step, target:]``; the other arrays hold all neurons
    of the population, these from ``target`` on. ``plain`` says that one formula without currents and without wrapping does.
    """
    steps = spikes.shape[1]
    u, v, due, tally = room[0, :size], room[1, :size], room[2, :size], tallies[:size]
    here, cells = slice(target, target + size), slice(source, source + size)
    fixed, pushed, limit = constant[here], bias[here], aligned[here]
    kept_u, kept_v, counted = keep_u[here], keep_v[here], counts[sample, here]
    gain, keep = _I(factor << _ALIGN), kept_v[0]
    counted[:] = 0
    u[:] = 0
    v[:] = 0
    if plain:
        for i in range(size):
            u[i] = _I(_I(fixed[i] << _ALIGN) + pushed[i])
    for t in range(steps):
        arriving, fired = sums[n, 0 if same else t, cells], spikes[sample, t, here]
        if plain:
            _step(v, keep, arriving, gain, u, limit, fired)
        else:
            if current:
                _drive_current(u, arriving, factor, fixed, kept_u)
            else:
                _drive(u, arriving, factor, fixed)
            if reset == DELAYED:
                _take(due, v, limit)
                _integrate_delayed(v, kept_v, u, pushed, due)
                _fire(v, limit, fired)
            else:
                _integrate(v, kept_v, u, pushed)
                if reset == SUBTRACT:
                    _fire_and_subtract(v, limit, fired)
                else:
                    _fire_to_zero(v, limit, fired)
        _tally(tally, fired)
        if t % 255 == 254 or t == steps - 1:  # before the bytes run over
            _carry(counted, tally)
    last[sample, here] = v


@njit(nogil=True, cache=True)
def integrate(  # type: ignore[no-untyped-def]
    narrow, wide, real, kind, rows, width, stride, offset, factor, constant, bias, aligned, keep_u, keep_v, plain, current,
    reset, spikes, counts, last,
):  # fmt: skip
    """Run a population over one window a sample, from zero state.

    Parameters
    ----------
    narrow, wide, real : ndarray of int16, int32, float32
        Synaptic sums (samples, steps or 1, cells) in one of them, the others empty: compiled once for all three. One step
        means the same at every step.
    kind : int
        Which one holds them: 0, 1 or 2.
    rows, width, stride, offset : int
        Where a row of cells holds the neurons (see :class:`spikewright.hardware.emulation.runs.Geometry`).
    factor : int32
        Synaptic input of one unit of the sums.
    constant : ndarray of int32
        Input at every step (neurons,).
    bias : ndarray of int32
        (samples or 1, neurons), membrane units.
    aligned : ndarray of int32
        Thresholds in membrane units (neurons,).
    keep_u, keep_v : ndarray of int32
        What current and membrane keep of themselves, of 4096 (neurons,).
    plain : bool
        Of neurons that all keep the same of their membrane and nothing of their current, reset to zero, whose input stays
        within 24 bits.
    current : bool
        Some current keeps something.
    reset : int
        By its place in :data:`~spikewright.export.formats.RESETS`.
    spikes : ndarray of uint8
        Output (samples, steps, at least neurons).
    counts, last : ndarray of int32
        Outputs (samples, neurons): spikes of the sample, last membrane.
    """
    room, tallies = np.empty((3, BLOCK), np.int32), np.zeros(BLOCK, np.uint8)
    same = (narrow.shape[1], wide.shape[1], real.shape[1])[kind] == 1
    for n in range(spikes.shape[0]):
        pushed = bias[n if bias.shape[0] > 1 else 0]
        for r in range(rows):
            for begin in range(0, width, BLOCK):
                size = min(BLOCK, width - begin)
                source, target = r * stride + offset + begin, r * width + begin
                if kind == 0:
                    window(
                        narrow, n, source, same, size, factor, constant, pushed, aligned, keep_u, keep_v, plain, current,
                        reset, spikes, n, target, counts, last, room, tallies,
                    )  # fmt: skip
                elif kind == 1:
                    window(
                        wide, n, source, same, size, factor, constant, pushed, aligned, keep_u, keep_v, plain, current,
                        reset, spikes, n, target, counts, last, room, tallies,
                    )  # fmt: skip
                else:
                    window(
                        real, n, source, same, size, factor, constant, pushed, aligned, keep_u, keep_v, plain, current,
                        reset, spikes, n, target, counts, last, room, tallies,
                    )  # fmt: skip
