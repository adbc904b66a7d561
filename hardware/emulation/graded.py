"""Graded relays in the emulator: no state, so all steps of a window at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from .. import arithmetic as hw
from .feed import Feed
from .layout import padded
from .population import Neurons, Window


class GradedRelay(Neurons):
    """A population that sends the value of its membrane at every step; its rasters are int32."""

    def window(self, samples: int, recorded: bool) -> Window:
        """Room for the results."""
        window = super().window(samples, recorded)
        window.spikes = np.zeros((samples, self.steps, padded(self.layout.neurons)), np.int32)
        return window

    def run(
        self,
        rasters: Sequence[tuple[Feed, NDArray[Any], float]],
        samples: int,
        bias: NDArray[np.int32],
        recorded: bool,
    ) -> Window:
        """All steps of a number of samples; arguments as of :meth:`.population.Neurons.run`."""
        window = self.window(samples, recorded)
        total = self.total([(f, f.apply(r, n)) for f, r, n in rasters], samples, np.int64)
        self._send(slice(None), total, bias[:, None], window)
        window.counts = np.count_nonzero(window.spikes[:, :, : self.layout.neurons], 1).astype(np.int32)
        return window

    def advance(self, t: int, total: Ints, bias: NDArray[np.int32], window: Window, current: Ints) -> None:
        """Step ``t`` in a loop; nothing of ``current`` is kept."""
        self._send(slice(t, t + 1), total[:, None], bias[:, None], window)
        window.counts += window.spikes[:, t, : self.layout.neurons] != 0

    def _send(self, steps: slice, total: Ints, bias: NDArray[np.int32], window: Window) -> None:
        p = self.population
        current, membrane, payload = hw.relay_step(
            total + self.constant, bias.astype(np.int64), p.payload_bits, p.payload_shift
        )
        window.spikes[:, steps, : self.layout.neurons] = payload
        window.last = membrane[:, -1]
        if window.currents.shape[1]:
            window.currents[:, steps], window.membranes[:, steps] = current, membrane
