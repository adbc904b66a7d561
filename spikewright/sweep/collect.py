"""All results of a sweep as one table: ``results.parquet``, ``.json`` and ``.md``, the picture, and the terminal's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..benchmarks.report import units
from ..export.whole_file import whole_file
from ..workspace import write_text
from .figures import Figures
from .pareto import CORES, COSTS, Group, figures, groups
from .picture import TITLES, write_picture
from .run import Result

NAMES = ("results.parquet", "results.json", "results.md", "pareto.png", "pareto.svg")
#: The energy model of the terminal's table.
SHOWN = "memory"


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A flat row a point, all with the same columns; None where a point has no figure."""
    fronts = {cost: {id(r) for group in groups(results) for r in group.front(cost)} for cost in COSTS}
    found = [
        _row(result) | {f"front_{cost}": id(result) in fronts[cost] for cost in COSTS} for result in results
    ]
    columns = dict.fromkeys(column for row in found for column in row)
    return [{column: row.get(column) for column in columns} for row in found]


def _row(result: Result) -> dict[str, Any]:
    planned, failure = result.planned, result.failure
    recipe, values = planned.recipe, planned.point.values
    row: dict[str, Any] = {"key": planned.key, "status": result.status, "recipe": planned.point.recipe}
    if recipe is not None:
        row |= {
            "recipe": recipe.name, "model": recipe.model.kind, "dataset": recipe.data.name, "chip": recipe.deploy.chip,
            "bits": recipe.quantise.bits, "tune": recipe.quantise.tune, "seed": recipe.seed,
            "threshold_scale": recipe.deploy.threshold_scale,
        }  # fmt: skip
    row |= {axis.replace("-", "_"): _cell(value) for axis, value in values.items()}
    if failure is None and result.record is not None:
        row |= _flat(figures(result)) | {"seconds": result.record.seconds}
    row |= {
        "error": None if failure is None else failure.kind,
        "error_text": None if failure is None else failure.text,
    }
    return row


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _flat(found: Figures) -> dict[str, Any]:
    table = found.model_dump(exclude={"quality", "energy", "rates", "errors"})
    first, *others = found.quality
    quality = {
        "measure": first.measure, "quality": first.chip, "quality_ci95": first.chip_ci95, "quality_change_ci95": first.change_ci95,
        "quality_float": first.float_network, "quality_ann": first.ann,
    }  # fmt: skip
    for number, other in enumerate(others, 2):
        quality |= {f"measure_{number}": other.measure, f"quality_{number}": other.chip}
    energy = {
        f"{name}_{k}": v for name, joules in found.energy.items() for k, v in joules.model_dump().items()
    }
    return {**quality, **table, **energy, "errors": "; ".join(found.errors), "rates": json.dumps(found.rates)}


def write_results(results: Sequence[Result], samples: int, folder: Path) -> None:
    """Write every file, each whole or not at all; the picture where there is a point to draw."""
    import pyarrow as pa
    from pyarrow import parquet

    table = rows(results)
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: _column([row[name] for row in table], pa) for name in table[0]}
    with whole_file(folder / "results.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary)
    write_text(folder / "results.json", json.dumps(table, indent=1) + "\n")
    drawn = groups(results)
    if drawn:
        write_picture(drawn, f"Quality against cost, {_counts(results)}; lower is better", folder)
    write_text(folder / "results.md", page(results, drawn, samples))


def _column(values: list[Any], pa: Any) -> Any:
    """An array of one type; words where an axis mixes types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _counts(results: Sequence[Result]) -> str:
    counted = {status: sum(r.status == status for r in results) for status in ("done", "failed", "missing")}
    said = [f"{counted['done']} of {len(results)} points"]
    return ", ".join(said + [f"{n} {status}" for status, n in counted.items() if n and status != "done"])


def _cells(group: Group, result: Result) -> list[str]:
    found = figures(result)
    first = found.quality[0]
    change = 100 * (first.chip / first.float_network - 1) if first.float_network else 0.0
    quality = (
        units.significant(first.chip)
        if first.chip_ci95 is None
        else units.with_interval(first.chip, first.chip_ci95)
    )
    cores = "no place" if found.cores is None else str(found.cores)
    on = [TITLES[cost].removeprefix("energy, ") for cost in COSTS if result in group.front(cost)]
    return [
        quality, f"{change:+.1f} %".replace("-", "−"), units.amount(found.sops),
        *(units.joule(found.energy[cost].snn_joule) for cost in COSTS if cost != CORES),
        _joule(found.energy[SHOWN].ann_int8_joule), cores if found.fits else f"{cores}, does not fit",
        f"{found.rate:.3f}", f"{found.latency_steps:,}", "; ".join(on),
    ]  # fmt: skip


def _joule(value: float | None) -> str:
    return units.MISSING if value is None else units.joule(value)


def page(results: Sequence[Result], drawn: Sequence[Group], samples: int) -> str:
    """The page: a table a group, the picture, what failed."""
    lines = [
        "# Sweep", "",
        f"{_counts(results)}, each on at most {samples:,} test samples, which its seed draws. Energy is that of a sample, an "
        "image or a clip, in every model of the reports; cores are those of the placement. Every measure of quality is "
        "better where it is lower.", "",
    ]  # fmt: skip
    if drawn:
        lines += ["![Quality against energy and cores](pareto.png)", ""]
    for group in drawn:
        head = (
            "point", "chip", "against float", "SOPs", *(TITLES[c] for c in COSTS if c != CORES),
            f"int8 ANN, {TITLES[SHOWN].removeprefix('energy, ')}", "cores", "spike rate", "steps of a sample by itself",
            "on the front of",
        )  # fmt: skip
        lines += [
            f"## {group.title}",
            "",
            f"| {' | '.join(head)} |",
            f"| --- |{' ---: |' * (len(head) - 2)} --- |",
        ]
        for result in group.results:
            lines.append(f"| {' | '.join((result.planned.point.label, *_cells(group, result)))} |")
        lines.append("")
    failed = [result for result in results if result.failure is not None]
    if failed:
        lines += ["## Failed", "", "| point | error |", "| --- | --- |"]
        for result in failed:
            assert result.failure is not None
            text = " ".join(result.failure.text.split()).replace("|", "\\|")
            lines.append(f"| {result.planned.point.label} | {result.failure.kind}: {text} |")
        lines.append("")
    return "\n".join(lines)


def show(results: Sequence[Result], folder: Path, console: Console) -> None:
    """The terminal's table."""
    for group in groups(results):
        table = Table(
            "Point", "Chip", "vs float", "Energy", "int8 ANN", "Cores", "Front", box=None, title_justify="left",
            title=f"{group.title}; energy of a sample by {TITLES[SHOWN].removeprefix('energy, ')}",
        )  # fmt: skip
        fronts = {cost: group.front(cost) for cost in (SHOWN, CORES)}
        for result in group.results:
            cells = _cells(group, result)
            found = figures(result)
            on = [word for word, cost in (("energy", SHOWN), ("cores", CORES)) if result in fronts[cost]]
            table.add_row(
                escape(group.label(result) or result.planned.point.label), cells[0], cells[1],
                units.joule(found.energy[SHOWN].snn_joule), _joule(found.energy[SHOWN].ann_int8_joule),
                cells[6 + 1], ", ".join(on),
            )  # fmt: skip
        console.print(table)
        console.print()
    for result in results:
        if result.failure is not None:
            console.print(
                f"[red]failed[/] {escape(result.planned.point.label)}: {escape(result.failure.text or result.failure.kind)}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    console.print(f"{_counts(results)}: {folder / 'results.md'}", highlight=False, soft_wrap=True)
