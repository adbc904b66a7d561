"""What the report's pages and its summary say."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from spikewright.benchmarks.report import units
from spikewright.benchmarks.report.captions import CAPTIONS, Drawing
from spikewright.benchmarks.report.checks import MARKS, checks
from spikewright.benchmarks.report.markdown import escape, render_markdown
from spikewright.benchmarks.report.names import printable, shorten
from spikewright.benchmarks.report.page import render_page
from spikewright.benchmarks.report.schema import Report
from spikewright.benchmarks.report.terminal import print_summary
from spikewright.benchmarks.report.terms import TERMS

from .extremes import EVIL, EXTREMES
from .reports import (
    FIRST_DIFFERENCE,
    LAVA_NOT_RUN,
    backend,
    make_report,
    report_data,
)

DRAWINGS = {name: Drawing(b"png of " + name.encode(), 960, caption) for name, caption in CAPTIONS.items()}


class Page(HTMLParser):
    """Text and attributes of a page, and whether its elements close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check_section(html: str, name: str) -> str:
    found = re.search(rf'<section class="[^"]*" id="check-{name}">.*?</section>', html, re.S)
    assert found
    return found[0]


def summary(report: Report, path: Path = Path("out/report.html"), width: int = 80) -> str:
    stream = io.StringIO()
    print_summary(report, path, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


@pytest.fixture(params=EXTREMES, name="report")
def extreme_report(request: pytest.FixtureRequest) -> Report:
    return make_report(**EXTREMES[request.param])


def test_page_is_self_contained_and_well_formed(report: Report) -> None:
    html = render_page(report, DRAWINGS)
    page = Page(html)
    assert not page.tags & {"script", "iframe", "object", "link", "base", "form", "svg"}
    for tag, key, value in page.attributes:
        assert not key.startswith("on"), (tag, key)
        if key == "href":
            assert value.startswith("#")
        if key in {"src", "srcset", "action", "data"}:
            assert value.startswith("data:image/png;base64,")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    # The only addresses are citations, and those are text.
    addresses = set(re.findall(r"https?://[^\s<\"]+", html))
    assert addresses <= {source for row in report.energy.values() for source in row.sources}


def test_every_anchor_exists() -> None:
    page = Page(render_page(make_report(), DRAWINGS))
    targets = {value for _, key, value in page.attributes if key == "id"}
    links = {value[1:] for _, key, value in page.attributes if key == "href"}
    assert links
    assert links <= targets


def test_user_text_stays_text() -> None:
    report = make_report(**EXTREMES["hostile"])
    html, markdown = render_page(report, {}), render_markdown(report)
    assert EVIL in Page(html).text
    for text in (html, markdown):
        assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", markdown)
    # A cell's bars are escaped, so every row has as many cells as its head.
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_page_says_everything() -> None:
    report = make_report(dataset_note="Stand-in data.")
    text = Page(render_page(report, DRAWINGS)).text
    for words in (
        "ESVAE-S on Loihi 2", "Fashion-MNIST", "8 bits", "2026-05-04 10:15 UTC", "spikewright 0.1.0",
        "Stand-in data.", "0.03133 ± 0.00070", "Floor", "0.31", "+0.42 %, within the limit of 1 %",
        "10,000 test images", "torch-fidelity is not installed", "1,245,184",
        "First layer below 99 % agreement: decoder.3", "8×32×32", "weight scale", "−0.56 %", "1,392,640",
        "2,048 on the host", "45 nm, arithmetic only", "320 nJ", "never", "0.170",
        "First layer counted as multiply-accumulates.", "doi:10.1109/ISSCC.2014.6757323",
        "synapse memory", "Halve the channels of decoder.2", "3.10 ms", "esvae_s.program.npz",
        "train.learning_rate", "0.001", "10.53 %",
    ):  # fmt: skip
        assert words in text, words
    for section in TERMS.values():
        for term, meaning in section:
            assert term in text
            assert meaning in text
    for drawing in DRAWINGS.values():
        assert f"{drawing.caption} Stand-in data." in text


def test_markdown_says_the_same() -> None:
    markdown = render_markdown(make_report(dataset_note="Stand-in data."))
    for words in (
        "# ESVAE-S on Loihi 2", "> On the data set: Stand-in data.", "| **Yes** |", "| **No** |",
        "0.03133 ± 0.00070", "1,245,184", "| weight scale |",
        "| 45 nm with memory traffic | 5.70 µJ | 10.53 % |", "| latent | 32 | 32 |",
        "doi:10.1109/ISSCC.2014.6757323", "Halve the channels", "| train.epochs | 30 |",
        "SOPs for each MAC",
    ):  # fmt: skip
        assert words in markdown, words
    assert re.findall(r"\]\((.*?)\)", markdown) == [
        f"pictures/{n}.png"
        for n in ("reconstructions", "generated", "rasters", "agreement", "layers", "energy")
    ]
    assert "pictures/" not in render_markdown(make_report(), pictures=())


@pytest.mark.parametrize("status", ["yes", "no", "depends", "unknown"])
def test_cards_show_word_and_class(status: str) -> None:
    html = render_page(make_report(answers__fits={"status": status, "text": "Why."}), {})
    cards = re.findall(r'<section class="card answer (\w+)">.*?<p class="word">(\w+)</p>', html, re.S)
    assert cards == [("yes", "Yes"), (status, status.capitalize()), ("no", "No")]


@pytest.mark.parametrize(
    ("gap", "within", "loud"),
    [(0.4, True, False), (-3.0, True, False), (1.2, False, True), (4.0, True, True)],
)
def test_gap_beyond_one_percent_is_noted(gap: float, within: bool, loud: bool) -> None:
    report = make_report(quality__gap_percent=gap, quality__within_one_percent=within)
    assert ('class="note warn"' in render_page(report, {})) is loud
    assert ("**Note: " in render_markdown(report)) is loud
    assert ("beyond the limit" in " ".join(summary(report).split())) is loud


# Contradictions included: what did not run stays unproven whatever else is claimed.
@pytest.mark.parametrize("claims", [{}, {"equal": True, "neuron_steps": 5}, {"reason": ""}])
def test_lava_that_did_not_run_never_looks_like_a_pass(claims: dict[str, Any]) -> None:
    report = make_report(equivalence__lava=LAVA_NOT_RUN | claims, samples__lava=4)
    section = check_section(render_page(report, {}), "lava")
    assert re.match(r'<section class="card check unknown"', section)
    line = next(line for line in render_markdown(report).splitlines() if line.startswith("- **Lava**"))
    row = next(line for line in summary(report, width=200).splitlines() if line.startswith(" Lava"))
    reason = claims.get("reason", LAVA_NOT_RUN["reason"]) or "no reason was recorded"
    for text in (Page(section).text, line.replace("\\", ""), row):
        assert f"did not run: {reason}" in text
        assert not re.search(r"✓|≈|equal|pass|Differing", text)
    assert "Nothing was compared." in section


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "equal"),
        ({"ran": False}, "not run"),
        ({"equal": None}, "no verdict"),
        ({"neuron_steps": 0}, "no verdict"),
        ({"equal": False}, "differs"),
        ({"differing_spikes": 1}, "differs"),
        ({"differing_states": 1}, "differs"),
        ({"first": FIRST_DIFFERENCE}, "differs"),
    ],
)
def test_backend_outcomes(changes: dict[str, Any], outcome: str) -> None:
    found = checks(make_report(equivalence__lava=backend(**changes)))[2]
    assert found.outcome == outcome
    assert ("✓" in found.headline) is (outcome == "equal")


@pytest.mark.parametrize(
    ("mismatches", "explained", "steps", "outcome"),
    [(0, 0, 9, "equal"), (2, 2, 9, "rounding"), (3, 2, 9, "differs"), (0, 0, 0, "no verdict")],
)
def test_norse_outcomes(mismatches: int, explained: int, steps: int, outcome: str) -> None:
    counts = {"neuron_steps": steps, "spike_mismatches": mismatches, "explained_by_rounding": explained}
    norse = report_data()["equivalence"]["norse"] | counts
    found = checks(make_report(equivalence__norse=norse))[0]
    assert found.outcome == outcome
    assert found.headline.startswith(MARKS[found.outcome])


def test_first_difference_is_told_everywhere() -> None:
    changed = {"equal": False, "differing_spikes": 12, "differing_states": 340, "first": FIRST_DIFFERENCE}
    report = make_report(equivalence__reference=backend(**changed))
    told = "spikes of decoder.1, sample 3, time step 5, neuron 417: 1 against 0"
    section = check_section(render_page(report, {}), "reference")
    assert 'class="card check no"' in section
    assert told in Page(section).text
    assert told in render_markdown(report)
    assert "✗ differs in 12 spikes and 340 states" in summary(report)
    changed["first"] = FIRST_DIFFERENCE | {"quantity": "readouts", "timestep": -1}
    assert "at read-out" in render_markdown(make_report(equivalence__reference=backend(**changed)))


def test_summary_fits_80_columns(report: Report) -> None:
    path = Path("a" * 120) / "report.html"
    lines = summary(report, path).splitlines()
    assert lines[-1] == f"Report: {path}"  # whole, to be copied
    assert all(len(line) <= 80 for line in lines[:-1])
    text = "\n".join(lines)
    for words in (
        "Is it still the same answer?",
        "Does it fit the chip?",
        "chip (int8)",
        "0.03133 ± 0.00070",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.joule(1.234e-6), "1.23 µJ"),
        (units.joule(9.999e-7), "1.00 µJ"),
        (units.joule(0), "0 J"),
        (units.joule(3.2e-12), "3.20 pJ"),
        (units.joule(1e-30), "1.00×10⁻³⁰ J"),
        (units.count(9_999_999), "9,999,999"),
        (units.count(12_345_678), "12.35 M"),
        (units.count(10**400), "1.000×10⁴⁰⁰"),
        (units.amount(999.7), "1,000"),
        (units.amount(54.53), "54.5"),
        (units.short(70_779), "70.8 k"),
        (units.share(1), "100.00 %"),
        (units.share(0.99999), "> 99.99 %"),
        (units.share(0.00001), "< 0.01 %"),
        (units.signed_percent(-0.5), "−0.50 %"),
        (units.rate(0.1), "0.100"),
        (units.rate(0), "0"),
        (units.seconds(0.0031), "3.10 ms"),
        (units.seconds(214), "3 min 34 s"),
        (units.seconds(9000), "2 h 30 min"),
        (units.plain(3.1e-9), "3.1×10⁻⁹"),
        (units.plain(None), "not measured"),
        (units.with_interval(0.031234, 0.00071), "0.03123 ± 0.00071"),
        (units.with_interval(0.5, 0), "0.5 ± 0"),
        (shorten("encoder.0"), "encoder.0"),
        (shorten("a" * 50 + "b" * 50, 9), "aaaa…bbbb"),
        (printable("a\x1b[31m\nb"), "a\ufffd[31m b"),
        (escape("layer_1 _x_ *y*"), r"layer_1 \_x\_ \*y\*"),
    ],
)
def test_words_for_numbers_and_names(shown: str, expected: str) -> None:
    assert shown == expected
