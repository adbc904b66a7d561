"""``spikewright fit``: exit codes, one screen, JSON, a picture, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikewright.export.linear import Conv2d, Dense
from spikewright.hardware.program_io import save_program
from tests.hardware.placement.nets import chain

from .conftest import spikewright


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program that fits and one that needs several chips."""
    folder = tmp_path_factory.mktemp("programs")
    large = Conv2d(np.ones((64, 3, 3, 3), np.int8), (3, 200, 100), (1, 1), (1, 1))
    save_program(chain(Dense(np.ones((20, 30), np.int8), (30,), (20,))), folder / "small.npz")
    save_program(chain(large), folder / "large.npz")
    return folder


def test_what_fits_exits_with_0(programs: Path) -> None:
    done = spikewright("fit", "small.npz", "--chip", "loihi1", cwd=programs)
    assert done.returncode == 0, done.stderr
    assert "chain fits Intel Loihi: 1 of 128 cores; 20 neurons, 600 synapses" in done.stdout
    assert "p0" in done.stdout


def test_what_does_not_fit_exits_with_1_and_a_remedy_that_works(programs: Path) -> None:
    done = spikewright("fit", "large.npz", cwd=programs)
    assert done.returncode == 1, done.stderr
    assert "chain does not fit Intel Loihi 2" in done.stdout
    assert "spread it over 2 chips (--chips 2)" in " ".join(done.stdout.split())
    again = spikewright("fit", "large.npz", "--chips", "2", cwd=programs)
    assert again.returncode == 0, again.stdout
    assert len(done.stdout.splitlines()) < 24


def test_json_and_picture(programs: Path) -> None:
    done = spikewright("fit", "large.npz", "--json", "--picture", "map.png", cwd=programs)
    assert done.returncode == 1, done.stderr
    data = json.loads(done.stdout)
    assert (data["fits"], data["chip"], data["cores_available"]) == (False, "loihi2", 128)
    assert data["remedy"]["chips"] == 2
    assert sum(row["cores"] for row in data["populations"]) == data["cores"] == len(data["placement"])
    assert (programs / "map.png").read_bytes().startswith(b"\x89PNG")
    assert not list(programs.glob(".*.tmp"))


@pytest.mark.parametrize("file", ["model.int8.nir", "program.npz", ""])
def test_every_artefact_of_a_build(build: Path, file: str) -> None:
    done = spikewright("fit", build / file, cwd=build)
    assert done.returncode == 0, done.stderr
    assert "esvae-tiny fits Intel Loihi 2" in done.stdout


def test_bad_input_is_named_in_one_line(build: Path, programs: Path) -> None:
    (programs / "notes.txt").write_text("hello")
    (programs / "half.npz").write_bytes((programs / "small.npz").read_bytes()[:200])
    for arguments, expected in (
        ((build / "model.nir",), "quantise it first"),
        (("notes.txt",), "neither .nir nor .npz"),
        (("half.npz",), "not a readable program"),
        (("none.npz",), "no such program"),
        (("small.npz", "--chip", "loihi9"), "loihi1, loihi2"),
        (("small.npz", "--picture", "map.jpg"), "written as .png"),
        (("small.npz", "--picture", "no/such/map.png"), "map.png"),
        (("small.npz", "--chips", "0"), "--chips"),
    ):
        done = spikewright("fit", *arguments, cwd=programs)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert expected in " ".join(done.stderr.split()), done.stderr
