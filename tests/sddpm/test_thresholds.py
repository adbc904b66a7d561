"""A sweep over thresholds: what is moved is what is said, and the page says what was found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikewright.deploy_recipe import QuantiseRecipe
from spikewright.errors import BuildError
from spikewright.hardware.noise import ChipNoise
from spikewright.hardware.session import open_session
from spikewright.progress import Steps
from spikewright.sddpm import generation
from spikewright.sddpm.system import System
from spikewright.sddpm.threshold_page import Again, Point, Sweep, markdown, write_page
from spikewright.sddpm.threshold_sweep import Judge, main, mean_factor, moved, rescaled
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


def a_sweep(classifier_change: tuple[float, float] = (-20.0, 5.0)) -> Sweep:
    rows = [
        ("float", 0.99, None, 0.2, 4.0),
        ("float", 1.0, None, 0.21, 5.0),
        ("float", 1.01, None, 0.22, 6.0),
        ("moved", 1.0, 0, 0.21, 5.0),
        ("moved", 1.004, 1, 0.2, 5.5),
    ]
    points = [Point(v, f, b, m, 10 * d, d, 0.25 if v == "moved" else None) for v, f, b, m, d in rows]
    again = {
        v: Again(v, (49.0, 52.0), (4.9, 5.2), (-1.0, 2.0), classifier_change) for v in ("float", "moved")
    }
    return Sweep(
        name="sddpm-tiny", command="command", points=points, again=again, floors=(3.0, 1.5),
        thresholds=np.array([100, 200, 400]), sampling_steps=4, count=100, images=50, seeds=3,
    )  # fmt: skip


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page(page, a_sweep())
    text = page.read_text()
    assert "float SNN: lowest at a factor of 0.9900, 4.00 against 5.00 at the trained threshold" in text
    assert "by -20.0 ± 5.0 %, FAD by -1.0 ± 2.0 %: a gain. The error of the noise changes by -4.76 %" in text
    assert "no factor has a lower classifier distance than the trained threshold, 5.00" in text
    assert "One bit is 0.25 to 1 % of a trained integer threshold, 0.58 % in the mean" in text
    assert "| chip, thresholds moved by whole bits | 1.0040 | +1 | 0.20000 | 55.000 | 5.50 | 0.2500 |" in text
    assert "| real training images, as many | | | | 3.000 | 1.50 | |" in text
    assert page.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [((-20.0, 5.0), "a gain"), ((-4.0, 5.0), "no gain is shown"), ((6.0, 5.0), "a loss")],
)
def test_a_gain_is_one_that_other_seeds_show(change: tuple[float, float], verdict: str) -> None:
    assert f"%: {verdict}. The error" in markdown(a_sweep(change), "x.png")


def test_without_the_trained_threshold_no_gain_is_told() -> None:
    whole = a_sweep()
    without = replace(whole, points=[p for p in whole.points if p.factor != 1.0])
    assert markdown(without, "x.png").count("the trained threshold is not among the points") == 2


def test_a_sweep_of_a_build(
    workspace: Workspace, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "guidance.md"
    few = ["--scales", "1", "0.97", "--bits", "0", "-1", "--count", "100", "--images", "20", "--seeds", "2"]
    assert main([str(workspace.folder), *few, "--out", str(out)]) == 0
    rows = [line for line in out.read_text().splitlines() if line.startswith(("| float", "| chip"))]
    assert len(rows) == 6
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    requantised, unmoved = (
        next(c for c in cells if c[1].startswith(name) and c[2] == "1.0000")
        for name in ("chip, req", "chip, thr")
    )
    assert requantised[4:] == unmoved[4:]  # the same program
    assert not (workspace.folder / "thresholds").exists()  # images are kept while the sweep runs only


def test_a_killed_sweep_goes_on_with_the_images_it_has(
    workspace: Workspace, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(workspace, 20, 100)
    with Steps()("images") as step:
        made = judge.generated(system, "float", 1, step)
        monkeypatch.setattr(generation, "generate", None)
        assert (judge.generated(system, "float", 1, step) == made).all()
        with pytest.raises(TypeError):
            judge.generated(system, "float", 2, step)
    shutil.rmtree(judge.folder)


def test_a_mistake_is_one_line(
    workspace: Workspace, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = Workspace(
        workspace.recipe.model_copy(update={"quantise": QuantiseRecipe(tune=5)}), tmp_path / "tuned"
    )
    shutil.copytree(workspace.folder, tuned.folder)
    tuned.save_recipe()
    for folder, message in ((tmp_path, "holds no build"), (tuned.folder, "were fine-tuned")):
        assert main([str(folder), "--out", str(tmp_path / "page.md")]) == 1
        assert message in capsys.readouterr().err
    assert main([str(workspace.folder), "--bits", "-100000", "0"]) == 1
    assert "cannot be moved by -100000" in capsys.readouterr().err
    for wrong in (["--scales", "0", "1"], ["--count", "50"], ["--seeds", "1"]):
        with pytest.raises(SystemExit) as stopped:
            main([str(workspace.folder), *wrong])
        assert stopped.value.code == 2
    assert not (tmp_path / "page.md").exists()
