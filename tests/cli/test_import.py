"""``spikewright export FILE.nir``, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import spikewright
from spikewright.lowering import load
from tests.export.foreign_graphs import write
from tests.export.test_foreign import SPIKES, simple

from .conftest import spikewright as command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "other.nir", simple())


def test_a_foreign_file_becomes_artefacts(file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", labels=np.zeros(4), spikes=SPIKES)
    done = command("export", file, "--dt", "1e-4", "--reset", "zero", "--data", "data.npz", "--wide", "layer",
                   "--chip", "loihi2", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lowered = load(tmp_path / "build" / "other")
    assert lowered.program.timesteps == 20
    assert "dt 0.0001 (stated), reset zero (stated)" in done.stdout
    assert "neurons: " in done.stdout
    assert "of spikes agree" in done.stdout
    assert "Loihi 2" in done.stdout
    assert "15-bit weights into neurons: 12 more synapses" in " ".join(done.stderr.split())
    assert not list(tmp_path.rglob("*.tmp"))
    again = command(
        "export", "build/other/model.nir", "--out", "again", "--bits", "15", "--json", cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert Path(tmp_path / json.loads(again.stdout)["program"]).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("neurons", "'tau'", "--dt 1e-4")),
        (("--dt", "1e-4"), ("neurons", "v_reset", "--reset zero")),
        (("--dt", "-1", "--reset", "zero"), ("dt is -1.0",)),
        (("--dt", "1e-4", "--reset", "zero", "--bits", "9"), ("weight bits", "9")),
        (("--dt", "1e-4", "--reset", "zero", "--wide", "ghost"), ("'ghost'", "neurons")),
        (("--dt", "1e-4", "--reset", "zero", "--coding", "direct"), ("neurons", "--data")),
        (("--dt", "1e-4", "--reset", "zero", "--data", "gone.npz"), ("gone.npz", "no such file")),
        (("--seed", "1"), ("--seed", ".nir files")),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(
    file: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = command("export", file, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in " ".join(done.stderr.split())
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (SPIKES[..., :3], "the network takes (samples, 20, 4)"),
        (SPIKES * 0.5, "whole numbers up to 1"),
        (SPIKES * np.nan, "NaN"),
        (np.array(["a"]), "no array of numbers"),
    ],
)
def test_samples_that_do_not_fit(file: Path, tmp_path: Path, data: np.ndarray, word: str) -> None:
    np.save(tmp_path / "data.npy", data)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - a user's error, of one of two rooms
        spikewright.export_nir(file, tmp_path / "out", dt=1e-4, reset="zero", data=tmp_path / "data.npy")
    assert word in str(caught.value)
    assert not (tmp_path / "out").exists()
