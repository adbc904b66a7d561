"""The simulation step: samples through a program on one backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from .benchmarks.equivalence.observe import trace_recording
from .benchmarks.equivalence.trace_file import save_trace
from .errors import BuildError
from .export.net_read import read_net
from .hardware import host, reference
from .hardware.compile import compile_program
from .hardware.device_emulator import DeviceEmulator
from .hardware.emulation.feed import Kernel
from .hardware.emulator import Emulator
from .hardware.evaluation import evaluate
from .hardware.lava import run as run_lava
from .hardware.program import Program
from .hardware.program_io import load_program
from .hardware.recording import Recording
from .progress import Steps
from .samples import load_samples
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
    device: str | None = None,
    threads: int | None = None,
    kernel: Kernel | None = None,
) -> dict[str, Any]:
    """Run samples and summarise their spikes by population.

    Parameters
    ----------
    source : Path
        Build folder, a program, or a lava-dl ``.net`` file.
    input_file : Path, optional
        Samples as ``.npy`` or ``.npz``; a build folder's test images by default.
    timesteps : int, optional
        Steps of a sample, for a ``.net`` file.
    out : Path, optional
        ``.npz`` that takes rasters, states and results, which `spikewright diff` reads.
    count : int
        Samples to run; 0 for all.
    time_limit : float
        Seconds that Lava may take.
    device : str, optional
        Where torch runs the emulator; by default its own kernels run on the processor.
    threads, kernel
        As of :class:`spikewright.hardware.emulator.Emulator`.

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
    samples = _samples(source, input_file)[: count or None]
    if backend != "emulator":
        for option, given in (("device", device), ("threads", threads), ("kernel", kernel)):
            if given is not None:
                raise BuildError(f"--{option} is the emulator's; leave it out with --backend {backend}")

    def emulator_of() -> Emulator | DeviceEmulator:
        return (
            DeviceEmulator(program, device) if device else Emulator(program, kernel=kernel, threads=threads)
        )

    if backend == "emulator" and out is None:
        emulator = emulator_of()
        with steps(f"{backend}, {len(samples)} samples") as step:
            ran = evaluate(emulator, samples, step.update)
        _say_clipped(ran.clipped, steps)
        choices = emulator.explain() if isinstance(emulator, Emulator) else []
        return {**_summary(program, ran.recording, len(samples)), "kernels": [vars(c) for c in choices]}
    samples = np.asarray(samples, np.float32)
    inputs, clipped = host.encode(program, samples)
    _say_clipped(clipped, steps)
    with steps(f"{backend}, {len(samples)} samples") as step:
        if backend == "emulator":
            recording = emulator_of().run(inputs, "states", progress=step.update)
        elif backend == "reference":
            recording = reference.run(program, inputs)
        else:
            recording = run_lava(program, inputs, time_limit=time_limit)
    if out is not None:
        trace = trace_recording(
            program, inputs, recording, samples=samples, what=f"{program.name} on {backend}"
        )
        more = {f"{q}/{name}": a for q in ("counts", "readouts") for name, a in getattr(recording, q).items()}
        save_trace(trace, out, {"result": host.decode(program, recording), **more})
    return _summary(program, recording, len(samples))


def _say_clipped(clipped: int, steps: Steps) -> None:
    if clipped:
        steps.note(f"{clipped} input currents exceed the largest bias and were clipped")


def _of_net(file: Path, timesteps: int | None, steps: Steps) -> Program:
    if timesteps is None:
        raise BuildError(f"{file}: a .net file does not state the time steps of a sample; give --steps")
    return compile_program(read_net(file, timesteps=timesteps, note=steps.note))


def _samples(source: Path, file: Path | None) -> Any:
    if file is None:
        if not source.is_dir():
            raise BuildError(f"{source}: a program alone has no samples; give --input samples.npy")
        return Workspace.open(source).test_images
    return load_samples(file, mapped=True)


def _summary(program: Program, recording: Recording, samples: int) -> dict[str, Any]:
    populations = {
        p.name: {
            "neurons": p.size,
            "spikes_per_sample": float(recording.total(p.name).sum()) / samples,
            "rate": float(recording.total(p.name).sum()) / (samples * p.size * program.timesteps),
        }
        for p in program.populations
    }
    return {
        "backend": recording.backend,
        "samples": samples,
        "seconds": recording.seconds,
        "populations": populations,
    }
