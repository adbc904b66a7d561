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
    from ..errors import USER_ERRORS
    from ..models.train import Interrupted
    from . import deploying, inspecting, simulating, surroundings, training  # noqa: F401 - they register commands

    stderr = Console(stderr=True)
    try:
        code = app(standalone_mode=False)  # the exit code that a command asked for, or its result: None
        if code == INTERRUPTED:
            _complain(stderr, "stopped; nothing half-written is left")
        sys.exit(code)
    except Interrupted as stop:
        _complain(stderr, str(stop))
        sys.exit(INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        _complain(stderr, "stopped; nothing half-written is left")
        sys.exit(INTERRUPTED)
    except USER_ERRORS as error:
        _complain(stderr, str(error))
        sys.exit(BAD_INPUT)
    except OSError as error:
        if error.errno == errno.EPIPE:
            os._exit(0)  # the reader of a pipe has gone
        if error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.EISDIR,
            errno.ENOTDIR,
        ):
            raise
        remedy = (
            "free some space"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another folder with --out"
        )
        _complain(
            stderr,
            f"{error.filename or 'writing'}: {os.strerror(error.errno)}; {remedy} and run the command again",
        )
        sys.exit(BAD_INPUT)
    except Exception as error:
        from click.exceptions import ClickException

        if not isinstance(error, ClickException):
            raise
        error.show()
        sys.exit(BAD_INPUT)


def _complain(console: Console, text: str) -> None:
    console.print(f"[red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
