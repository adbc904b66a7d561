"""Pages over several models, of synthetic reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from spikewright.benchmarking.budget import WORDS
from spikewright.benchmarks.overview.result import result_of
from spikewright.benchmarks.overview.schema import Budget, Command, Entry, Overview, Picture
from spikewright.benchmarks.overview.words import summary
from spikewright.benchmarks.report.captions import captions
from spikewright.benchmarks.report.schema import Report

from ..benchmarks.generation_reports import make_denoising_report, make_generation_report
from ..benchmarks.pulse_reports import make_pulse_report
from ..benchmarks.reports import make_report

HOSTILE = '<script>alert("x")</script> & </p>'


def reports() -> dict[str, Report]:
    """One report of every kind."""
    return {
        "esvae-digits": make_report(),
        "spiking-diffusion-fashion-mnist": make_generation_report(),
        "sddpm-digits": make_denoising_report(),
        "spiking-physformer-synthetic": make_pulse_report(),
    }


def result(name: str, report: Report, folder: Path) -> Any:
    """What a unit leaves of a report, with pictures in place, wider than a page."""
    (folder / name / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / name / "report.html").write_text("<!DOCTYPE html><title>Report</title>")
    listed = []
    for kind, caption in captions(report).items():
        file = f"{name}/pictures/{kind}.png"
        Image.new("RGB", (1920, 300), "white").save(folder / file)
        listed.append(Picture(name=kind, file=file, caption=caption, command=f"report {name}"))
    return result_of(
        report,
        budget=[Budget(what="test images", used=1000, full=10_000)],
        commands=[Command(what="all of it", command=f"spikewright benchmark {name} --anew")],
        pictures=listed,
        page=f"{name}/report.html",
    )


def entry(number: int, name: str, status: str = "done", **changes: Any) -> Entry:
    values = {"words": "", "seconds": None, "cpu_seconds": None, "result": None} | changes
    return Entry(
        number=number, name=name, status=status, command=f"spikewright benchmark {name} --anew", **values
    )


def make_overview(folder: Path) -> Overview:
    """Every kind of model, one that failed, one without weights and one that is not run."""
    entries = [
        entry(index, name, seconds=61.5, cpu_seconds=59.0, result=result(name, report, folder))
        for index, (name, report) in enumerate(reports().items(), 1)
    ]
    entries += [
        entry(5, "nmnist", "failed", words=f"{HOSTILE}: no recordings; fetch them"),
        entry(6, "esvae-kmnist", "no weights", words="No weights are shipped (snn); train them"),
        entry(7, "braille", "not run", words="Not measured yet."),
    ]
    return overview(entries)


def overview(entries: list[Entry]) -> Overview:
    return Overview(
        tool="spikewright 0.1.0",
        created="2026-11-22T18:00:00+00:00",
        command="make benchmark",
        budget=WORDS,
        summary=summary(entries),
        models=entries,
    )
