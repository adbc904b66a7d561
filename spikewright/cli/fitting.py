"""``spikewright fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .main import FAILED, app
from .options import JsonOption, print_json


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(help="An integer .nir file, a program.npz, or a build folder.")],
    chip: Annotated[
        str, typer.Option("--chip", help="Known chip, or the path of a chip description.")
    ] = "loihi2",
    chips: Annotated[int, typer.Option(min=1, help="Chips that the network may take.")] = 1,
    json: JsonOption = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write a map of the cores to this .png.")
    ] = None,
) -> None:
    """Place a network on a chip: cores, what binds them, and the first remedy that works. Exits with 1 if it does not fit."""
    from ..fitting import as_json, draw, fitting, read_program, show
    from ..hardware.chip import load_chip

    found = fitting(read_program(file), load_chip(chip), chips)
    if picture is not None:
        draw(found, picture)
    if json:
        print_json(as_json(found))
    else:
        show(found, Console())
    if not found.fits:
        raise typer.Exit(FAILED)
