"""Sixteen plain neurons over all steps of a sample, their membranes in the processor's registers.

Plain is what most neurons are: all keep the same share of their membrane and nothing of their current, reset to zero, and
their input never wraps. :func:`spikewright.hardware.emulation.neurons.window` takes care of all others.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...export.formats import DECAY_BITS, STATE_LIMIT

#: Neurons at once: a line of spikes is then one vector of bytes.
NEURONS = 16

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_MEMBRANES = ir.VectorType(_I32, NEURONS)


def _all(value: int) -> Any:
    return ir.Constant(_MEMBRANES, [value] * NEURONS)


def _spread(b: Any, value: Any) -> Any:
    """One number for all neurons."""
    nothing = ir.Constant(_MEMBRANES, ir.Undefined)
    one = b.insert_element(nothing, value, ir.Constant(_I32, 0))
    return b.shuffle_vector(one, nothing, _all(0))


def _kept(b: Any, v: Any, keep: Any) -> Any:
    """What membranes keep of themselves, rounded towards zero: as in :mod:`.neurons`, in other words for vectors.

    A negative product is rounded up, by what the bits below the point can be at most.
    """
    low = _all((1 << DECAY_BITS) - 1)
    up = b.and_(b.ashr(v, _all(31)), low)
    high = b.mul(b.ashr(v, _all(DECAY_BITS)), keep)
    rest = b.add(b.mul(b.and_(v, low), keep), up)
    return b.add(high, b.ashr(rest, _all(DECAY_BITS)))


@intrinsic
def sixteen(typing, like, sums, stride, gain, keep, pushed, aligned, spikes, line, steps, counts, last):  # type: ignore[no-untyped-def]
    """Run sixteen neurons from zero state; arguments are addresses and numbers.

    Parameters
    ----------
    like : array
        Of the type of the sums: int16, int32 or float32.
    sums, stride
        Address of the first step's sums, and bytes to the next step's.
    gain, keep : int32
        Membrane units of one unit of the sums; what membranes keep, of 4096.
    pushed, aligned
        Addresses of int32: added at every step; thresholds in membrane units.
    spikes, line
        Address of the first step's bytes, and bytes to the next step's.
    counts, last
        Addresses of int32 that take spikes and last membranes.
    """
    pointers = (types.int64,) * 2
    signature = types.void(
        like, *pointers, types.int32, types.int32, *pointers, *pointers, types.int64, *pointers
    )

    def code(context, b, signature, arguments):  # type: ignore[no-untyped-def]
        sums, stride, gain, keep, pushed, aligned, spikes, line, steps, counts, last = arguments[1:]
        real = isinstance(like.dtype, types.Float)
        element = ir.FloatType() if real else ir.IntType(like.dtype.bitwidth)
        arriving = ir.VectorType(element, NEURONS)

        def load(address, vector):  # type: ignore[no-untyped-def]
            return b.load(b.inttoptr(address, vector.as_pointer()), align=1 if vector.element == _I8 else 2)

        def store(values, address):  # type: ignore[no-untyped-def]
            b.store(values, b.inttoptr(address, values.type.as_pointer()), align=1)

        gains, kept = _spread(b, gain), _spread(b, keep)
        push, limit = load(pushed, _MEMBRANES), load(aligned, _MEMBRANES)
        top, bottom = _all(STATE_LIMIT - 1), _all(1 - STATE_LIMIT)
        before = b.block
        step, after = b.append_basic_block("step"), b.append_basic_block("after")
        b.branch(step)
        b.position_at_end(step)
        t, source, target = (b.phi(_I64) for _ in range(3))
        v, count = (b.phi(_MEMBRANES) for _ in range(2))
        for phi, first in (
            (t, ir.Constant(_I64, 0)), (source, sums), (target, spikes), (v, _all(0)), (count, _all(0)),
        ):  # fmt: skip
            phi.add_incoming(first, before)
        given = load(source, arriving)
        if real:
            given = b.fptosi(given, _MEMBRANES)
        elif element != _I32:
            given = b.sext(given, _MEMBRANES)
        m = b.add(b.add(_kept(b, v, kept), b.mul(given, gains)), push)
        m = b.select(b.icmp_signed("<", m, top), m, top)
        m = b.select(b.icmp_signed(">", m, bottom), m, bottom)
        fired = b.icmp_signed(">", m, limit)
        store(b.zext(fired, ir.VectorType(_I8, NEURONS)), target)
        v.add_incoming(b.select(fired, _all(0), m), step)
        count.add_incoming(b.sub(count, b.sext(fired, _MEMBRANES)), step)
        source.add_incoming(b.add(source, stride), step)
        target.add_incoming(b.add(target, line), step)
        more = b.add(t, ir.Constant(_I64, 1))
        t.add_incoming(more, step)
        b.cbranch(b.icmp_signed("<", more, steps), step, after)
        b.position_at_end(after)
        for phi, address in ((v, last), (count, counts)):
            # What the last step made of it.
            store(next(value for value, block in phi.incomings if block is step), address)
        return context.get_dummy_value()

    return signature, code
