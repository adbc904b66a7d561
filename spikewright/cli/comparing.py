"""``spikewright diff``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .main import FAILED, MISSING, app
from .options import JsonOption, print_json, steps_to_stderr


class Runner(StrEnum):
    """Who runs a side."""

    emulator = "emulator"
    reference = "reference"
    lava = "lava"
    float = "float"
    norse = "norse"
    snntorch = "snntorch"


FILES = "Build folder, float or integer .nir, program .npz, or recording .npz"


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help=f"{FILES}.")],
    b: Annotated[
        Path | None,
        typer.Argument(
            metavar="[B]", help="The same; without it a build's float network is held against its program."
        ),
    ] = None,
    backend_a: Annotated[Runner | None, typer.Option(help="Who runs A.")] = None,
    backend_b: Annotated[Runner | None, typer.Option(help="Who runs B.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples to run; 8, or all of a recording, by default.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Samples as .npy or .npz (N, ...); a build's test images by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random spikes, where no data are at hand.")] = 0,
    rate: Annotated[float, typer.Option(min=0, max=1, help="Rate of random spikes.")] = 0.2,
    limit: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit with 1 where a layer agrees on a smaller share of its spikes."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the comparison: .png, .pdf or .svg.")] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that Lava may take.")] = 600.0,
    json: JsonOption = False,
) -> None:
    """Run two levels or backends on the same samples and show where they first part, and why.

    Integer runs in the same units must agree to the last bit, or the exit code is 1. Float against integer is lossy: only
    NaN, or a layer below --limit, fails.
    """
    from ..benchmarks.equivalence.explain import print_report, to_json
    from ..differing import Choices, compare
    from ..hardware.lava import LavaError

    chosen = (backend_a and backend_a.value, backend_b and backend_b.value)
    choices = Choices(samples, data, seed, rate, time_limit)
    try:
        report = compare(a, b, chosen, steps_to_stderr(), choices, picture)
    except LavaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(MISSING) from None
    if json:
        print_json({**to_json(report), "failed": report.failed(limit)})
    else:
        print_report(report, Console())
    if report.failed(limit):
        raise typer.Exit(FAILED)
