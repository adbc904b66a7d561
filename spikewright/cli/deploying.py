"""``spikewright export``, ``export-net``, ``verify``, ``report`` and ``deploy``, which is most of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .importing import (
    CodingOption,
    DataOption,
    DtOption,
    IntegrateOption,
    PeakOption,
    ResetOption,
    WideOption,
    refuse,
)
from .main import FAILED, MISSING, app
from .options import (
    BitsOption,
    ChipOption,
    DatasetOption,
    EnergyOption,
    FolderArgument,
    JsonOption,
    ModelOption,
    NoLavaOption,
    OutOption,
    RecipeArgument,
    SeedOption,
    StepsOption,
    ThresholdOption,
    TuneOption,
    print_json,
    steps_to_stderr,
    workspace,
)

if TYPE_CHECKING:
    from ..verification import Verification
    from ..workspace import Workspace

RequireLava = Annotated[bool, typer.Option("--require-lava", help="Exit with 3 when Lava could not run.")]


@app.command()
def deploy(
    recipe: RecipeArgument = None,
    model: ModelOption = "esvae",
    dataset: DatasetOption = None,
    bits: BitsOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    chip: ChipOption = None,
    out: OutOption = None,
    json: JsonOption = False,
    no_lava: NoLavaOption = False,
    require_lava: RequireLava = False,
    threshold_scale: ThresholdOption = None,
    tune: TuneOption = None,
    energy: EnergyOption = None,
) -> None:
    """Do the whole job: train or take shipped weights, export, quantise, compile, verify, price, report."""
    guidance = {"threshold_scale": threshold_scale, "energy": energy or None}
    place = workspace(
        recipe, model, dataset, out, bits=bits, tune=tune, steps=steps, seed=seed, chip=chip, deploy=guidance
    )

    from ..benchmarks.energy import load_models
    from ..systems import deployment_of  # after the recipe was read: what it loads takes seconds
    from ..training import ensure_weights

    load_models(place.recipe.deploy.energy)  # a faulty file is told before the work, not after it
    job, progress = deployment_of(place), steps_to_stderr()
    ensure_weights(place, progress)
    lowered = job.export(place, progress)
    found = job.verify(place, lowered, progress, use_lava=not no_lava)
    job.report(place, lowered, found, progress)
    _show_report(place, json)
    _leave(found, require_lava)


@app.command()
def export(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE|FILE.nir]",
            help="A shipped recipe by name, the path of a .toml file, or a NIR file of any tool.",
        ),
    ] = None,
    model: ModelOption = "esvae",
    dataset: DatasetOption = None,
    bits: BitsOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    chip: ChipOption = None,
    out: OutOption = None,
    json: JsonOption = False,
    dt: DtOption = None,
    reset: ResetOption = None,
    coding: CodingOption = None,
    peak: PeakOption = None,
    integrate: IntegrateOption = None,
    wide: WideOption = None,
    data: DataOption = None,
    threshold_scale: ThresholdOption = None,
    tune: TuneOption = None,
) -> None:
    """Export a trained network, or a NIR file of any tool: float NIR, integer NIR, timed program."""
    from ..importing import is_nir

    choices = {"dt": dt, "reset": reset, "coding": coding, "peak": peak, "integrate": integrate}
    if is_nir(recipe):
        from .importing import export_file

        refuse(
            ".nir files",
            model=model != "esvae",
            dataset=dataset is not None,
            seed=seed is not None,
            threshold_scale=threshold_scale is not None,
            tune=tune is not None,
        )
        return export_file(
            str(recipe), out, choices, steps=steps, bits=bits, wide=wide, data=data, chip=chip, json=json
        )
    stated = {name: value is not None for name, value in {**choices, "wide": wide, "data": data}.items()}
    refuse("recipes, only .nir files", **stated)

    guidance = {"threshold_scale": threshold_scale}
    place = workspace(
        recipe, model, dataset, out, bits=bits, tune=tune, steps=steps, seed=seed, chip=chip, deploy=guidance
    )

    from ..systems import deployment_of  # after the recipe was read: what it loads takes seconds
    from ..training import ensure_weights

    job, progress = deployment_of(place), steps_to_stderr()
    ensure_weights(place, progress)
    job.export(place, progress)
    files = job.files(place.folder)
    if json:
        print_json({role: str(path) for role, path in files.items()})
    else:
        for path in files.values():
            typer.echo(path)


@app.command("export-net")
def export_net(
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER|NIR", help="Build folder, or an integer .nir file of it.")
    ],
    target: Annotated[Path, typer.Argument(metavar="NET", help="The .net file to write.")],
    rounded: Annotated[
        bool,
        typer.Option("--round", help="Round weights and biases to what netx can hold; spikes may change."),
    ] = False,
) -> None:
    """Write an integer network as a lava-dl .net file, for netx; lists the nodes that the format cannot hold."""
    from ..export.net_grid import to_net_grid
    from ..export.net_write import write_net
    from ..export.nir_read import read_graph
    from ..lowering import INTEGER

    graph = read_graph(source / INTEGER if source.is_dir() else source)
    write_net(to_net_grid(graph) if rounded else graph, target)
    typer.echo(target)


@app.command()
def verify(
    folder: FolderArgument,
    json: JsonOption = False,
    no_lava: NoLavaOption = False,
    require_lava: RequireLava = False,
) -> None:
    """Check an export: norse, the reference interpreter and Lava, spike for spike. Exits with 1 if one disagrees."""
    from ..workspace import Workspace

    place = Workspace.open(folder)

    from ..systems import deployment_of

    job = deployment_of(place)
    found = job.verify(place, job.load(folder), steps_to_stderr(), use_lava=not no_lava)
    if json:
        lowering = [step.model_dump(mode="json") for step in found.lowering]
        print_json({**found.equivalence.model_dump(mode="json"), "lowering": lowering})
    else:
        _print_checks(found)
    _leave(found, require_lava)


@app.command()
def report(folder: FolderArgument, json: JsonOption = False) -> None:
    """Count, price and measure a verified export, and write report.json, .md and .html with pictures."""
    from ..workspace import Workspace

    place = Workspace.open(folder)

    from ..systems import deployment_of
    from ..verification import load_verification

    job, progress = deployment_of(place), steps_to_stderr()
    lowered = job.load(folder)
    found = load_verification(place) if place.equivalence.exists() else job.verify(place, lowered, progress)
    job.report(place, lowered, found, progress)
    _show_report(place, json)


def _show_report(place: Workspace, json: bool) -> None:
    from ..benchmarks.report.terminal import print_summary
    from ..benchmarks.report.write import read_report

    if json:
        typer.echo(place.report.read_text(encoding="utf-8"))
    else:
        print_summary(read_report(place.report), place.folder / "report.html", Console())


def _print_checks(found: Verification) -> None:
    from ..benchmarks.report.units import plural

    e = found.equivalence
    norse = f"{e.norse.spike_mismatches} of {e.norse.neuron_steps} spikes differ, {e.norse.explained_by_rounding} by rounding"
    typer.echo(f"norse:     {norse if e.norse.ran else 'did not run: ' + e.norse.reason}")
    for name, check in (("reference", e.reference), ("Lava", e.lava)):
        said = (
            f"{check.differing_spikes} of {check.neuron_steps} spikes and {check.differing_states} of "
            f"{check.compared_states} states differ"
        )
        typer.echo(f"{name + ':':<10} {said if check.ran else 'did not run: ' + check.reason}")
    for same in found.same_images:
        said = f"{same.differing_spikes} of {same.neuron_steps} spikes differ{': ' + same.reason if same.reason else ''}"
        typer.echo(
            f"{plural(same.images, 'image')} on {same.backend}: {said if same.equal is not None else 'did not run: ' + same.reason}"
        )
    if found.lowering:
        typer.echo(f"After each lowering step, {found.lowering_images} images:")
    for step in found.lowering:
        said = f"{step.differing_spikes} of {step.neuron_steps} spikes differ from {step.against}"
        typer.echo(f"  {step.name:<22} {said if step.outcome == 'compared' else step.outcome}")
    changed = next((step for step in found.lowering if step.first), None)
    if changed is not None:
        typer.echo(f"  first change: {changed.name}: {changed.first}")


def _leave(found: Verification, require_lava: bool) -> None:
    if found.failed:
        raise typer.Exit(FAILED)
    if require_lava and not found.equivalence.lava.ran:
        raise typer.Exit(MISSING)
