"""Event-driven synapses, compiled: only inputs that fire cost anything.

Indices are unsigned throughout: a signed one may be negative, for which Numba leaves room in every access, and no loop
becomes vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ONE, EIGHT = np.uint64(1), np.uint64(8)


@njit(nogil=True, cache=True)
def scatter(raster, words, channels, groups, start, out, first, length, weights, row, graded, acc):  # type: ignore[no-untyped-def]
    """Synaptic sums of rasters over the runs of a map (see :class:`spikewright.hardware.emulation.runs.Runs`).

    Parameters
    ----------
    raster : ndarray of uint8
        (steps, inputs), rows padded to whole words.
    words : ndarray of uint64
        The same memory as words where a pixel is a whole number of them; else with no columns.
    graded : bool
        Spikes carry more than one.
    acc : ndarray of int16 or int32
        Output (steps, cells).
    """
    entries = np.uint64(start.size - 1)
    active = np.empty(channels, np.uint64)
    value = np.empty(channels, acc.dtype)
    by_word = words.shape[1] > 0
    per_pixel = np.uint64((channels + 7) // 8)
    for t in range(raster.shape[0]):
        sums = acc[t]
        sums[:] = 0
        spikes = raster[t]
        at = np.uint64(0)
        for entry in range(entries):
            found = np.uint64(0)
            base = np.uint64((entry % np.uint64(groups)) * np.uint64(channels))
            if by_word:
                for word in range(per_pixel):
                    if words[t, at + word]:
                        for byte in range(EIGHT):
                            channel = word * EIGHT + byte
                            spike = spikes[at * EIGHT + channel]
                            if spike:
                                active[found] = (base + channel) * np.uint64(row)
                                value[found] = spike
                                found += ONE
                at += per_pixel
            else:
                for i in range(np.uint64(0), np.uint64(channels), ONE):
                    spike = spikes[at + i]
                    if spike:
                        active[found] = (base + i) * np.uint64(row)
                        value[found] = spike
                        found += ONE
                at += np.uint64(channels)
            if not found:
                continue
            for run in range(start[entry], start[entry + ONE]):
                o, w, size = out[run], first[run], length[run]
                if graded:
                    for k in range(found):
                        v = active[k] + w
                        for m in range(size):
                            sums[o + m] += weights[v + m] * value[k]
                else:
                    # Two at a time: half the loads and stores of the sums.
                    pairs = found // np.uint64(2) * np.uint64(2)
                    for k in range(np.uint64(0), pairs, np.uint64(2)):
                        v, x = active[k] + w, active[k + ONE] + w
                        for m in range(size):
                            sums[o + m] += weights[v + m] + weights[x + m]
                    if pairs < found:
                        v = active[pairs] + w
                        for m in range(size):
                            sums[o + m] += weights[v + m]


@njit(nogil=True, cache=True)
def arrange(given, channels, raster, counts):  # type: ignore[no-untyped-def]
    """Bring spikes (samples, steps, neurons) from C order to channels beside each other, and count them.

    Parameters
    ----------
    raster : ndarray of uint8
        Output (samples, steps, neurons padded to words).
    counts : ndarray of int32
        Output (samples, neurons), in C order; zero at first.
    """
    samples, steps, neurons = given.shape
    pixels = neurons // channels
    for n in range(samples):
        for t in range(steps):
            spikes, row = given[n, t], raster[n, t]
            row[neurons:] = 0
            if channels == 1:
                row[:neurons] = spikes
            elif channels == 2:
                _interleave(spikes[:pixels], spikes[pixels:], row)
            else:
                for c in range(channels):
                    for i in range(pixels):
                        row[i * channels + c] = spikes[c * pixels + i]
            _tally(spikes, counts[n])


@njit
def _interleave(first, second, row):  # type: ignore[no-untyped-def]
    """Two channels, as events of two polarities have: a step that the compiler knows, so that it takes vectors."""
    for i in range(first.size):
        row[2 * i] = first[i]
        row[2 * i + 1] = second[i]


@njit
def _tally(spikes, counts):  # type: ignore[no-untyped-def]
    for i in range(spikes.size):
        counts[i] += spikes[i] > 0


@njit(nogil=True, cache=True)
def leave(counts, channels, out):  # type: ignore[no-untyped-def]
    """Bring spike counts (samples, neurons) back to C order in ``out`` of int64; returns their sum."""
    samples, neurons = counts.shape
    pixels = neurons // channels
    total = 0
    for n in range(samples):
        for c in range(channels):
            for i in range(pixels):
                count = counts[n, i * channels + c]
                out[n, c * pixels + i] = count
                total += count
    return total


@njit(nogil=True, cache=True)
def scatter_columns(raster, inputs, pointer, rows, weights, acc):  # type: ignore[no-untyped-def]
    """Synaptic sums over a sparse matrix in compressed columns: ``acc`` (steps, outputs) of int64."""
    for t in range(raster.shape[0]):
        sums = acc[t]
        sums[:] = 0
        for i in range(inputs):
            spike = raster[t, i]
            if spike:
                for k in range(pointer[i], pointer[i + 1]):
                    sums[rows[k]] += np.int64(weights[k]) * spike


@njit(nogil=True, cache=True)
def add_sums(acc, rows, width, stride, offset, factor, lag, total):  # type: ignore[no-untyped-def]
    """Add ``factor`` times sums (samples, steps or 1, cells) to ``total`` (samples, steps, neurons), ``lag`` steps late."""
    samples, steps, _ = total.shape
    same = acc.shape[1] == 1
    for n in range(samples):
        for t in range(lag, steps):
            for r in range(rows):
                sums = acc[n, 0 if same else t - lag, r * stride + offset : r * stride + offset + width]
                out = total[n, t, r * width : (r + 1) * width]
                for i in range(width):
                    out[i] += total.dtype.type(sums[i]) * factor
