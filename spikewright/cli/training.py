"""``spikewright train``."""

from __future__ import annotations

from json import dumps
from typing import Annotated

import typer

from .main import app
from .options import (
    DatasetOption,
    JsonOption,
    ModelOption,
    OutOption,
    RecipeArgument,
    StepsOption,
    print_json,
    steps_to_stderr,
    workspace,
)


@app.command()
def train(
    recipe: RecipeArgument = None,
    model: ModelOption = "esvae",
    dataset: DatasetOption = None,
    steps: StepsOption = None,
    out: OutOption = None,
    json: JsonOption = False,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices, or auto.")] = "1",
    precision: Annotated[
        str, typer.Option(help="As Lightning Fabric takes it, such as 32-true or bf16-mixed.")
    ] = "32-true",
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint where there is one.")] = True,
) -> None:
    """Train a recipe's spiking networks, their ANN twins and what the Frechet distances need.

    Killed midway, the same command continues to the same weights. Checkpoints, metrics.csv and TensorBoard events are
    in the build folder under train/, as is metrics.json with what the networks reach on the test split.
    """
    place = workspace(recipe, model, dataset, out, steps=steps)

    from ..training import ensure_weights, figures
    from ..workspace import write_text

    progress = steps_to_stderr()
    number = int(devices) if devices.isdigit() else devices
    paths = ensure_weights(
        place,
        progress,
        force=True,
        resume=resume,
        accelerator=accelerator,
        devices=number,
        precision=precision,
    )
    place.save_recipe()
    reached = figures(paths)
    write_text(place.metrics, dumps(reached, indent=2) + "\n")
    if json:
        print_json({kind: str(path) for kind, path in paths.items()})
    else:
        for kind, path in paths.items():
            typer.echo(f"{kind}: {path}")
            typer.echo("  " + ", ".join(f"{name} {value:.4g}" for name, value in reached[kind].items()))
