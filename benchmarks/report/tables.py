"""The report's tables as strings: the HTML page and the Markdown page show the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import units
from .schema import Baseline, EnergyRow, Fit, Layer, Report, ScaleChain, Timing, Totals
from .terms import VERSIONS
from .units import MISSING, amount, count, joule, rate

DASH = "–"
BREAK_EVEN = (
    "Spikes that an input of the layer sends in one run of its program, beside the number at which the layer costs what "
    "the same connections cost in an int8 ANN, which multiplies each weight once a run. Updates of neurons are paid "
    "without a spike as well: where they alone cost more, it never breaks even."
)
_PRECISIONS = {"float32": "32-bit floats", "int8": "8-bit integers"}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    head : tuple of str
        Column titles.
    rows : sequence of tuple of str
        Cells, as many a row as there are titles.
    labels : int
        How many leading columns are text and left-aligned; the rest are numbers.
    total : bool
        Whether the last row sums up the others.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    labels: int = 1
    total: bool = False


@dataclass(frozen=True)
class LayerGroup:
    """Layers of one program.

    Attributes
    ----------
    title, note : str
        The program and how often it runs; empty where a report has one program only.
    table : Table
        Its layers.
    """

    title: str
    note: str
    table: Table


def sample_name(report: Report) -> str:
    """What counts and energies are of."""
    if report.pulse is not None:
        return "clip"
    return "sample" if report.generation is None else "generated image"


def version_name(key: str, weight_bits: int) -> str:
    """Name of one version of the network: ``ann``, ``float`` or ``int8``."""
    name = VERSIONS.get(key, key)
    return f"{name} (int{weight_bits})" if key == "int8" else name


def agreement(report: Report) -> Table:
    """Integer program against float network."""
    rows = [
        (row.name, units.share(row.agreement), rate(row.rate_float), rate(row.rate_int8))
        for row in report.equivalence.quantisation
    ]
    return Table(("Layer", "Agreement", "Rate, float", "Rate, chip"), rows)


def layer_groups(report: Report) -> list[LayerGroup]:
    """Size and activity of each layer, and their sums, program by program."""
    if report.generation is None:
        return [LayerGroup("", "", _layers(report.layers, report.totals))]
    programs = {program.name: program for program in report.generation.programs}
    groups = []
    for listed in (report.layers, report.reconstruction_layers):
        for name in dict.fromkeys(layer.program for layer in listed):
            layers = [layer for layer in listed if layer.program == name]
            if listed is report.reconstruction_layers:
                note = "Counts of one reconstruction. No generated image needs these layers: totals and energy leave them out."
            else:
                times = "once" if layers[0].runs == 1 else f"{amount(layers[0].runs)} times"
                steps = f", {count(programs[name].timesteps)} time steps each" if name in programs else ""
                note = f"Runs {times} a generated image{steps}; counts are of all its runs."
            groups.append(LayerGroup(name or "Other layers", note, _layers(layers, _sums(layers))))
    return groups


def _layers(layers: Sequence[Layer], sums: Totals | _Sums) -> Table:
    rows = [
        (
            layer.name,
            "×".join(map(str, layer.shape)) or DASH,
            count(layer.neurons),
            count(layer.synapses),
            amount(layer.spikes),
            amount(layer.sops),
            rate(layer.rate),
            count(layer.start),
        )
        for layer in layers
    ]
    mean = rate(mean_rate(layers)) if layers else DASH
    numbers = (count(sums.neurons), count(sums.synapses), amount(sums.spikes), amount(sums.sops), mean, DASH)
    rows.append(("All layers", DASH, *numbers))
    head = ("Layer", "Shape", "Neurons", "Synapses", "Spikes", "SOPs", "Rate", "Start step")
    return Table(head, rows, labels=2, total=True)


class _Sums(NamedTuple):
    neurons: int
    synapses: int
    spikes: float
    sops: float


def _sums(layers: Sequence[Layer]) -> _Sums:
    neurons, synapses = sum(layer.neurons for layer in layers), sum(layer.synapses for layer in layers)
    return _Sums(
        neurons, synapses, sum(layer.spikes for layer in layers), sum(layer.sops for layer in layers)
    )


def layer_name(layer: Layer) -> str:
    """Name of a layer among those of all programs."""
    return layer.name if layer.program is None else f"{layer.program}: {layer.name}"


def counted_layers(report: Report) -> list[tuple[Layer, str]]:
    """Every layer, and what its counts are of."""
    sample = sample_name(report)
    counted = [(layer, sample) for layer in report.layers]
    return counted + [(layer, "reconstruction") for layer in report.reconstruction_layers]


def counted_note(report: Report) -> str:
    """What the counts are means of."""
    counted = count(report.samples.counted)
    if report.generation is not None:
        return (
            f"Counts are means of a generated image over {counted} of them, inside the windows of its runs."
        )
    if report.pulse is not None:
        return f"Counts are means of a clip over {counted} of them, inside the clip's window."
    return f"Counts are means of a sample over {counted} test images, inside the sample's window."


def mean_rate(layers: Sequence[Layer]) -> float:
    """Mean spike rate over all neurons and the time steps in which they ran."""
    updates = sum(layer.neuron_updates for layer in layers)
    return sum(layer.rate * layer.neuron_updates for layer in layers) / updates if updates else 0.0


def scales(chains: list[ScaleChain]) -> Table:
    """Float constants and the integers they became."""
    rows = [
        (
            chain.quantity,
            units.significant(chain.float_value, ".6g"),
            f"{chain.integer_value:,}",
            units.significant(chain.back, ".6g"),
            units.signed_percent(chain.error_percent),
        )
        for chain in chains
    ]
    return Table(("Constant", "Float", "Integer", "Integer in float units", "Error"), rows)


def layer_summary(layer: Layer) -> str:
    """What a layer's scale chains amount to, in a line."""
    if not layer.scales:
        return "no constants recorded"
    worst = max((chain.error_percent for chain in layer.scales), key=abs)
    plural = "" if len(layer.scales) == 1 else "s"
    return f"{len(layer.scales)} constant{plural}, largest error {units.signed_percent(worst)}"


def layer_extras(layer: Layer, sample: str = "sample") -> str:
    """Figures of a layer that the main table has no room for."""
    overhead = "not counted" if layer.overhead_spikes is None else count(layer.overhead_spikes)
    return (
        f"Stored weights: {count(layer.stored_weights)}; "
        f"neuron updates a {sample}: {count(layer.neuron_updates)}; "
        f"spikes outside the sample windows, over the whole checked run: {overhead}."
    )


def totals(report: Report) -> Table:
    """The spiking network's sums next to the ANN's."""
    sums, ann = report.totals, report.baseline
    overhead = "not counted" if sums.overhead_spikes is None else count(sums.overhead_spikes)
    rows = [
        ("Neurons", count(sums.neurons), DASH),
        ("Synapses", count(sums.synapses), DASH),
        ("Parameters", count(sums.parameters), count(ann.parameters)),
        ("Spikes", amount(sums.spikes), DASH),
        ("Synaptic operations (SOPs)", amount(sums.sops), DASH),
        ("Multiply-accumulates (MACs)", f"{count(sums.host_macs)} on the host", count(ann.macs)),
        ("Neuron updates", count(sums.neuron_updates), DASH),
        ("Spikes outside the sample windows, whole checked run", overhead, DASH),
        ("SOPs for each MAC of the ANN", units.significant(sums.sops_per_mac, ".3g"), DASH),
    ]
    return Table((f"A {sample_name(report)}", "SNN", f"ANN: {ann.name}"), rows)


def baseline_runs(baseline: Baseline) -> Table:
    """Quality of the ANN as ONNX Runtime runs it."""
    rows = [
        (
            _PRECISIONS[run.precision],
            run.measure or "not run",
            run.reason if run.value is None else units.significant(run.value, ".4g"),
            count(run.samples),
        )
        for run in baseline.runs
    ]
    return Table(("ANN in", "Measure", "Value", "Samples"), rows, labels=2)


def baseline_nodes(baseline: Baseline) -> Table:
    """Counted nodes of the ANN, with whatever was recorded about each."""
    keys = list(dict.fromkeys(key for node in baseline.nodes for key in node))
    rows = [tuple(_cell(node.get(key)) for key in keys) for node in baseline.nodes]
    texts = [any(isinstance(node.get(key), str) for node in baseline.nodes) for key in keys]
    return Table(tuple(keys), rows, labels=texts.index(False) if False in texts else len(keys))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return DASH
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return units.significant(value, ".6g") if isinstance(value, float) else _setting(value)


def energy(rows: Mapping[str, EnergyRow]) -> Table:
    """Joules of a sample under each model."""
    ratios = ("SNN / fp32", "SNN / int8", "Break-even rate")
    head = ("Energy model", "SNN", "of it host", "ANN fp32", "ANN int8", *ratios)
    return Table(head, [_energy_row(row) for row in rows.values()])


def _energy_row(row: EnergyRow) -> tuple[str, ...]:
    int8, against, even = "not priced", DASH, DASH
    if row.ann_int8_joule is not None:
        int8 = joule(row.ann_int8_joule)
        against = units.significant(row.snn_joule / row.ann_int8_joule, ".3g") if row.ann_int8_joule else DASH
        even = "never" if row.break_even_rate is None else rate(row.break_even_rate)
    energies = (joule(row.snn_joule), host_share(row), joule(row.ann_joule), int8)
    return (row.title, *energies, units.significant(row.ratio, ".3g"), against, even)


def host_share(row: EnergyRow) -> str:
    """The host's part of the energy."""
    return units.share(row.host_joule / row.snn_joule) if row.snn_joule else DASH


def energy_parts(row: EnergyRow) -> Table:
    """Contributions to the spiking network's energy."""
    rows = [
        (name, joule(value), units.share(value / row.snn_joule) if row.snn_joule else DASH)
        for name, value in row.parts.items()
    ]
    return Table(("Contribution", "Energy", "Share"), rows)


def swings(row: EnergyRow) -> Table:
    """How far the comparison hangs on single figures."""
    against = "SNN / int8" if row.ann_int8_joule else "SNN / fp32"
    rows = [
        (swing.figure, *(units.significant(value, ".3g") for value in (swing.smaller, swing.larger)))
        for swing in row.swings
    ]
    return Table(("Figure", f"{against} with half of it", "with twice"), rows)


def break_even(report: Report) -> Table:
    """Spikes that reach each layer, and how many would cost what an int8 ANN's multiplications do."""
    models = {name: row.title for name, row in report.energy.items() if row.ann_int8_joule is not None}

    def said(even: float | None) -> str:
        return "never" if even is None else units.significant(even, ".3g")

    rows = [
        (
            layer_name(layer),
            units.significant(layer.arriving, ".3g"),
            *(said(layer.break_even.get(name)) for name in models),
        )
        for layer in report.layers
        if layer.arriving is not None
    ]
    return Table(("Layer", "Spikes an input sends", *models.values()), rows)


def fit(fit: Fit) -> Table:
    """What the network asks of the chip."""
    rows = [
        ("Chip", fit.chip),
        ("Neurons", count(fit.neurons)),
        ("Synapses", count(fit.synapses)),
        ("Cores needed, at least", count(fit.cores_lower_bound)),
        ("Cores, as placed", "not placed" if fit.cores_placed is None else count(fit.cores_placed)),
        ("Cores available", count(fit.cores_available)),
        ("Binding limit", fit.binding),
    ]
    return Table(("Quantity", "Value"), rows)


def fit_note(report: Report) -> str:
    """Whose needs are summed up; empty where there is one program."""
    if report.generation is None or len(report.generation.programs) == 1:
        return ""
    return "Neurons, synapses and cores are those of all programs that a generated image needs, side by side on the chip."


def timing(timing: Timing, sample: str = "sample") -> Table:
    """Wall time of each step of the run."""
    rows = [(name, units.seconds(value)) for name, value in timing.steps.items()]
    rows.append((f"Emulator, a {sample}", units.seconds(timing.emulator_seconds_per_sample)))
    lava = timing.lava_seconds_per_sample
    rows.append((f"Lava, a {sample}", MISSING if lava is None else units.seconds(lava)))
    return Table(("Step", "Wall time"), rows)


def recipe(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested settings as dotted keys and values."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{key}.{inner}", text) for inner, text in recipe(value)]
        else:
            rows.append((str(key), value if isinstance(value, str) else _setting(value)))
    return rows


def _setting(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
