"""Rounding in which each weight makes up for the errors of those before it.

Rounding to the nearest keeps the error of every weight least, but what counts is the current that all of them bring. Its
mean square, about its mean (which the bias takes off), is ``e H e`` for errors ``e`` of an output's weights and the
covariance ``H`` of its inputs. Weights are rounded one after the other, busiest inputs first, and each error is passed on
to the weights still to come as ``H`` asks (Hassibi and Stork 1993; Frantar and Alistarh, "Optimal Brain Compression",
NeurIPS 2022, and "GPTQ", ICLR 2023). The synapse groups of a population are rounded together where they meet the same
outputs in the same way, so that one makes up for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .graph import Floats, Synapses
from .linear import ConvTranspose2d, Dense, LinearMap, Sparse

#: Rows of inputs (a sample, a step and a place) that a covariance is taken over, and that are unfolded at a time.
ROWS, CHUNK = 16384, 4096
#: Weights of an output that are rounded together at most: the covariance has the square of it.
LIMIT = 4608
#: Share of the mean variance that is added to every input's: what was never seen firing may still fire.
DAMPING = 0.01
#: Weights after which errors are passed on to all that are left.
BLOCK = 64


class Compensation:
    """What rounding a population's synapse groups needs to know of their inputs.

    Parameters
    ----------
    groups : mapping of str to Synapses
    spikes : mapping of str to ndarray
        What reaches each group: (samples, timesteps, inputs). Groups without any are rounded to the nearest.
    """

    def __init__(self, groups: Mapping[str, Synapses], spikes: Mapping[str, NDArray[Any]]) -> None:
        self.groups = groups
        seen = {name: _late(s, groups[name].lag) for name, s in spikes.items()}
        self.sets = {tuple(names): _passings(groups, names, seen) for names in _together(groups, seen)}

    def round(self, ratios: Mapping[str, Floats], top: int) -> dict[str, NDArray[np.int64]]:
        """Whole weights in steps of a grid, shaped as those of each group's map.

        Parameters
        ----------
        ratios : mapping of str to ndarray
            Steps of the grid a float unit, broadcasting to the group's weights; the same for an output in all groups.
        top : int
            Largest magnitude after rounding.
        """
        out = {
            name: np.clip(np.rint(g.map.weight.astype(np.float64) * ratios[name]), -top, top).astype(np.int64)
            for name, g in self.groups.items()
        }
        for names, passings in self.sets.items():
            maps = [self.groups[name].map for name in names]
            in_steps = [
                as_rows(m, m.weight.astype(np.float64) * ratios[name])
                for name, m in zip(names, maps, strict=True)
            ]
            rounded = [
                passing.round(rows, top)
                for passing, *parts in zip(passings, *in_steps, strict=True)
                for rows in [np.concatenate(parts, 1)]
            ]
            if isinstance(maps[0], Sparse):
                out[names[0]] = np.concatenate([rows[0] for rows in rounded])
                continue
            ends = np.cumsum([rows[0].shape[1] for rows in in_steps])[:-1]
            for name, map_, part in zip(names, maps, np.split(np.stack(rounded), ends, 2), strict=True):
                out[name] = from_rows(map_, part)
        return out


class Passing:
    """How weights of outputs that share their inputs pass errors on.

    Parameters
    ----------
    covariance : ndarray
        Of the inputs: (inputs, inputs).
    """

    def __init__(self, covariance: Floats) -> None:
        self.covariance = covariance
        variance = np.diag(covariance)
        self.order = np.argsort(-variance, kind="stable")
        damped = covariance[np.ix_(self.order, self.order)]
        damped[np.diag_indices(len(variance))] += (
            max(DAMPING * variance.mean(), 1e-12) if len(variance) else 0
        )
        # Rows of the Cholesky factor of the inverse tell how those to come make up for an error.
        factor = np.linalg.cholesky(np.linalg.inv(damped)).T
        self.share = factor / np.diag(factor)[:, None]

    def round(self, weight: Floats, top: int) -> NDArray[np.int64]:
        """Round weights (outputs, inputs) that are in steps of the grid; no output worse than to the nearest.

        An error passed on is final for the last inputs, and cut where a weight leaves the range, so that an output may
        end up worse than without: it is then rounded to the nearest.
        """
        left = weight[:, self.order]
        rounded = np.empty(left.shape, np.int64)
        for start in range(0, left.shape[1], BLOCK):
            end = min(start + BLOCK, left.shape[1])
            errors = np.empty((len(left), end - start))
            for i in range(start, end):
                rounded[:, i] = np.clip(np.rint(left[:, i]), -top, top)
                errors[:, i - start] = left[:, i] - rounded[:, i]
                left[:, i + 1 : end] -= errors[:, i - start, None] * self.share[i, i + 1 : end]
            left[:, end:] -= errors @ self.share[start:end, end:]
        back = np.empty_like(rounded)
        back[:, self.order] = rounded
        nearest = np.clip(np.rint(weight), -top, top).astype(np.int64)
        worse = self._error(weight - back) > self._error(weight - nearest)
        back[worse] = nearest[worse]
        return back

    def _error(self, by: Floats) -> Floats:
        """Mean squared error of each output (outputs,) whose weights are off by so much (outputs, inputs)."""
        return np.einsum("oi,oi->o", by @ self.covariance, by)


def as_rows(map_: LinearMap, values: NDArray[Any]) -> NDArray[Any] | list[NDArray[Any]]:
    """Values laid out as a map's weight, as (groups, outputs of a group, inputs of an output).

    The outputs of a sparse map are groups of their own, whose inputs differ in number.
    """
    if isinstance(map_, Sparse):
        return [values[None, a:b] for a, b in pairwise(map_.row_pointer)]
    if isinstance(map_, Dense):
        return values[None]
    if isinstance(map_, ConvTranspose2d):
        mirrored = values[:, :, ::-1, ::-1].reshape(map_.groups, -1, *values.shape[1:])
        return mirrored.swapaxes(1, 2).reshape(map_.groups, values.shape[1], -1)
    return values.reshape(map_.groups, values.shape[0] // map_.groups, -1)


def from_rows(map_: LinearMap, rows: NDArray[Any]) -> NDArray[Any]:
    """Undo :func:`as_rows`."""
    shape = map_.weight.shape
    if isinstance(map_, ConvTranspose2d):
        parts = rows.reshape(map_.groups, shape[1], shape[0] // map_.groups, *shape[2:])
        return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(shape)[:, :, ::-1, ::-1])
    return rows.reshape(shape)


def unfold(map_: LinearMap, spikes: Tensor) -> Tensor:
    """What each output's weights meet: (groups, rows, inputs of an output) of spikes (N, inputs).

    With it ``unfold(map, x) @ as_rows(map, weight)^T`` are the map's outputs, places ahead of channels.
    """
    assert not isinstance(map_, Sparse)
    if isinstance(map_, Dense):
        return spikes[None]
    maps, kernel = spikes.reshape(-1, *map_.input_shape), map_.weight.shape[2:]
    stride, padding = map_.stride, [(p, p) for p in map_.padding]
    if isinstance(map_, ConvTranspose2d):
        # A transposed convolution is a plain one over its inputs with zeros between them.
        sides = [(n - 1) * s + 1 for n, s in zip(maps.shape[2:], stride, strict=True)]
        spaced = maps.new_zeros(*maps.shape[:2], *sides)
        spaced[:, :, :: stride[0], :: stride[1]] = maps
        reach = [d * (k - 1) - p for d, k, p in zip(map_.dilation, kernel, map_.padding, strict=True)]
        padding = [(r, r + extra) for r, extra in zip(reach, map_.output_padding, strict=True)]
        maps, stride = spaced, (1, 1)
    maps = torch.nn.functional.pad(maps, [side for pair in reversed(padding) for side in pair])
    axes = len(kernel)
    for axis, (k, s, d) in enumerate(zip(kernel, stride, map_.dilation, strict=True)):
        maps = maps.unfold(2 + axis, d * (k - 1) + 1, s)[..., ::d]
    places = maps.unflatten(1, (map_.groups, -1)).movedim(
        2, 2 + axes
    )  # samples, groups, places, channels, kernel
    rows = places.flatten(2, 1 + axes).flatten(3)
    return rows.transpose(0, 1).flatten(1, 2)


class _Meeting(NamedTuple):
    """How a group meets its outputs: only groups that do so alike are rounded together."""

    kind: str
    groups: int
    shape: tuple[int, ...]


def _together(groups: Mapping[str, Synapses], spikes: Mapping[str, NDArray[Any]]) -> list[list[str]]:
    """Names of the groups that are rounded together."""
    sets: dict[_Meeting, list[list[str]]] = {}
    room: dict[_Meeting, int] = {}
    for name in spikes:
        map_ = groups[name].map
        if isinstance(map_, Sparse):
            if np.diff(map_.row_pointer).max(initial=0) <= LIMIT:
                sets[_Meeting(name, 0, ())] = [[name]]
            continue
        size = as_rows(map_, map_.weight)[0].shape[1]
        if size > LIMIT:
            continue
        if isinstance(map_, Dense):
            meeting = _Meeting("dense", 1, map_.output_shape)
        else:
            meeting = _Meeting("local", map_.groups, map_.output_shape)
        if size > room.get(meeting, 0):
            sets.setdefault(meeting, []).append([])
            room[meeting] = LIMIT
        sets[meeting][-1].append(name)
        room[meeting] -= size
    return [names for found in sets.values() for names in found]


def _passings(
    groups: Mapping[str, Synapses], names: list[str], spikes: Mapping[str, NDArray[Any]]
) -> list[Passing]:
    """How weights pass errors on, for each group of outputs that share their inputs."""
    first = groups[names[0]].map
    if isinstance(first, Sparse):
        seen = _drawn(spikes[names[0]], CHUNK)
        seen = seen - seen.mean(0)
        by_row = [seen[:, first.columns[a:b]] for a, b in pairwise(first.row_pointer)]
        return [Passing((x.T @ x).astype(np.float64) / len(x)) for x in by_row]
    places = 1 if isinstance(first, Dense) else prod(first.output_shape[1:])
    maps = {name: groups[name].map for name in names}
    drawn = {name: _drawn(spikes[name], -(-ROWS // places)) for name in names}
    count = len(drawn[names[0]])
    size = max(1, CHUNK // places)
    square: Any = 0.0
    total: Any = 0.0
    for a in range(0, count, size):
        rows = torch.cat(
            [unfold(m, torch.from_numpy(drawn[name][a : a + size])) for name, m in maps.items()], 2
        )
        square = square + (rows.transpose(1, 2) @ rows).double().numpy()
        total = total + rows.double().sum(1).numpy()
    mean = total / (count * places)
    return [Passing(found) for found in square / (count * places) - mean[:, :, None] * mean[:, None, :]]


def _drawn(spikes: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Some steps of some samples, always the same ones: (steps, inputs)."""
    flat = spikes.reshape(-1, spikes.shape[-1])
    if len(flat) > count:
        flat = flat[np.random.default_rng(0).choice(len(flat), count, replace=False)]
    return flat.astype(np.float32)


def _late(spikes: NDArray[Any], lag: int) -> NDArray[Any]:
    """Spikes as they arrive, some steps late."""
    if not lag:
        return spikes
    late = np.zeros_like(spikes)
    late[:, lag:] = spikes[:, :-lag]
    return late
