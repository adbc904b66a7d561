"""What the report says of generated images, in every view."""

from __future__ import annotations

import html
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from spikewright.benchmarks.report import figures, tables
from spikewright.benchmarks.report import generation_tables as views
from spikewright.benchmarks.report.captions import GENERATION_CAPTIONS, Drawing
from spikewright.benchmarks.report.checks import same_image
from spikewright.benchmarks.report.generation import SameImage
from spikewright.benchmarks.report.markdown import render_markdown
from spikewright.benchmarks.report.page import render_page
from spikewright.benchmarks.report.pictures import Pictures
from spikewright.benchmarks.report.schema import GENERATION_FIELDS, Report
from spikewright.benchmarks.report.schema_file import json_schema
from spikewright.benchmarks.report.terms import GENERATION_TERMS
from spikewright.benchmarks.report.write import read_report, report_json, write_report

from .extremes import EVIL, GENERATION_EXTREMES
from .generation_reports import (
    IMAGE_NOT_RUN,
    PARTED,
    generation_pictures,
    generation_report_data,
    make_generation_report,
)
from .generation_reports import same_image as image_data
from .reports import make_report, report_data
from .test_report import Page, summary

DRAWINGS = {
    name: Drawing(b"png of " + name.encode(), 960, caption) for name, caption in GENERATION_CAPTIONS.items()
}
NOTHING = Pictures(np.zeros((0, 1, 4, 4), np.float32), {}, {})


@pytest.fixture(params=GENERATION_EXTREMES, name="report")
def extreme_report(request: pytest.FixtureRequest) -> Report:
    return make_generation_report(**GENERATION_EXTREMES[request.param])


def section(html: str, name: str = "generation") -> str:
    found = re.search(rf'<section id="{name}">.*?\n</section>', html, re.S)
    assert found
    return found[0]


def test_a_report_without_generation_is_written_as_before() -> None:
    data = json.loads(report_json(make_report()))
    assert set(data) == set(report_data())
    assert set(data["layers"][0]) == set(report_data()["layers"][0])
    text = render_markdown(make_report()) + render_page(make_report(), {}) + summary(make_report())
    for word in ("generated image ", "Generation", "Perplexity", "programs"):
        assert word not in text, word


def test_json_round_trips(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, NOTHING, tmp_path)
    assert read_report(paths["json"]) == report
    data = json.loads(paths["json"].read_text("utf-8"))
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    assert set(GENERATION_FIELDS["Report"]) <= set(data)
    for row in data["layers"] + data["reconstruction_layers"]:
        assert set(GENERATION_FIELDS["Layer"]) <= set(row)


def test_schema_holds_for_reports_with_and_without() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(json.loads(report_json(make_generation_report())))
    validator.validate(json.loads(report_json(make_report())))
    data = generation_report_data()
    data["generation"]["tokens"]["surprise"] = 1
    assert not validator.is_valid(data)


def test_page_is_well_formed(report: Report) -> None:
    page = Page(render_page(report, DRAWINGS))
    targets = {value for _, key, value in page.attributes if key == "id"}
    assert {value[1:] for _, key, value in page.attributes if key == "href"} <= targets
    assert "generation" in targets


def test_section_follows_the_answers_and_begins_with_the_samples() -> None:
    html = render_page(make_generation_report(), DRAWINGS)
    assert html.index("</nav>") < html.index('id="generation"') < html.index('id="quality"')
    words = section(html)
    assert words.index("<figure>") < words.index("<table")
    assert html.count(GENERATION_CAPTIONS["generated"]) == 2  # its caption and its text for the blind
    markdown = render_markdown(make_generation_report())
    pictures = re.findall(r"\]\(pictures/(.*?)\.png\)", markdown)
    assert pictures == ["generated", "reconstructions", "rasters", "agreement", "layers", "energy"]


def test_every_view_says_everything() -> None:
    report = make_generation_report()
    page = Page(render_page(report, DRAWINGS)).text
    markdown = " ".join(render_markdown(report).split())
    for words in (
        "49 hidden positions", "31.2 evaluations on the mean (31.2 expected", "Temperature 1, seed 7",
        "61 of 64 codes are used, perplexity 9.13", "3.312 bits a token",
        "ELBO, chip (int8) against float SNN: +0.0007 bits a token, within the limit of 0.02.",
        "75.94 %", "96.12 %", "87.23 %", "1.103", "14.3", "0.52", "0.8607 ± 0.0021",
        "equal: the same images, spike for spike", "5,334,336", "3 min 34 s",
        "one-hot token grid to logits; the host draws tokens", "14.96 M",
        "6,109", "98,531", "12,544 multiply-accumulates a generated image. Softmax and drawing",
        "555.3 ± 1.2 k", "316.44 ± 0.76 M", "Hidden positions guessed like float", "154.00 ± 0.37 µJ",
        "91.98", "1,280 images", "another data set", "not comparable",
        "31.2 × denoiser + 1 × decoder, 298 chip steps",
        "Runs 31.2 times a generated image, 4 time steps each", "Runs once", "No generated image needs these layers",
        "denoiser: s1", "neuron updates a generated image", "neuron updates a reconstruction",
        "side by side on the chip", "Emulator, a generated image", "A generated image",
        "Estimates for one generated image",
    ):  # fmt: skip
        assert words in page, words
        assert words in markdown, words
    for term, meaning in (row for rows in GENERATION_TERMS.values() for row in rows):
        assert f"{term} {meaning}" in page
        assert f"*{term}*: {meaning}" in markdown
    for text in (page, markdown, summary(report)):
        assert "one sample from" not in text
        assert "Energy of a sample" not in text
    assert "Energy of a generated image" in " ".join(summary(report, width=120).split())


def test_layers_are_grouped_by_program() -> None:
    report = make_generation_report()
    groups = tables.layer_groups(report)
    assert [group.title for group in groups] == ["denoiser", "decoder", "encoder"]
    assert [len(group.table.rows) for group in groups] == [7, 5, 4]
    assert groups[0].table.rows[-1][2] == f"{sum(layer.neurons for layer in report.layers[:6]):,}"
    spikes = sum(layer.spikes for layer in report.layers)
    updates = sum(layer.neuron_updates for layer in report.layers)
    assert tables.mean_rate(report.layers) == pytest.approx(spikes / updates, rel=1e-4)


def test_user_text_stays_text() -> None:
    report = make_generation_report(**GENERATION_EXTREMES["hostile"])
    html, markdown = render_page(report, {}), render_markdown(report)
    assert EVIL in Page(html).text
    for text in (html, markdown):
        assert "<script" not in text
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "equal"),
        ({"equal": None, "neuron_steps": 0}, "not run"),
        ({"equal": None}, "no verdict"),
        ({"neuron_steps": 0}, "no verdict"),
        ({"images": 0}, "no verdict"),
        ({"equal": False}, "differs"),
        ({"differing_spikes": 1}, "differs"),
    ],
)
def test_outcomes_of_the_same_images(changes: dict[str, Any], outcome: str) -> None:
    found = same_image(SameImage.model_validate(image_data("lava", **changes)))
    assert found.outcome == outcome
    assert ("✓" in found.headline) is (outcome == "equal")


def test_images_that_were_not_repeated_never_look_equal() -> None:
    report = make_generation_report(generation__same_images=[IMAGE_NOT_RUN])
    row = views.same_images(report.generation).rows[0] if report.generation else ()
    assert row[1] == "○ did not run: lava-nc is not installed; see `spikewright doctor`"
    assert set(row[2:]) == {tables.DASH}
    assert "Lava, whole" in summary(report)
    assert "No image was generated a second time." in render_markdown(
        make_generation_report(generation__same_images=[])
    )


def test_a_difference_is_told_everywhere() -> None:
    report = make_generation_report(generation__same_images=[PARTED])
    told = "differs in 17 spikes: first at denoiser.s3, image 1, evaluation 12, neuron 417"
    html = render_page(report, {})
    assert told in Page(html).text
    assert 'class="note warn"' in section(html)
    assert told in render_markdown(report)
    assert told in " ".join(summary(report, width=160).split())


@pytest.mark.parametrize(
    ("integer", "within", "loud"), [(1.15, True, False), (1.1, True, False), (1.19, True, True), (1.15, False, True)]
)  # fmt: skip
def test_elbo_beyond_its_limit_is_noted(integer: float, within: bool, loud: bool) -> None:
    changes = {"generation__tokens__elbo_int8": integer, "generation__tokens__within_limit": within}
    report = make_generation_report(**changes)
    assert ('class="note warn"' in section(render_page(report, {}))) is loud
    assert ("**Note: ELBO" in render_markdown(report)) is loud
    assert ("beyond the limit of 0.02" in " ".join(summary(report).split())) is loud


def test_own_fid_stands_beside_the_published_one_of_the_same_data_set() -> None:
    measured = {"available": True, "reason": "", "fid": 43.2, "inception_score": 3.9}
    report = make_generation_report(fidelity=measured, dataset="fashion-mnist")
    assert report.generation is not None
    assert report.generation.published is not None
    rows = views.published(report, report.generation.published).rows
    assert [row[2:] for row in rows] == [
        ("37.5", *["another data set"] * 3),
        ("91.98", "44.9", "38.1", "43.2"),
    ]


def test_a_protocol_that_was_not_repeated_says_why() -> None:
    report = make_generation_report(
        generation__paper_fid={"available": False, "reason": "No Inception here."}
    )
    for text in (section(render_page(report, {})), render_markdown(report)):
        assert "By the paper's protocol: not measured. No Inception here." in html.unescape(text)
    assert "By the paper's protocol" not in render_markdown(make_generation_report())


def test_summary_fits_80_columns(report: Report) -> None:
    lines = summary(report, Path("out/report.html")).splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    for words in ("ELBO, bits a token", "runs an image", "chip (int8)"):
        assert words in text


def test_pictures_speak_of_generated_images() -> None:
    report = make_generation_report()
    drawings = figures.draw(report, generation_pictures())
    assert {name: drawing.caption for name, drawing in drawings.items()} == GENERATION_CAPTIONS
    for drawing in drawings.values():
        assert Image.open(BytesIO(drawing.png)).width > 0
    figure = figures.generated(generation_pictures().generated, shared="random numbers")
    texts = [text.get_text() for text in figure.texts]
    assert texts[1:] == ["float SNN", "chip (int8)", "ANN"]
    assert "same random numbers" in texts[0]
    titles = (
        figures.energies(report.energy, "generated image"),
        figures.layer_activity(report.layers, "generated image"),
    )
    assert all("a generated image" in figure.texts[0].get_text() for figure in titles)
