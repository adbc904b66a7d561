"""``spikewright generate``."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .main import MISSING, app
from .options import (
    BitsOption,
    ChipOption,
    DatasetOption,
    JsonOption,
    RecipeArgument,
    SeedOption,
    ThresholdOption,
    TuneOption,
    print_json,
    steps_to_stderr,
    workspace,
)


class GenerateBackend(StrEnum):
    """Who computes logits and images."""

    emulator = "emulator"
    lava = "lava"
    loihi2 = "loihi2"
    reference = "reference"
    float = "float"


class Sampler(StrEnum):
    """How the noise is taken off."""

    ddim = "ddim"
    ddpm = "ddpm"


@app.command()
def generate(
    recipe: RecipeArgument = None,
    model: Annotated[
        str, typer.Option("--model", help="Published system; with --dataset it names the shipped recipe.")
    ] = "spiking-diffusion",
    dataset: DatasetOption = None,
    backend: Annotated[
        GenerateBackend, typer.Option(help="Who computes; the host samples the same way for all.")
    ] = GenerateBackend.emulator,
    seed: SeedOption = None,
    count: Annotated[int, typer.Option(min=1, help="Images.")] = 64,
    temperature: Annotated[
        float | None,
        typer.Option(min=0.001, help="Of Spiking-Diffusion: divides the logits; the recipe's by default."),
    ] = None,
    refinements: Annotated[
        int | None,
        typer.Option(
            "--refine",
            min=0,
            help="Of Spiking-Diffusion: how often half of an image's tokens are hidden and drawn again; the recipe's by default.",
        ),
    ] = None,
    sampler: Annotated[
        Sampler | None,
        typer.Option(help="Of SDDPM: deterministic, or visiting every index; the recipe's by default."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Of SDDPM: evaluations an image by DDIM; the recipe's by default."),
    ] = None,
    threshold_scale: ThresholdOption = None,
    bits: BitsOption = None,
    tune: TuneOption = None,
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
        float, typer.Option(min=1, help="Seconds that Lava, or a chip, may take for an evaluation.")
    ] = 600.0,
    json: JsonOption = False,
) -> None:
    """Generate images: a picture of them, their arrays, and the spikes and energy of each.

    The images of a seed are the same, bit for bit, on emulator, reference and Lava. A run that was killed goes on where
    it was.
    """
    deploy = {
        "temperature": temperature,
        "refinements": refinements,
        "sampler": None if sampler is None else sampler.value,
        "sampling_steps": steps,
        "threshold_scale": threshold_scale,
    }
    place = workspace(
        recipe, model, dataset, build, bits=bits, tune=tune, seed=seed, chip=chip, deploy=deploy
    )
    if steps is not None and getattr(place.recipe.deploy, "sampler", None) == "ddpm":
        raise typer.BadParameter(
            f"is {steps}, but DDPM visits every index of the diffusion; leave it out, or choose --sampler ddim",
            param_hint="--steps",
        )

    from ..benchmarks.energy import load_models
    from ..benchmarks.report.units import joule
    from ..generating.files import Run, write_files
    from ..hardware.lava import available
    from ..hardware.lava.silicon import missing
    from ..hardware.session import TIMED
    from ..systems import drawing_of

    draw, progress = drawing_of(place), steps_to_stderr()
    folder = out or place.folder / f"generated-{backend.value}-{place.recipe.seed}"
    if backend == GenerateBackend.lava and not available()[0]:
        typer.echo(f"error: Lava is not installed: {available()[1]}", err=True)
        raise typer.Exit(MISSING)
    if backend == GenerateBackend.loihi2 and (lacking := missing()):
        typer.echo(f"error: no Loihi 2 can be reached: {'; '.join(lacking)}", err=True)
        raise typer.Exit(MISSING)
    began = time.perf_counter()
    limit = time_limit if backend.value in TIMED else None
    drawn = draw(place, backend.value, count, folder, progress, limit)
    titles = {
        name: energy_model.title for name, energy_model in load_models(place.recipe.deploy.energy).items()
    }
    seconds = time.perf_counter() - began
    run = Run(place.recipe.name, backend.value, place.recipe.seed, seconds, drawn.settings)
    summary = write_files(drawn.made, drawn.joules, run, folder)
    if json:
        print_json(summary)
        return
    typer.echo(f"{summary['images']} images, {_show(summary['evaluations'])} evaluations each")
    if drawn.joules:
        typer.echo(
            f"{_show(summary['spikes'])} spikes and {_show(summary['sops'])} synaptic operations an image"
        )
    for name, row in summary.get("energy", {}).items():
        typer.echo(
            f"{titles[name]}: {joule(row['joule']['mean'])} an image, {joule(row['ann_joule']['mean'])} the ANN twins"
        )
    for path in summary["files"].values():
        typer.echo(path)


def _show(row: dict[str, float]) -> str:
    # Zero where every image took as many, or where there is one.
    return f"{row['mean']:,.1f} +- {row['ci95']:,.1f}" if row["ci95"] else f"{row['mean']:,.10g}"
