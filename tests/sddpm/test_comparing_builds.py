"""Builds of the U-Net beside each other: what stands on the page is what the reports say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikewright.benchmarks.report.write import write_report
from spikewright.sddpm.comparing_builds import main

from ..benchmarks.generation_reports import (
    denoising_pictures,
    generation_pictures,
    make_denoising_report,
    make_generation_report,
)


def write(folder: Path, **changes: Any) -> Path:
    recipe = {"model": {"build": changes.pop("build", "chip")}, "deploy": changes.pop("deploy", {})}
    report = make_denoising_report(recipe=recipe, **changes)
    write_report(report, denoising_pictures(), folder)
    return folder


def test_a_row_a_measure_and_a_column_a_build(tmp_path: Path) -> None:
    builds = [
        write(tmp_path / "a", build="faithful", generation__evaluations=50.0, generation__host_macs=5000),
        write(tmp_path / "b", build="lean", generation__noise__mse_float=0.25, generation__evaluations=50.0),
    ]
    out = tmp_path / "page.md"
    assert main([*map(str, builds), "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert "| | faithful | lean |" in lines
    assert next(line for line in lines if line.startswith("| error of the noise")).endswith("| 0.2500 |")
    host = next(line for line in lines if line.startswith("| host"))
    assert host.split("|")[2].strip() == "100"
    assert sum(line.startswith("| energy of an evaluation") for line in lines) > 0
    assert all(line.count("|") == 4 for line in lines if line.startswith("|"))


def test_relays_are_a_build_of_their_own_with_their_products(tmp_path: Path) -> None:
    graded = {"deploy": {"residual": "graded"}, "generation__evaluations": 50.0}
    builds = [
        write(tmp_path / "a", generation__evaluations=50.0),
        write(tmp_path / "b", **graded, totals__graded_sops=4000.0, totals__payload_bits=6e6),
    ]
    out = tmp_path / "page.md"
    assert main([*map(str, builds), "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert "| | chip | chip, graded |" in lines
    assert any(line.startswith("- chip, graded: the stream in relays") for line in lines)
    assert "| of them multiplications by graded spikes | 0 | 80 |" in lines
    assert "| payload of graded spikes delivered an evaluation, kbit | 0 | 120 |" in lines


def test_what_cannot_be_compared_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b", dataset="kmnist")
    fewer = write(tmp_path / "e", generation__sampler__steps=20, generation__evaluations=20.0)
    write_report(make_generation_report(), generation_pictures(), tmp_path / "c")
    for second, message in (
        (other, "b: its data set is kmnist"),
        (fewer, "e: its sampler is 20 steps of ddim, that of"),
        (tmp_path / "c", "which is no SDDPM"),
        (tmp_path / "d", "no such report"),
    ):
        assert main([str(one), str(second), "--out", str(tmp_path / "page.md")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
