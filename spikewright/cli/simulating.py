"""``spikewright simulate``."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..errors import BuildError
from ..hardware import host, reference
from ..hardware.emulator import Emulator
from ..hardware.lava import LavaError
from ..hardware.lava import run as run_lava
from ..hardware.program import Inputs, Program, ProgramError
from ..hardware.program_io import load_program
from ..hardware.recording import Recording
from ..workspace import Workspace
from .main import MISSING, app
from .options import JsonOption, print_json, steps_to_stderr


class Backend(StrEnum):
    """Who runs the program."""

    emulator = "emulator"
    reference = "reference"
    lava = "lava"


@app.command()
def simulate(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|PROGRAM", help="Build folder, or a program.npz.")],
    backend: Annotated[Backend, typer.Option(help="Who runs it.")] = Backend.emulator,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Samples as .npy: (N, ...) in the network's input shape.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Samples to run.")] = 16,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write rasters, states and results to this .npz.")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that Lava may take.")] = 600.0,
    json: JsonOption = False,
) -> None:
    """Run a program on a backend and print its spikes by population."""
    progress = steps_to_stderr()
    program = load_program(source / "program.npz" if source.is_dir() else source)
    samples = _samples(source, input_file)[:count]
    inputs, clipped = host.encode(program, samples)
    if clipped:
        progress.note(f"{clipped} input currents exceed the largest bias and were clipped")
    with progress(f"{backend.value}, {len(samples)} samples") as step:
        recording = _run(program, inputs, backend, "states" if out else "counts", step.update, time_limit)
    result = host.decode(program, recording)
    if out is not None:
        _write(out, recording, result)
    summary = _summary(program, recording, len(samples))
    if json:
        print_json(summary)
    else:
        for name, row in summary["populations"].items():
            typer.echo(f"{name:<24} {row['spikes_per_sample']:>12.1f} spikes/sample  rate {row['rate']:.4f}")
        typer.echo(f"{recording.seconds:.2f} s for {len(samples)} samples on {recording.backend}")


def _samples(source: Path, file: Path | None) -> Any:
    if file is None:
        if not source.is_dir():
            raise BuildError(f"{source}: a program alone has no samples; give --input samples.npy")
        return Workspace.open(source).test_images
    try:
        loaded = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise BuildError(f"{file}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise BuildError(f"{file}: not a readable .npy file ({error}); save it with numpy.save") from None
    if not isinstance(loaded, np.ndarray) or loaded.ndim < 2 or not np.issubdtype(loaded.dtype, np.number):
        raise BuildError(f"{file}: holds no array of samples (N, ...)")
    return loaded.astype(np.float32)


def _run(
    program: Program, inputs: Inputs, backend: Backend, detail: Any, update: Any, time_limit: float
) -> Recording:
    if backend is Backend.emulator:
        return Emulator(program).run(inputs, detail, progress=update)
    if backend is Backend.reference:
        return reference.run(program, inputs)
    try:
        return run_lava(program, inputs, time_limit=time_limit)
    except LavaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(MISSING) from None


def _write(path: Path, recording: Recording, result: Any) -> None:
    if path.suffix != ".npz":
        raise ProgramError(f"{path}: recordings are written as .npz")
    arrays = {"result": result}
    for quantity in ("counts", "spikes", "currents", "membranes", "readouts"):
        arrays |= {f"{quantity}/{name}": a for name, a in getattr(recording, quantity).items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _summary(program: Program, recording: Recording, samples: int) -> dict[str, Any]:
    populations = {
        p.name: {
            "neurons": p.size,
            "spikes_per_sample": float(recording.counts[p.name].sum()) / samples,
            "rate": float(recording.counts[p.name].sum()) / (samples * p.size * program.timesteps),
        }
        for p in program.populations
    }
    return {
        "backend": recording.backend,
        "samples": samples,
        "seconds": recording.seconds,
        "populations": populations,
    }
