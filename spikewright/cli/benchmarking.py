"""``spikewright benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .main import FAILED, app
from .options import NoLavaOption


@app.command()
def benchmark(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Models of the zoo; all by default.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of page and builds.")] = Path("build/benchmark"),
    jobs: Annotated[int, typer.Option(min=1, help="Models measured at once, one thread each.")] = 2,
    anew: Annotated[bool, typer.Option("--anew", help="Measure even what has finished.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="All samples that the recipes take, however long it lasts.")
    ] = False,
    no_lava: NoLavaOption = False,
) -> None:
    """Measure every model of the zoo and write one page over all; what has finished is not measured again.

    Exits with 1 if a model fails, is not the same answer on another backend, or is left unmeasured.
    """
    from ..benchmarking.command import run_benchmark

    if not run_benchmark(models or [], out, jobs=jobs, anew=anew, full=full, lava=not no_lava):
        raise typer.Exit(FAILED)
