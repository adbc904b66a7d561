"""``spikewright generate``."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .main import MISSING, app
from .options import (
    BitsOption,
    ChipOption,
    DatasetOption,
    JsonOption,
    RecipeArgument,
    SeedOption,
    print_json,
    steps_to_stderr,
    workspace,
)


class GenerateBackend(StrEnum):
    """Who computes logits and images."""

    emulator = "emulator"
    lava = "lava"
    reference = "reference"
    float = "float"


@app.command()
def generate(
    recipe: RecipeArgument = None,
    model: Annotated[
        str, typer.Option("--model", help="Published system; with --dataset it names the shipped recipe.")
    ] = "spiking-diffusion",
    dataset: DatasetOption = "digits",
    backend: Annotated[
        GenerateBackend, typer.Option(help="Who computes; the host samples the same way for all.")
    ] = GenerateBackend.emulator,
    seed: SeedOption = None,
    count: Annotated[int, typer.Option(min=1, help="Images.")] = 64,
    temperature: Annotated[
        float | None, typer.Option(min=0.001, help="Divides the logits; the recipe's by default.")
    ] = None,
    bits: BitsOption = None,
    chip: ChipOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the images; <build folder>/generated-<backend>-<seed> by default."
        ),
    ] = None,
    build: Annotated[
        Path | None, typer.Option("--build", help="Build folder; build/<model>-<dataset> by default.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds that Lava may take for an evaluation.")
    ] = 600.0,
    json: JsonOption = False,
) -> None:
    """Generate images: a picture of them, their arrays, and the spikes and energy of each.

    The images of a seed are the same, bit for bit, on emulator, reference and Lava. A run that was killed goes on where
    it was.
    """
    from ..benchmarks.energy import load_models
    from ..diffusion.baseline import load_twins
    from ..diffusion.files import Run, write_files
    from ..diffusion.generation import generate_in_parts
    from ..diffusion.preparation import prepared
    from ..diffusion.pricing import image_joules
    from ..hardware.lava import available
    from ..recipe import DiffusionRecipe

    place = workspace(recipe, model, dataset, build, bits=bits, seed=seed, chip=chip)
    steps = steps_to_stderr()
    system = prepared(place, steps)
    assert isinstance(place.recipe, DiffusionRecipe)
    warmth = place.recipe.deploy.temperature if temperature is None else temperature
    folder = out or place.folder / f"generated-{backend.value}-{place.recipe.seed}"
    began = time.perf_counter()
    if backend == GenerateBackend.lava and not available()[0]:
        typer.echo(f"error: Lava is not installed: {available()[1]}", err=True)
        raise typer.Exit(MISSING)
    with steps(f"{count} images on {backend.value}") as step:
        made = generate_in_parts(
            system, backend.value, count, folder, seed=place.recipe.seed, temperature=warmth,
            time_limit=time_limit if backend == GenerateBackend.lava else None, report=step.update,
        )  # fmt: skip
    joules: dict[str, Any] = {}
    titles = {name: energy_model.title for name, energy_model in load_models().items()}
    if backend != GenerateBackend.float:
        joules = image_joules(system, made, load_twins(place.folder))
    run = Run(place.recipe.name, backend.value, place.recipe.seed, warmth, time.perf_counter() - began)
    summary = write_files(made, joules, run, folder)
    if json:
        print_json(summary)
        return
    typer.echo(f"{summary['images']} images, {_show(summary['evaluations'])} evaluations each")
    if joules:
        typer.echo(
            f"{_show(summary['spikes'])} spikes and {_show(summary['sops'])} synaptic operations an image"
        )
    for name, row in summary.get("energy", {}).items():
        typer.echo(
            f"{titles[name]}: {row['joule']['mean'] * 1e6:.4g} uJ an image, {row['ann_joule']['mean'] * 1e6:.4g} uJ the ANN twins"
        )
    for path in summary["files"].values():
        typer.echo(path)


def _show(row: dict[str, float]) -> str:
    return f"{row['mean']:,.1f} +- {row['ci95']:,.1f}"
