"""Bad input ends in one line that names it and the remedy, exit code 2, and nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from .conftest import RECIPE, spikewright


def complaint(*arguments: str | Path, cwd: Path, code: int = 2) -> str:
    """Standard error of a command that must fail cleanly."""
    done = spikewright(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("epochs = 2", "epoch = 2", ["train.snn.epoch", "allowed here", "epochs"]),
        ('size = "XS"', 'size = "XL"', ["model.size", "XL", "'paper'"]),
        ("image = [16, 32]", "image = [16, 30]", ["16x30", "multiple of 8"]),
        ("calibration_images = 64", "bits = 9", ["quantise.bits", "9", "less than or equal to 8"]),
        ('name = "digits"', 'name = "digit"', ["data.name", "digit", "'digits'"]),
        ("[data]", "[data", ["not a readable TOML"]),
    ],
)
def test_a_recipe_with_a_mistake(tmp_path: Path, before: str, after: str, expected: list[str]) -> None:
    (tmp_path / "r.toml").write_text(RECIPE.replace(before, after))
    said = complaint("deploy", "r.toml", cwd=tmp_path)
    assert all(part in said for part in expected), said
    assert not (tmp_path / "build").exists()


def test_an_unknown_recipe_lists_the_known(tmp_path: Path) -> None:
    said = complaint("deploy", "--dataset", "imagenet", cwd=tmp_path)
    assert "esvae-imagenet" in said
    assert "esvae-digits" in said


def test_a_data_set_that_is_not_there(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k != "SPIKEWRIGHT_DATA"}
    env |= {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "spikewright.cli", "export", "esvae-kmnist"]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "SPIKEWRIGHT_DATA" in done.stderr


@pytest.mark.parametrize("name", ["model.nir", "model.int8.nir", "program.npz"])
def test_a_truncated_artefact(build: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "build"
    shutil.copytree(build, copy)
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    said = complaint("verify", copy, "--no-lava", cwd=tmp_path)
    assert name in said
    assert "export" in said
    assert name in complaint("inspect", copy / name, cwd=tmp_path)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "model.nir").write_text("not HDF5")
    assert "no HDF5" in complaint("inspect", "model.nir", cwd=tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "neither" in complaint("inspect", "notes.txt", cwd=tmp_path)
    assert "spikewright export" in complaint("verify", tmp_path, cwd=tmp_path)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((2, 1, 16, 16)), "(1, 16, 32)"),
        (np.full((2, 1, 16, 32), np.nan), "NaN"),
        (np.array(["a", "b"]), "no array of samples"),
    ],
)
def test_samples_that_do_not_fit(build: Path, tmp_path: Path, array: np.ndarray, expected: str) -> None:
    np.save(tmp_path / "in.npy", array)
    assert expected in complaint("simulate", build, "--input", tmp_path / "in.npy", cwd=tmp_path)


def test_weights_with_nan(build: Path, tmp_path: Path) -> None:
    import torch

    from spikewright.models.checkpoint import load_tensors, save_tensors

    copy = tmp_path / "build" / "esvae-tiny"
    shutil.copytree(build, copy)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (path,) = copy.glob("train/*/snn/weights.safetensors")
    tensors, metadata = load_tensors(path)
    tensors["e1.affine.weight"][0, 0, 0, 0] = torch.nan
    save_tensors(path, tensors, metadata)
    before = (copy / "model.nir").read_bytes()
    said = complaint("export", "tiny.toml", cwd=tmp_path)
    assert "e1.affine.weight" in said
    assert "NaN" in said
    assert (copy / "model.nir").read_bytes() == before


def test_a_full_disk(build: Path, tmp_path: Path) -> None:
    """A file size limit stands in for the disk: the kernel answers the same way, mid-write."""
    copy = tmp_path / "esvae-tiny"
    shutil.copytree(build, copy)
    before = (copy / "report.html").read_bytes()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000));"
        f"sys.argv = ['spikewright', 'report', {str(copy)!r}];"
        "from spikewright.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "too large" in done.stderr or "space" in done.stderr
    assert (copy / "report.html").read_bytes() == before
    assert not list(copy.rglob("*.tmp"))


def test_interrupted_training_says_how_to_go_on_and_ends_the_same(
    recipe: Path, build: Path, tmp_path: Path
) -> None:
    from spikewright.models.checkpoint import load_tensors

    shutil.copy(recipe, tmp_path / "tiny.toml")
    command = [sys.executable, "-m", "spikewright.cli", "train", "tiny.toml"]
    running = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    place = tmp_path / "build/esvae-tiny"
    while not list(place.glob("train/*/snn/metrics.csv")) and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "continues from there" in said
    assert spikewright("train", "tiny.toml", cwd=tmp_path).returncode == 0
    again, _ = load_tensors(next(place.glob("train/*/snn/weights.safetensors")))
    once, _ = load_tensors(next(build.glob("train/*/snn/weights.safetensors")))
    assert all((again[key] == once[key]).all() for key in once)


def test_square_brackets_of_a_message_survive(tmp_path: Path) -> None:
    assert "spikewright[fidelity]" in "".join(spikewright("doctor", cwd=tmp_path).stdout.split())
    (tmp_path / "a[b].toml").write_text("[data")
    assert "a[b].toml" in complaint("deploy", "a[b].toml", cwd=tmp_path)


def test_an_option_that_does_not_exist(tmp_path: Path) -> None:
    assert "--bit" in complaint("deploy", "--bit", "4", cwd=tmp_path)
    assert "emulater" in complaint("simulate", ".", "--backend", "emulater", cwd=tmp_path)
    assert "'file'" in complaint("inspect", cwd=tmp_path)
