"""The page of weight bits, from builds to plot; and deployment of tuned weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from spikewright.errors import BuildError
from spikewright.export.fine_tune import Schedule
from spikewright.lowering import Tuning, lower
from spikewright.weight_bits import main
from spikewright.workspace import Workspace

from .conftest import spikewright


def cells(text: str, bits: int) -> list[float]:
    """Changes in per cent of a row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {bits} |")]
    found = [cell.strip(" %").replace("−", "-") for cell in line.split("|")[2:-1]]
    return [float("nan") if cell == "–" else float(cell) for cell in found]


def test_every_way_is_measured_on_the_emulator(build: Path, tmp_path: Path) -> None:
    out = tmp_path / "docs" / "bits.md"
    given = [
        str(build),
        "--bits",
        "8",
        "2",
        "--images",
        "60",
        "--tune",
        "3",
        "--tune-at",
        "2",
        "--out",
        str(out),
    ]
    assert main(given) == 0
    text = out.read_text()
    assert f"python -m spikewright.weight_bits {' '.join(given[:10])}" in text
    assert "| bits | nearest | compensated | tuned | looped |" in text
    nearest, compensated, tuned, looped = cells(text, 2)
    assert max(compensated, tuned, looped) < nearest + 3  # so little was trained that bits hardly matter
    assert abs(cells(text, 8)[0]) < 10
    assert (tmp_path / "docs" / "bits.png").read_bytes().startswith(b"\x89PNG")


def test_what_has_no_single_error_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing"), "--out", str(tmp_path / "x.md")]) == 1
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "x.md").exists()
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--bits", "9"])


def test_an_export_tunes_its_weights(recipe: Path, build: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "train").symlink_to(build / "train")
    run = spikewright(
        "export", recipe, "--bits", "3", "--tune", "4", "--out", tmp_path / "b", "--json", cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert Path(json.loads(run.stdout)["program"]).exists()
    kept = Workspace.open(tmp_path / "b").recipe.quantise
    assert (kept.bits, kept.tune) == (3, 4)


def test_a_file_of_another_tool_is_not_tuned(build: Path, tmp_path: Path) -> None:
    run = spikewright("export", build / "model.nir", "--tune", "4", "--out", tmp_path / "b", cwd=tmp_path)
    assert run.returncode == 2
    assert "--tune" in run.stderr


def test_tuning_of_wide_or_proven_weights_is_refused(tmp_path: Path) -> None:
    for given in ({"wide": ["fc"]}, {"strict": True}):
        with pytest.raises(BuildError, match=r"net: fine-tuning .* leave out wide and strict"):
            lower(
                nn.Identity(), np.zeros((8, 3), np.float32), tmp_path, name="net", timesteps=2,
                tune=Tuning(Schedule(1)), **given,
            )  # fmt: skip
    assert not list(tmp_path.iterdir())
