"""A comparison of two runs in words, as a table, and as JSON-able data."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..report.names import printable, shorten
from ..report.units import count, share, significant
from .diff_report import Divergence, LayerDiff, Report, Side

FORMAT, VERSION = "spikewright-diff", 1


def where(at: Divergence) -> str:
    """Neuron, time step and sample: ``conv2 neuron 17 (channel 1, row 0, column 3) at step 5 of sample 0``."""
    axes = ", ".join(f"{axis} {index}" for axis, index in at.place)
    inside = f" ({axes})" if axes else ""
    return printable(f"{at.layer} neuron {at.neuron}{inside} at step {at.timestep} of sample {at.sample}")


def sentence(at: Divergence) -> str:
    """Where two runs part, both values, and why."""
    digits = _digits(at)
    both = ", ".join(_side(side, at.quantity, digits) for side in (at.a, at.b))
    return f"{where(at)}: {both}{'; ' + printable(at.reason) if at.reason else ''}"


def _side(side: Side, quantity: str, digits: int) -> str:
    fired = "fires" if side.spike else "silent"
    if side.membrane is None:
        return f"{side.who} {fired}"
    membrane = _number(side.membrane, digits)
    if side.threshold is None or not math.isfinite(side.membrane):
        said = f"{side.who} {membrane}"
    else:
        sign = ">" if side.membrane > side.threshold else "≤"
        said = f"{side.who} {membrane} {sign} threshold {_number(side.threshold, digits)}"
        if side.spike != (side.membrane > side.threshold):  # of another's making, or a read-out
            said += f" and {fired}"
    if side.raw_membrane is not None and quantity != "spikes":
        left = f", then {side.raw_left}" if side.raw_left != side.raw_membrane else ""
        said += f" (u {side.raw_current}, v {side.raw_membrane}{left})"
    return said


def _digits(at: Divergence) -> int:
    """Digits that tell the membranes from each other and from the thresholds."""
    numbers = [
        x for s in (at.a, at.b) for x in (s.membrane, s.threshold) if x is not None and math.isfinite(x)
    ]
    largest = max((abs(x) for x in numbers), default=0.0)
    gaps = [abs(x - y) for x in numbers for y in numbers if abs(x - y) > 1e-9 * largest]
    if not gaps or not largest:
        return 4
    return min(max(4, math.ceil(math.log10(largest / min(gaps))) + 1), 9)


def _number(value: float, digits: int) -> str:
    return significant(value, f".{digits}g") if math.isfinite(value) else str(value)


def verdict(report: Report) -> str:
    """One line: equal, or how much differs."""
    spikes = f"{count(report.differing_spikes)} of {count(report.neuron_steps)} spikes"
    if not report.finite:
        return f"not finite: membranes hold NaN or infinite values; {spikes} differ"
    if report.exact:
        states = f"{count(report.differing_states)} of {count(report.compared_states)} states"
        if report.equal:
            return f"equal: no spike of {count(report.neuron_steps)} and no state of {count(report.compared_states)} differs"
        return f"{spikes} and {states} differ"
    if report.equal:
        return f"equal: no spike of {count(report.neuron_steps)} differs"
    return f"{spikes} differ: agreement {share(report.agreement or 0.0)}"


def print_report(report: Report, console: Console) -> None:
    """One screen; legible from 80 columns on."""
    kind = "to the last bit" if report.exact else "spike for spike"
    steps = f"{report.samples} samples of {report.timesteps} time steps"
    console.print(Text(printable(f"A: {report.a}"), style="bold"))
    console.print(Text(printable(f"B: {report.b}"), style="bold"))
    console.print(Text(f"{steps}, {kind}"))
    console.print(_table(report))
    for remark in _remarks(report):
        console.print(Text(printable(remark), style="dim"))
    for note in (*_unmatched(report), *report.notes):
        console.print(Text(f"note: {printable(note)}", style="yellow"))
    style = (
        "bold green" if report.equal else "bold red" if report.exact or not report.finite else "bold yellow"
    )
    console.print(Text(verdict(report)[0].upper() + verdict(report)[1:], style=style))
    if report.first is not None:
        console.print(Text(f"First: {sentence(report.first)}"))


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    fifth = "States differ" if report.exact else "Counts r"
    table.add_column("Layer", overflow="fold")
    for title in ("Spikes", "Differ", "Agreement", fifth, "Own", "Sample", "Step", "Neuron"):
        table.add_column(title, justify="right")
    for layer in report.layers:
        table.add_row(shorten(layer.name, 22), *_cells(layer, report.exact), *_first(layer, report))
    return table


def _cells(layer: LayerDiff, exact: bool) -> list[str]:
    dash = "–"
    if exact:
        last = count(layer.differing_states) if layer.compared_states else dash
    else:
        last = dash if layer.correlation is None else f"{layer.correlation:.4f}"
    own = f"{layer.own_samples}/{layer.differing_samples}" if layer.differing_samples else dash
    if not layer.neuron_steps:
        return [dash, dash, dash, last, own]
    agreement = share(layer.agreement or 0.0)
    return [count(layer.neuron_steps), count(layer.differing_spikes), agreement, last, own]


def _first(layer: LayerDiff, report: Report) -> list[Text]:
    """Where the layer first parts, in bold where that is the first cause."""
    at, cause = layer.first, report.first
    if at is None:
        return [Text("–")] * 3
    own = cause is not None and cause.layer == at.layer
    return [Text(str(n), style="bold" if own else "") for n in (at.sample, at.timestep, at.neuron)]


def _remarks(report: Report) -> list[str]:
    """What stands below the table."""
    said = [
        f"{layer.name}: membranes after the last step "
        + (f"within {significant(layer.readout_error, '.2g')}" if layer.readout_error else "are equal")
        for layer in report.layers
        if layer.readout_error is not None and not report.exact
    ]
    if any(layer.differing_samples for layer in report.layers):
        said.append(
            "Own: samples in which the layer parts before anything that feeds it, of those in which it parts"
        )
    return said


def _unmatched(report: Report) -> list[str]:
    """Layers without a counterpart, those with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for layer in report.unmatched:
        by_reason.setdefault(layer.why, []).append(layer.name)
    return [f"not compared, {why}: {shorten(', '.join(names), 200)}" for why, names in by_reason.items()]


def to_json(report: Report) -> dict[str, Any]:
    """All of it as JSON-able data; numbers that are not finite become words."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        **asdict(report),
        "equal": report.equal,
        "neuron_steps": report.neuron_steps,
        "differing_spikes": report.differing_spikes,
        "compared_states": report.compared_states,
        "differing_states": report.differing_states,
        "agreement": report.agreement,
        "verdict": verdict(report),
        "sentence": None if report.first is None else sentence(report.first),
    }
    for entry, layer in zip(data["layers"], report.layers, strict=True):
        entry["agreement"] = layer.agreement
        _add_margins(entry["first"], layer.first)
    _add_margins(data["first"], report.first)
    plain: dict[str, Any] = _plain(data)
    return plain


def _add_margins(entry: dict[str, Any] | None, at: Divergence | None) -> None:
    if entry is not None and at is not None:
        entry["a"]["margin"], entry["b"]["margin"] = at.a.margin, at.b.margin


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
