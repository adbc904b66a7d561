"""``spikewright simulate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .main import MISSING, app
from .options import JsonOption, print_json, steps_to_stderr


class KernelName(StrEnum):
    """Kernels of the emulator."""

    events = "events"
    gather = "gather"
    table = "table"
    int8 = "int8"
    float32 = "float32"
    float64 = "float64"


class Backend(StrEnum):
    """Who runs the program."""

    emulator = "emulator"
    reference = "reference"
    lava = "lava"


@app.command()
def simulate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|PROGRAM|NET", help="Build folder, a program.npz, or a lava-dl .net file."
        ),
    ],
    backend: Annotated[Backend, typer.Option(help="Who runs it.")] = Backend.emulator,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Samples as .npy: (N, ...) in the network's input shape.")
    ] = None,
    timesteps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Time steps of a sample, which a .net file does not state."),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="Samples to run; 0 for all.")] = 16,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write rasters, states and results to this .npz.")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that Lava may take.")] = 600.0,
    device: Annotated[
        str | None, typer.Option(help="Run the emulator on a device of torch, such as cuda.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the emulator; one a processor by default.")
    ] = None,
    kernel: Annotated[
        KernelName | None, typer.Option(help="Take this kernel of the emulator wherever it can run.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which kernel each synapse group ran on, and why.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run a program on a backend and print its spikes by population."""
    from ..hardware.lava import LavaError
    from ..simulation import simulate as run

    try:
        summary = run(
            source,
            backend.value,
            steps_to_stderr(),
            input_file=input_file,
            timesteps=timesteps,
            count=count,
            out=out,
            time_limit=time_limit,
            device=device,
            threads=threads,
            kernel=None if kernel is None else kernel.value,
        )
    except LavaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(MISSING) from None
    if json:
        print_json(summary)
        return
    for name, row in summary["populations"].items():
        typer.echo(f"{name:<24} {row['spikes_per_sample']:>12.1f} spikes/sample  rate {row['rate']:.4f}")
    typer.echo(f"{summary['seconds']:.2f} s for {summary['samples']} samples on {summary['backend']}")
    if explain:
        _explain(summary.get("kernels", []))


def _explain(choices: list[dict[str, Any]]) -> None:
    """One line a synapse group: what ran, the rate it met, and what each kernel costs."""
    if not choices:
        typer.echo("no kernels to explain: the emulator chooses them on the processor, without --out")
    for c in choices:
        costs = (
            f"{k} {1e6 * s:.3g} us{'' if k in c['measured'] else ' (guess)'}" for k, s in c["seconds"].items()
        )
        ran = c["kernel"] or "once"
        typer.echo(f"{c['group']:<32} {c['map']:<16} {ran:<8} rate {c['rate']:.4f}  {', '.join(costs)}")
