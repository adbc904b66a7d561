"""What the parent and the child that runs Lava hand each other: a directory of arrays and a header.

Step t, counted from 1, has row ``(t - 1) % rows`` of every array in global time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

HEADER = "job.json"
#: A network that stays says so once it is up, and again after every command.
READY = b"ready\n"


@dataclass(frozen=True)
class Job:
    """One network of a program; populations and sources go by their index in the program.

    Attributes
    ----------
    directory : str
        Where everything lies.
    parent : int
        Process that waits for the run; when it dies the run ends.
    rows : int
        Rows of the arrays in global time: steps of the run, or those of a network that stays which are in hand at once.
    states : tuple of int
        Populations whose u and v are recorded, at the steps that are due.
    records : tuple of int, optional
        Populations that are recorded at all; every one by default.
    written : tuple of int
        Populations whose bias is written while the network runs.
    lead : int
        Steps before the first sample begins.
    reply : int, optional
        File descriptor on which a network that stays answers commands; without it the network runs ``rows`` steps.
    chip : bool
        Neurons and synapses on a Loihi 2 chip instead of in Lava's simulation.
    """

    directory: str
    parent: int
    rows: int
    states: tuple[int, ...]
    written: tuple[int, ...]
    records: tuple[int, ...] | None = None
    lead: int = 0
    reply: int | None = None
    chip: bool = False

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
        """Input spikes of a source in global time: (rows, lines) uint8."""
        return self.path(f"source-{source}.npy")

    def biases(self, population: int) -> tuple[Path, Path, Path]:
        """What is written to a bias, and when.

        Mantissas and exponents, each (entries, neurons) int32, of which entry 0 holds from the outset; and the entry that
        is written at the end of each step, -1 for none: (rows,) int32.
        """
        mantissas, exponents, entries = (
            self.path(f"{quantity}-{population}.npy") for quantity in ("mantissa", "exponent", "entry")
        )
        return mantissas, exponents, entries

    def record(self, population: int) -> tuple[Path, Path, Path]:
        """Recorded spikes (uint8; int32 of graded relays), u and v (int32) in global time: (rows, neurons)."""
        spikes, u, v = (self.path(f"{quantity}-{population}.npy") for quantity in ("spikes", "u", "v"))
        return spikes, u, v

    def due(self, population: int) -> Path:
        """Whether u and v are recorded after each step: (rows,) bool."""
        return self.path(f"due-{population}.npy")

    def recorded(self, population: int) -> bool:
        """Whether anything of a population is recorded."""
        return self.records is None or population in self.records

    def save(self) -> None:
        """Write the header."""
        self.path(HEADER).write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(directory: str) -> Job:
        """Read a header."""
        header = json.loads(Path(directory, HEADER).read_text())
        lists = {name: tuple(value) for name, value in header.items() if isinstance(value, list)}
        return Job(**{**header, **lists})


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
