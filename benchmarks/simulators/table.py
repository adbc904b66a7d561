"""The page, ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from .results import Agreement, CaseResult, Results, Row
from .rivals import LAVA, OURS, RIVALS

COLUMNS = 118
MET = {True: "yes", False: "no", None: "–"}


def page(results: Results, picture: str) -> str:
    """The whole page.

    Parameters
    ----------
    picture : str
        The plot, relative to the page.
    """
    lines = ["# Speed of the emulator", ""]
    lines += [
        "Written by `make benchmark-emulator`: the emulator and every other simulator that could be installed, on the "
        "same networks and inputs in one run, taken in turns. Times are for one sample and one step.",
        "",
        f"Machine: {results.machine.sentence()}.",
        "",
    ]
    for warning in results.warnings:
        lines += [f"**{warning}**", ""]
    lines += [f"![Time of a sample and step against the batch, by network]({picture})", ""]
    lines += ["## Targets", "", *_targets(results), ""]
    lines += ["## At a glance", "", *_glance(results), ""]
    lines += ["## Do they compute the same?", "", *_agreement(results), ""]
    lines += ["## Simulators", "", *_simulators(results), ""]
    lines += ["## Networks", "", *_networks(results), ""]
    lines += ["## What is timed", "", *_method(results), ""]
    lines += ["## All rows", "", *_all_rows(results)]
    return "\n".join(_wrapped(lines)).rstrip() + "\n"


def _wrapped(lines: Sequence[str]) -> Iterator[str]:
    """Prose in lines of the width that the other pages have; tables, headings and markup as they are."""
    for line in lines:
        if len(line) <= COLUMNS or line.startswith(("|", "#", "!", "<", "**")):
            yield line
        else:
            indent = "  " if line.startswith("* ") else ""
            yield from wrap(
                line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: int = 10**6) -> list[str]:
    """A table; columns from ``right`` on are flush right."""
    rule = ["---:" if index >= right else "---" for index in range(len(header))]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *escaped)]


def _targets(results: Results) -> list[str]:
    rows = [(t.name, t.measured, MET[t.met]) for t in results.targets]
    return table(("target", "measured", "met"), rows)


def _microseconds(row: Row) -> str:
    assert row.seconds is not None
    return f"{number(1e6 * row.seconds.median)}"


def number(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def names(results: Results) -> list[str]:
    """Simulators that ran at least one row, in the registry's order."""
    ran = {row.simulator for row in results.rows if row.seconds is not None}
    return [name for name in RIVALS if name in ran]


def chosen(cases: Sequence[CaseResult], network: str) -> CaseResult:
    """The case that stands for a network: the density nearest to 10 %."""

    def distance(case: CaseResult) -> float:
        return abs(float(case.label.rstrip(" %")) - 10) if case.label.endswith("%") else 0.0

    return min((case for case in cases if case.network == network), key=distance)


def networks(results: Results) -> list[str]:
    """Keys of the networks that ran, in order."""
    return list(dict.fromkeys(case.network for case in results.cases))


def _glance(results: Results) -> list[str]:
    columns = names(results)
    rows = []
    for network in networks(results):
        case = chosen(results.cases, network)
        for batch in sorted({row.batch for row in case.rows if row.seconds is not None}):
            found = {row.simulator: row for row in case.rows if row.batch == batch and row.seconds}
            cells = []
            for name in columns:
                row = found.get(name)
                if row is None or row.ratio is None:
                    cells.append("–")
                elif name == OURS:
                    cells.append(f"**{_microseconds(row)}**")
                else:
                    cells.append(f"{_microseconds(row)} ({number(row.ratio.median)}×)")
            rows.append((f"{network}, {case.label}", str(batch), *cells))
    text = "Microseconds of a sample and step; in brackets, times the emulator's at the same batch (above 1, the emulator is faster)."
    return [text, "", *table(("network, input", "batch", *(RIVALS[n].title for n in columns)), rows, 1)]


def _simulators(results: Results) -> list[str]:
    rows = []
    for name, rival in RIVALS.items():
        if name in results.missing:
            rows.append((rival.title, "–", rival.arithmetic, f"did not run: {results.missing[name]}", "–"))
            continue
        if name not in results.versions:
            continue
        busy = [row.cores for row in results.rows if row.simulator == name and row.cores is not None]
        cores = f"{sorted(busy)[len(busy) // 2]:.2f}" if busy else "–"
        rows.append((rival.title, results.versions[name], rival.arithmetic, rival.mode, cores))
    text = (
        f"All are given {results.machine.threads} {'thread' if results.machine.threads == 1 else 'threads'}; the last "
        "column is processor time over wall time, the median of their rows."
    )
    return [text, "", *table(("simulator", "version", "arithmetic", "how it is run", "cores busy"), rows)]


def describe(agreement: Agreement) -> str:
    """In a cell."""
    if agreement.what != "spike counts":
        if agreement.equal:
            return f"bit-equal, {agreement.compared:,} {agreement.what}"
        return f"**differs** in {agreement.differing:,} of {agreement.compared:,} {agreement.what}"
    if agreement.equal:
        return "equal"
    first = f" (first layer {share(agreement.first_layer)})" if len(agreement.layers) > 1 else ""
    return f"{share(agreement.share)}{first}"


def share(value: float | None) -> str:
    """A percentage that says 100 only where nothing differs."""
    if value is None:
        return "–"
    text = f"{100 * value:.2f}"
    return f"{'99.99' if text == '100.00' and value < 1 else text} %"


def _agreement(results: Results) -> list[str]:
    columns = ["reference", LAVA] + [n for n in RIVALS if n not in (OURS, LAVA)]
    columns = [c for c in columns if any(c in case.agreements for case in results.cases)]
    rows = []
    for case in results.cases:
        cells = [describe(case.agreements[c]) if c in case.agreements else "–" for c in columns]
        rows.append((f"{case.network}, {case.label}", *cells))
    titles = {"reference": "reference interpreter"} | {n: r.title for n, r in RIVALS.items()}
    text = [
        "The reference interpreter and Lava share the chip's integers with the emulator: in this run every neuron of a "
        "short slice is compared at every step, for the reference with its current and membrane. The others have an arithmetic of their "
        "own; they are compared by the share of spike counts (of a neuron in a sample) that are the emulator's.",
        "",
        "Weights, thresholds and decays are chosen so that eight bits hold them exactly; what differs is the rounding of "
        "membranes, of floats here and of the chip's integers there. Where neurons do not leak nothing is rounded and "
        "floats are equal. In a deep network of random weights a single spike that moves changes ever more of them "
        "layer by layer, so the share falls with depth; the first layer's shows the arithmetic alone.",
    ]
    return [*text, "", *table(("network, input", *(titles[c] for c in columns)), rows, 1)]


def _networks(results: Results) -> list[str]:
    rows = []
    for case in results.cases:
        rates = [f"{100 * rate:.1f}" for rate in case.rates.values()]
        rows.append(
            (
                f"{case.network}, {case.label}",
                case.title,
                f"{case.neurons:,}",
                str(case.steps),
                f"{case.operations:,.0f}",
                " ".join(rates),
            )
        )
    header = (
        "network, input",
        "what it is",
        "spiking neurons",
        "steps",
        "operations a step",
        "spikes a neuron and step, %, by layer",
    )
    text = (
        "Weights are random and seeded, neurons reset to zero and leak an eighth a step (three quarters in ESVAE, nothing "
        "in the N-MNIST network). Thresholds are set for each density, so that every layer fires about as often as the "
        "input, between 3 and 15 %. The N-MNIST network is that of the NIR paper's repository (`cnn_sinabs.nir`): 2x34x34 "
        "→ convolution 16 5x5 stride 2 padding 1 → IF → convolution 16 3x3 padding 1 → IF → sum pool 2 → convolution 8 "
        "3x3 padding 1 → IF → sum pool 2 → 256 → IF → 10 → IF, without biases. ESVAE is the deployed form of "
        "`models/esvae.py` at its published size, normalisation folded into the weights; its first layer sees the image "
        "as a constant current, which every simulator but snnTorch computes once a sample; it is not among the operations counted."
    )
    return [text, "", *table(header, rows, 2)]


def _method(results: Results) -> list[str]:
    return [
        "* Each simulator holds the network and the inputs in memory before the clock starts, and is run twice before it "
        f"is measured; then {results.repeats} rounds go through all simulators in a rotating order. Runs below 50 ms are "
        "repeated until they take as long.",
        "* A row's time is the median of its rounds, its ratio the median of the ratios within a round; least and "
        "greatest stand beside them.",
        "* The emulator hands back the spike counts of every neuron of every layer in that time. The others hand back "
        "their last layer's output; their spikes are counted in a run of its own that is not timed.",
        "* No simulator records gradients. Simulators that are not in our environment run in one of their own with pinned "
        "versions (`make rivals`, `benchmarks/simulators/requirements`).",
    ]


def _all_rows(results: Results) -> list[str]:
    header = (
        "input",
        "batch",
        "simulator",
        "µs",
        "least – greatest",
        "MSOP/s",
        "times ours",
        "least – greatest",
        "spikes against ours",
    )
    lines = []
    for network in networks(results):
        cases = [case for case in results.cases if case.network == network]
        rows = []
        for case in cases:
            order = sorted(case.rows, key=lambda r: (r.batch, list(RIVALS).index(r.simulator)))
            rows += [_cells(case, row) for row in order if row.seconds is not None]
        notes = dict.fromkeys(
            f"{RIVALS[row.simulator].title} did not run: {row.note}."
            for case in cases
            for row in case.rows
            if row.note
        )
        lines += [f"<details><summary>{cases[0].title}</summary>", "", *table(header, rows, 3), ""]
        lines += [line for note in notes for line in (note, "")]
        lines += ["</details>", ""]
    return lines


def _cells(case: CaseResult, row: Row) -> tuple[str, ...]:
    assert row.seconds is not None
    if row.simulator == OURS:
        checks = [(n, case.agreements[n]) for n in ("reference", LAVA) if n in case.agreements]
        agrees = ", ".join(
            f"{'bit-equal to' if a.equal else 'DIFFERS from'} {'the reference' if n == 'reference' else 'Lava'}"
            for n, a in checks
        )
    elif row.simulator in case.agreements:
        kind = "float only" if RIVALS[row.simulator].floats else "integer"
        agrees = f"{kind}, {describe(case.agreements[row.simulator])}"
    else:
        agrees = "–"
    low, high = 1e6 * row.seconds.low, 1e6 * row.seconds.high
    ratio = ("–", "–")
    if row.ratio is not None and row.simulator != OURS:
        ratio = (number(row.ratio.median), f"{number(row.ratio.low)} – {number(row.ratio.high)}")
    return (
        case.label,
        str(row.batch),
        RIVALS[row.simulator].title,
        _microseconds(row),
        f"{number(low)} – {number(high)}{' (disturbed)' if row.disturbed else ''}",
        number((row.rate or 0) / 1e6),
        *ratio,
        agrees,
    )
