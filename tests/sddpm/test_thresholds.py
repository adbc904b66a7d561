"""A sweep over thresholds: what is moved is what is said, and the page says what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import BuildError
from spikewright.hardware.noise import ChipNoise
from spikewright.hardware.session import open_session
from spikewright.sddpm.system import System
from spikewright.sddpm.threshold_page import Point, markdown, write_page
from spikewright.sddpm.threshold_sweep import main, mean_factor, moved, rescaled
from spikewright.workspace import Workspace


def told(system: System) -> np.ndarray:
    images = np.random.default_rng(0).normal(size=(3, 1, 8, 12))
    with open_session(system.denoiser.program, "emulator") as session:
        return ChipNoise(session, system.tail)(images, 300)


def test_all_firing_thresholds_move_and_no_other(system: System) -> None:
    other = moved(system, 2)
    for own, new in zip(system.denoiser.program.populations, other.denoiser.program.populations, strict=True):
        assert (new.threshold - own.threshold == (0 if own.readout or own.relay else 2)).all()
    assert (told(other) != told(system)).any()
    assert (told(moved(system, 0)) == told(system)).all()
    thresholds = np.concatenate([p.threshold for p in system.firing])
    assert mean_factor(system, 2) == pytest.approx(1 + 2 * (1 / thresholds).mean())
    with pytest.raises(BuildError, match="cannot be moved by -100000"):
        moved(system, -100_000)


def test_requantised_for_one_it_is_the_same_program(
    system: System, workspace: Workspace, tmp_path: Path
) -> None:
    assert (told(rescaled(workspace, 1.0, tmp_path / "one")) == told(system)).all()
    assert (told(rescaled(workspace, 0.9, tmp_path / "less")) != told(system)).any()


def points() -> list[Point]:
    rows = [
        ("float", 0.99, None, 0.2, 4.0),
        ("float", 1.0, None, 0.21, 5.0),
        ("float", 1.01, None, 0.22, 6.0),
    ]
    rows += [("moved", 1.0, 0, 0.21, 5.0), ("moved", 1.004, 1, 0.2, 5.5)]
    return [Point(v, f, b, m, fad, None, 0.25 if v == "moved" else None) for v, f, b, m, fad in rows]


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page(page, "sddpm-tiny", "command", points(), 100, 50)
    text = page.read_text()
    assert "float SNN: the lowest FAD, 4.000 at a factor of 0.9900, is 20.0 % below the 5.000" in text
    assert "no factor has a lower FAD than the trained threshold, 5.000" in text
    assert "| chip, thresholds moved by whole bits | 1.0040 | +1 | 0.20000 | 5.500 |  | 0.2500 |" in text
    assert page.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    without = markdown("n", "c", [p for p in points() if p.factor != 1.0], 100, 50, "x.png")
    assert "the trained threshold is not among the points" in without


def test_a_sweep_of_a_build(
    workspace: Workspace, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "guidance.md"
    few = ["--scales", "1", "0.97", "--bits", "0", "-1", "--count", "100", "--images", "20"]
    assert main([str(workspace.folder), *few, "--out", str(out)]) == 0
    rows = [line for line in out.read_text().splitlines() if line.startswith(("| float", "| chip"))]
    assert len(rows) == 6
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    requantised, unmoved = (
        next(c for c in cells if c[1].startswith(name)) for name in ("chip, req", "chip, thr")
    )
    assert requantised[4:] == unmoved[4:]  # the same program
    assert main([str(tmp_path), "--out", str(out)]) == 1
    assert "holds no build" in capsys.readouterr().err
