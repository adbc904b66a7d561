"""What the report says of heart rates, in every view, and what it does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from spikewright.benchmarks.report import pulse_tables, tables
from spikewright.benchmarks.report.captions import PULSE_CAPTIONS, Drawing
from spikewright.benchmarks.report.markdown import render_markdown
from spikewright.benchmarks.report.page import render_page
from spikewright.benchmarks.report.pulse import Pulse
from spikewright.benchmarks.report.schema import Report
from spikewright.benchmarks.report.schema_file import json_schema
from spikewright.benchmarks.report.tables import Table
from spikewright.benchmarks.report.terms import PULSE_TERMS
from spikewright.benchmarks.report.write import ReportError, read_report, report_json, write_report

from .extremes import EVIL, PULSE_EXTREMES
from .generation_reports import generation_data, make_denoising_report, make_generation_report
from .pulse_reports import make_pulse_report, pulse_data, pulse_report_data, with_chip_error
from .pulse_reports import row as version
from .reports import make_report, report_data
from .test_report import Page, summary
from .test_report_generation import NOTHING, section

DRAWINGS = {
    name: Drawing(b"png of " + name.encode(), 960, caption) for name, caption in PULSE_CAPTIONS.items()
}


def whole(report: Report) -> dict[str, str]:
    """Every view's text by its name."""
    return {
        "page": Page(render_page(report, DRAWINGS)).text,
        "markdown": " ".join(render_markdown(report, tuple(DRAWINGS)).replace("\\", "").split()),
        "terminal": " ".join(summary(report, width=200).split()),
    }


def pulse_of(report: Report) -> Pulse:
    assert report.pulse is not None
    return report.pulse


def number(cell: str) -> float:
    """The number that a cell shows."""
    return float(cell.replace("−", "-").split(" ")[0].replace(",", ""))


@pytest.fixture(params=PULSE_EXTREMES, name="report")
def extreme_report(request: pytest.FixtureRequest) -> Report:
    return make_pulse_report(**PULSE_EXTREMES[request.param])


def test_json_round_trips(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, NOTHING, tmp_path)
    assert read_report(paths["json"]) == report
    data = json.loads(paths["json"].read_text("utf-8"))
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    assert not {"quality", "fidelity", "generation", "reconstruction_layers"} & set(data)


def test_reports_on_images_are_written_without_a_pulse() -> None:
    for make in (make_report, make_generation_report, make_denoising_report):
        data = json.loads(report_json(make()))
        assert "pulse" not in data
        assert {"quality", "fidelity"} <= set(data)


IMAGES = {key: report_data()[key] for key in ("quality", "fidelity")}


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        ("pulse", {"quality": IMAGES["quality"]}, "`quality` is given"),
        ("pulse", {"fidelity": IMAGES["fidelity"]}, "`fidelity` is given"),
        ("pulse", {"generation": generation_data()}, "`generation` and `pulse` exclude each other"),
        ("pulse", {"pulse": None}, "`quality` is missing"),
        ("images", {"quality": None}, "`quality` is missing"),
        ("images", {"fidelity": None}, "`fidelity` is missing"),
        ("images", {"pulse": pulse_data()}, "`quality` is given"),
    ],
)
def test_wrong_combinations_are_refused(
    base: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    whole_report = make_pulse_report() if base == "pulse" else make_report()
    data = json.loads(report_json(whole_report)) | changes
    with pytest.raises(ValidationError, match=words):
        Report.model_validate(data)
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(data)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ReportError, match=rf"report\.json: Value error, {words}.*make the report anew"):
        read_report(path)


ROWS, STREAM = pulse_data()["rows"], pulse_data()["stream"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": ROWS[:2]}, "`rows` are ann, float; give each at most once, and always `float` and `int8`"),
        ({"rows": [*ROWS, ROWS[0]]}, "at most once"),
        ({"rows": []}, "`rows` are none"),
        ({"gap_bpm": 0.05}, "`gap_bpm` is 0.05, but .* differ by 0.009"),
        ({"ablations": [pulse_data()["ablations"][1] | {"decorative": False}]}, "`decorative` is False of 'the attention'"),
        ({"ablations": [pulse_data()["ablations"][0] | {"cost": 0.2}]}, "`cost` of 'all spiking blocks' is 0.2"),
        ({"rates": [{"name": "s", "rate": 0.5, "within": True}]}, "`within` is True of 's' at a rate of 0.5"),
        ({"rates": [{"name": "s", "rate": 0.02, "within": False}]}, "`within` is False of 's'"),
        ({"fps": 0.0}, "greater than 0"),
        ({"stream": STREAM | {"differing": 798_721}}, "`differing` is 798721 of 798720 `neuron_steps`"),
        ({"stream": STREAM | {"behind_frames": [34, 31]}}, "give the least first"),
        ({"stream": STREAM | {"cores": None}}, "`cores` is missing without `obstacles`"),
        ({"rows": [version("float", 1, 2), version("int8", 1, 2, trusted=0)]}, "`trusted` is 0 of 40 and `mae_trusted` 0.05"),
        ({"rows": [version("float", 1, 2), version("int8", 1, 2, trusted=41)]}, "at most all are trusted"),
        ({"stream_reason": "its masks count over a clip"}, "`stream_reason` is given beside a `stream`"),
    ],
)  # fmt: skip
def test_figures_that_contradict_each_other_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Pulse.model_validate(pulse_data() | changes)


def test_an_interval_has_two_ends() -> None:
    data = pulse_data()
    data["rows"][0]["by_clip"]["mae_interval"] = [0.1]
    with pytest.raises(ValidationError, match="at least 2 items"):
        Pulse.model_validate(data)


def test_page_is_well_formed(report: Report) -> None:
    page = Page(render_page(report, DRAWINGS))
    targets = {value for _, key, value in page.attributes if key == "id"}
    assert {value[1:] for _, key, value in page.attributes if key == "href"} <= targets
    assert "heart-rate" in targets
    assert not {"quality", "generation"} & targets


def test_user_text_stays_text() -> None:
    report = make_pulse_report(**PULSE_EXTREMES["hostile"])
    page, markdown = render_page(report, {}), render_markdown(report)
    assert Page(section(page, "heart-rate")).text.count(EVIL) >= 9
    for text in (page, markdown):
        assert "<script" not in text
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_nothing_is_said_of_images() -> None:
    for view, text in whole(make_pulse_report()).items():
        found = re.search(
            r"FAD|(?i:fréchet|reconstruct|generated|inception|latent|test image|not measured)|\bMSE\b|\bNone\b|\bnan\b",
            text,
        )
        assert found is None, (view, found)


def test_sections_stand_in_order() -> None:
    titles = [
        "Accuracy by video", "Read from the changes of the wave", "Accuracy by clip", "What the spikes contribute",
        "Firing rates", "Precision of the host", "Energy as the paper counts", "Exchange", "On a stream", "Published figures, of other data",
    ]  # fmt: skip
    report = make_pulse_report()
    page, markdown = render_page(report, DRAWINGS), render_markdown(report, tuple(DRAWINGS))
    assert re.findall(r"<h3>(.*?)</h3>", section(page, "heart-rate")) == titles
    assert re.findall(r"^### (.*)$", markdown.split("## Pictures")[0], re.M) == titles
    assert page.index('class="card answer') < page.index('id="heart-rate"') < page.index('id="equivalence"')
    linked = re.findall(r"\]\(pictures/(.*?)\.png\)", markdown)
    assert linked == ["waves", "heart_rates", "rasters", "agreement", "layers", "energy"]


def test_accuracy_is_the_json() -> None:
    report = make_pulse_report()
    data = json.loads(report_json(report))["pulse"]
    columns = {
        "MAE, bpm": ("mae", 3), "RMSE, bpm": ("rmse", 3), "MAPE, %": ("mape", 2), "Pearson": ("pearson", 4),
        "SNR, dB": ("snr", 2), "Wave correlation": ("wave_correlation", 4), "Flat": ("flat", 0),
    }  # fmt: skip
    names = ["ANN", "float SNN", "chip (int8)", "GREEN", "CHROM", "POS"]
    for by in ("video", "clip"):
        table = pulse_tables.accuracy(report, pulse_of(report), by)  # type: ignore[arg-type]
        assert [row[0] for row in table.rows] == names
        for cells, row in zip(table.rows, data["rows"], strict=True):
            shown, told = dict(zip(table.head, cells, strict=True)), row[f"by_{by}"]
            for title, (field, decimals) in columns.items():
                assert number(shown[title]) == pytest.approx(told[field], abs=0.5001 * 10**-decimals), title
            low, high = shown["95 % interval"].split(" to ")
            assert [float(low), float(high)] == pytest.approx(told["mae_interval"], abs=5e-4)
    table = pulse_tables.readings(report, pulse_of(report))
    fields = {"MAE, bpm": "mae", "RMSE, bpm": "rmse", "MAPE, %": "mape", "Pearson": "pearson"}
    for cells, row in zip(table.rows, data["rows"], strict=True):
        shown, told = dict(zip(table.head, cells, strict=True)), row["from_changes"]
        for title, field in fields.items():
            decimals = columns[title][1]
            assert number(shown[title]) == pytest.approx(told[field], abs=0.5001 * 10**-decimals), title
        assert shown["95 % interval"] == " to ".join(f"{end:.3f}" for end in told["mae_interval"])
        assert shown["Trusted"] == str(told["trusted"])
        assert number(shown["MAE of these, bpm"]) == pytest.approx(told["mae_trusted"], abs=5e-4)


def test_other_tables_are_the_json() -> None:
    pulse = pulse_of(make_pulse_report())
    data = pulse_data()
    first, *rows = pulse_tables.ablations(pulse).rows
    assert first[:4] == ("nothing", "whole network", "–", "0.8630")
    for cells, row in zip(rows, data["ablations"], strict=True):
        assert cells[:2] == (row["title"], "decorative" if row["decorative"] else "costs")
        assert number(cells[2]) == pytest.approx(row["cost"], abs=5e-5)
        assert number(cells[3]) == pytest.approx(row["by_video"]["wave_correlation"], abs=5e-5)
        assert number(cells[4]) == pytest.approx(row["by_video"]["mae"], abs=5e-4)
    for cells, row in zip(pulse_tables.rates(pulse).rows, data["rates"], strict=True):
        assert number(cells[2]) == pytest.approx(100 * row["rate"], abs=5e-3)
        assert ("✗" in cells[1]) is not row["within"]
    verdicts = {row[0]: row[1] for row in pulse_tables.rates(pulse).rows}
    assert (verdicts["block0.g"], verdicts["block1.hidden"]) == ("✗ above 40 %", "✗ below 2 %")
    for cells, row in zip(pulse_tables.host(pulse).rows, data["host"], strict=True):
        assert cells[:2] == (row["precision"], "ran")
        assert number(cells[2]) == pytest.approx(row["by_video"]["mae"], abs=5e-4)
    energy = dict(pulse_tables.energy(pulse.energy).rows)
    assert energy == {
        "Spiking blocks": "5.83 µJ",
        "The twin's transformer layers": "109 µJ",
        "Twin's layers over spiking blocks": "18.7 times",
        "Host, the rest of the network": "906 µJ",
        "Whole network saves, of the twin's energy": "10.17 %",
        "MACs of the host": "197.0 M",
        "MACs of the host with the other stem: kernels over time too": "386.1 M",
    }
    assert pulse.stream is not None
    assert dict(pulse_tables.stream(pulse.stream, pulse.fps).rows) == {
        "Frames of the camera a token frame": "4",
        "Chip steps a token frame": "4",
        "Neurons": "2,496",
        "Synapses": "390,241",
        "Cores of Loihi 2": "4",
        "Longest delay, steps": "24",
        "Latency of the chip": "32 steps, 7 token frames",
        "Wave behind the camera": "31 to 34 frames, at most 1.13 s",
        "SOPs a token frame; a second": "417,284; 3,129,632",
        "Spikes outside of windows, over those inside": "12.30 %",
    }
    for cells, row in zip(pulse_tables.published(pulse).rows, data["published"], strict=True):
        assert cells[:3] == (row["method"], row["trained_on"] or "nothing", row["tested_on"])
        for cell, field in zip(cells[3:], ("mae", "rmse", "mape", "pearson"), strict=True):
            assert cell == ("–" if row[field] is None else f"{row[field]:.2f}")


def test_pages_show_every_table(report: Report) -> None:
    pulse = pulse_of(report)
    shown: list[Table] = [
        pulse_tables.accuracy(report, pulse, "video"),
        pulse_tables.accuracy(report, pulse, "clip"),
        pulse_tables.readings(report, pulse),
        *([pulse_tables.ablations(pulse)] if pulse.ablations else []),
        *([pulse_tables.rates(pulse)] if pulse.rates else []),
        *([pulse_tables.host(pulse)] if pulse.host else []),
        pulse_tables.energy(pulse.energy),
        *([pulse_tables.stream(pulse.stream, pulse.fps)] if pulse.stream else []),
        *([pulse_tables.published(pulse)] if pulse.published else []),
    ]
    page = Page(section(render_page(report, {}), "heart-rate")).text
    markdown = render_markdown(report)
    for table in shown:
        assert {len(row) for row in table.rows} == {len(table.head)}
        for row in (table.head, *table.rows):
            assert " ".join(row) in page
            if EVIL not in "".join(row):
                assert f"| {' | '.join(row)} |".replace("`", "\\`") in markdown


def test_every_view_says_what_the_spikes_are_worth() -> None:
    report = make_pulse_report()
    for view, text in whole(report).items():
        for words in (
            "+0.1070", "12.2 times", "12.4 %", "10.1 %", "18.7 times", "10.17 %", "0.056 to 0.136", "2.731",
            "The attention is decorative: without it the waves correlate only 0.0009 less.",
            "The attention's mask is decorative: without it the waves correlate 0.0004 better.",
            "The host writes and reads 153,600 bytes a clip.",
            "2 clips streamed between silence: 0 of 798,720 neuron steps differ from the program of clips.",
            "Mean absolute error by video, chip (int8) against float SNN: +0.009 bpm, within the limit of 0.1 bpm.",
            "Populations that fire outside 2 to 40 % of their time steps: 2 of 10 (block0.g, block1.hidden).",
        ):  # fmt: skip
            assert words in text, (view, words)
    for view in ("page", "markdown"):
        text = whole(report)[view]
        for words in (
            "40 face videos (synthetic faces with in-band motion", "A sample is a clip: 160 frames at 30 a second, 5.33 s.",
            "Other data than this report's, so not comparable", "arXiv 2404.06483",
            "Counts are means of a clip over 240 of them", "4 steps a clip, one clip every 4 steps",
            "Estimates for one clip", "Emulator, a clip",
        ):  # fmt: skip
            assert words in text, (view, words)
    for name in ("rasters", "layers", "energy"):
        assert "sample, which is a clip of video" in PULSE_CAPTIONS[name]
    assert tables.sample_name(report) == "clip"


def test_terms_are_explained() -> None:
    text = whole(make_pulse_report())["page"]
    for term, meaning in (row for rows in PULSE_TERMS.values() for row in rows):
        assert f"{term} {meaning}" in text
    alone = make_pulse_report(**PULSE_EXTREMES["nothing at all"])
    assert "methods without training" not in whole(alone)["page"]


@pytest.mark.parametrize(("mae", "loud"), [(0.171, False), (0.173, True), (0.01, False), (3.0, True)])
def test_a_gap_beyond_the_limit_is_noted(mae: float, loud: bool) -> None:
    report = make_pulse_report(
        **with_chip_error(mae), pulse__ablations=pulse_data()["ablations"][:1], pulse__rates=[]
    )
    assert ('class="note warn"' in section(render_page(report, {}), "heart-rate")) is loud
    assert ("**Note: Mean absolute error" in render_markdown(report)) is loud
    assert ("beyond the limit of 0.1 bpm" in " ".join(summary(report).split())) is loud


def test_decorative_parts_and_rates_are_noted() -> None:
    page = section(render_page(make_pulse_report(), {}), "heart-rate")
    warned = [Page(text).text for text in re.findall(r'<p class="note warn">.*?</p>', page, re.S)]
    assert [text.split(" ")[1:4] for text in warned] == [
        ["The", "attention", "is"], ["The", "attention's", "mask"], ["Populations", "that", "fire"],
    ]  # fmt: skip
    silent = make_pulse_report(**PULSE_EXTREMES["nothing at all"])
    for view, text in whole(silent).items():
        assert "whether the spikes contribute anything was not measured" in text, view
    for view in ("page", "markdown"):
        assert "No firing rate was recorded." in whole(silent)[view]
        assert "No precision of the host was recorded." in whole(silent)[view]
        assert "No published figure was recorded" in whole(silent)[view]


def test_a_host_that_did_not_run_says_why() -> None:
    pulse = pulse_of(make_pulse_report(**PULSE_EXTREMES["nothing ran"]))
    row = pulse_tables.host(pulse).rows[1]
    assert row[1] == "did not run: no quantised host; run `spikewright deploy`"
    assert set(row[2:]) == {"–"}


def test_a_stream_that_is_not_there_or_differs_is_noted() -> None:
    refused = make_pulse_report(pulse__stream=None, pulse__stream_reason="its masks count over all of a clip")
    parted = make_pulse_report(pulse__stream__differing=3)
    for view, text in whole(refused).items():
        assert "Not on a stream: its masks count over all of a clip." in text, view
    assert "it was not measured" in whole(make_pulse_report(pulse__stream=None))["page"]
    assert "**Note: 2 clips streamed between silence: 3 of" in render_markdown(parted)
    words = ["meeting: membrane decay 4096 exceeds 4095; use 4095", "out: no room; make it smaller"]
    large = make_pulse_report(pulse__stream__obstacles=words)
    for view, text in whole(large).items():
        assert f"It does not fit Loihi 2: {words[0]}, and 1 more." in text, view
        assert "4, does not fit" in text, view


def test_figures_that_do_not_exist_are_called_undefined() -> None:
    report = make_pulse_report(**PULSE_EXTREMES["one video"])
    table = pulse_tables.accuracy(report, pulse_of(report), "video")
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert (row["95 % interval"], row["Pearson"], row["SNR, dB"]) == ("–", "undefined", "undefined")
    assert "1 face video (" in pulse_tables.opening(pulse_of(report))


def test_variants_are_told_apart() -> None:
    texts = [whole(make_pulse_report(pulse__variant=name))["page"] for name in ("deployment", "reproduction")]
    assert "the host reads spikes only" in texts[0]
    assert "built as published" in texts[1]


def test_summary_fits_80_columns(report: Report) -> None:
    text = summary(report, Path("out/report.html"))
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in ("chip (int8)", "bpm", "Is it still the same answer?"):
        assert words in text


def test_old_files_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report_data()), "utf-8")
    report = read_report(path)
    assert report.pulse is None
    assert report.quality is not None
    assert set(pulse_report_data()) - set(report_data()) == {"pulse"}


def test_rates_within_the_range_are_not_loud() -> None:
    within = [row for row in pulse_data()["rates"] if row["within"]]
    report = make_pulse_report(pulse__rates=within, pulse__ablations=pulse_data()["ablations"][:1])
    assert "of their time steps: none of 8." in whole(report)["page"]
    assert 'class="note warn"' not in section(render_page(report, {}), "heart-rate")
