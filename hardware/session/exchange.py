"""What crosses the border between host and chip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Exchange:
    """Counts since a session was opened.

    Attributes
    ----------
    evaluations, samples : int
        Evaluations begun, and samples in them.
    chip_steps : int
        Steps of the chip, with those in which it only waits for its next period.
    spikes_written : int
        Spikes that the host injected, each time that they were played; always-on lines are the chip's own.
    bias_words_written : int
        Biases, mantissa and exponent in one word, that populations took over and did not hold before.
    spikes_read : int
        Spikes of populations that were read, each once.
    state_words_read : int
        Membranes of read-outs at the end of a sample, and currents and membranes of steps, that were read, each once.
    seconds : float
        Wall time of all calls, opening included.
    """

    evaluations: int = 0
    samples: int = 0
    chip_steps: int = 0
    spikes_written: int = 0
    bias_words_written: int = 0
    spikes_read: int = 0
    state_words_read: int = 0
    seconds: float = 0.0
