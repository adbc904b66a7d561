"""Commands, their options, and what a user sees when something is wrong.

Exit codes: 0 fine; 1 a check failed; 2 bad input, named with its remedy; 3 a component is missing; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings

import typer
from rich.console import Console
from rich.markup import escape

FAILED, BAD_INPUT, MISSING, INTERRUPTED = 1, 2, 3, 130
_ROOM, _PLACE = "free some space", "choose another folder with --out"
_DISK = {
    errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM,
    errno.EACCES: _PLACE, errno.EROFS: _PLACE, errno.EISDIR: _PLACE, errno.ENOTDIR: _PLACE,
}  # fmt: skip

app = typer.Typer(
    name="spikewright",
    help="From a trained spiking network to a verified Loihi deployment with its energy report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every error a user can cause ends in one line and an exit code."""
    # snnTorch and torch warn about their own internals; a user can do nothing about those.
    warnings.filterwarnings("ignore", module=r"(snntorch|torch|lightning_fabric|nir|nirtorch|norse)(\..*)?")
    from . import (
        benchmarking,
        comparing,
        deploying,
        fitting,
        generating,
        inspecting,
        pulse,
        simulating,
        surroundings,
        sweeping,
        training,
    )

    stderr = Console(stderr=True)
    try:
        code = app(standalone_mode=False)  # the exit code that a command asked for, or its result: None
        if code == INTERRUPTED:
            _complain(stderr, "stopped; nothing half-written is left")
        sys.exit(code)
    except (KeyboardInterrupt, typer.Abort):
        _complain(stderr, "stopped; nothing half-written is left")
        sys.exit(INTERRUPTED)
    except Exception as error:
        code = _explain(stderr, error)
        if code is None:
            raise
        sys.exit(code)


def _explain(stderr: Console, error: Exception) -> int | None:
    """Say what a user did wrong and return the exit code; None for a defect of ours."""
    show = getattr(error, "show", None)
    if callable(show) and hasattr(
        error, "format_message"
    ):  # a usage error, typer's own or click's by version
        show()
        return BAD_INPUT
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        os._exit(0)  # the reader of a pipe has gone
    if isinstance(error, OSError) and error.errno in _DISK:
        place = error.filename or "writing"
        _complain(
            stderr, f"{place}: {os.strerror(error.errno)}; {_DISK[error.errno]} and run the command again"
        )
        return BAD_INPUT
    from ..errors import USER_ERRORS  # loads torch and more: only when something went wrong
    from ..models.train import Interrupted

    if isinstance(error, Interrupted):
        _complain(stderr, str(error))
        return INTERRUPTED
    if isinstance(error, USER_ERRORS):
        _complain(stderr, str(error))
        return BAD_INPUT
    return None


def _complain(console: Console, text: str) -> None:
    console.print(f"[red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
