"""What the report says of images out of a Gaussian diffusion, in every view, and what it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from spikewright.benchmarks.report import figures
from spikewright.benchmarks.report import generation_tables as views
from spikewright.benchmarks.report.captions import SAMPLER_CAPTIONS, Drawing, captions
from spikewright.benchmarks.report.facts import facts
from spikewright.benchmarks.report.generation import SAMPLER_FIELDS, TOKEN_FIELDS, Generation
from spikewright.benchmarks.report.markdown import render_markdown
from spikewright.benchmarks.report.page import render_page
from spikewright.benchmarks.report.schema import Quality, Report
from spikewright.benchmarks.report.schema_file import json_schema
from spikewright.benchmarks.report.terms import SAMPLER_TERMS
from spikewright.benchmarks.report.write import ReportError, read_report, report_json, write_report

from .extremes import DENOISING_EXTREMES, EVIL
from .generation_reports import (
    denoising_data,
    denoising_pictures,
    denoising_report_data,
    generation_data,
    generation_pictures,
    generation_report_data,
    make_denoising_report,
    make_generation_report,
)
from .reports import make_pictures, make_report, report_data
from .test_report import Page, summary
from .test_report_generation import NOTHING, section

DRAWINGS = {
    name: Drawing(b"png of " + name.encode(), 960, caption) for name, caption in SAMPLER_CAPTIONS.items()
}
SYSTEMS: dict[str, Callable[[], Report]] = {
    "latent": make_report,
    "tokens": make_generation_report,
    "diffusion": make_denoising_report,
}
GUIDED = {"generation__sampler__threshold": 0.997, "generation__sampler__threshold_note": "one LSB of 333."}
TERMS_ON_REQUEST = {"DDPM", "Threshold guidance", "Velocity", "SSIM"}


def whole(report: Report) -> dict[str, str]:
    """Every view's text by its name."""
    drawings = {name: Drawing(b"png", 960, caption) for name, caption in captions(report).items()}
    return {
        "page": Page(render_page(report, drawings)).text,
        "markdown": " ".join(render_markdown(report).replace("\\", "").split()),
        "terminal": " ".join(summary(report, width=200).split()),
    }


@pytest.fixture(params=DENOISING_EXTREMES, name="report")
def extreme_report(request: pytest.FixtureRequest) -> Report:
    return make_denoising_report(**DENOISING_EXTREMES[request.param])


def test_json_round_trips(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, NOTHING, tmp_path)
    assert read_report(paths["json"]) == report
    data = json.loads(paths["json"].read_text("utf-8"))
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    assert not set(TOKEN_FIELDS) & set(data["generation"])
    assert set(SAMPLER_FIELDS) <= set(data["generation"])


def test_files_have_the_fields_of_their_own_way_only() -> None:
    tokens = json.loads(report_json(make_generation_report()))["generation"]
    assert set(tokens) == set(generation_data())
    assert set(json.loads(report_json(make_denoising_report()))["generation"]) == set(denoising_data())
    validator = jsonschema.Draft202012Validator(json_schema())
    for data in (generation_report_data(), denoising_report_data()):
        validator.validate(json.loads(report_json(Report.model_validate(data))))
    both, neither = denoising_report_data(), denoising_report_data()
    both["generation"] |= generation_data()
    del neither["generation"]["sampler"]
    for data in (both, neither):
        assert not validator.is_valid(json.loads(report_json(make_report())) | data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": None}, "exactly one of `tokens` and `sampler`"),
        ({"tokens": generation_data()["tokens"]}, "exactly one of `tokens` and `sampler`"),
        ({"noise": None}, "`noise` goes with `sampler` and is not given"),
        *(
            ({field: generation_data()[field]}, f"`{field}` goes with `tokens`, not with `sampler`")
            for field in TOKEN_FIELDS
            if field != "tokens"
        ),
    ],
)
def test_fields_of_a_sampler_go_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Generation.model_validate(denoising_data() | changes)


def test_fields_of_tokens_go_together(tmp_path: Path) -> None:
    data = generation_data()
    for field in TOKEN_FIELDS:
        with pytest.raises(ValidationError, match="exactly one" if field == "tokens" else f"`{field}` goes"):
            Generation.model_validate(data | {field: None})
    with pytest.raises(ValidationError, match="`noise` goes with `sampler`, not with `tokens`"):
        Generation.model_validate(data | {"noise": denoising_data()["noise"]})
    damaged = json.loads(report_json(make_generation_report()))
    del damaged["generation"]["paper_fid"]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(damaged), "utf-8")
    with pytest.raises(
        ReportError, match=r"`generation`: .*`paper_fid` goes with `tokens`.*make the report anew"
    ):
        read_report(path)


@pytest.mark.parametrize("missing", ["gap_percent", "within_one_percent", "int8"])
def test_reconstruction_errors_are_given_all_or_none(missing: str) -> None:
    quality = report_data()["quality"]
    blank = dict(quality["int8"], reconstruction_mse=None) if missing == "int8" else None
    with pytest.raises(ValidationError, match="all or none"):
        Quality.model_validate(quality | {missing: blank})
    assert Quality.model_validate(quality).reconstructs
    assert not make_denoising_report().quality.reconstructs


def test_page_is_well_formed(report: Report) -> None:
    page = Page(render_page(report, DRAWINGS))
    targets = {value for _, key, value in page.attributes if key == "id"}
    assert {value[1:] for _, key, value in page.attributes if key == "href"} <= targets


def test_user_text_stays_text() -> None:
    report = make_denoising_report(**DENOISING_EXTREMES["hostile"])
    page, markdown = render_page(report, {}), render_markdown(report)
    assert Page(section(page)).text.count(EVIL) >= 6
    for text in (page, markdown):
        assert "<script" not in text
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_measured_never_reads_as_missing(system: str) -> None:
    measured = {"available": True, "reason": "", "fid": 43.2, "inception_score": 3.9}
    report = SYSTEMS[system]().model_copy(update={"fidelity": make_report(fidelity=measured).fidelity})
    for view, text in whole(report).items():
        assert not re.search(r"\b(None|nan|inf|missing|undefined|not measured)\b", text), view


def test_nothing_is_said_of_what_a_diffusion_does_not_have() -> None:
    for view, text in whole(make_denoising_report()).items():
        found = re.search(
            r"(?i)token|codebook|decoder|reconstruct|latent|ssim|temperature|hidden position|protocol|all programs",
            text,
        )
        assert found is None, (view, found)
        assert "MSE," not in text


def test_every_view_says_everything() -> None:
    texts = whole(make_denoising_report(**GUIDED))
    for words in (
        "starts from Gaussian noise and takes 50 DDIM steps through a diffusion of 1,000 steps, one evaluation of the denoiser each.",
        "All firing thresholds are 0.997 times what they were in training (threshold guidance): one LSB of 333. Seed 7.",
        "0.064210", "0.064345", "0.038900", "+0.21 %", "+1.00 %",
        "Error of the noise, chip (int8) against float SNN: +0.21 %, within the limit of 1 %.",
        "equal: the same image, spike for spike", "One evaluation, by accounting",
        "As in the paper", "45.0 µJ", "84.5 µJ", "214 µJ", "0.395", "104", "8.12", "0.31",
        "Energy of a generated image",
    ):  # fmt: skip
        for view, text in texts.items():
            assert words in text, (view, words)
    for words in (
        "DDIM, 50 of 1,000 indices, firing thresholds × 0.997", "50 × denoiser, 204 chip steps",
        "12.8", "0.52", "642,400", "39,200", "5,750,000 multiply-accumulates", "154.00 ± 0.37 µJ",
        "Over 10,000 test images, each with the noise of one index",
        "First convolution as MACs", "29.48", "66.7 M parameters", "This run: FID, all images", "41.7",
        "Runs 50 times a generated image, 4 time steps each", "noisy image and index",
    ):  # fmt: skip
        for view in ("page", "markdown"):
            assert words in texts[view], (view, words)
    for term, meaning in (row for rows in SAMPLER_TERMS.values() for row in rows):
        shown = term not in TERMS_ON_REQUEST - {"Threshold guidance"}
        assert (f"{term} {meaning}" in texts["page"]) is shown, term
        assert (f"*{term}*: {meaning}" in texts["markdown"]) is shown, term


def test_sections_stand_in_order() -> None:
    page = section(render_page(make_denoising_report(), DRAWINGS))
    titles = [
        "Noise", "The same images on other backends", "Programs", "Exchange", "From image to image",
        "One evaluation, by accounting", "Published figures",
    ]  # fmt: skip
    assert re.findall(r"<h3>(.*?)</h3>", page) == titles
    markdown = render_markdown(make_denoising_report())
    assert re.findall(r"^### (.*)$", markdown.split("## Quality")[0], re.M) == titles
    linked = re.findall(r"\]\(pictures/(.*?)\.png\)", markdown)
    assert linked == ["generated", "rasters", "agreement", "layers", "energy"]


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ({"rule": "ddim", "steps": 1}, "takes 1 DDIM step through a diffusion of 1,000 steps, one"),
        ({"rule": "ddpm", "steps": 1_000}, "visits every index of a diffusion of 1,000 steps, one"),
        ({"rule": "ddpm", "steps": 250}, "visits 250 of the 1,000 indices of a diffusion, one"),
        ({"rule": "ddpm", "steps": 250}, "adding fresh noise after each but the last (DDPM)."),
        ({"threshold": 1.003}, "All firing thresholds are 1.003 times what they were in training (threshold guidance). S"),
        ({"threshold_note": "no matter"}, "one evaluation of the denoiser each. Seed 7."),
        ({"prediction": "velocity"}, "each. The network tells an image's velocity (Salimans and Ho, arXiv 2202.00512);"),
    ],
)  # fmt: skip
def test_opening_tells_the_sampler(sampler: dict[str, Any], words: str) -> None:
    changes = {f"generation__sampler__{field}": value for field, value in sampler.items()}
    for view, text in whole(make_denoising_report(**changes)).items():
        assert words in text, view


def test_terms_and_facts_follow_the_sampler() -> None:
    report = make_denoising_report(generation__sampler__rule="ddpm", generation__sampler__steps=1_000)
    assert dict(facts(report))["Sampler"] == "DDPM, all 1,000 indices"
    text = render_markdown(report)
    assert "*DDPM*" in text
    assert "*DDIM*" not in text
    assert "*Threshold guidance*" not in text
    assert "*Velocity*" not in text
    report = make_denoising_report(generation__sampler__prediction="velocity")
    assert dict(facts(report))["Sampler"] == "DDIM, 50 of 1,000 indices by velocity"
    assert "*Velocity*" in render_markdown(report)
    assert "*Threshold guidance*" in render_markdown(make_denoising_report(**GUIDED))
    assert "*Accounting*" not in render_markdown(make_denoising_report(generation__evaluation_energy=[]))


@pytest.mark.parametrize(
    ("gap", "limit", "within", "loud"),
    [(0.4, 1.0, True, False), (-3.0, 1.0, True, False), (1.2, 1.0, True, True), (0.4, 1.0, False, True), (1.2, 2.0, True, False)],
)  # fmt: skip
def test_noise_beyond_its_limit_is_noted(gap: float, limit: float, within: bool, loud: bool) -> None:
    changes = {"gap_percent": gap, "limit_percent": limit, "within_limit": within}
    report = make_denoising_report(
        **{f"generation__noise__{field}": value for field, value in changes.items()}
    )
    assert ('class="note warn"' in section(render_page(report, {}))) is loud
    assert ("**Note: Error of the noise" in render_markdown(report)) is loud
    assert (f"beyond the limit of {limit:g} %" in " ".join(summary(report).split())) is loud


def test_ssim_has_a_column_where_a_version_has_one() -> None:
    for report, shown in ((make_denoising_report(), False), (make_generation_report(), True)):
        assert report.generation is not None
        table = views.samples(report, report.generation)
        assert ("SSIM reconstructions" in table.head) is shown
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_summary_fits_80_columns(report: Report) -> None:
    text = summary(report, Path("out/report.html"))
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in ("Error of the noise (MSE)", "runs an image", "FAD samples"):
        assert words in text


def test_pictures_come_without_reconstructions() -> None:
    report = make_denoising_report()
    drawings = figures.draw(report, denoising_pictures())
    assert {name: drawing.caption for name, drawing in drawings.items()} == SAMPLER_CAPTIONS
    assert "reconstructions" not in SAMPLER_CAPTIONS
    # Nor are any drawn from test images alone, or where the report has no place for them.
    assert set(figures.draw(report, generation_pictures())) == set(SAMPLER_CAPTIONS)
    alone = make_pictures(2, 1, 4, 4)
    bare = figures.draw(make_report(), type(alone)(alone.originals, {}, alone.generated))
    assert "reconstructions" not in bare
    title = figures.generated(denoising_pictures().generated, shared="noise").texts
    assert [text.get_text() for text in title] == [
        "Generated images (float and chip from the same noise)", "float SNN", "chip (int8)", "ANN",
    ]  # fmt: skip


def test_shorter_images_on_other_backends_are_said_to_be_shorter() -> None:
    from .generation_reports import same_image

    few = make_denoising_report(generation__same_images=[same_image("lava", images=2, evaluations=6)])
    said = "The images compared were made in 3 steps each, those above in 50."
    assert said in render_markdown(few, [])
    assert said in render_page(few, {})
    assert "were made in" not in render_markdown(make_denoising_report(), [])


def test_images_of_which_only_the_beginning_was_repeated_are_said_to_be() -> None:
    from .generation_reports import same_image

    def repeated(whole: bool) -> Report:
        row = same_image("lava", images=2, evaluations=16, whole=whole)
        return make_generation_report(generation__same_images=[row])

    said = "Of each image 8 evaluations were repeated, the first ones."
    assert said in render_markdown(repeated(False), [])
    assert said in render_page(repeated(False), {})
    assert "were repeated" not in render_markdown(repeated(True), [])


def test_weights_that_were_tuned_are_said_to_be() -> None:
    plain = make_denoising_report()
    tuned = make_denoising_report(recipe={"quantise": {"tune": 1200}})
    assert "fine-tuned" not in dict(facts(plain))["Weights"]
    assert dict(facts(tuned))["Weights"].endswith(", fine-tuned for 1,200 iterations")
