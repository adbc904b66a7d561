"""``spikewright generate`` as a user meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .conftest import spikewright

MAKE = ("generate", "--model", "spiking-diffusion", "--dataset", "digits")


def test_images_with_what_they_took(tmp_path: Path) -> None:
    build, out = tmp_path / "build", tmp_path / "images"
    done = spikewright(
        *MAKE, "--count", "6", "--seed", "5", "--build", str(build), "--out", str(out), "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["images"], summary["seed"], summary["backend"]) == (6, 5, "emulator")
    with Image.open(out / "grid.png") as grid:
        assert grid.size == ((3 * 17 + 1) * 3, (2 * 17 + 1) * 3)
    with np.load(out / "images.npz") as arrays:
        assert arrays["images"].shape == (6, 1, 16, 16)
        sops = arrays["sops"].sum(1)
    rows = list(csv.DictReader((out / "images.csv").open()))
    assert [int(row["sops"]) for row in rows] == list(sops)
    assert all(float(row["joule_cmos45"]) > 0 for row in rows)
    # The same images from the files, in floats now: none of them spikes.
    again = spikewright(
        *MAKE,
        "--count",
        "2",
        "--backend",
        "float",
        "--seed",
        "5",
        "--build",
        str(build),
        "--json",
        cwd=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    assert "energy" not in json.loads(again.stdout)
    assert (build / "generated-float-5" / "grid.png").exists()
    other = spikewright(
        *MAKE, "--count", "6", "--seed", "6", "--build", str(build), "--out", str(out), cwd=tmp_path
    )
    assert other.returncode == 2
    assert "seed was 5, is 6" in other.stderr
    assert "Traceback" not in other.stderr


def test_images_of_sddpm_take_its_own_options(tmp_path: Path) -> None:
    make = ("generate", "--model", "sddpm", "--build", tmp_path / "build", "--count", "3", "--json")
    done = spikewright(*make, "--steps", "2", "--threshold-scale", "0.99", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["sampler"], summary["threshold_scale"]) == ("ddim", 0.99)
    assert summary["evaluations"]["mean"] == 2
    with np.load(tmp_path / "build" / "generated-emulator-1" / "images.npz") as arrays:
        assert arrays["images"].shape == (3, 1, 8, 8)
        assert arrays["spikes"].shape == (3, 1)
    for wrong, message in (
        (("--temperature", "0.5"), "unknown key 'deploy.temperature'"),
        (("--steps", "1001"), "the diffusion has 1000 steps"),
        (("--sampler", "euler"), "'ddim', 'ddpm'"),
        (("--sampler", "ddpm", "--steps", "5"), "DDPM visits every index"),
    ):
        refused = spikewright(*make, *wrong, cwd=tmp_path)
        assert refused.returncode == 2
        assert message in refused.stderr.replace("\n", " ")
        assert "Traceback" not in refused.stderr


def test_what_cannot_be_generated_is_refused(tmp_path: Path) -> None:
    for arguments, message in (
        (("--model", "esvae"), "images are generated from spiking-diffusion and sddpm recipes"),
        (("--model", "fsvae"), "no such recipe"),
        (("--backend", "chip"), "chip"),
        (("--count", "0"), "count"),
        (("--temperature", "0"), "temperature"),
    ):
        done = spikewright(
            "generate", "--dataset", "digits", "--build", str(tmp_path / "b"), *arguments, cwd=tmp_path
        )
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_chip_that_is_not_there_is_told_with_what_is_missing(tmp_path: Path) -> None:
    done = spikewright(*MAKE, "--backend", "loihi2", "--count", "1", cwd=tmp_path)
    assert done.returncode == 3
    assert "no Loihi 2 can be reached: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("generated*"))
