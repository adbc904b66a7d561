"""The simulation step: samples through a program on one backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import BuildError
from .export.net_read import read_net
from .hardware import host, reference
from .hardware.compile import compile_program
from .hardware.emulator import Emulator
from .hardware.lava import run as run_lava
from .hardware.program import Program, ProgramError
from .hardware.program_io import load_program
from .hardware.recording import Detail, Recording
from .progress import Steps
from .workspace import Workspace

Backend: TypeAlias = Literal["emulator", "reference", "lava"]


def simulate(
    source: Path,
    backend: Backend,
    steps: Steps,
    *,
    input_file: Path | None = None,
    timesteps: int | None = None,
    count: int = 16,
    out: Path | None = None,
    time_limit: float = 600.0,
) -> dict[str, Any]:
    """Run samples and summarise their spikes by population.

    Parameters
    ----------
    source : Path
        Build folder, a program, or a lava-dl ``.net`` file.
    input_file : Path, optional
        Samples as ``.npy``; a build folder's test images by default.
    timesteps : int, optional
        Steps of a sample, for a ``.net`` file.
    out : Path, optional
        ``.npz`` that takes rasters, states and results.
    time_limit : float
        Seconds that Lava may take.

    Raises
    ------
    BuildError, ExportError, ProgramError
        A file or samples that cannot be used.
    LavaError
        Lava is missing or failed.
    """
    if source.suffix == ".net" and not source.is_dir():
        program = _of_net(source, timesteps, steps)
    else:
        program = load_program(source / "program.npz" if source.is_dir() else source)
    samples = _samples(source, input_file)[:count]
    inputs, clipped = host.encode(program, samples)
    if clipped:
        steps.note(f"{clipped} input currents exceed the largest bias and were clipped")
    with steps(f"{backend}, {len(samples)} samples") as step:
        detail: Detail = "states" if out else "counts"
        if backend == "emulator":
            recording = Emulator(program).run(inputs, detail, progress=step.update)
        elif backend == "reference":
            recording = reference.run(program, inputs)
        else:
            recording = run_lava(program, inputs, time_limit=time_limit)
    if out is not None:
        _write(out, recording, host.decode(program, recording))
    return _summary(program, recording, len(samples))


def _of_net(file: Path, timesteps: int | None, steps: Steps) -> Program:
    if timesteps is None:
        raise BuildError(f"{file}: a .net file does not state the time steps of a sample; give --steps")
    return compile_program(read_net(file, timesteps=timesteps, note=steps.note))


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
