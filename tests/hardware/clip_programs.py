"""Clip programs in the form of a Spiking-PhysFormer's blocks, of any size and with random integers."""

from __future__ import annotations

from math import prod

import numpy as np

from spikewright.export.formats import DECAY_ONE
from spikewright.export.linear import Conv2d, Conv3d, Sparse
from spikewright.export.unroll import unroll
from spikewright.hardware.program import Population, Program, SynapseGroup, validate

WIDTH, HIDDEN = 3, 4
HELD = "block0.enter"


def clip_program(timesteps: int, blocks: int, frames: int, grid: tuple[int, int], seed: int) -> Program:
    """Blocks on an unrolled stream: entry, query over three frames, product with the entry, MLP; a last population.

    Query and hidden neurons fire by their own biases as well.
    """
    rng = np.random.default_rng(seed)
    shape, hidden = (WIDTH, frames, *grid), (HIDDEN, frames, *grid)
    populations: list[Population] = []
    groups: list[SynapseGroup] = []

    def population(
        name: str, shape: tuple[int, ...], start: int, *, host: bool = False, product: bool = False
    ) -> None:
        channel = rng.integers(5, 60, shape[0]) if not product else np.full(shape[0], 3 * 64)
        bias = np.zeros(shape[0], np.int64) if host or product else rng.integers(-1500, 3000, shape[0])
        size, places = prod(shape), prod(shape[1:])
        populations.append(
            Population(
                name,
                shape,
                current_decay=np.full(size, DECAY_ONE - 1),
                membrane_decay=np.full(size, DECAY_ONE if product else 2048),
                threshold=np.repeat(channel, places),
                bias_mantissa=np.repeat(bias, places),
                bias_exponent=np.zeros(size, np.int64),
                scale=np.ones(size),
                start=start,
                host_bias=host,
            )
        )

    def start(name: str) -> int:
        return next(p.start for p in populations if p.name == name)

    def join(name: str, source: str, target: str, map_: object, exponent: int = 0) -> None:
        wait = start(target) - start(source) - 1
        groups.append(SynapseGroup(name, source, target, map_, exponent, wait))  # type: ignore[arg-type]

    def weights(*sides: int) -> np.ndarray:
        return rng.integers(-20, 40, sides).astype(np.int8)

    def pointwise(outer: int, inner: int) -> Conv2d:
        return Conv2d(weights(outer, inner, 1, 1), (inner, frames, prod(grid)))

    unit = Conv2d(np.full((WIDTH, 1, 1, 1), 1, np.int8), (WIDTH, 1, prod(shape[1:])), groups=WIDTH)
    pending: list[tuple[str, str]] = []
    for block in range(blocks):
        name, at = f"block{block}", 3 * block
        population(f"{name}.enter", shape, at, host=True)
        for label, source in pending:
            join(
                f"{source}->{name}",
                source,
                f"{name}.enter",
                pointwise(WIDTH, HIDDEN if "hidden" in label else WIDTH),
            )
        population(f"{name}.query", shape, at + 1)
        population(f"{name}.hidden", hidden, at + 1)
        population(f"{name}.masked", shape, at + 2, product=True)
        taps = Conv3d(weights(WIDTH, WIDTH, 3, 3, 3), shape, padding=(1, 1, 1))
        join(f"{name}.taps", f"{name}.enter", f"{name}.query", taps)
        join(
            f"{name}.expand",
            f"{name}.enter",
            f"{name}.hidden",
            Sparse.of(unroll(pointwise(HIDDEN, WIDTH)), shape, hidden),
        )
        # A weight of 1 at exponent 7 is 256 units of the threshold's: two meet above 192 and one, at exponent 6, does not.
        join(f"{name}.here", f"{name}.enter", f"{name}.masked", unit, 6)
        join(f"{name}.there", f"{name}.query", f"{name}.masked", unit, 6)
        pending += [("hidden", f"{name}.hidden"), ("masked", f"{name}.masked")]
    population("out", shape, 3 * blocks, host=True)
    for label, source in pending:
        join(f"{source}->out", source, "out", pointwise(WIDTH, HIDDEN if "hidden" in label else WIDTH))
    program = Program("clips", timesteps, timesteps, (), tuple(populations), tuple(groups))
    validate(program)
    return program
