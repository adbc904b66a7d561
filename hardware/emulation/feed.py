"""One synapse group in the emulator: its kernels, and which of them a run should take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse, channel_sum
from .. import arithmetic as hw
from ..program import ProgramError, SynapseGroup
from .dense import EXACT, FloatKernel, in_order, product_rate
from .diagonal import Diagonal, diagonal
from .gathering import Gathering, gathering, takes
from .integer import IntegerConvolution, IntegerProduct, integer_kernel, integer_rate
from .integer import takes as takes_integers
from .layout import WORD, Layout, ends
from .runs import Geometry, Runs, runs
from .scatter import scatter, scatter_columns
from .tabling import Tabling, tabling, takes_tables

Kernel: TypeAlias = Literal["events", "gather", "table", "int8", "float32", "float64"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
#: Runs after which a kernel that never ran is tried, and one that lost is tried again; and the most that it may be
#: expected to take, in times the best.
TRY_EVERY, TRY_AGAIN, TRY_BELOW = 8, 64, 6.0
Array = NDArray[Any]
_ran: set[Kernel] = set()


@cache
def first_guess(kernel: Kernel, convolution: bool = False) -> tuple[float, float]:
    """What a kernel is taken to cost before it has run: seconds an operation, and a spike or a step beside it."""
    if kernel == "events":
        return 0.2e-9, 30e-9
    if kernel == "gather":
        return 0.05e-9, 12e-9
    if kernel == "table":
        return 0.0, 4e-9
    if kernel == "int8":
        return 1.5 / integer_rate(convolution), 5e-6
    # Convolutions come near the rate of a matrix product, which takes a moment to measure.
    return 1.5 / product_rate(kernel), 5e-6


def reach(map_: LinearMap, signed: bool = False) -> int:
    """Largest magnitude of a sum of spikes of one, and so of every partial sum.

    Parameters
    ----------
    signed : bool
        They may also carry minus one. Otherwise the sum is largest where all weights of one sign see a spike.
    """
    weight = map_.weight.astype(np.int64)
    if signed:
        return int(channel_sum(map_, np.abs(weight)).max(initial=0))
    return max(int(channel_sum(map_, np.maximum(sign * weight, 0)).max(initial=0)) for sign in (1, -1))


@dataclass
class Estimate:
    """What a kernel costs in seconds: a share for each operation (spikes reaching neurons, or products) and a rest.

    Attributes
    ----------
    operation, rest : float
        The first guess, until the kernel has run.
    measured : bool
        It has.
    """

    operation: float
    rest: float
    measured: bool = False

    def seconds(self, operations: float, units: float) -> float:
        """Expected cost of a run."""
        return operations * self.operation + units * self.rest

    def learn(self, operations: float, units: float, seconds: float) -> None:
        """Scale the estimate to what a run took: down at once, up slowly, since runs are disturbed but never sped up."""
        expected = self.seconds(operations, units)
        if expected <= 0:
            return
        factor = seconds / expected
        factor = min(factor, 1.1 if self.measured else 3.0)
        self.operation *= factor
        self.rest *= factor
        self.measured = True


@dataclass(frozen=True, eq=False)
class Sums:
    """Synaptic sums of a group: (samples, steps or 1, cells), laid out as ``geometry`` says."""

    cells: Array
    geometry: Geometry


@dataclass(frozen=True)
class Choice:
    """Which kernel a group ran on, and why.

    Attributes
    ----------
    group, map : str
        Synapse group, and the kind of its map.
    kernel : str, or None
        What ran last; None for one that is computed once, or never ran.
    rate : float
        Spikes an input and step that it met.
    seconds : dict of str to float
        What each kernel is expected to take for a sample and step at that rate, with the neurons where it may hand its sums
        on to them; empty where one was forced.
    measured : tuple of str
        Kernels that have run, so that this is no first guess.
    """

    group: str
    map: str
    kernel: Kernel | None
    rate: float
    seconds: dict[Kernel, float]
    measured: tuple[Kernel, ...]


@dataclass(eq=False)
class Feed:
    """A synapse group ready to run.

    Attributes
    ----------
    source, target : Layout
        Orders of the two populations.
    peak : int
        Largest magnitude of a spike of the source.
    forced : str, optional
        Kernel to take where it can run the map.
    signed : bool
        Spikes may be negative, as those of graded relays: their rasters are int32, which only the float kernels take.
    """

    group: SynapseGroup
    source: Layout
    target: Layout
    peak: int
    forced: Kernel | None = None
    signed: bool = False
    estimates: dict[Kernel, Estimate] = field(default_factory=dict)
    last: tuple[Kernel, float] | None = None  # what ran last, and the share of inputs that fired
    runs: int = 0

    def __post_init__(self) -> None:
        wanted = ends(self.group.map) or (self.source, self.target)
        self.inside, self.outside = wanted
        self.bound = reach(self.group.map, self.signed) * self.peak
        self.factor = int(hw.synaptic_sum(np.ones(1, np.int64), self.group.exponent)[0])
        self.kernels = self._possible()
        if self.forced not in self.kernels:
            convolution = not isinstance(self.group.map, Dense | Sparse)
            self.estimates = {k: Estimate(*first_guess(k, convolution)) for k in self.kernels}
        self._made: dict[str, Any] = {}
        self.products = _products(self.group.map)
        self.fan_out = self.products / max(1, self.source.neurons)
        self.lines = _lines(self.group.map)

    def _possible(self) -> tuple[Kernel, ...]:
        found: list[Kernel] = []
        if not self.signed:
            found.append("events")
            if takes(self.group.map, self.peak):
                found.append("gather")
            if takes_tables(self.group.map, self.peak):
                found.append("table")
            if takes_integers(self.group.map, self.peak, self.bound):
                found.append("int8")
        exact = [str(dtype).removeprefix("torch.") for dtype, limit in EXACT.items() if self.bound < limit]
        if not exact:
            raise ProgramError(
                f"synapse group {self.group.name}: sums up to {self.bound} have no exact float type"
            )
        return tuple(k for k in KERNELS if k in found or k in exact)

    def choose(self, fired: float, steps: int) -> Kernel:
        """The kernel for so many spikes over so many steps; results are the same whichever it is."""
        if self.forced in self.kernels:
            return self.forced
        costs = {k: self.estimates[k].seconds(*self._work(k, fired, steps)) for k in self.kernels}
        best = min(costs, key=lambda k: costs[k])
        self.runs += 1
        # A guess may be wrong, and a single measurement too: what might be better is tried now and then.
        again = self.runs % TRY_AGAIN == 0
        if again or self.runs % TRY_EVERY == 0:
            others = [k for k in costs if k != best and (again or not self.estimates[k].measured)]
            worth = [k for k in others if costs[k] < TRY_BELOW * costs[best]]
            return min(worth, key=lambda k: costs[k], default=best)
        return best

    def _work(self, kernel: Kernel, fired: float, steps: int) -> tuple[float, float]:
        if kernel == "events":
            # Looking for spikes costs something even where there are none.
            return fired * self.fan_out, fired + steps * (1 + self.source.neurons / 400)
        if kernel == "gather":
            # Every output pixel costs something for each row of the kernel, and looking for spikes a little.
            return fired * self.fan_out, steps * (1 + self.lines + self.source.neurons / 50)
        if kernel == "table":
            return 0.0, steps * self.lines
        return steps * self.products, steps

    def explain(self) -> Choice:
        """What ran last, beside what the others would cost."""
        kernel, rate = self.last or (None, 0.0)
        fired = rate * self.source.neurons
        costs = {k: e.seconds(*self._work(k, fired, 1)) for k, e in self.estimates.items()}
        measured = tuple(k for k, e in self.estimates.items() if e.measured)
        return Choice(self.group.name, type(self.group.map).__name__, kernel, rate, costs, measured)

    def apply(self, raster: Array, fired: float) -> Sums:
        """Sums of a raster (samples, steps, inputs padded to words) in which so many spikes were sent."""
        samples, steps = raster.shape[:2]
        flat = raster.reshape(samples * steps, -1)
        if self.inside != self.source:
            flat = _reordered(flat, self.source, self.inside)
        kernel = self.choose(fired, len(flat))
        began = time.perf_counter()
        cells, geometry = self._run(self.kernel(kernel), flat)
        self.took(kernel, fired, len(flat), time.perf_counter() - began)
        if self.outside != self.target:
            plain = self.target.enter(self.outside.leave(unpack(cells, geometry)))
            cells, geometry = np.ascontiguousarray(plain), Geometry.plain(self.target.neurons)
        return Sums(cells.reshape(samples, steps, -1), geometry)

    def sums(self, made: Any, raster: Array) -> tuple[Array, Geometry]:
        """Cells (samples, steps, cells) by a kernel, of a raster in the map's own order."""
        cells, geometry = self._run(made, raster.reshape(raster.shape[0] * raster.shape[1], -1))
        return cells.reshape(*raster.shape[:2], -1), geometry

    def kernel(self, kernel: Kernel) -> Any:
        """A kernel ready to run."""
        made = self._made.get(kernel)
        if made is None:
            made = self._made[kernel] = self._make(kernel)
        return made

    def took(self, kernel: Kernel, fired: float, steps: int, seconds: float) -> None:
        """Learn from a run."""
        if kernel in _ran and kernel in self.estimates:  # the first run of a kernel may compile it
            self.estimates[kernel].learn(*self._work(kernel, fired, steps), seconds)
        _ran.add(kernel)
        self.last = (kernel, fired / max(1, steps * self.source.neurons))

    @property
    def straight(self) -> bool:
        """Spikes and sums are in the order of the populations."""
        return self.inside == self.source and self.outside == self.target

    def _make(self, kernel: Kernel) -> Any:
        map_ = self.group.map
        if kernel == "int8":
            return integer_kernel(map_, self.inside, self.outside)
        if kernel not in ("events", "gather", "table"):
            return FloatKernel(map_, self.inside, self.outside, getattr(torch, kernel))
        dtype = np.int16 if self.bound <= np.iinfo(np.int16).max else np.int32
        if kernel == "events":
            straight = diagonal(map_, self.inside, self.outside, dtype)
            if straight is not None:
                return straight
        if isinstance(map_, Sparse):
            ordered = in_order(map_, self.inside, self.outside)
            assert isinstance(ordered, Sparse)
            return ordered.matrix(ordered.weight).tocsc()
        if kernel == "events":
            return runs(map_, self.inside, self.outside, dtype)
        if kernel == "table":
            assert isinstance(map_, Conv2d | Conv3d | ConvTranspose2d)
            return tabling(map_, dtype)
        return gathering(map_, self.inside, self.outside, dtype)

    def _run(self, made: Any, flat: Array) -> tuple[Array, Geometry]:
        if isinstance(made, Diagonal):
            return made.apply(flat), Geometry.plain(self.outside.neurons)
        if isinstance(made, FloatKernel | IntegerProduct | IntegerConvolution):
            return made.apply(flat[:, : self.inside.neurons]), Geometry.plain(self.outside.neurons)
        if isinstance(made, Gathering | Tabling):
            return made.apply(flat)
        if isinstance(made, Runs):
            # Scanned by the word where a pixel, or all there is, is a whole number of them.
            whole = made.channels % WORD == 0 or made.start.size == 2
            words = flat.view(np.uint64) if whole else np.empty((len(flat), 0), np.uint64)
            cells = np.empty((len(flat), made.geometry.cells), made.weights.dtype)
            scatter(
                flat, words, made.channels, made.groups, made.start, made.out, made.first, made.length,
                made.weights, made.row, self.peak > 1, cells,
            )  # fmt: skip
            return cells, made.geometry
        sums = np.empty((len(flat), self.outside.neurons), np.int64)
        scatter_columns(flat, self.inside.neurons, made.indptr, made.indices, made.data, sums)
        return sums, Geometry.plain(self.outside.neurons)


def _products(map_: LinearMap) -> float:
    """Products of one dense evaluation, borders included."""
    if isinstance(map_, Dense | Sparse):
        return float(map_.weight.size)
    pixels = map_.input_shape[1:] if isinstance(map_, ConvTranspose2d) else map_.output_shape[1:]
    return float(map_.weight.size * prod(pixels))


def _lines(map_: LinearMap) -> float:
    """Rows of the kernel that the output pixels of a map see."""
    if isinstance(map_, Dense | Sparse):
        return 1.0
    share = map_.groups / (map_.stride[0] if isinstance(map_, ConvTranspose2d) else 1)
    return prod(map_.output_shape[1:]) * prod(map_.weight.shape[2:-1]) * share


def unpack(cells: Array, geometry: Geometry) -> Array:
    """Sums (..., neurons) of cells (..., cells)."""
    g, lead = geometry, cells.shape[:-1]
    rows = cells[..., : g.rows * g.stride].reshape(*lead, g.rows, g.stride)
    return rows[..., g.offset : g.offset + g.width].reshape(*lead, -1)


def _reordered(flat: Array, source: Layout, wanted: Layout) -> Array:
    out = np.zeros_like(flat)
    out[:, : source.neurons] = wanted.enter(source.leave(flat[:, : source.neurons]))
    return out
