"""The report in a terminal: the three answers, the figures behind them, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import generation_tables as views
from . import pulse_tables, quality_tables, tables
from .checks import Outcome, checks, same_image
from .denoising_tables import evaluation_energy
from .generation import EvaluationEnergy, Generation
from .names import printable
from .pulse import Pulse
from .schema import Quality, Report
from .terms import QUESTIONS

_ANSWER_STYLE = {"yes": "bold green", "no": "bold red", "depends": "bold yellow", "unknown": "bold yellow"}
_CHECK_STYLE: dict[Outcome, str] = {
    "equal": "green", "rounding": "green", "differs": "bold red", "no verdict": "yellow", "not run": "yellow",
}  # fmt: skip
#: Titles of columns that 80 characters a line have no room for.
_SHORT = {"Reconstruction MSE": "MSE", "FAD reconstructions": "FAD rec."}


def print_summary(report: Report, path: Path, console: Console) -> None:
    """Print the answers, quality or heart rates, energies, and the report's path; legible from 80 columns on."""
    bits = f"{report.weight_bits}-bit weights"
    if report.generation is None:
        bits += f", {report.timesteps} time steps"
    heading = printable(f"{report.model} on {report.chip}: {report.dataset}, {bits}")
    console.print(Text(heading, style="bold"))
    console.print(_answers(report))
    console.print(_checks(report))
    if report.generation is not None:
        _print_generation(report, report.generation, console)
    if report.pulse is not None:
        _print_pulse(report, report.pulse, console)
    if report.quality is not None:
        _print_quality(report, report.quality, console)
    if report.dataset_note:
        console.print(Text(printable(report.dataset_note), style="italic"))
    if report.energy:
        console.print(_energy(report))
    if report.generation is not None and report.generation.evaluation_energy:
        console.print(_accountings(report.generation.evaluation_energy))
    # Unwrapped, so that the path can be copied whole.
    console.print(Text.assemble("Report: ", (str(path), "bold")), soft_wrap=True)


def _answers(report: Report) -> Table:
    grid = _grid("Question", "Answer", "Figures")
    for key, question in QUESTIONS.items():
        verdict = getattr(report.answers, key)
        answer = Text(verdict.status, style=_ANSWER_STYLE[verdict.status])
        grid.add_row(question, answer, Text(printable(verdict.text)))
    return grid


def _checks(report: Report) -> Table:
    grid = _grid("Checked against", "Result")
    found = checks(report)
    if report.generation is not None:
        images = map(same_image, report.generation.same_images)
        found += [replace(check, name=f"{check.name}, whole images") for check in images]
    for check in found:
        grid.add_row(
            Text(printable(check.name)), Text(printable(check.headline), style=_CHECK_STYLE[check.outcome])
        )
    return grid


def _print_generation(report: Report, generation: Generation, console: Console) -> None:
    if generation.sampler is not None:
        console.print(Text(printable(views.opening(generation))))
    programs = _grid("Program", numbers=("runs an image", "time steps", "neurons", "cores"))
    for name, _, runs, steps, _, _, neurons, _, cores in views.programs(generation).rows:
        programs.add_row(Text(printable(name)), runs, steps, neurons, cores)
    console.print(programs)
    told = views.prediction(report, generation)
    grid = _grid("Generation", numbers=told.table.head[1:])
    for row in told.table.rows:
        grid.add_row(*row)
    console.print(grid)
    _print_note(told.note, console, loud=told.loud)


def _print_pulse(report: Report, pulse: Pulse, console: Console) -> None:
    console.print(_accuracy(report, pulse, "video"))
    console.print(_accuracy(report, pulse, "clip"))
    _print_note(pulse_tables.gap_note(report, pulse), console, loud=pulse_tables.exceeds_limit(pulse))
    readings = _grid("Read from changes", numbers=("MAE, bpm", "95 % interval", "RMSE", "Pearson", "trusted"))
    for name, mae, interval, rmse, _, pearson, trusted, _ in pulse_tables.readings(report, pulse).rows:
        readings.add_row(name, mae, interval, rmse, pearson, trusted)
    console.print(readings)
    _print_note(pulse_tables.trust_note(report, pulse), console)
    if pulse.ablations:
        ablations = _grid("Without", "Verdict", numbers=("cost", "wave corr.", "MAE, bpm"))
        for title, verdict, cost, wave, mae, *_ in pulse_tables.ablations(pulse).rows:
            style = "bold red" if verdict == "decorative" else ""
            ablations.add_row(Text(printable(title)), Text(verdict, style=style), cost, wave, mae)
        console.print(ablations)
    for line in pulse_tables.contribution_notes(pulse):
        _print_note(line, console, loud=True)
    if pulse.rates:
        _print_note(pulse_tables.rates_note(pulse), console, loud=bool(pulse_tables.rates_outside(pulse)))
    if pulse.host:
        host = _grid("Host", "Result", numbers=("MAE, bpm", "95 % interval", "RMSE"))
        for precision, result, mae, interval, rmse, *_ in pulse_tables.host(pulse).rows:
            host.add_row(precision, Text(printable(result)), mae, interval, rmse)
        console.print(host)
    energy = _grid("A clip, as the paper counts", numbers=("value",))
    for name, value in pulse_tables.energy(pulse.energy).rows:
        energy.add_row(Text(printable(name)), value)
    console.print(energy)
    _print_note(f"Published: {pulse.published_energy}", console)
    _print_note(pulse_tables.exchange(pulse), console)
    if pulse.stream is None:
        _print_note(pulse_tables.no_stream(pulse), console)
        return
    stream = _grid("A stream", numbers=("value",))
    for name, value in pulse_tables.stream(pulse.stream, pulse.fps).rows:
        stream.add_row(Text(name), Text(printable(value)))
    console.print(stream)
    if pulse.stream.obstacles:
        _print_note(pulse_tables.obstacles(pulse.stream), console, loud=True)
    _print_note(pulse_tables.stream_check(pulse.stream), console, loud=pulse.stream.differing > 0)


def _accuracy(report: Report, pulse: Pulse, by: Literal["video", "clip"]) -> Table:
    grid = _grid(f"By {by}", numbers=("MAE, bpm", "95 % interval", "RMSE", "Pearson", "wave corr."))
    for name, mae, interval, rmse, _, pearson, _, wave, _ in pulse_tables.accuracy(report, pulse, by).rows:
        grid.add_row(name, mae, interval, rmse, pearson, wave)
    return grid


def _print_note(text: str, console: Console, *, loud: bool = False) -> None:
    console.print(Text(printable(text), style="bold red" if loud else ""))


def _print_quality(report: Report, quality: Quality, console: Console) -> None:
    console.print(_quality(report, quality))
    if quality.reconstructs:
        note = quality_tables.quality_note(report, quality)
        _print_note(note, console, loud=quality_tables.exceeds_limit(quality))


def _quality(report: Report, quality: Quality) -> Table:
    table = quality_tables.quality(report, quality)
    grid = _grid("Quality", numbers=tuple(_SHORT.get(title, title) for title in table.head[1:]))
    *versions, (_, *floor) = table.rows
    for row in versions:
        grid.add_row(*row)
    grid.add_row("floor", *floor)
    return grid


def _energy(report: Report) -> Table:
    grid = _grid(
        f"Energy of a {tables.sample_name(report)}",
        numbers=("SNN", "host", "ANN fp32", "ANN int8", "break-even"),
    )
    for title, snn, host, fp32, int8, *_, even in tables.energy(report.energy).rows:
        grid.add_row(Text(printable(title)), snn, host, fp32, int8, even)
    return grid


def _accountings(rows: Sequence[EvaluationEnergy]) -> Table:
    grid = _grid("One evaluation, by accounting", numbers=("SNN", "ANN", "SNN / ANN"))
    for title, _, *numbers in evaluation_energy(rows).rows:
        grid.add_row(Text(printable(title)), *numbers)
    return grid


def _grid(*texts: str, numbers: tuple[str, ...] = ()) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for title in texts:
        grid.add_column(title, no_wrap=title == "Answer", overflow="fold")
    for title in numbers:
        grid.add_column(title, justify="right", no_wrap=True)
    return grid
