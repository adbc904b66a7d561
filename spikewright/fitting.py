"""Does a network fit a chip, and if not, what is the first change that makes it fit? Each remedy is really tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .benchmarks.report.names import printable, shorten
from .export.whole_file import whole_file
from .hardware.chip import Chip, chips, load_chip
from .hardware.fit import FitResult, demands, fit, most_binding
from .hardware.placement import Core, Placement, place
from .hardware.placement.limits import stored_width
from .hardware.program import Program
from .hardware.program_io import load_program

FEWER_BITS = (7, 6, 5, 4)
MOST_ROWS, MOST_FINDINGS = 16, 4


@dataclass(frozen=True)
class Remedy:
    """A change after which the network fits.

    Attributes
    ----------
    change : str
        What to do, and what then fits.
    cores, chips : int
        What it then takes.
    """

    change: str
    cores: int
    chips: int


@dataclass(frozen=True, eq=False)
class Fitting:
    """A placed network and the verdict over it.

    Attributes
    ----------
    chips : int
        Chips that it may take.
    remedy : Remedy or None
        The first remedy that works; None where it fits, or where none of those tried helps.
    """

    placement: Placement
    result: FitResult
    chips: int
    remedy: Remedy | None

    @property
    def fits(self) -> bool:
        """Every neuron has its place, and every number its register."""
        return self.result.fits


def read_program(path: Path) -> Program:
    """The program of a file: an integer ``.nir``, a ``.npz``, or a build folder.

    Raises
    ------
    BuildError
        A float network, or a file of another kind.
    ExportError, ProgramError
        A file that cannot be read.
    """
    if path.is_dir():
        return load_program(path / "program.npz")
    if path.suffix == ".npz":
        return load_program(path)
    if path.suffix != ".nir":
        raise _unusable(f"{path}: neither .nir nor .npz nor a build folder")
    from .export.nir_read import read_graph
    from .hardware.compile import compile_program

    graph = read_graph(path)
    if graph.settings.weight_bits is None:
        raise _unusable(
            f"{path}: holds a float network, whose size on a chip depends on its weight bits; quantise it first: "
            "`spikewright export` and `spikewright.deploy` write model.int8.nir beside it"
        )
    return compile_program(graph)


def _unusable(text: str) -> Exception:
    from .errors import BuildError  # loads torch and more: only when something went wrong

    return BuildError(text)


def fitting(program: Program, chip: Chip, allowed: int = 1) -> Fitting:
    """Place a program on so many chips, and look for a remedy if it does not fit."""
    placement = place(program, chip)
    result = fit(program, chip, placement, allowed)
    remedy = None if result.fits else next(_remedies(program, chip, placement, allowed), None)
    return Fitting(placement, result, allowed, remedy)


def _remedies(program: Program, chip: Chip, placement: Placement, allowed: int) -> Iterator[Remedy]:
    """Changes that make the program fit, the least first."""
    stored = [stored_width(g.map.weight, chip) for g in program.synapses]
    for bits in FEWER_BITS:
        fewer = [stored_width(g.map.weight, chip, bits) for g in program.synapses]
        if fewer == stored:
            continue
        stored = fewer
        narrow = place(program, chip, weight_bits=bits)
        if fit(program, chip, narrow, allowed).fits:
            yield _remedy(f"quantise to {bits} bits", narrow, " (memory only; accuracy was not tried)")
    others = {name: load_chip(name) for name in chips() if name != chip.name}
    moved = {name: place(program, other) for name, other in others.items()}
    for name, other in others.items():
        if fit(program, other, moved[name], allowed).fits:
            yield _remedy(f"take {other.title} (--chip {name})", moved[name])
    if fit(program, chip, placement, placement.chips).fits:
        yield _remedy(f"spread it over {placement.chips} chips (--chips {placement.chips})", placement)
    for name, other in others.items():
        several = moved[name].chips
        if fit(program, other, moved[name], several).fits:
            yield _remedy(
                f"take {several} chips of {other.title} (--chip {name} --chips {several})", moved[name]
            )


def _remedy(change: str, placement: Placement, caveat: str = "") -> Remedy:
    needs = f"{len(placement.cores):,} of {placement.chips * placement.chip.cores.value:,} cores"
    return Remedy(f"{change}: {needs}{caveat}", len(placement.cores), placement.chips)


def rows(placement: Placement) -> list[dict[str, Any]]:
    """One row a population: its size, its cores, and the limit that binds most of them."""
    asked = {d.name: d for d in demands(placement.program, placement.chip)}
    return [
        {
            "name": name,
            "neurons": asked[name].neurons,
            "synapses": asked[name].synapses,
            "cores": len(cores),
            "tile": _tile(name, cores),
            **_binding(cores),
        }
        for name, cores in placement.cores_of.items()
    ]


def _binding(cores: tuple[Core, ...]) -> dict[str, Any]:
    if not cores:
        return {"binding": None, "share": None}
    binding = most_binding(cores)
    return {"binding": binding, "share": max(core.use[binding] / core.limits[binding] for core in cores)}


def _tile(name: str, cores: tuple[Core, ...]) -> str:
    """Shape of the largest part of a population."""
    parts = [part for core in cores for part in core.slices if part.population == name]
    if len(parts) < 2:
        return "whole" if parts else "not placed"
    largest = max(parts, key=lambda part: part.size)
    return "x".join(str(high - low) for low, high in largest.bounds)


def as_json(found: Fitting) -> dict[str, Any]:
    """Everything, for a machine."""
    placement, result = found.placement, found.result
    return {
        "network": placement.program.name,
        "chip": placement.chip.name,
        "fits": found.fits,
        "cores": len(placement.cores),
        "cores_lower_bound": result.cores_lower_bound,
        "cores_available": result.cores_available,
        "chips": placement.chips,
        "chips_allowed": found.chips,
        "neurons": result.neurons,
        "synapses": result.synapses,
        "populations": rows(placement),
        "findings": [asdict(finding) for finding in result.findings],
        "remedy": None if found.remedy is None else asdict(found.remedy),
        "placement": [
            {
                "core": core.index,
                "chip": placement.chip_of(core),
                "slices": [asdict(part) for part in core.slices],
                "use": core.use,
                "binding": core.binding,
                "share": core.share,
            }
            for core in placement.cores
        ],
        "limits": placement.cores[0].limits if placement.cores else {},
    }


def show(found: Fitting, console: Console) -> None:
    """Print the verdict, the populations, the findings and the remedy on one screen."""
    placement, result = found.placement, found.result
    verdict = Text("fits", style="bold green") if found.fits else Text("does not fit", style="bold red")
    chips_used = f", {placement.chips} chips" if placement.chips > 1 else ""
    console.print(
        Text.assemble(f"{printable(placement.program.name)} ", verdict, f" {result.chip}: "),
        Text(f"{len(placement.cores):,} of {result.cores_available:,} cores{chips_used}; "),
        Text(f"{count(result.neurons)} neurons, {count(result.synapses)} synapses"),
        sep="",
        soft_wrap=True,
    )
    console.print(_table(placement))
    order = {"error": 0, "warning": 1, "note": 2}
    findings = sorted(result.findings, key=lambda finding: order[finding.severity])
    styles = {"error": "red", "warning": "yellow", "note": ""}
    for finding in findings[:MOST_FINDINGS]:
        severity = Text(f"{finding.severity}: ", style=styles[finding.severity])
        console.print(
            Text.assemble(severity, printable(f"{finding.node}: {finding.detail}; {finding.remedy}"))
        )
    if len(findings) > MOST_FINDINGS:
        console.print(
            f"and {len(findings) - MOST_FINDINGS} more findings (--json lists them)", highlight=False
        )
    if found.remedy is not None:
        console.print(Text.assemble(("remedy: ", "bold"), found.remedy.change))
    elif not found.fits:
        console.print("remedy: neither fewer bits nor another chip nor more chips help; see the findings")


def count(number: int) -> str:
    """A count that a narrow column holds: to three digits from ten thousand on."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= max(size, 10_000):
            return f"{number / size:.3g} {letter}"
    return f"{number:,}"


def _table(placement: Placement) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for title in ("population", "neurons", "synapses", "cores", "tile", "bound by", "share"):
        table.add_column(
            title, justify="left" if title in ("population", "tile", "bound by") else "right", no_wrap=True
        )
    every = rows(placement)
    # The largest are what matters; they stay in the order of the data flow.
    kept = {row["name"] for row in sorted(every, key=lambda row: -row["cores"])[:MOST_ROWS]}
    for row in every:
        if row["name"] in kept:
            share = "" if row["share"] is None else f"{row['share']:.0%}"
            numbers = (count(row["neurons"]), count(row["synapses"]), count(row["cores"]))
            table.add_row(Text(shorten(row["name"], 22)), *numbers, row["tile"], row["binding"] or "", share)
    if len(every) > MOST_ROWS:
        table.add_row(f"and {len(every) - MOST_ROWS} more", *[""] * 6)
    return table


def draw(found: Fitting, path: Path) -> None:
    """Write the utilisation map.

    Raises
    ------
    BuildError
        The file is no ``.png``, or its folder is missing.
    """
    if path.suffix != ".png":
        raise _unusable(f"{path}: the picture is written as .png")
    if not path.parent.is_dir():
        raise _unusable(f"{path}: there is no folder {path.parent}; make it first")
    from .benchmarks.report.placement_figure import utilisation

    with whole_file(path) as temporary:
        utilisation(found.placement).savefig(temporary, format="png", dpi=200, metadata={"Software": None})
