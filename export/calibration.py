"""What data say about a float graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .float_run import FloatRun
from .graph import Floats


@dataclass(frozen=True)
class Calibration:
    """What data say about a float graph.

    Attributes
    ----------
    rates : dict of str to ndarray
        Mean spikes a step of each neuron, by population: how much an error of a weight matters.
    static_peak : dict of str to float
        Largest static current, by population.
    current_peak, membrane_peak : dict of str to ndarray
        Largest magnitudes of each neuron's states, by population.
    spikes : dict of str to ndarray
        What was fired, by population: (samples, timesteps, neurons). Weights of few bits are rounded by it.
    """

    rates: dict[str, Floats]
    static_peak: dict[str, float]
    current_peak: dict[str, Floats] = field(default_factory=dict)
    membrane_peak: dict[str, Floats] = field(default_factory=dict)
    spikes: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: FloatRun) -> Calibration:
        """Calibration from a float run over representative samples."""
        return cls(run.rates(), run.static_peak, run.current_peak, run.membrane_peak, run.spikes)
