"""What a NIR file leaves open, and where each choice comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Literal

from ..errors import ExportError
from ..formats import RESETS, Reset

#: Words that a choice may be.
ALLOWED = {
    "reset": RESETS,
    "coding": ("spikes", "direct"),
    "integrate": ("impulse", "current"),
}


@dataclass(frozen=True)
class Choices:
    """How to read a file; what is None must be in the file's metadata.

    Attributes
    ----------
    dt : float
        Seconds of a time step. Time constants are integrated by forward Euler, as the tools that read NIR do.
    reset : str
        What a spike does to the membrane: ``zero`` (to ``v_reset``) or ``subtract`` the threshold, in the step of the
        spike (Norse, Sinabs), or ``subtract-delayed`` in the next one, after the leak (snnTorch unless told otherwise).
        To zero, both are the same.
    timesteps : int
        Steps of a sample.
    coding : str
        ``spikes``: whole numbers up to ``peak`` at each step; ``direct``: the same real values at every step. NIR's
        signals are spikes where nothing is said.
    peak : int
        Largest value of an input spike; 1 where nothing is said.
    integrate : str
        What ``v' = R I`` without leak makes of a spike: ``impulse``, a step of R (Norse, Sinabs, snnTorch), or
        ``current``, a step of R dt. It need not be stated where R is 1 or R dt is, since all tools then agree.
    """

    dt: float | None = None
    reset: Reset | None = None
    timesteps: int | None = None
    coding: Literal["spikes", "direct"] | None = None
    peak: int | None = None
    integrate: Literal["impulse", "current"] | None = None

    def with_metadata(self, metadata: dict[str, Any]) -> Choices:
        """Fill what is open from a file's metadata; what the caller states wins."""
        stated = {
            k: v
            for k, v in metadata.items()
            if k in {f.name for f in fields(self)} and getattr(self, k) is None
        }
        return replace(self, **stated)

    def check(self) -> None:
        """Refuse what no choice may be.

        Raises
        ------
        ExportError
            Names the choice, its value and what is allowed.
        """
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or value not in allowed):
                remedy = " or ".join(f"--{name} {word}" for word in allowed)
                raise ExportError(f"{name} is {value!r}; state it ({remedy})")
        for name, low, high, remedy in (
            ("timesteps", 1, 1 << 20, "--steps 100"),
            ("peak", 1, 255, "--peak 1"),
        ):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and low <= value <= high):
                raise ExportError(f"{name} is {value!r}, wanted a whole number {low}..{high} ({remedy})")
        real = isinstance(self.dt, int | float) and not isinstance(self.dt, bool)
        if self.dt is not None and not (real and isfinite(self.dt) and self.dt > 0):
            raise ExportError(f"dt is {self.dt!r}; state the seconds of a step (--dt 1e-4)")

    def step(self, node: str, field: str) -> float:
        """The time step that a field needs.

        Raises
        ------
        ExportError
            Nobody stated it.
        """
        if self.dt is None:
            raise ExportError(
                f"{node}: field {field!r} is in seconds and the file states no dt; state it (--dt 1e-4)"
            )
        return float(self.dt)

    def kind_of_reset(self, node: str) -> Reset:
        """The reset of a firing neuron.

        Raises
        ------
        ExportError
            Nobody stated it.
        """
        if self.reset is None:
            raise ExportError(
                f"{node}: NIR has no field for the kind of reset ('v_reset' is its value); state it "
                "(--reset zero, --reset subtract, or --reset subtract-delayed: in the next step)"
            )
        return self.reset
