"""The pulse of one video on every backend, the files that are written of it, and ``spikewright pulse`` at bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikewright.benchmarks.pulse.heart_rate import heart_rate
from spikewright.errors import BuildError
from spikewright.hardware import lava
from spikewright.models.data.errors import DataError
from spikewright.models.pulse_data.export_ubfc import export_ubfc
from spikewright.models.pulse_data.recording import Recording
from spikewright.models.pulse_data.synthetic import generate
from spikewright.physformer.reading import pulse, read_pulse, summary, write_pulse
from spikewright.physformer.system import System
from tests.cli.conftest import spikewright

HAS_LAVA = pytest.mark.skipif(not lava.available()[0], reason="Lava is not installed")


def face(frames: int = 330) -> Recording:
    return generate(12, "easy", frames, (16, 32), 1)


@pytest.mark.parametrize("backend", ["reference", pytest.param("lava", marks=[HAS_LAVA, pytest.mark.lava])])
def test_integers_say_the_same_everywhere(system: System, backend: str) -> None:
    ours = read_pulse(system, face(), 160)
    theirs = read_pulse(system, face(), 160, backend, 300.0)
    assert np.array_equal(ours.wave, theirs.wave)
    assert ours.heart_rate == theirs.heart_rate
    floats = read_pulse(system, face(), 160, "float")
    assert not np.array_equal(ours.wave, floats.wave)
    assert np.corrcoef(ours.wave, floats.wave)[0, 1] > 0.8


def test_files_hold_what_was_read(system: System, tmp_path: Path) -> None:
    found = read_pulse(system, face(), 160)
    paths = write_pulse(found, "a face", "emulator", tmp_path / "new")
    told = json.loads(paths["json"].read_text())
    assert told == summary(found, "a face", "emulator")
    assert told["seconds"] == pytest.approx(320 / 30)
    assert len(told["over_time"]) == len(found.readings) == 1
    rows = list(csv.DictReader(paths["csv"].open()))
    np.testing.assert_allclose([float(row["wave"]) for row in rows], found.wave, rtol=1e-4, atol=1e-6)
    with Image.open(paths["png"]) as picture:
        assert picture.size == (960, 420)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["pulse.csv", "pulse.json", "pulse.png"]


def test_the_heart_rate_is_read_from_changes_and_not_from_their_sum() -> None:
    seconds = np.arange(960) / 30
    heart, slow = (np.diff(np.sin(2 * np.pi * bpm / 60 * seconds), prepend=0) for bpm in (130, 50))
    found = pulse(heart + 1.6 * slow, [])
    assert found.heart_rate == pytest.approx(130, abs=0.5)
    assert heart_rate(found.wave, 30) == pytest.approx(50, abs=0.5)


def test_a_video_that_never_changes_has_no_trusted_heart_rate(system: System, tmp_path: Path) -> None:
    still = face()
    frames = np.repeat(still.frames[:1], len(still.frames), 0)
    found = read_pulse(system, Recording("still", "", frames, None, still.times), 160)
    assert not found.quality.trusted
    told = json.loads(write_pulse(found, "still", "emulator", tmp_path)["json"].read_text())
    assert told["trusted"] is False


def test_a_video_shorter_than_a_clip_is_refused(system: System) -> None:
    with pytest.raises(DataError, match="fewer than the 160 of a clip"):
        read_pulse(system, face(100), 160)


def test_an_unknown_backend_is_refused(system: System) -> None:
    with pytest.raises(BuildError, match="backend is 'loihi'; choose one of emulator, lava"):
        read_pulse(system, face(), 160, "loihi")


def test_a_video_file_is_read_through_the_command(system: System, workspace, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("cv2")
    recipe = workspace.folder.parent / f"{workspace.recipe.model.variant}.toml"
    (film,) = export_ubfc([face()], tmp_path / "films")
    video = next(film.rglob("vid.avi")) if film.is_dir() else film
    given = ("--recipe", str(recipe), "--build", str(workspace.folder), "--out", str(tmp_path / "out"))
    done = spikewright("pulse", str(video), "--box", "0,0,32,16", *given, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    wanted = summary(read_pulse(system, face(), 160), told["video"], "emulator")
    assert told["heart_rate_bpm"] == pytest.approx(wanted["heart_rate_bpm"], abs=0.5)
    assert Path(told["files"]["png"]).exists()
    beyond = spikewright("pulse", str(video), "--box", "0,0,64,16", *given, cwd=tmp_path)
    assert beyond.returncode == 2
    assert "box" in beyond.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.avi",), "none.avi: no such video file"),
        (("one", "--synthetic"), "give the number of a subject"),
        (("1", "--synthetic", "--recipe", "esvae-digits"), "which is no Spiking-PhysFormer"),
        (("1", "--synthetic", "--recipe", "nothing"), "nothing: no such recipe"),
    ],
)
def test_bad_input_is_one_error(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    pytest.importorskip("cv2")
    done = spikewright("pulse", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())
