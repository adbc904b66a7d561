"""``spikewright pulse``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .main import MISSING, app
from .options import JsonOption, print_json, steps_to_stderr

if TYPE_CHECKING:
    from ..models.pulse_data.recording import Recording
    from ..recipe import PulseRecipe


class PulseBackend(StrEnum):
    """Who runs the spiking blocks."""

    emulator = "emulator"
    lava = "lava"
    reference = "reference"
    float = "float"


@app.command()
def pulse(
    video: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO|SUBJECT",
            help="A video of a face, or with --synthetic the number of a computed subject.",
        ),
    ],
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe by name, or the path of a .toml file.")
    ] = "spiking-physformer-synthetic",
    synthetic: Annotated[
        bool,
        typer.Option("--synthetic", help="Compute a video of the recipe's level instead of reading one."),
    ] = False,
    box: Annotated[
        str | None,
        typer.Option(help="Where the face is, x,y,width,height in pixels; found by itself otherwise."),
    ] = None,
    backend: Annotated[
        PulseBackend, typer.Option(help="Who runs the spiking blocks.")
    ] = PulseBackend.emulator,
    build: Annotated[
        Path | None, typer.Option("--build", help="Build folder; build/<recipe> by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the files; <build folder>/pulse-<video> by default."),
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds that Lava may take.")] = 600.0,
    json: JsonOption = False,
) -> None:
    """Read the pulse of a face video: heart rate over time, pulse wave, a picture, and whether to trust them."""
    from ..physformer.reading import read_pulse, summary, write_pulse
    from ..physformer.system import export_system, load_system, recipe_of
    from ..recipe import load_recipe
    from ..training import ensure_weights
    from ..workspace import Workspace

    if backend == PulseBackend.lava:
        from ..hardware.lava import available

        there, reason = available()
        if not there:
            typer.echo(f"error: Lava is not installed: {reason}", err=True)
            raise typer.Exit(MISSING)
    loaded = load_recipe(recipe)
    place = Workspace(loaded, build or Path("build") / loaded.name)
    of = recipe_of(place)
    shown = _computed(video, of) if synthetic else _read(video, box, of)
    progress = steps_to_stderr()
    if place.program.exists():
        system = load_system(place.folder)
    else:
        ensure_weights(place, progress)
        system = export_system(place, progress)
    with progress(f"{shown.name}: {len(shown.frames)} frames on {backend.value}"):
        found = read_pulse(system, shown, of.data.frames, backend.value, time_limit)
    paths = write_pulse(found, shown.name, backend.value, out or place.folder / f"pulse-{shown.name}")
    if json:
        print_json(
            {**summary(found, shown.name, backend.value), "files": {k: str(p) for k, p in paths.items()}}
        )
        return
    rate = (
        "none: the wave is flat"
        if found.heart_rate != found.heart_rate
        else f"{found.heart_rate:.1f} beats a minute"
    )
    trusted = "trusted" if found.quality.trusted else "not to be trusted"
    typer.echo(f"heart rate: {rate} ({trusted}, quality {found.quality.index:.2f})")
    for path in paths.values():
        typer.echo(path)


def _computed(subject: str, recipe: PulseRecipe) -> Recording:
    from ..models.pulse_data.synthetic import generate

    if not subject.isdigit():
        raise typer.BadParameter(
            f"is {subject!r}; with --synthetic give the number of a subject", param_hint="SUBJECT"
        )
    return generate(
        int(subject), recipe.data.level, recipe.data.video_frames, recipe.data.image, recipe.train_seed
    )


def _read(video: str, box: str | None, recipe: PulseRecipe) -> Recording:
    import numpy as np

    from ..models.pulse_data.box import Box
    from ..models.pulse_data.faces import cropped
    from ..models.pulse_data.recording import Recording
    from ..models.pulse_data.video import frames_of

    path, times = Path(video), []

    def frames():  # type: ignore[no-untyped-def]
        for seconds, frame in frames_of(path):
            times.append(seconds)
            yield frame

    found = list(cropped(frames(), recipe.data.image, None if box is None else Box.parse(box), path.name))
    return Recording(path.stem, path.stem, np.stack(found), None, np.array(times))
