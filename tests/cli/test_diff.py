"""``spikewright diff`` as a user runs it, on files of a small network of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from spikewright.cli import comparing, inspecting  # noqa: F401 - one command alone would take no name
from spikewright.cli.main import app
from spikewright.errors import USER_ERRORS
from spikewright.export.nir_write import write_nir
from spikewright.hardware.program_io import save_program
from spikewright.progress import Steps
from spikewright.simulation import simulate
from tests.benchmarks.networks import STEPS, levels, with_population
from tests.cli.conftest import spikewright


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build without a recipe: a network that takes spikes, one that takes real values, a changed program."""
    place = tmp_path_factory.mktemp("diff")
    for name, sub in (("generator", "spikes"), ("residual", "direct")):
        net, into = levels(name), place / sub
        into.mkdir()
        write_nir(net.graph, into / "model.nir")
        write_nir(net.integer, into / "model.int8.nir")
        save_program(net.program, into / "program.npz")
        np.save(into / "samples.npy", net.samples)
    net = levels("generator")
    p = net.program.population("up_neuron")
    save_program(with_population(net.program, p.name, threshold=p.threshold // 2), place / "changed.npz")
    np.savez(place / "many.npz", samples=levels("residual").samples, labels=np.arange(4))
    np.savez(place / "unnamed.npz", x=np.zeros((2, 3)), y=np.zeros((2, 3)))
    return place


def diff(folder: Path, *arguments: str | Path, code: int = 0) -> Any:
    """Run the command in this process: a process of its own spends most of its time on loading torch."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(app, ["diff", *map(str, arguments)])
    finally:
        os.chdir(before)
    if code != 2:
        assert done.exit_code == code, f"{done.output} {done.exception!r}"
    return done


def complaint(folder: Path, *arguments: str | Path) -> str:
    done = diff(folder, *arguments, code=2)
    assert isinstance(done.exception, USER_ERRORS), f"{done.output} {done.exception!r}"
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_a_build_is_held_against_its_float_network_on_stated_random_spikes(folder: Path) -> None:
    done = diff(folder, "spikes", "--picture", "out.png", "--samples", "3", "--seed", "5", "--rate", "0.4")
    assert "3 samples of random spikes, 0.4 a line and step, seed 5" in " ".join(done.stderr.split())
    assert "A: spikes/model.nir in float" in done.stdout
    assert "B: spikes/program.npz on emulator" in done.stdout
    assert f"3 samples of {STEPS} time steps, spike for spike" in done.stdout
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob(".*.tmp"))


def test_backends_agree_and_a_changed_program_does_not(folder: Path) -> None:
    same = diff(folder, "spikes/program.npz", "--backend-b", "reference", "--json")
    report = json.loads(same.stdout)
    assert report["exact"]
    assert report["equal"]
    assert not report["failed"]
    assert "First: up_neuron neuron" in diff(folder, "spikes/model.int8.nir", "changed.npz", code=1).stdout
    other = json.loads(diff(folder, "spikes/model.int8.nir", "changed.npz", "--json", code=1).stdout)
    assert other["first"]["layer"] == "up_neuron"
    assert other["first"]["reason"].startswith("threshold 0.5 against 0.2")
    assert other["failed"]


def test_a_recording_brings_its_own_samples(folder: Path) -> None:
    given = folder / "direct" / "samples.npy"
    simulate(folder / "direct", "emulator", Steps(), input_file=given, count=3, out=folder / "run.npz")
    done = diff(folder, "run.npz", "direct", "--json")
    report = json.loads(done.stdout)
    assert report["exact"]
    assert report["equal"]
    assert report["samples"] == 3
    again = json.loads(diff(folder, "run.npz", "direct/model.nir", "--samples", "2", "--json").stdout)
    assert not again["exact"]
    assert again["samples"] == 2
    whole = (folder / "run.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    said = complaint(folder, "cut.npz", "direct")
    assert "cut.npz" in said
    assert "truncated" in said


def test_a_limit_makes_a_lossy_comparison_fail(folder: Path) -> None:
    arguments = ("spikes/model.nir", "changed.npz")
    assert "up_neuron" in diff(folder, *arguments).stdout
    diff(folder, *arguments, "--limit", "0.99", code=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["spikes/program.npz"], ["compared with itself", "--backend-b"]),
        (["spikes/program.npz", "--backend-b", "norse"], ["is a program", "norse", "emulator or reference"]),
        (["spikes/model.nir", "--backend-b", "lava"], ["a float graph", "float or norse"]),
        (["spikes/model.nir", "--backend-b", "snntorch"], ["no torch module"]),
        (["direct"], ["real values", "--data"]),
        (["direct", "--data", "spikes/samples.npy"], ["samples of shape (4, 8, 5)", "(samples, 2, 7, 5)"]),
        (["direct", "--data", "none.npy"], ["none.npy", "no such file"]),
        (["direct", "--data", "unnamed.npz"], ["holds x, y", "'samples'"]),
        (["spikes", "direct", "--data", "many.npz"], ["samples of shape"]),
        (["nowhere"], ["nowhere"]),
        ([".", "spikes"], ["export"]),
        (["spikes", "--picture", "out.bmp"], ["out.bmp", ".png"]),
        (["spikes", "--picture", "nowhere/out.png"], ["no such folder"]),
        (["many.npz", "spikes"], ["many.npz"]),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: list[str], words: list[str]) -> None:
    said = complaint(folder, *arguments)
    assert all(word in said for word in words), said


def test_a_process_of_its_own_ends_in_one_line_and_its_exit_code(folder: Path) -> None:
    done = spikewright("diff", "many.npz", "spikes", cwd=folder)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1


def test_samples_of_an_archive(folder: Path) -> None:
    report = json.loads(diff(folder, "direct", "--data", "many.npz", "--json").stdout)
    assert report["samples"] == 4
    assert report["agreement"] > 0.9
