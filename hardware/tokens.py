"""The host's part of a system of tokens: one-hot spikes in, codes chosen from spikes, code vectors handed on.

Arrays travel with the programs as host steps, so that the files alone are enough: ``choose_codes`` at the encoder's last
population (``time_weights`` (T,) and ``codes`` (K, D)), ``look_up_codes`` at the decoder's first (``codes``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .program import Inputs, Program, ProgramError

CHOOSE, LOOK_UP = "choose_codes", "look_up_codes"


def _arrays(program: Program, kind: str) -> dict[str, NDArray[np.float64]]:
    for index, step in enumerate(program.host.get("steps", [])):
        if step["kind"] == kind:
            return {
                key: program.host_arrays[f"step{index}.{key}"].astype(np.float64) for key in step["arrays"]
            }
    raise ProgramError(f"{program.name}: has no host step {kind!r}, so it belongs to no system of tokens")


def codebook(program: Program) -> NDArray[np.float64]:
    """Code vectors (K, D) that a program's host looks up or chooses from."""
    kinds = {step["kind"] for step in program.host.get("steps", [])}
    return _arrays(program, CHOOSE if CHOOSE in kinds else LOOK_UP)["codes"]


def one_hot(program: Program, grids: NDArray[np.int64]) -> Inputs:
    """Spikes of token grids (N, h, w): at every step, one line a position fires, that of its token.

    Raises
    ------
    ProgramError
        Grids of another shape, or tokens that have no line.
    """
    source = next(s for s in program.sources if not s.constant)
    lines, *shape = source.shape
    if grids.ndim != 3 or list(grids.shape[1:]) != shape:
        raise ProgramError(f"grids of shape {grids.shape[1:]}, {source.name} takes {tuple(shape)}")
    if grids.size and not (grids.min() >= 0 and grids.max() < lines):
        raise ProgramError(
            f"tokens from {grids.min()} to {grids.max()}; {source.name} has lines 0 to {lines - 1}"
        )
    spikes = (grids[:, None] == np.arange(lines)[None, :, None, None]).astype(np.uint8)
    rows = spikes.reshape(len(grids), 1, source.size)
    return Inputs({source.name: np.repeat(rows, program.timesteps, 1)})


def choose(program: Program, spikes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Nearest codes (N, h, w) of the last population's spikes (N, T, neurons), weighted over time."""
    arrays = _arrays(program, CHOOSE)
    codes, (dim, *grid) = arrays["codes"], program.populations[-1].shape
    z = np.einsum("t,ntx->nx", arrays["time_weights"], spikes.astype(np.float64))
    z = z.reshape(len(spikes), dim, -1)
    # |z - e|^2 without |z|^2, which is the same for all codes.
    distance = (codes**2).sum(1)[:, None] - 2 * np.einsum("kd,ndp->nkp", codes, z)
    return distance.argmin(1).reshape(-1, *grid)


def look_up(program: Program, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    """Code vectors (N, D, h, w) of tokens (N, h, w)."""
    codes = codebook(program)
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < len(codes)):
        raise ProgramError(f"tokens from {tokens.min()} to {tokens.max()}; there are {len(codes)} codes")
    return np.ascontiguousarray(np.moveaxis(codes[tokens], -1, 1), np.float32)
