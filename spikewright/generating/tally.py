"""Counting what a program does over many evaluations: its spikes, synaptic operations and messages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..export.linear import fan_out
from ..hardware.program import Inputs, Program
from ..hardware.recording import Recording
from .counters import Counters, below, under

#: What is counted of each sample.
COUNTED = ("spikes", "sops", "messages", "graded_sops")


@dataclass(eq=False)
class Tally:
    """Spikes of one program over all samples that ran, by population and source, and how many samples those were."""

    program: Program
    samples: int = 0
    totals: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, inputs: Inputs, recording: Recording) -> dict[str, NDArray[np.int64]]:
        """Count an evaluation.

        Returns
        -------
        dict of str to ndarray of int64
            ``spikes`` of all populations, ``sops`` (synaptic operations) and ``messages`` (spikes times the populations
            that each goes to) in each sample, and ``graded_sops``, those operations that graded spikes of relays cause.
        """
        counts = {name: raster.sum(1, dtype=np.int64) for name, raster in inputs.spikes.items()}
        counts |= {p.name: recording.counts[p.name] for p in self.program.populations}
        samples = len(next(iter(recording.counts.values())))
        for source in self.program.sources:
            if source.constant:
                counts[source.name] = np.full((samples, source.size), self.program.timesteps, np.int64)
        self.samples += samples
        found = {name: np.zeros(samples, np.int64) for name in COUNTED}
        for name, values in counts.items():
            self.totals[name] = self.totals.get(name, np.zeros(values.shape[1], np.int64)) + values.sum(0)
        for p in self.program.populations:
            found["spikes"] += counts[p.name].sum(1)
        graded = {p.name for p in self.program.populations if p.graded}
        for group in self.program.synapses:
            reach = fan_out(group.map)
            caused = counts[group.source] @ reach
            found["sops"] += caused
            if group.source in graded:
                found["graded_sops"] += caused
            found["messages"] += counts[group.source][:, reach > 0].sum(1)
        return found

    def counters(self) -> Counters:
        """Samples and totals, to be added up."""
        return {"samples": np.asarray(self.samples), **under("fired", self.totals)}

    def count_also(self, counters: Counters) -> None:
        """Add what another tally of the program counted."""
        self.samples += int(counters["samples"])
        for name, values in below("fired", counters).items():
            self.totals[name] = self.totals.get(name, np.zeros(len(values), np.int64)) + values

    def recording(self) -> Recording:
        """The totals as a recording."""
        return Recording("tally", {}, {}, totals=dict(self.totals))
