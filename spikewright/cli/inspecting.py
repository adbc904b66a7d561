"""``spikewright inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .main import app
from .options import JsonOption


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .nir file, a program.npz, or a build folder.")],
    json: JsonOption = False,
) -> None:
    """Show what a file holds: nodes, schedule, and each layer's scale chain from float to integer."""
    from ..inspection import inspect as show

    show(file, Console(), json)
