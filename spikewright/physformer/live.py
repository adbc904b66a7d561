"""Heart rates while frames come in: the wave of a stream, read every second over the last ten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.pulse.heart_rate import Reading, heart_rate, quality
from ..errors import BuildError
from ..models.pulse_network import FPS
from .reading import WINDOW, Pulse, pulse
from .streaming import PulseStream

EVERY = 1.0  # seconds between two readings


class LivePulse:
    """What a stream has said so far.

    Attributes
    ----------
    stream : PulseStream
    readings : list of Reading
        One a second, of the ten seconds of wave before it.
    """

    def __init__(self, stream: PulseStream) -> None:
        self.stream = stream
        self.readings: list[Reading] = []
        self._differences = np.zeros(0)
        self._ended = False

    def follow(self, frames: Iterable[NDArray[np.uint8]]) -> Iterator[Reading]:
        """Take frames (H, W, 3) at 30 a second until there are no more; yields each reading when it is there."""
        for frame in frames:
            yield from self._add(self.stream.push(frame))
        self._ended = True
        yield from self._add(self.stream.finish())

    def pulse(self) -> Pulse:
        """The whole wave.

        Raises
        ------
        BuildError
            The stream goes on, or was too short for a wave.
        """
        least = round(FPS)
        if not self._ended or len(self._differences) < least:
            raise BuildError(
                f"{len(self._differences)} values of a wave; show the stream {least} frames at least, to its end"
            )
        return pulse(self._differences, self.readings)

    def _add(self, fresh: NDArray[np.float64]) -> Iterator[Reading]:
        window, every = round(WINDOW * FPS), round(EVERY * FPS)
        done = len(self._differences)
        self._differences = np.concatenate([self._differences, fresh])
        for end in range(
            window + every * max(0, -(-(done + 1 - window) // every)), len(self._differences) + 1, every
        ):
            changes = self._differences[end - window : end]
            centre = (end - window / 2) / FPS
            self.readings.append(Reading(centre, heart_rate(changes, FPS), quality(changes, FPS)))
            yield self.readings[-1]
