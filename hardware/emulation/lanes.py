"""Sums that stay in vector registers: for each output pixel, the weights of the inputs that fired are added up, then stored.

Numba leaves short inner loops scalar, so the two loops that matter are written as vector instructions of LLVM, which
makes of them what the processor has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .neurons import BLOCK, window

#: A vector of the intermediate code; two or four of the processor's where those are shorter.
VECTOR_BYTES = 32
WORD_BITS = 8  # inputs in a word of a raster, a byte each

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_ONE = ir.Constant(_I32, 1)
GATHER_BITS = np.uint64(
    0x0102040810204080
)  # a product with it brings the lowest bit of each byte into the topmost
TOP = np.uint64(56)


def _sums(vectors: int) -> Any:
    """An intrinsic that adds up rows of so many vectors of weights for one output pixel and stores the sum."""

    @intrinsic
    def sums_of(typing, like, weights, active, before, masks, first, last, base, begin, end, out):  # type: ignore[no-untyped-def]
        """Entries ``begin`` to ``end`` go to the address ``out``; arguments are addresses and numbers, but for ``like``: an array
        of the type of the weights.
        """
        signature = types.void(like, *(types.int64,) * 10)

        def code(context, b, signature, arguments):  # type: ignore[no-untyped-def]
            bits = like.dtype.bitwidth
            vector = ir.VectorType(ir.IntType(bits), VECTOR_BYTES * 8 // bits)
            made = _Code(b, vector, bits // 8, *arguments[1:8])
            begin, end, out = arguments[8:]
            entry = b.block
            entries, one, done = (b.append_basic_block(name) for name in ("entries", "entry", "done"))
            b.branch(entries)
            b.position_at_end(entries)
            e = b.phi(_I64)
            e.add_incoming(begin, entry)
            sums = [b.phi(vector) for _ in range(vectors)]
            for s in sums:
                s.add_incoming(ir.Constant(vector, None), entry)
            b.cbranch(b.icmp_signed("<", e, end), one, done)
            b.position_at_end(one)
            more = _listed(made, e, sums)
            e.add_incoming(b.add(e, ir.Constant(_I64, 1)), b.block)
            for s, m in zip(sums, more, strict=True):
                s.add_incoming(m, b.block)
            b.branch(entries)
            b.position_at_end(done)
            target = b.inttoptr(out, vector.as_pointer())
            for i, s in enumerate(sums):
                b.store(s, b.gep(target, [ir.Constant(_I64, i)]), align=bits // 8)
            return context.get_dummy_value()

        return signature, code

    return sums_of


@dataclass(frozen=True)
class _Code:
    """Code under way: the builder, what a row is made of, and the addresses that the intrinsic was given."""

    b: Any
    vector: Any
    size: int
    weights: Any
    active: Any
    before: Any
    masks: Any
    first: Any
    last: Any
    base: Any

    def load(self, address: Any, element: Any, index: Any) -> Any:
        """One element of an array of integers."""
        return self.b.load(self.b.gep(self.b.inttoptr(address, element.as_pointer()), [index]))

    def rows(self, offset: Any) -> Any:
        """Pointer to the vectors at an offset, in weights."""
        place = self.b.add(self.weights, self.b.mul(offset, ir.Constant(_I64, self.size)))
        return self.b.inttoptr(place, self.vector.as_pointer())

    def plus(self, sums: list[Any], rows: Any) -> list[Any]:
        """Each vector of sums and that of the row."""
        at = [self.b.gep(rows, [ir.Constant(_I64, i)]) for i in range(len(sums))]
        return [self.b.add(s, self.b.load(p, align=self.size)) for s, p in zip(sums, at, strict=True)]


def _listed(made: _Code, e: Any, sums: list[Any]) -> list[Any]:
    """Add the row of each input that fires among those of entry ``e``: a loop over the list of them."""
    b = made.b

    def fired_before(place: Any) -> Any:
        word = b.zext(b.lshr(place, ir.Constant(_I32, 3)), _I64)
        below = b.sub(b.shl(_ONE, b.and_(place, ir.Constant(_I32, 7))), _ONE)
        inside = b.and_(b.zext(made.load(made.masks, _I8, word), _I32), below)
        ones = b.call(b.module.declare_intrinsic("llvm.ctpop", [_I32]), [inside])
        return b.zext(b.add(made.load(made.before, _I32, word), ones), _I64)

    lowest, highest = (fired_before(made.load(place, _I32, e)) for place in (made.first, made.last))
    base = b.sext(made.load(made.base, _I32, e), _I64)
    entry = b.block
    inputs, one, done = (b.append_basic_block(name) for name in ("inputs", "input", "listed"))
    b.branch(inputs)
    b.position_at_end(inputs)
    k = b.phi(_I64)
    k.add_incoming(lowest, entry)
    partial = [b.phi(made.vector) for _ in sums]
    for p, s in zip(partial, sums, strict=True):
        p.add_incoming(s, entry)
    b.cbranch(b.icmp_signed("<", k, highest), one, done)
    b.position_at_end(one)
    offset = b.add(base, b.zext(made.load(made.active, _I32, k), _I64))
    for p, more in zip(partial, made.plus(partial, made.rows(offset)), strict=True):
        p.add_incoming(more, one)
    k.add_incoming(b.add(k, ir.Constant(_I64, 1)), one)
    b.branch(inputs)
    b.position_at_end(done)
    return partial


# Processors have sixteen registers, so an output pixel holds eight vectors of sums at most.
_eight, _four, _two, _one = (_sums(vectors) for vectors in (8, 4, 2, 1))


@intrinsic
def _append(typing, offsets, mask, base, target):  # type: ignore[no-untyped-def]
    """Store row ``mask`` of a table of eight offsets, ``base`` added to each, at the address ``target``."""

    def code(context, b, signature, arguments):  # type: ignore[no-untyped-def]
        offsets, mask, base, target = arguments
        vector = ir.VectorType(_I32, 8)
        row = b.load(b.gep(b.inttoptr(offsets, vector.as_pointer()), [mask]), align=4)
        nothing = ir.Constant(vector, ir.Undefined)
        bases = b.insert_element(nothing, base, ir.Constant(_I32, 0))
        bases = b.shuffle_vector(bases, nothing, ir.Constant(vector, [0] * 8))
        b.store(b.add(row, bases), b.inttoptr(target, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int32, types.int64), code


@intrinsic
def _ones(typing, mask):  # type: ignore[no-untyped-def]
    """How many bits of a mask are set."""

    def code(context, b, signature, arguments):  # type: ignore[no-untyped-def]
        return b.call(b.module.declare_intrinsic("llvm.ctpop", [_I64]), arguments)

    return types.int64(types.int64), code


@njit
def _list(words, offsets, row, active, before, masks):  # type: ignore[no-untyped-def]
    """List the inputs that fire in a step, by their offset in the weights, without a branch."""
    found, base, table, target = np.int64(0), np.int32(0), offsets.ctypes.data, active.ctypes.data
    for word in range(words.size):
        mask = np.int64((words[word] * GATHER_BITS) >> TOP)
        before[word], masks[word] = found, mask
        _append(table, mask, base, target + 4 * found)
        found += _ones(mask)
        base = np.int32(base + WORD_BITS * row)
    before[words.size], masks[words.size] = found, 0


@njit
def _collect(  # type: ignore[no-untyped-def]
    active, before, masks, start, first, last, base, weights, row, stride, low, high, target
):  # fmt: skip
    """Sums of the output pixels ``low`` to ``high`` of a step, stored from the address ``target`` on."""
    lanes = VECTOR_BYTES // weights.itemsize
    a, n, m = active.ctypes.data, before.ctypes.data, masks.ctypes.data
    size, origin = weights.itemsize, weights.ctypes.data
    f, t, o = first.ctypes.data, last.ctypes.data, base.ctypes.data
    for pixel in range(low, high):
        begin, end = start[pixel], start[pixel + 1]
        done = 0
        while done < row:
            # What lies beyond the pixel's cells is overwritten by the next pixel.
            w, at, left = origin + done * size, target + done * size, (row - done) // lanes
            if left >= 8:
                vectors = 8
                _eight(weights, w, a, n, m, f, t, o, begin, end, at)
            elif left >= 4:
                vectors = 4
                _four(weights, w, a, n, m, f, t, o, begin, end, at)
            elif left >= 2:
                vectors = 2
                _two(weights, w, a, n, m, f, t, o, begin, end, at)
            else:
                vectors = 1
                _one(weights, w, a, n, m, f, t, o, begin, end, at)
            done += vectors * lanes
        target += stride * size


@njit(nogil=True, cache=True)
def gather(words, offsets, row, start, first, last, base, weights, stride, cells):  # type: ignore[no-untyped-def]
    """Synaptic sums of binary rasters by output pixel (see :class:`spikewright.hardware.emulation.gathering.Gathering`).

    Parameters
    ----------
    words : ndarray of uint64
        Rasters (steps, inputs) of zeros and ones, a byte each, in whole words.
    offsets : ndarray of int32
        (256, 8): for each pattern of eight inputs, where the weights of those that fire lie behind the first one's.
    row : int
        Weights of an input and output pixel: whole vectors.
    stride : int
        Cells from an output pixel to the next.
    cells : ndarray of int16 or int32
        Output (steps, cells); a row has room for ``row`` cells from the last pixel on.
    """
    inputs = words.shape[1]
    active = np.empty(WORD_BITS * (inputs + 1), np.int32)
    before, masks = np.empty(inputs + 1, np.int32), np.empty(inputs + 1, np.uint8)
    for t in range(words.shape[0]):
        _list(words[t], offsets, row, active, before, masks)
        _collect(
            active, before, masks, start, first, last, base, weights, row, stride, 0, start.size - 1, cells[t].ctypes.data
        )  # fmt: skip


@njit
def _add(total, sums, factor, others):  # type: ignore[no-untyped-def]
    for i in range(others.size):
        total[i] = np.int32(np.int32(np.int32(sums[i]) * factor) + others[i])


@njit
def integrate_cells(  # type: ignore[no-untyped-def]
    cells, both, others, n, at, width, factor, constant, pushed, aligned, keep_u, keep_v, plain, current, reset, spikes,
    fired, membranes, room, tallies,
):  # fmt: skip
    """Neurons ``at`` to ``at + width`` of sample ``n`` take sums (1, steps, cells), and ``others`` where there are any."""
    if others.shape[0]:
        for t in range(cells.shape[1]):
            _add(both[0, t], cells[0, t], factor, others[n, t, at : at + width])
        window(
            both, 0, 0, False, width, np.int32(1), constant, pushed, aligned, keep_u, keep_v, plain, current, reset, spikes,
            n, at, fired, membranes, room, tallies,
        )  # fmt: skip
    else:
        window(
            cells, 0, 0, False, width, factor, constant, pushed, aligned, keep_u, keep_v, plain, current, reset, spikes, n,
            at, fired, membranes, room, tallies,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def gather_and_integrate(  # type: ignore[no-untyped-def]
    words, offsets, row, start, first, last, base, weights, stride, factor, others, constant, bias, aligned, keep_u, keep_v,
    plain, current, reset, spikes, fired, membranes,
):  # fmt: skip
    """As :func:`gather` and then :func:`.neurons.integrate`, a block of neurons at a time: sums never leave the cache.

    ``words`` is (samples, steps, inputs / 8); ``others``, int32 (samples, steps, neurons), is what arrives from elsewhere, with
    no samples where nothing does; ``spikes``, ``fired`` and ``membranes`` are the outputs.
    """
    samples, steps, inputs = words.shape
    pixels = start.size - 1
    active = np.empty((steps, WORD_BITS * (inputs + 1)), np.int32)
    before, masks = np.empty((steps, inputs + 1), np.int32), np.empty((steps, inputs + 1), np.uint8)
    at_once = max(1, BLOCK // stride)
    cells = np.empty((1, steps, at_once * stride + row), weights.dtype)
    room, tallies = np.empty((3, at_once * stride), np.int32), np.zeros(at_once * stride, np.uint8)
    both = np.empty((1, steps, at_once * stride if others.shape[0] else 0), np.int32)
    for n in range(samples):
        pushed = bias[n if bias.shape[0] > 1 else 0]
        for t in range(steps):
            _list(words[n, t], offsets, row, active[t], before[t], masks[t])
        for low in range(0, pixels, at_once):
            high = min(low + at_once, pixels)
            for t in range(steps):
                _collect(
                    active[t], before[t], masks[t], start, first, last, base, weights, row, stride, low, high,
                    cells[0, t].ctypes.data,
                )  # fmt: skip
            integrate_cells(
                cells, both, others, n, low * stride, (high - low) * stride, factor, constant, pushed, aligned, keep_u, keep_v,
                plain, current, reset, spikes, fired, membranes, room, tallies,
            )  # fmt: skip
