"""``spikewright pulse``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .main import MISSING, app
from .options import JsonOption, print_json, steps_to_stderr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..models.pulse_data.recording import Recording
    from ..physformer.reading import Pulse
    from ..physformer.system import System
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
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Frame by frame as from a camera, with heart rates as it goes; on emulator or reference.",
        ),
    ] = False,
    period: Annotated[
        int | None,
        typer.Option(
            min=1, help="Chip steps a token frame of a stream; the network's time steps by default."
        ),
    ] = None,
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
    if period is not None and not stream:
        raise typer.BadParameter("goes with --stream", param_hint="--period")
    shown = None
    if not stream:
        shown = _computed(video, of) if synthetic else _read(video, box, of)
    name, frames = _camera(video, box, synthetic, of) if stream else (video, iter(()))
    progress = steps_to_stderr()
    if place.program.exists():
        system = load_system(place.folder)
    else:
        ensure_weights(place, progress)
        system = export_system(place, progress)
    if shown is None:
        found = _follow(system, frames, backend, period, quiet=json)
    else:
        name = shown.name
        with progress(f"{name}: {len(shown.frames)} frames on {backend.value}"):
            found = read_pulse(system, shown, of.data.frames, backend.value, time_limit)
    paths = write_pulse(found, name, backend.value, out or place.folder / f"pulse-{name}")
    if json:
        print_json({**summary(found, name, backend.value), "files": {k: str(p) for k, p in paths.items()}})
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


def _follow(
    system: System,
    frames: Iterator[NDArray[np.uint8]],
    backend: PulseBackend,
    period: int | None,
    quiet: bool,
) -> Pulse:
    """Heart rates as they come, a line each."""
    from ..models.pulse_network import FPS
    from ..physformer.live import LivePulse
    from ..physformer.reading import WINDOW
    from ..physformer.streaming import PulseStream, frames_behind, stream_blocks

    live = LivePulse(PulseStream(system.network, stream_blocks(system, period), backend.value))
    latency = live.stream.tokens.latency
    least, most = frames_behind(latency)
    if not quiet:
        typer.echo(
            f"a token's spikes come {latency.steps} chip steps and {latency.frames} tokens after it; the wave is {least} to "
            f"{most} frames behind the camera ({most / FPS:.2f} s)"
        )
    for reading in live.follow(frames):
        if not quiet:
            rate = (
                "no pulse" if reading.heart_rate != reading.heart_rate else f"{reading.heart_rate:5.1f} bpm"
            )
            trusted = "trusted" if reading.quality.trusted else "not to be trusted"
            typer.echo(
                f"{reading.seconds + WINDOW / 2:6.1f} s  {rate}  {trusted}, quality {reading.quality.index:.2f}"
            )
    return live.pulse()


def _camera(
    video: str, box: str | None, synthetic: bool, recipe: PulseRecipe
) -> tuple[str, Iterator[NDArray[np.uint8]]]:
    """A name, and frames of the face at the network's rate, none of which is read before it is asked for."""
    from ..models.pulse_data.box import Box
    from ..models.pulse_data.faces import cropped
    from ..models.pulse_data.pace import paced
    from ..models.pulse_data.video import frames_of
    from ..models.pulse_network import FPS

    if synthetic:
        computed = _computed(video, recipe)
        return computed.name, paced(zip(computed.times, computed.frames, strict=True), FPS)
    path, place = Path(video), None if box is None else Box.parse(box)
    times: deque[float] = deque()

    def images() -> Iterator[NDArray[np.uint8]]:
        for seconds, frame in frames_of(path):
            times.append(seconds)
            yield frame

    def timed() -> Iterator[tuple[float, NDArray[np.uint8]]]:
        for frame in cropped(images(), recipe.data.image, place, path.name):
            yield times.popleft(), frame

    return path.stem, paced(timed(), FPS)


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
