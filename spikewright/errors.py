"""Every error that a user may meet, so that the command line can tell it from a defect."""

from __future__ import annotations

from .benchmarks.energy import EnergyError
from .benchmarks.equivalence.traces import DiffError
from .benchmarks.errors import AnnError, QualityError
from .benchmarks.report.errors import ReportError
from .export.errors import ExportError
from .hardware.chip import ChipError
from .hardware.errors import SessionError
from .hardware.program import ProgramError
from .models.checkpoint import CheckpointError
from .models.data import DataError


class RecipeError(Exception):
    """A recipe that cannot be used; the message names the key, the value and what is allowed."""


class BuildError(Exception):
    """A build folder that lacks what a command needs."""


class SweepError(Exception):
    """A sweep that cannot run as it was asked; the message names the file, the axis or the scheduler, and the remedy."""


#: Raised for bad input, with a message that names it and the remedy.
USER_ERRORS: tuple[type[Exception], ...] = (
    AnnError, BuildError, CheckpointError, ChipError, DataError, DiffError, EnergyError, ExportError, FloatingPointError,
    ProgramError, QualityError, RecipeError, ReportError, SessionError, SweepError,
)  # fmt: skip
