"""The page over all models as Markdown, for a README."""

from __future__ import annotations

from ..report.names import printable
from ..report.tables import DASH
from ..report.units import count, joule, signed_percent, significant
from .schema import Entry, Overview, QualityFigure, Result


def render_markdown(overview: Overview) -> str:
    """Verdicts, energy at quality, size, and what is missing, as tables."""
    measured = [(entry, entry.result) for entry in overview.models if entry.result is not None]
    lines = [
        "# Benchmark of all models",
        "",
        f"Written by `{overview.command}` ({overview.tool}). {overview.budget}",
        "",
        f"**{overview.summary.words}**",
    ]
    head: tuple[str, ...]
    if measured:
        lines += ["", "## Verdicts", ""]
        head = ("model", "same answer", "fits", "less than the ANN", "wins against int8 at equal quality")
        lines += _table(
            head, [(_link(entry), *_verdicts(result)) for entry, result in measured], numbers=False
        )
        lines += [
            "",
            *(f"* {_cell(entry.name)}: {_cell(result.headline.words)}" for entry, result in measured),
        ]
        lines += ["", "## Quality", ""]
        rows: list[tuple[str, ...]] = [
            (_cell(entry.name), _cell(_measure(row)), *_versions(row), count(row.samples))
            for entry, result in measured
            for row in result.quality
        ]
        head = ("model", "measure", "float SNN", "chip", "ANN twin", "chip to twin", "samples")
        lines += _table(head, rows)
        lines += ["", "## Energy of a sample", ""]
        head = ("model", "energy model", "SNN", "twin fp32", "twin int8", "SNN / fp32", "SNN / int8")
        rows = [row for entry, result in measured for row in _energies(entry, result)]
        lines += _table(head, rows)
        lines += ["", "## Size", ""]
        head = ("model", "sample", "neurons", "synapses", "cores", "latency, steps", "synaptic operations")
        lines += _table(head, [_size(entry, result) for entry, result in measured])
    missing = [entry for entry in overview.models if entry.result is None]
    if missing:
        lines += ["", "## Not measured", ""]
        lines += [f"* {_cell(entry.name)}: {entry.status}. {_cell(entry.words)}" for entry in missing]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], *, numbers: bool = True) -> list[str]:
    rules = ["---" if index < 2 or not numbers else "---:" for index in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, tuple(rules), *rows)]


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def _link(entry: Entry) -> str:
    report = entry.result.report if entry.result is not None else None
    return _cell(entry.name) if report is None else f"[{_cell(entry.name)}]({report})"


def _verdicts(result: Result) -> tuple[str, ...]:
    said = result.answers
    return said.same.status, said.fits.status, said.cost.status, result.headline.wins


def _measure(row: QualityFigure) -> str:
    better = "lower" if row.lower_is_better else "higher"
    return f"{row.name}{f', {row.unit}' if row.unit else ''} ({better} is better)"


def _versions(row: QualityFigure) -> tuple[str, ...]:
    values = (DASH if value is None else significant(value) for value in (row.float_, row.chip, row.ann))
    percent = row.chip_to_ann_percent
    return *values, DASH if percent is None else signed_percent(percent)


def _energies(entry: Entry, result: Result) -> list[tuple[str, ...]]:
    return [
        (
            _cell(entry.name),
            _cell(row.title),
            joule(row.snn_joule),
            joule(row.ann_joule),
            DASH if row.ann_int8_joule is None else joule(row.ann_int8_joule),
            f"{significant(row.ratio_fp32, '.3g')} ×",
            DASH if row.ratio_int8 is None else f"{significant(row.ratio_int8, '.3g')} ×",
        )
        for row in result.energy
    ]


def _size(entry: Entry, result: Result) -> tuple[str, ...]:
    size, activity = result.size, result.activity
    cores = "not placed" if size.cores is None else f"{count(size.cores)} of {count(size.cores_available)}"
    return (
        _cell(entry.name),
        result.sample,
        count(size.neurons),
        count(size.synapses),
        cores,
        count(activity.latency_steps),
        significant(activity.sops),
    )
