"""What the host has written: it holds, for every sample to come, until it is written anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export import formats as hw
from ...export.formats import Ints
from ...export.linear import Shape
from ..errors import SessionError
from ..program import Inputs, Population, Program, SpikeSource

Spikes = NDArray[np.uint8]


class Registers:
    """Rasters of sources (samples, timesteps, lines) and biases of populations (samples, neurons), by name.

    Attributes
    ----------
    fresh : dict of str to ndarray of bool
        Biases (samples,) that no population has taken over yet.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._sources = {source.name: source for source in program.sources}
        self._populations = {p.name: p for p in program.populations}
        self.spikes: dict[str, Spikes] = {}
        self.biases: dict[str, tuple[Ints, Ints]] = {}
        self.fresh: dict[str, NDArray[np.bool_]] = {}

    def clear(self) -> None:
        """As nothing had been written."""
        for held in (self.spikes, self.biases, self.fresh):
            held.clear()

    def write(self, inputs: Inputs, samples: int | None) -> None:
        """Take over what is named and leave the rest; takes over nothing if anything is wrong.

        With ``samples``, biases come for so many or for one.
        """
        steps, largest = self.program.timesteps, hw.BIAS_MANTISSA_MAX
        spikes, biases = {}, {}
        for name, raster in inputs.spikes.items():
            source = self.source(name)
            shapes = [(steps, source.size), (steps, *source.shape)]
            checked = _integers(f"spikes of {name!r}", raster, "samples", shapes, 0, source.peak)
            spikes[name] = checked.astype(np.uint8).reshape(len(checked), steps, source.size)
        for name, registers in inputs.biases.items():
            p = self._biased(name)
            if len(registers) != 2:
                raise SessionError(
                    f"bias of {name!r}: wants mantissa and exponent, two arrays; see split_bias"
                )
            mantissa, exponent = (
                _integers(f"bias {label} of {name!r}", values, "samples", [(p.size,), p.shape], low, high)
                .astype(np.int64)
                .reshape(-1, p.size)
                for label, values, low, high in zip(
                    ("mantissas", "exponents"),
                    registers,
                    (-largest, 0),
                    (largest, hw.BIAS_EXPONENT_MAX),
                    strict=True,
                )
            )
            if len(mantissa) != len(exponent):
                raise SessionError(
                    f"bias of {name!r}: {len(mantissa)} mantissas and {len(exponent)} exponents; write one each a sample"
                )
            if samples is not None and len(mantissa) not in (1, samples):
                raise SessionError(
                    f"bias of {name!r}: written for {len(mantissa)} samples into an evaluation of {samples}; write it "
                    "for as many, or one"
                )
            biases[name] = mantissa, exponent
        self.spikes |= spikes
        self.biases |= biases
        self.fresh |= {name: np.ones(len(mantissa), np.bool_) for name, (mantissa, _) in biases.items()}

    def rows(self, spikes: Mapping[str, Any], samples: int | None) -> dict[str, Spikes]:
        """Spikes of one step as (samples or 1, lines).

        Parameters
        ----------
        spikes : mapping
            By source: (lines,) or (samples, lines).
        samples : int, optional
            How many there must be, where not one.
        """
        out = {}
        for name, values in spikes.items():
            source = self.source(name)
            array = np.asarray(values)
            if array.shape in ((source.size,), source.shape):
                array = array[None]
            label = f"spikes of {name!r}"
            checked = _integers(label, array, "samples", [(source.size,), source.shape], 0, source.peak)
            if samples is not None and len(checked) not in (1, samples):
                raise SessionError(f"{label}: a step of {len(checked)} samples, there are {samples}")
            out[name] = checked.astype(np.uint8).reshape(-1, source.size)
        return out

    def source(self, name: str) -> SpikeSource:
        """The source of that name, which the host drives."""
        driven = [n for n, source in self._sources.items() if not source.constant]
        if name in self._sources and name not in driven:
            raise SessionError(f"source {name!r}: is always on, nothing is written to it")
        return self._sources[_known("source", name, driven)]

    def _biased(self, name: str) -> Population:
        written = [n for n, p in self._populations.items() if p.host_bias]
        if name in self._populations and name not in written:
            raise SessionError(
                f"population {name!r}: has no bias that the host writes; "
                + _choice("population with one", written)
            )
        return self._populations[_known("population with a host bias", name, written)]

    def samples(self) -> int:
        """Samples of an evaluation; what was written for one holds for each."""
        for name, source in self._sources.items():
            if not source.constant and name not in self.spikes:
                raise SessionError(
                    f"source {name!r}: nothing is written; write its spikes, zeros for silence"
                )
        for name, p in self._populations.items():
            if p.host_bias and name not in self.biases:
                raise SessionError(f"population {name!r}: its bias is not written; write it, zeros for none")
        sizes = {f"source {name!r}": len(raster) for name, raster in self.spikes.items()}
        sizes |= {f"bias of {name!r}": len(mantissa) for name, (mantissa, _) in self.biases.items()}
        several = {size for size in sizes.values() if size > 1}
        if len(several) > 1:
            told = ", ".join(f"{label} for {size}" for label, size in sizes.items() if size > 1)
            raise SessionError(
                f"written for different numbers of samples: {told}; write them for as many, or one"
            )
        return several.pop() if several else 1


def _known(kind: str, name: str, names: list[str]) -> str:
    if name not in names:
        raise SessionError(f"no {kind} is named {name!r}; " + _choice(kind, names))
    return name


def _choice(kind: str, names: list[str]) -> str:
    return f"there is {', '.join(map(repr, names))}" if names else f"the program has no {kind}"


def _integers(label: str, values: Any, first: str, shapes: list[Shape], low: int, high: int) -> NDArray[Any]:
    """An array of integers in range, of one of some shapes behind an axis of at least one."""
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        held = "NaN or infinite values" if array.dtype.kind == "f" and not np.isfinite(array).all() else ""
        raise SessionError(
            f"{label}: {held + ', ' if held else ''}{array.dtype} is no integer type; round, and cast to integers"
        )
    if array.shape[1:] not in shapes or not array.ndim or not len(array):
        wanted = " or ".join(f"({', '.join([first, *map(str, shape)])})" for shape in dict.fromkeys(shapes))
        raise SessionError(f"{label}: shape {array.shape}, wanted {wanted} with at least one of the {first}")
    if array.size and (array.min() < low or array.max() > high):
        worst = array.min() if array.min() < low else array.max()
        raise SessionError(f"{label}: {worst} is outside {low}..{high}; clip or scale it")
    return array
