"""Public data sets of face video with a measured pulse: found on disk, listed, read one recording at a time."""

from .entry import Entry
from .registry import PULSE_SETS, PulseSet, PulseSetInfo, open_dataset

__all__ = ["PULSE_SETS", "Entry", "PulseSet", "PulseSetInfo", "open_dataset"]
