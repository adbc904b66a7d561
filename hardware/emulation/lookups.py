"""Sums from tables: for a strip of output pixels, the sums that belong to the patterns of spikes they see, one after another.

As in :mod:`.lanes`, the innermost loop is written as vector instructions of LLVM.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .lanes import GATHER_BITS, TOP, VECTOR_BYTES, integrate_cells

_I8, _I64 = ir.IntType(8), ir.IntType(64)


def _additions(vectors: int) -> Any:
    """An intrinsic that adds rows of so many vectors, from places that patterns name, to places in a row."""

    @intrinsic
    def add(typing, like, table, row, patterns, count, out, step):  # type: ignore[no-untyped-def]
        """For each of ``count`` bytes at ``patterns``: the row of that number at ``table``, rows ``row`` bytes apart, is added at
        ``out``, which then moves on by ``step`` bytes. All are addresses and numbers, but for ``like``: an array of the type.
        """

        def code(context, b, signature, arguments):  # type: ignore[no-untyped-def]
            table, row, patterns, count, out, step = arguments[1:]
            bits = signature.args[0].dtype.bitwidth
            vector = ir.VectorType(ir.IntType(bits), VECTOR_BYTES * 8 // bits)
            entry = b.block
            pixels, one, done = (b.append_basic_block(name) for name in ("pixels", "pixel", "done"))
            b.branch(pixels)
            b.position_at_end(pixels)
            i, place = b.phi(_I64), b.phi(_I64)
            i.add_incoming(ir.Constant(_I64, 0), entry)
            place.add_incoming(out, entry)
            b.cbranch(b.icmp_signed("<", i, count), one, done)
            b.position_at_end(one)
            pattern = b.load(b.gep(b.inttoptr(patterns, _I8.as_pointer()), [i]))
            source = b.inttoptr(b.add(table, b.mul(b.zext(pattern, _I64), row)), vector.as_pointer())
            target = b.inttoptr(place, vector.as_pointer())
            for v in range(vectors):
                at = [ir.Constant(_I64, v)]
                sums = (b.load(b.gep(x, at), align=bits // 8) for x in (source, target))
                b.store(b.add(*sums), b.gep(target, at), align=bits // 8)
            i.add_incoming(b.add(i, ir.Constant(_I64, 1)), one)
            place.add_incoming(b.add(place, step), one)
            b.branch(pixels)
            b.position_at_end(done)
            return context.get_dummy_value()

        return types.void(like, *(types.int64,) * 6), code

    return add


_eight, _four, _two, _one = (_additions(vectors) for vectors in (8, 4, 2, 1))


@njit
def _read(words, masks, word, place, keep, shift, patterns):  # type: ignore[no-untyped-def]
    """Patterns of a step: which inputs of each stretch fire, a bit each."""
    for w in range(words.size):
        masks[w] = (words[w] * GATHER_BITS) >> TOP
    masks[words.size] = 0
    for i in range(word.size):
        bits = np.uint32(masks[word[i]]) | np.uint32(masks[word[i] + 1]) << np.uint32(8)
        patterns[i] = ((bits >> np.uint32(place[i])) & np.uint32(keep[i])) << np.uint32(shift[i])


@njit
def _look_up(patterns, strips, begin, end, tables, row, stride, cells, origin):  # type: ignore[no-untyped-def]
    """Sums of the strips ``begin`` to ``end``; ``cells`` begin with output pixel ``origin``."""
    size = tables.itemsize
    lanes = VECTOR_BYTES // size
    table, pattern, out = tables.ctypes.data, patterns.ctypes.data, cells.ctypes.data
    cells[:] = 0
    for s in range(begin, end):
        pixel, step, count = strips[s, 0], strips[s, 1], strips[s, 2]
        first, base = strips[s, 3], strips[s, 4]
        at, apart = out + (pixel - origin) * stride * size, step * stride * size
        done = 0
        while done < row:
            # What lies beyond a pixel's cells is zero in every table.
            w, here, left = table + (base + done) * size, at + done * size, (row - done) // lanes
            if left >= 8:
                vectors = 8
                _eight(tables, w, row * size, pattern + first, count, here, apart)
            elif left >= 4:
                vectors = 4
                _four(tables, w, row * size, pattern + first, count, here, apart)
            elif left >= 2:
                vectors = 2
                _two(tables, w, row * size, pattern + first, count, here, apart)
            else:
                vectors = 1
                _one(tables, w, row * size, pattern + first, count, here, apart)
            done += vectors * lanes


@njit(nogil=True, cache=True)
def look_up(words, word, place, keep, shift, strips, tables, row, stride, cells):  # type: ignore[no-untyped-def]
    """Synaptic sums of binary rasters (see :class:`spikewright.hardware.emulation.tabling.Tabling`).

    Parameters
    ----------
    words : ndarray of uint64
        Rasters (steps, inputs) of zeros and ones, a byte each, in whole words.
    stride : int
        Cells from an output pixel to the next.
    cells : ndarray of int16 or int32
        Output (steps, cells); a row has room for ``row`` cells from the last pixel on.
    """
    masks, patterns = np.empty(words.shape[1] + 1, np.uint8), np.empty(word.size, np.uint8)
    for t in range(words.shape[0]):
        _read(words[t], masks, word, place, keep, shift, patterns)
        _look_up(patterns, strips, 0, len(strips), tables, row, stride, cells[t], 0)


@njit(nogil=True, cache=True)
def look_up_and_integrate(  # type: ignore[no-untyped-def]
    words, word, place, keep, shift, strips, tables, row, stride, blocks, at_once, pixels, factor, others, constant, bias,
    aligned, keep_u, keep_v, plain, current, reset, spikes, fired, membranes,
):  # fmt: skip
    """As :func:`look_up` and then :func:`.neurons.integrate`, block by block; further as :func:`.lanes.gather_and_integrate`."""
    samples, steps, inputs = words.shape
    masks, patterns = np.empty(inputs + 1, np.uint8), np.empty((steps, word.size), np.uint8)
    cells = np.empty((1, steps, at_once * stride + row), tables.dtype)
    room, tallies = np.empty((3, at_once * stride), np.int32), np.zeros(at_once * stride, np.uint8)
    both = np.empty((1, steps, at_once * stride if others.shape[0] else 0), np.int32)
    for n in range(samples):
        pushed = bias[n if bias.shape[0] > 1 else 0]
        for t in range(steps):
            _read(words[n, t], masks, word, place, keep, shift, patterns[t])
        for block in range(blocks.size - 1):
            low = block * at_once
            high = min(low + at_once, pixels)
            for t in range(steps):
                _look_up(
                    patterns[t], strips, blocks[block], blocks[block + 1], tables, row, stride, cells[0, t], low
                )  # fmt: skip
            integrate_cells(
                cells, both, others, n, low * stride, (high - low) * stride, factor, constant, pushed, aligned, keep_u, keep_v,
                plain, current, reset, spikes, fired, membranes, room, tallies,
            )  # fmt: skip
