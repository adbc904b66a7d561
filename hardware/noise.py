"""The host's part of a denoiser of a Gaussian diffusion: images and the currents of their time in, noise out.

The network's time embedding depends on the index of the diffusion alone, so the host keeps its currents as a table; they
travel with the program as a host step at its first population (``currents`` (steps, channels)). What the program takes
as a sample is the image's pixels and behind them the row of the table. From both the host computes biases, anew at every
index; a population takes its bias over as its window begins, so images can stream back to back at any indices.

A program that tells something else than the noise brings two more tables, ``of_seen`` and ``of_told`` (steps,): the noise
is the sum of the image as it is seen and of what the program tells, times their entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import host
from .program import Inputs, Program, ProgramError
from .session import Session

Tail: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
LOOK_UP_TIME = "look_up_time"


def time_currents(program: Program) -> NDArray[np.float64]:
    """Currents of the time (steps, channels) that a program's host looks up.

    Raises
    ------
    ProgramError
        The program is no denoiser.
    """
    return _tables(program)["currents"]


def _tables(program: Program) -> dict[str, NDArray[np.float64]]:
    """All that the host looks up at an index of the diffusion, by name."""
    for index, step in enumerate(program.host.get("steps", [])):
        if step["kind"] == LOOK_UP_TIME:
            prefix = f"step{index}."
            return {name: program.host_arrays[prefix + name].astype(np.float64) for name in step["arrays"]}
    raise ProgramError(f"{program.name}: has no host step {LOOK_UP_TIME!r}, so it is no denoiser")


def noise_in(
    program: Program,
    seen: NDArray[np.float64],
    times: int | NDArray[np.int64],
    told: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Noise (N, C, H, W) in images (N, C, H, W) seen at an index, or at one each (N,), from what a program told of them."""
    tables = _tables(program)
    if "of_told" not in tables:
        return told
    of_seen, of_told = (
        np.broadcast_to(tables[name][times], (len(seen),))[:, None, None, None]
        for name in ("of_seen", "of_told")
    )
    return np.asarray(of_seen * seen + of_told * told, np.float64)


def with_time(
    program: Program, images: NDArray[np.floating], times: int | NDArray[np.int64]
) -> NDArray[np.float32]:
    """Samples (N, values) of a program, for images (N, C, H, W) at an index, or at one each (N,).

    Raises
    ------
    ProgramError
        An index outside the diffusion.
    """
    table = time_currents(program)
    each = np.broadcast_to(np.asarray(times, np.int64), (len(images),))
    if each.size and not (each.min() >= 0 and each.max() < len(table)):
        raise ProgramError(
            f"indices from {each.min()} to {each.max()}; {program.name} knows 0 to {len(table) - 1}"
        )
    return np.concatenate([images.reshape(len(images), -1), table[each]], 1).astype(np.float32)


class ChipNoise:
    """Tells the noise in images with a program on a chip: what a sampler asks.

    Parameters
    ----------
    session : Session
        Open on a denoiser's program; with a ``tail``, so that the states of its last population may be read.
    tail : callable, optional
        Last layers that are the host's: what is told (N, C, H, W) by what the last population held after each step, in
        float units, (N, T, channels, H, W). Without it that is what it holds after the last.

    Attributes
    ----------
    clipped : int
        Currents that were too large for a bias and were clipped, so far.
    """

    def __init__(self, session: Session, tail: Tail | None = None) -> None:
        self.session, self.tail, self.clipped = session, tail, 0

    def __call__(self, images: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """Noise (N, C, H, W) in images (N, C, H, W) at an index of the diffusion, or at one each (N,)."""
        self.session.write(self.inputs(images, time))
        self.session.step()
        return self.read(images, time)

    def inputs(self, images: NDArray[np.float64], time: int | NDArray[np.int64]) -> Inputs:
        """What the host writes for such images."""
        program = self.session.program
        inputs, clipped = host.encode(program, with_time(program, images, time))
        self.clipped += clipped
        return inputs

    def read(self, images: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """Noise in the images that the session's last evaluation saw, as :meth:`__call__`."""
        return noise_in(self.session.program, images, time, self._told(images.shape))

    def _told(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """What the last evaluation told of images of such a shape."""
        program = self.session.program
        last = program.populations[-1]
        recording = self.session.read([last.name], "counts" if self.tail is None else "states")
        if self.tail is None:
            return (recording.readouts[last.name] / last.scale).reshape(shape)
        streams = recording.membranes[last.name] / last.scale
        return self.tail(streams.reshape(shape[0], program.timesteps, *last.shape)).reshape(shape)
