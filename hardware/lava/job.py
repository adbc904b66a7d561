"""What the parent and the child that runs Lava hand each other: a directory of arrays and a header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

HEADER = "job.json"


@dataclass(frozen=True)
class Job:
    """One run of a program; populations and sources go by their index in the program.

    Attributes
    ----------
    directory : str
        Where everything lies.
    parent : int
        Process that waits for the run; when it dies the run ends.
    steps : int
        Global steps.
    states : tuple of int
        Populations whose u and v are recorded.
    """

    directory: str
    parent: int
    steps: int
    states: tuple[int, ...]

    @property
    def program(self) -> Path:
        """The program."""
        return self.path("program.npz")

    @property
    def log(self) -> Path:
        """All that the child and Lava print."""
        return self.path("log.txt")

    def path(self, name: str) -> Path:
        """A file of the job."""
        return Path(self.directory, name)

    def raster(self, source: int) -> Path:
        """Input spikes of a source in global time: (steps, lines) uint8."""
        return self.path(f"source-{source}.npy")

    def biases(self, population: int) -> tuple[Path, Path]:
        """Mantissas and exponents that the host writes: (samples, neurons) int32."""
        return self.path(f"mantissa-{population}.npy"), self.path(f"exponent-{population}.npy")

    def records(self, population: int) -> tuple[Path, Path, Path]:
        """Recorded spikes (uint8), u and v (int32) in global time: (steps, neurons)."""
        spikes, u, v = (self.path(f"{quantity}-{population}.npy") for quantity in ("spikes", "u", "v"))
        return spikes, u, v

    def save(self) -> None:
        """Write the header."""
        self.path(HEADER).write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(directory: str) -> Job:
        """Read a header."""
        header = json.loads(Path(directory, HEADER).read_text())
        return Job(**{**header, "states": tuple(header["states"])})


def segment_prefix(leader: int) -> str:
    """What the names of a run's shared memory segments begin with, so that a kill leaves none behind.

    Parameters
    ----------
    leader : int
        Process id of the child.
    """
    return f"spikewright-{leader}-"


def sweep_segments(leader: int) -> None:
    """Remove the shared memory segments that a run left behind."""
    for segment in Path("/dev/shm").glob(f"{segment_prefix(leader)}*"):
        segment.unlink(missing_ok=True)
