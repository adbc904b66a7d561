"""``spikewright export FILE.nir``: what its options say, and what it prints."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import print_json, steps_to_stderr

if TYPE_CHECKING:
    from ..importing import Imported

PANEL = "NIR files of other tools"


class Reset(StrEnum):
    """What a spike does to the membrane."""

    zero = "zero"
    subtract = "subtract"
    subtract_delayed = "subtract-delayed"


class Coding(StrEnum):
    """What a sample is."""

    spikes = "spikes"
    direct = "direct"


class Integrate(StrEnum):
    """What a spike adds to a membrane without leak."""

    impulse = "impulse"
    current = "current"


DtOption = Annotated[
    float | None, typer.Option("--dt", help="Seconds of a time step.", rich_help_panel=PANEL)
]
ResetOption = Annotated[
    Reset | None,
    typer.Option(
        "--reset",
        help="A spike resets the membrane to zero, or subtracts the threshold: at once, or in the next step (delayed).",
        rich_help_panel=PANEL,
    ),
]
CodingOption = Annotated[
    Coding | None,
    typer.Option(
        "--coding", help="Spikes at each step, or the same real values at every one.", rich_help_panel=PANEL
    ),
]
PeakOption = Annotated[
    int | None, typer.Option("--peak", help="Largest value of an input spike.", rich_help_panel=PANEL)
]
IntegrateOption = Annotated[
    Integrate | None,
    typer.Option(
        "--integrate", help="A spike adds r to a membrane without leak, or r dt.", rich_help_panel=PANEL
    ),
]
WideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wide", help="A layer with 15-bit weights; again for more, or auto.", rich_help_panel=PANEL
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Samples (N, steps, ...) to calibrate with and to compare on.", rich_help_panel=PANEL
    ),
]


def refuse(what: str, **stated: bool) -> None:
    """Say which option does not go with the argument."""
    for name, given in stated.items():
        if given:
            raise typer.BadParameter(f"does not apply to {what}", param_hint=f"--{name}")


def export_file(
    path: str,
    out: Path | None,
    choices: dict[str, Any],
    *,
    steps: int | None,
    bits: int | None,
    wide: list[str] | None,
    data: Path | None,
    chip: str | None,
    json: bool,
) -> None:
    """Export a NIR file and print what came of it."""
    from ..importing import export_nir

    if wide and "auto" in wide and len(wide) > 1:
        raise typer.BadParameter("auto chooses by itself; name layers, or auto alone", param_hint="--wide")
    plain: dict[str, Any] = {
        name: value.value if isinstance(value, StrEnum) else value for name, value in choices.items()
    }
    progress = steps_to_stderr()
    with progress("Read, quantise, compile"):
        made = export_nir(
            path, out, **plain, timesteps=steps, bits=bits, wide=None if wide == ["auto"] else wide or (), data=data,
            chip=chip,
        )  # fmt: skip
    for note in made.notes:
        progress.note(note)
    if json:
        print_json(_as_json(made))
        return
    for file in made.files.values():
        typer.echo(file)
    typer.echo("choices: " + ", ".join(f"{name} {value}" for name, value in made.choices.items()))
    for name, agreement in made.agreement.items():
        typer.echo(f"{name}: {agreement}")
    if made.fitted is not None:
        fitted = made.fitted
        fits = "fits" if fitted.fits else "does not fit"
        typer.echo(
            f"{fits} {fitted.chip}: at least {fitted.cores_lower_bound} of {fitted.cores_available} cores"
        )
        for finding in fitted.findings:
            typer.echo(f"{finding.severity}: {finding}")


def _as_json(made: Imported) -> dict[str, Any]:
    return {
        **{role: str(path) for role, path in made.files.items()},
        "choices": made.choices,
        "agreement": {name: vars(agreement) for name, agreement in made.agreement.items()},
        "notes": list(made.notes),
        "fits": None if made.fitted is None else made.fitted.fits,
        "findings": [] if made.fitted is None else [str(f) for f in made.fitted.findings],
    }
