"""The report as Markdown, for a repository or a pull request: the page's content in compact form."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable

from . import generation_tables as views
from . import pulse_tables, quality_tables, tables
from .captions import CAPTIONS, captions
from .checks import checks
from .denoising_tables import EVALUATION_NOTE, evaluation_energy
from .facts import facts
from .generation import Generation
from .names import printable
from .pulse import Pulse
from .schema import EnergyRow, Quality, Report, Verdict
from .tables import Table
from .terms import QUESTIONS, terms_of
from .units import count, joule, plain, rate

PICTURE_FOLDER = "pictures"
_STATUS = {"yes": "**Yes**", "no": "**No**", "depends": "**Depends**", "unknown": "*Unknown*"}


def render_markdown(report: Report, pictures: Collection[str] = tuple(CAPTIONS)) -> str:
    """Render the report as GitHub-flavoured Markdown.

    Parameters
    ----------
    pictures : collection of str
        Names of the pictures in the folder ``pictures`` beside the file; others are not linked.
    """
    alone = report.generation is None  # else the generated images stand in their own section
    drawn = ("reconstructions", *(("generated",) if alone else ()), "rasters")
    sample = tables.sample_name(report)
    sections = [
        _head(report),
        _generation(report, pictures),
        _pulse(report, report.pulse, pictures) if report.pulse else "",
        _quality(report, report.quality) if report.quality else "",
        _section("Pictures", *_pictures(report, pictures, *drawn)),
        _equivalence(report, pictures),
        _layers(report, pictures),
        _scales(report),
        _section(
            "Totals next to the ANN",
            _table(tables.totals(report)),
            _terms(report, "totals"),
            _runs(report),
            _nodes(report),
        ),
        _energy(report, pictures),
        _fit(report),
        _section("Timing", _table(tables.timing(report.timing, sample))),
        _section("Files", _pairs(("Role", "File"), report.files.items())),
        _section("Recipe", _pairs(("Setting", "Value"), tables.recipe(report.recipe))),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def escape(text: str) -> str:
    """Show a user's text as it is: neither HTML nor Markdown nor a table's border."""
    text = html.escape(printable(text), quote=False)
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # within a word an underscore is only itself


def _head(report: Report) -> str:
    lines = "\n".join(f"- {label}: {escape(value)}" for label, value in facts(report))
    note = f"> On the data set: {escape(report.dataset_note)}" if report.dataset_note else ""
    title = f"# {escape(report.model)} on {escape(report.chip)}: deployment report"
    parts = (title, lines, note, _answers(report))
    return "\n\n".join(part for part in parts if part)


def _answers(report: Report) -> str:
    rows = []
    for key, question in QUESTIONS.items():
        verdict: Verdict = getattr(report.answers, key)
        rows.append(_row((question, _STATUS[verdict.status], escape(verdict.text))))
    return "\n".join([_row(("Question", "Answer", "Figures")), _row(["---"] * 3), *rows])


def _generation(report: Report, pictures: Collection[str]) -> str:
    generation = report.generation
    if generation is None:
        return ""
    told, published = views.prediction(report, generation), generation.published
    return _section(
        "Generation",
        *_pictures(report, pictures, "generated"),
        escape(views.opening(generation)),
        _table(views.samples(report, generation)),
        f"### {told.title}",
        _table(told.table),
        _note(told.note, loud=told.loud),
        escape(told.remark),
        "### The same images on other backends",
        _table(views.same_images(generation)) if generation.same_images else views.NOT_REPEATED,
        views.same_images_note(generation),
        "### Programs",
        _table(views.programs(generation)) if generation.programs else "No program was recorded.",
        "### Exchange",
        _table(views.exchange(generation.exchange)),
        escape(views.host_note(generation)),
        "### From image to image",
        _table(views.per_image(report, generation)),
        *_accountings(generation),
        "### Published figures",
        _table(views.published(report, published)) if published else views.NOT_PUBLISHED,
        escape(views.paper_note(generation)) if published else "",
        views.PUBLISHED_NOTE if published else "",
        _terms(report, "generation"),
    )


def _accountings(generation: Generation) -> list[str]:
    rows = generation.evaluation_energy
    if not rows:
        return []
    return ["### One evaluation, by accounting", _table(evaluation_energy(rows)), EVALUATION_NOTE]


def _layers(report: Report, pictures: Collection[str]) -> str:
    blocks = []
    for group in tables.layer_groups(report):
        blocks += [f"### {escape(group.title)}", escape(group.note)] if group.title else []
        blocks.append(_table(group.table))
    return _section(
        "Layers",
        tables.counted_note(report),
        *blocks,
        _terms(report, "layers"),
        *_pictures(report, pictures, "layers"),
    )


def _pulse(report: Report, pulse: Pulse, pictures: Collection[str]) -> str:
    return _section(
        "Heart rate",
        escape(pulse_tables.opening(pulse)),
        "### Accuracy by video",
        _table(pulse_tables.accuracy(report, pulse, "video")),
        _note(pulse_tables.gap_note(report, pulse), loud=pulse_tables.exceeds_limit(pulse)),
        *_pictures(report, pictures, "waves", "heart_rates"),
        "### Read from the changes of the wave",
        _table(pulse_tables.readings(report, pulse)),
        pulse_tables.READING_NOTE,
        pulse_tables.trust_note(report, pulse),
        "### Accuracy by clip",
        _table(pulse_tables.accuracy(report, pulse, "clip")),
        "### What the spikes contribute",
        *(
            [_table(pulse_tables.ablations(pulse)), pulse_tables.ablation_note(pulse)]
            if pulse.ablations
            else []
        ),
        *(_note(line, loud=True) for line in pulse_tables.contribution_notes(pulse)),
        "### Firing rates",
        *_rates(pulse),
        "### Precision of the host",
        _table(pulse_tables.host(pulse)) if pulse.host else pulse_tables.NO_HOST,
        "### Energy as the paper counts",
        _table(pulse_tables.energy(pulse.energy)),
        f"**Published:** {escape(pulse.published_energy)}",
        pulse_tables.ENERGY_NOTE,
        "### Exchange",
        pulse_tables.exchange(pulse),
        "### On a stream",
        *_stream(pulse),
        "### Published figures, of other data",
        escape(pulse_tables.published_note(pulse)) if pulse.published else pulse_tables.NOT_PUBLISHED,
        _table(pulse_tables.published(pulse)) if pulse.published else "",
        _terms(report, "pulse"),
    )


def _rates(pulse: Pulse) -> list[str]:
    if not pulse.rates:
        return [pulse_tables.NO_RATES]
    note = _note(pulse_tables.rates_note(pulse), loud=bool(pulse_tables.rates_outside(pulse)))
    return [_table(pulse_tables.rates(pulse)), note]


def _stream(pulse: Pulse) -> list[str]:
    if pulse.stream is None:
        return [escape(pulse_tables.no_stream(pulse))]
    table = _table(pulse_tables.stream(pulse.stream, pulse.fps))
    check = _note(pulse_tables.stream_check(pulse.stream), loud=pulse.stream.differing > 0)
    obstacles = pulse_tables.obstacles(pulse.stream)
    return [pulse_tables.STREAM_NOTE, table, *([_note(obstacles, loud=True)] if obstacles else []), check]


def _note(text: str, *, loud: bool) -> str:
    return f"**Note: {escape(text)}**" if loud else escape(text)


def _quality(report: Report, quality: Quality) -> str:
    note, loud = quality_tables.quality_note(report, quality), quality_tables.exceeds_limit(quality)
    trace = quality.fad_trace
    real = "" if trace is None else f"Trace of the real images' feature covariance: {plain(trace)}."
    samples = report.samples
    return _section(
        "Quality",
        _table(quality_tables.quality(report, quality)),
        _note(note, loud=loud),
        f"Over {count(samples.quality)} test images and {count(samples.generated)} generated images. "
        + escape(report.dataset_note),
        escape(quality_tables.fidelity_note(report.fidelity)) if report.fidelity else "",
        real,
        _terms(report, "quality"),
    )


def _equivalence(report: Report, pictures: Collection[str]) -> str:
    blocks = []
    for check in checks(report):
        facts = "; ".join(f"{label.lower()}: {escape(value)}" for label, value in check.facts)
        body = f"{facts}." if facts else "Nothing was compared."
        blocks.append(f"- **{check.name}** ({check.compares}): **{escape(check.headline)}**\n  {body}")
    first = report.equivalence.first_layer_below_99_percent
    rows = report.equivalence.quantisation
    return _section(
        "Equivalence",
        "\n".join(blocks),
        f"Integer program against float, first layer below 99 % agreement: {escape(first or 'none')}.",
        _table(tables.agreement(report)) if rows else "Agreement was not measured.",
        *_pictures(report, pictures, "agreement"),
        _terms(report, "equivalence"),
    )


def _scales(report: Report) -> str:
    blocks = [_terms(report, "scales")]
    for layer, sample in tables.counted_layers(report):
        name, extras = escape(tables.layer_name(layer)), tables.layer_extras(layer, sample)
        blocks.append(f"**{name}**: {tables.layer_summary(layer)}. {extras}")
        if layer.scales:
            blocks.append(_table(tables.scales(layer.scales)))
    return _section("Scale chains", *blocks)


def _runs(report: Report) -> str:
    if not report.baseline.runs:
        return ""
    return f"The ANN's files run by ONNX Runtime:\n\n{_table(tables.baseline_runs(report.baseline))}"


def _nodes(report: Report) -> str:
    nodes = report.baseline.nodes
    return f"Counted nodes of the ANN:\n\n{_table(tables.baseline_nodes(report.baseline))}" if nodes else ""


def _energy(report: Report, pictures: Collection[str]) -> str:
    if not report.energy:
        return _section("Energy", "No energy model was applied.")
    return _section(
        "Energy",
        f"Estimates for one {tables.sample_name(report)} from counted operations; nothing here was measured with a meter. "
        f"Mean spike rate in this run: {rate(tables.mean_rate(report.layers))}.",
        _table(tables.energy(report.energy)),
        _terms(report, "energy"),
        *_pictures(report, pictures, "energy"),
        *(_model(row) for row in report.energy.values()),
        *_break_even(report),
    )


def _break_even(report: Report) -> list[str]:
    table = tables.break_even(report)
    return (
        ["### Layer by layer: spikes against break-even", tables.BREAK_EVEN, _table(table)]
        if table.rows
        else []
    )


def _model(row: EnergyRow) -> str:
    lists = [
        f"{title}:\n\n" + ("\n".join(f"- {escape(line)}" for line in lines) or "- none recorded")
        for title, lines in (("Assumptions", row.assumptions), ("Sources", row.sources))
    ]
    host = f"Host: {joule(row.host_joule)}, {tables.host_share(row)} of the SNN's energy."
    return "\n\n".join(
        [f"### {escape(row.title)}", host, _table(tables.energy_parts(row)), *_swings(row), *lists]
    )


def _swings(row: EnergyRow) -> list[str]:
    return ["If a figure is wrong by a factor of two:", _table(tables.swings(row))] if row.swings else []


def _fit(report: Report) -> str:
    findings = Table(
        ("Severity", "Node", "Rule", "Finding", "Remedy"),
        [(f.severity, f.node, f.rule, f.detail, f.remedy or tables.DASH) for f in report.fit.findings],
        labels=5,
    )
    listed = _table(findings) if findings.rows else "The checks found nothing to report."
    return _section(
        "Fit", _table(tables.fit(report.fit)), tables.fit_note(report), _terms(report, "fit"), listed
    )


def _section(title: str, *blocks: str) -> str:
    body = [block for block in blocks if block.strip()]
    return "\n\n".join([f"## {title}", *body]) if body else ""


def _table(table: Table) -> str:
    rule = ["---" if index < table.labels else "---:" for index in range(len(table.head))]
    rows = [_row(escape(cell) for cell in row) for row in table.rows]
    return "\n".join([_row(escape(title) for title in table.head), _row(rule), *rows])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _pairs(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    listed = list(rows)
    return _table(Table(head, listed, labels=2)) if listed else "None recorded."


def _terms(report: Report, section: str) -> str:
    return "\n".join(f"- *{term}*: {meaning}" for term, meaning in terms_of(report)[section])


def _pictures(report: Report, pictures: Collection[str], *names: str) -> list[str]:
    note = f" {escape(report.dataset_note)}" if report.dataset_note else ""
    said = captions(report)
    return [
        f"![{said[name]}]({PICTURE_FOLDER}/{name}.png)\n\n{said[name]}{note}"
        for name in names
        if name in pictures and name in said
    ]
