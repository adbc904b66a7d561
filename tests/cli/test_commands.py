"""Every command, run as a user runs it, on one small build."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from spikewright.benchmarks.report.schema_file import json_schema
from spikewright.hardware.lava import available

from .conftest import spikewright


def report_of(build: Path) -> dict:
    return json.loads((build / "report.json").read_text())


def test_deploy_writes_every_artefact(build: Path) -> None:
    names = {path.name for path in build.iterdir()}
    assert {"model.nir", "model.int8.nir", "program.npz", "report.json", "report.md", "report.html"} <= names
    assert {p.suffix for p in (build / "pictures").iterdir()} == {".png"}
    assert not list(build.rglob("*.tmp"))


def test_the_report_obeys_its_schema_and_adds_up(build: Path) -> None:
    report = report_of(build)
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    layers = report["layers"]
    for key in ("spikes", "sops", "neuron_updates"):
        assert report["totals"][key] == pytest.approx(sum(layer[key] for layer in layers))
    assert len({round(report["quality"][k]["reconstruction_mse"], 12) for k in ("ann", "float", "int8")}) == 3
    assert report["samples"]["quality"] == 360
    for row in report["energy"].values():
        assert row["snn_joule"] == pytest.approx(sum(row["parts"].values()))
        assert row["ratio"] == pytest.approx(row["snn_joule"] / row["ann_joule"])


def test_every_backend_agrees_with_the_emulator(build: Path) -> None:
    equivalence = report_of(build)["equivalence"]
    assert equivalence["reference"]["equal"]
    assert equivalence["norse"]["ran"]
    assert equivalence["norse"]["spike_mismatches"] == equivalence["norse"]["explained_by_rounding"]
    if available()[0]:
        assert equivalence["lava"]["ran"], equivalence["lava"]["reason"]
        assert equivalence["lava"]["equal"]
        assert equivalence["lava"]["differing_spikes"] == equivalence["lava"]["differing_states"] == 0
        # Ten populations, four samples, four steps: nothing was left out.
        neurons = report_of(build)["totals"]["neurons"]
        assert equivalence["lava"]["neuron_steps"] == neurons * 4 * 4
    else:
        assert equivalence["lava"]["equal"] is None


def test_verify_repeats_the_checks_and_fails_on_a_changed_program(build: Path, tmp_path: Path) -> None:
    fine = spikewright("verify", build, "--no-lava", "--json", cwd=build)
    assert fine.returncode == 0, fine.stderr
    assert json.loads(fine.stdout)["lava"] == {
        "ran": False, "reason": "switched off by --no-lava", "equal": None, "neuron_steps": 0, "differing_spikes": 0,
        "compared_states": 0, "differing_states": 0, "first": None, "seconds": 0.0,
    }  # fmt: skip
    lowering = json.loads(fine.stdout)["lowering"]
    assert [step["name"] for step in lowering][-2:] == ["float NIR file", "integer program"]
    assert lowering[-2]["differing_spikes"] == 0
    assert 0 < lowering[-1]["differing_spikes"] < 0.2 * lowering[-1]["neuron_steps"]


def test_diff_takes_a_build_with_its_data_set(build: Path, tmp_path: Path) -> None:
    arguments = ("--backend-a", "snntorch", "--backend-b", "float", "--samples", "2", "--json")
    done = spikewright("diff", build, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["samples"] == 2
    assert report["agreement"] > 0.9999
    assert not report["exact"]


def test_report_can_be_written_again(build: Path) -> None:
    done = spikewright("report", build, "--json", cwd=build)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "esvae"


@pytest.mark.parametrize("backend", ["emulator", "reference"])
def test_simulate_runs_a_backend_and_keeps_the_recording(build: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / f"{backend}.npz"
    done = spikewright(
        "simulate", build, "--backend", backend, "--count", "3", "--out", out, "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    with np.load(out) as file:
        assert file["result"].shape == (3, 1, 16, 32)
        for name, row in summary["populations"].items():
            assert row["spikes_per_sample"] == pytest.approx(file[f"counts/{name}"].sum() / 3)


def test_simulate_takes_samples_of_ones_own(build: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.random.default_rng(0).uniform(-1, 1, (2, 1, 16, 32)))
    done = spikewright("simulate", build / "program.npz", "--input", tmp_path / "in.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 samples" in done.stdout


def test_simulate_explains_its_kernels_and_takes_one_by_name(build: Path, tmp_path: Path) -> None:
    found = {}
    for options in (["--explain"], ["--kernel", "float64", "--threads", "1"], ["--device", "cpu"]):
        done = spikewright("simulate", build, "--count", "0", *options, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found[options[0]] = json.loads(done.stdout)
    spikes = [
        {name: row["spikes_per_sample"] for name, row in summary["populations"].items()}
        for summary in found.values()
    ]
    assert spikes[0] == spikes[1] == spikes[2]
    assert {c["kernel"] for c in found["--kernel"]["kernels"]} == {"float64"}
    assert all(c["seconds"] for c in found["--explain"]["kernels"])
    told = spikewright("simulate", build, "--explain", cwd=tmp_path)
    assert "e2_affine" in told.stdout
    assert " us" in told.stdout
    missing = spikewright("simulate", build, "--device", "nowhere", cwd=tmp_path)
    assert missing.returncode == 2
    assert "device 'nowhere'" in missing.stderr
    other = spikewright("simulate", build, "--backend", "reference", "--threads", "1", cwd=tmp_path)
    assert other.returncode == 2
    assert "--threads is the emulator's" in other.stderr


@pytest.mark.parametrize("file", ["model.nir", "model.int8.nir", "program.npz", ""])
def test_inspect_shows_every_artefact(build: Path, file: str) -> None:
    done = spikewright("inspect", build / file, cwd=build)
    assert done.returncode == 0, done.stderr
    assert "e1_neuron" in done.stdout
    as_json = spikewright("inspect", build / file, "--json", cwd=build)
    json.loads(as_json.stdout)


def test_inspect_prints_the_scale_chain(build: Path) -> None:
    links = json.loads(spikewright("inspect", build, "--json", cwd=build).stdout)["scales"]["e2_neuron"]
    assert {link["quantity"] for link in links} >= {"membrane decay", "threshold", "weight"}
    threshold = next(link for link in links if link["quantity"] == "threshold")
    assert threshold["float_value"] == pytest.approx(0.2)
    assert threshold["back"] == pytest.approx(0.2)


def test_doctor_names_what_is_there(tmp_path: Path) -> None:
    done = spikewright("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert found["torch"]["found"]
    assert found["lava-nc"]["found"] or "pip install" in found["lava-nc"]["remedy"]
    assert all(row["found"] or row["remedy"] for row in found.values())


@pytest.mark.parametrize(
    "command",
    ["", "train", "export", "simulate", "diff", "verify", "report", "inspect", "fit", "doctor", "deploy"],
)
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    done = spikewright(*command.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage" in done.stdout
