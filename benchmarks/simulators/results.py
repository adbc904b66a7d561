"""What a run of the benchmark found, from single rows to the whole."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .machine import WIDE_SPREAD, Machine


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest of its runs."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of some measurements."""
        return cls(statistics.median(values), min(values), max(values))

    def times(self, factor: float) -> Spread:
        """All three times a factor."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Row:
    """One simulator on one network, density and batch.

    Attributes
    ----------
    network, title : str
        Key and heading.
    label : str
        The input: a density, or ``image``.
    seconds : Spread or None
        A sample and step; None where it did not run.
    ratio : Spread or None
        Time of a sample and step over the emulator's in the same round, at the same batch.
    rate : float or None
        Synaptic operations a second.
    cores : float or None
        Cores that it really kept busy: processor time over wall time.
    note : str
        Why it did not run.
    """

    network: str
    title: str
    label: str
    batch: int
    simulator: str
    seconds: Spread | None
    ratio: Spread | None = None
    rate: float | None = None
    cores: float | None = None
    note: str = ""

    @property
    def disturbed(self) -> bool:
        """The slowest run took far longer than the median."""
        return self.seconds is not None and self.seconds.high > WIDE_SPREAD * self.seconds.median


@dataclass(frozen=True)
class Agreement:
    """How far a simulator's spikes are the emulator's, on one network and density.

    Attributes
    ----------
    compared : int
        Spikes, states or counts compared.
    differing : int
    what : str
        What was compared: ``neuron steps``, ``spikes and states``, or ``spike counts``.
    first_layer : float or None
        Share of equal counts in the first layer, where counts were compared.
    layers : dict of str to float
        Share of equal counts by layer.
    """

    compared: int
    differing: int
    what: str
    first_layer: float | None = None
    layers: dict[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share that is equal."""
        return 1 - self.differing / self.compared if self.compared else 0.0

    @property
    def equal(self) -> bool:
        """Nothing differs, and something was compared."""
        return bool(self.compared) and not self.differing


@dataclass(frozen=True)
class CaseResult:
    """One network at one density.

    Attributes
    ----------
    rates : dict of str to float
        Spikes a neuron and step, by layer.
    operations : float
        Synaptic operations of a sample and step.
    agreements : dict of str to Agreement
        By simulator; ``reference`` is our definition of the arithmetic.
    """

    network: str
    title: str
    label: str
    neurons: int
    steps: int
    rates: dict[str, float]
    operations: float
    rows: tuple[Row, ...]
    agreements: dict[str, Agreement]


@dataclass(frozen=True)
class Target:
    """One thing that the emulator is meant to reach; ``met`` is None where nothing was measured."""

    name: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Results:
    """A whole run."""

    machine: Machine
    versions: dict[str, str]
    missing: dict[str, str]
    cases: tuple[CaseResult, ...]
    targets: tuple[Target, ...]
    repeats: int
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> Iterator[Row]:
        """Rows of all cases."""
        return (row for case in self.cases for row in case.rows)

    @property
    def warnings(self) -> list[str]:
        """Why the figures may not hold."""
        out = []
        if self.machine.busy:
            out.append(
                f"The machine was busy: a load of {self.machine.load:.2f} before the run began. Only ratios hold, and "
                "those roughly."
            )
        rows = [row for row in self.rows if row.seconds is not None]
        wide = sum(row.disturbed for row in rows)
        if wide > len(rows) / 20:
            out.append(
                f"In {wide} of {len(rows)} rows the slowest run took over {WIDE_SPREAD} times the median: something "
                "else was running."
            )
        return out


def as_json(value: Any) -> Any:
    """Plain values for a JSON file: dataclasses as their fields."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(inner) for inner in value]
    if isinstance(value, float) and value != value:
        return None
    return value
