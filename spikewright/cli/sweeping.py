"""``spikewright sweep``."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .main import FAILED, MISSING, app
from .options import JsonOption, print_json, steps_to_stderr

if TYPE_CHECKING:
    from ..sweep.grid import Spec

#: What the extra brings, by module.
NEEDED = ("distributed", "pyarrow", "filelock")


def _values(what: str) -> Any:
    return typer.Option(help=f"{what}; several with commas.")


@app.command()
def sweep(
    file: Annotated[
        Path | None, typer.Argument(metavar="[SWEEP.toml]", help="A sweep file: [[grid]] tables of axes.")
    ] = None,
    recipe: Annotated[str | None, _values("Shipped recipes by name, or paths of .toml files")] = None,
    model: Annotated[
        str | None, _values("Published systems; with --dataset they name shipped recipes")
    ] = None,
    dataset: Annotated[str | None, _values("Data sets")] = None,
    bits: Annotated[str | None, _values("Weight bits with sign, 2 to 8")] = None,
    tune: Annotated[str | None, _values("Iterations of fine-tuning weights for their bits")] = None,
    steps: Annotated[
        str | None, _values("Time steps; other than the recipe's need weights of their own, see --train")
    ] = None,
    threshold_scale: Annotated[str | None, _values("Factors on all firing thresholds")] = None,
    chip: Annotated[str | None, _values("Known chips, or paths of chip descriptions")] = None,
    seed: Annotated[
        str | None, _values("Seeds: they draw the test samples of a point, and the noise in them")
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V,V", help="Any other field of recipes, such as quantise.calibration_images=64,512."
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Test images, or videos, of a point at most; 200 by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the sweep; build/<file's name> or build/sweep by default."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="A running Dask scheduler; by default this machine."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; as many as processors by default.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train networks whose weights are not there.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed points again.")] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="Run nothing: write what is known so far.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure every combination of models, bits, chips and more on a Dask cluster, and draw quality against cost.

    Killed at any moment, the same command goes on where it was, and so does `spikewright sweep --out FOLDER`. Points are
    kept by the hash of all that decides their result; those that fail keep their error. Exits with 1 if one failed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        what = f"error: a sweep needs {', '.join(missing)}: `pip install 'spikewright[sweep]'`"
        typer.echo(what, err=True)
        raise typer.Exit(MISSING)
    axes = {
        "recipe": recipe, "model": model, "dataset": dataset, "bits": bits, "tune": tune, "steps": steps,
        "threshold-scale": threshold_scale, "chip": chip, "seed": seed,
    }  # fmt: skip
    folder = out or Path("build") / ("sweep" if file is None else file.stem)
    spec = _spec(
        file, {name: text for name, text in axes.items() if text is not None}, axis or [], samples, folder
    )

    from ..sweep.collect import rows, show, write_results
    from ..sweep.plan import plan
    from ..sweep.run import Cluster, run, stored
    from ..sweep.store import Store

    store, progress, where = Store(folder), steps_to_stderr(), Cluster(scheduler, workers)
    planned = plan(spec.points(), spec.samples)
    if collect:
        results = stored(planned, store, progress.note)
    else:
        with store.locked():
            spec.save(folder)
            if train:
                from ..sweep.training import train_missing

                planned = train_missing(planned, spec.samples, where, store.scratch, progress)
            results = run(planned, store, where, progress, retry_failed=retry_failed)
    write_results(results, spec.samples, folder)
    if json:
        print_json(rows(results))
    else:
        show(results, folder, Console())
    if any(result.failure is not None for result in results):
        raise typer.Exit(FAILED)


def _spec(
    file: Path | None, axes: dict[str, str], more: list[str], samples: int | None, folder: Path
) -> Spec:
    """What is asked: by a file, by options, or by the folder's own sweep; options take the place of a file's axes."""
    from ..errors import SweepError
    from ..sweep.grid import SAMPLES, Spec, axes_of, parse_values, read_spec

    given: dict[str, Any] = {name: parse_values(text) for name, text in axes.items()}
    for text in more:
        key, equals, values = text.partition("=")
        if not equals:
            raise SweepError(
                f"--axis {text}: give KEY=VALUE,VALUE, such as quantise.calibration_images=64,512"
            )
        given[key.strip()] = parse_values(values)
    if file is None and not given:
        spec = Spec.load(folder)
        if spec is None:
            raise SweepError(
                f"{folder}: holds no sweep to go on with; name axes, such as --bits 8,4 --chip loihi1,loihi2, or a sweep file"
            )
    elif file is None:
        spec = Spec((axes_of(given, "options"),), SAMPLES)
    else:
        spec = read_spec(file)
        own = axes_of(given, "options")
        spec = replace(
            spec, grids=tuple(axes_of({**grid, **own}, "options over the file") for grid in spec.grids)
        )
    return spec if samples is None else replace(spec, samples=samples)
