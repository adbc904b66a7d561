"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..progress import Steps

if TYPE_CHECKING:  # commands load torch and the rest when they run, so that --help answers at once
    from ..workspace import Workspace

RecipeArgument = Annotated[
    str | None,
    typer.Argument(metavar="[RECIPE]", help="A shipped recipe by name, or the path of a .toml file."),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Published system; with --dataset it names the shipped recipe.")
]
DatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="Data set; digits, and synthetic videos for those that read a pulse."),
]
BitsOption = Annotated[
    int | None, typer.Option("--bits", help="Weight bits with sign, 2 to 8; a NIR file may have 15 as well.")
]
TuneOption = Annotated[
    int | None,
    typer.Option(
        "--tune", help="Iterations of fine-tuning weights for their bits; 0, the default, for none."
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", help="Time steps of a sample; other than the recipe's means training anew."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of sampling.")]
ChipOption = Annotated[
    str | None, typer.Option("--chip", help="Known chip, or the path of a chip description.")
]
EnergyOption = Annotated[
    list[str] | None,
    typer.Option("--energy", help="Energy model of your own, a .toml file; may be given several times."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Build folder; build/<model>-<dataset> by default.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Build folder of `spikewright export`.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold-scale",
        help="Factor on all firing thresholds (threshold guidance); 1 is as trained.",
    ),
]
NoLavaOption = Annotated[
    bool, typer.Option("--no-lava", help="Leave the Lava check out; the report says so.")
]


def workspace(
    recipe: str | None,
    model: str,
    dataset: str | None,
    out: Path | None,
    *,
    bits: int | None = None,
    tune: int | None = None,
    steps: int | None = None,
    seed: int | None = None,
    chip: str | None = None,
    deploy: Mapping[str, Any] | None = None,
) -> Workspace:
    """The workspace that a command's options describe; ``deploy`` are values of the recipe's section of that name."""
    from ..recipe import load_recipe
    from ..workspace import Workspace

    overrides: dict[str, Any] = {
        "quantise.bits": bits,
        "quantise.tune": tune,
        "model.timesteps": steps,
        "seed": seed,
        "deploy.chip": chip,
    }
    overrides |= {f"deploy.{key}": value for key, value in (deploy or {}).items()}
    loaded = load_recipe(recipe or f"{model}-{dataset or _default_dataset(model)}", overrides)
    return Workspace(loaded, out or Path("build") / loaded.name)


def _default_dataset(model: str) -> str:
    return "synthetic" if model == "spiking-physformer" else "digits"


def steps_to_stderr() -> Steps:
    """Progress, apart from the results on standard output."""
    return Steps(Console(stderr=True))


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=2))
