"""What a NIR file leaves open, and where each choice comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Literal

from ..errors import ExportError


@dataclass(frozen=True)
class Choices:
    """How to read a file; what is None must be in the file's metadata.

    Attributes
    ----------
    dt : float
        Seconds of a time step. Time constants are integrated by forward Euler, as the tools that read NIR do.
    reset : str
        What a spike does to the membrane: ``zero`` (to ``v_reset``) or ``subtract`` the threshold. It happens in the
        step of the spike.
    timesteps : int
        Steps of a sample.
    coding : str
        ``spikes``: whole numbers up to ``peak`` at each step; ``direct``: the same real values at every step.
    peak : int
        Largest value of an input spike.
    integrate : str
        What ``v' = R I`` without leak makes of a spike: ``impulse``, a step of R (Norse, Sinabs, snnTorch), or
        ``current``, a step of R dt. It need not be stated where R is 1 or R dt is, since all tools then agree.
    """

    dt: float | None = None
    reset: Literal["zero", "subtract"] | None = None
    timesteps: int | None = None
    coding: Literal["spikes", "direct"] = "spikes"
    peak: int = 1
    integrate: Literal["impulse", "current"] | None = None

    def with_metadata(self, metadata: dict[str, Any]) -> Choices:
        """Fill what is open from a file's metadata; what the caller states wins."""
        stated = {
            k: v
            for k, v in metadata.items()
            if k in {f.name for f in fields(self)} and getattr(self, k) is None
        }
        return replace(self, **stated)

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
        if not isinstance(self.dt, int | float) or not isfinite(self.dt) or self.dt <= 0:
            raise ExportError(f"dt is {self.dt!r}; state the seconds of a step (--dt 1e-4)")
        return float(self.dt)

    def kind_of_reset(self, node: str) -> Literal["zero", "subtract"]:
        """The reset of a firing neuron.

        Raises
        ------
        ExportError
            Nobody stated it.
        """
        if self.reset is None:
            raise ExportError(
                f"{node}: NIR has no field for the kind of reset ('v_reset' is its value); state it "
                "(--reset zero or --reset subtract)"
            )
        if self.reset not in ("zero", "subtract"):
            raise ExportError(f"reset is {self.reset!r}; state 'zero' or 'subtract' (--reset zero)")
        return self.reset
