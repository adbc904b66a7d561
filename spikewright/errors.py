"""Every error that a user may meet, so that the command line can tell it from a defect."""

from __future__ import annotations

from .benchmarks.ann import AnnError
from .benchmarks.energy import EnergyError
from .benchmarks.equivalence.traces import DiffError
from .benchmarks.errors import QualityError
from .benchmarks.report.errors import ReportError
from .export.errors import ExportError
from .hardware.chip import ChipError
from .hardware.program import ProgramError
from .hardware.session.backend import SessionError
from .models.checkpoint import CheckpointError
from .models.data import DataError


class RecipeError(Exception):
    """A recipe that cannot be used; the message names the key, the value and what is allowed."""


class BuildError(Exception):
    """A build folder that lacks what a command needs."""


#: Raised for bad input, with a message that names it and the remedy.
USER_ERRORS: tuple[type[Exception], ...] = (
    AnnError, BuildError, CheckpointError, ChipError, DataError, DiffError, EnergyError, ExportError, FloatingPointError,
    ProgramError, QualityError, RecipeError, ReportError, SessionError,
)  # fmt: skip
