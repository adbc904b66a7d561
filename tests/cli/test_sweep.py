"""``spikewright sweep`` as a user runs it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from pyarrow import parquet

from spikewright.recipe import load_recipe
from spikewright.sweep.measure import Sampled, measure

from .conftest import spikewright


def complaint(*arguments: str | Path, cwd: Path, code: int = 2) -> str:
    done = spikewright("sweep", *arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cwd.rglob("points"))
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "holds no sweep to go on with; name axes"),
        (("--recipe", "esvae-nothing"), "esvae-nothing: no such recipe; shipped recipes: "),
        (("--axis", "bit=8"), "unknown axis 'bit'; known: recipe"),
        (("--axis", "bits"), "--axis bits: give KEY=VALUE"),
        (("--bits", ","), "axis 'bits' is empty"),
        (("--bits", "9"), "no point of the sweep can run; the first: "),
        (("no.toml",), "no.toml: no such file"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in complaint(*arguments, cwd=tmp_path)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer(tmp_path: Path) -> None:
    done = spikewright("sweep", "--bits", "8", "--scheduler", "tcp://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "tcp://127.0.0.1:9: no scheduler answers" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


MAIN = "import sys; sys.argv = ['spikewright', 'sweep', *{arguments!r}]\nfrom spikewright.cli import main\n"


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n" + MAIN.format(arguments=["--bits", "8"]) + "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "distributed: `pip install 'spikewright[sweep]'`" in done.stderr


def test_help_loads_neither_dask_nor_torch(tmp_path: Path) -> None:
    code = MAIN.format(arguments=["--help"]) + (
        "try: main()\nexcept SystemExit: pass\nassert not {'dask', 'distributed', 'pyarrow', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_point_says_what_the_report_of_its_deployment_says(
    build: Path, recipe: Path, tmp_path: Path
) -> None:
    report = json.loads((build / "report.json").read_text())
    (folder,) = (build / "train").glob("*/")
    files = {kind: folder / kind / "weights.safetensors" for kind in ("snn", "ann")}
    found = measure(Sampled(load_recipe(str(recipe)), tmp_path / "b", files, 1000))
    (quality,) = found.quality
    assert found.samples == report["samples"]["quality"] == 360
    for value, version in ((quality.chip, "int8"), (quality.float_network, "float"), (quality.ann, "ann")):
        assert value == pytest.approx(report["quality"][version]["reconstruction_mse"], rel=1e-5)
    assert found.sops == report["totals"]["sops"]
    assert found.spikes == report["totals"]["spikes"]
    assert found.host_macs == report["totals"]["host_macs"]
    assert found.ann_macs == report["baseline"]["macs"]
    assert (found.cores, found.neurons, found.synapses) == tuple(
        report["fit"][key] for key in ("cores_placed", "neurons", "synapses")
    )
    assert found.latency_steps == report["latency_steps"]
    assert found.rates == {layer["name"]: layer["rate"] for layer in report["layers"]}
    for name, joules in found.energy.items():
        # Active updates are those of the first samples, which are others here.
        assert joules.snn_joule == pytest.approx(report["energy"][name]["snn_joule"], rel=0.05)
        assert joules.ann_int8_joule == report["energy"][name]["ann_int8_joule"]


@pytest.mark.slow
def test_a_real_sweep_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    asked = (
        "--bits",
        "8,2,9",
        "--threshold-scale",
        "1,1.2",
        "--samples",
        "20",
        "--workers",
        "1",
        "--out",
        "s",
        "--json",
    )
    done = spikewright("sweep", *asked, cwd=tmp_path, timeout=900)
    assert done.returncode == 1, done.stderr
    rows = json.loads(done.stdout)
    assert [row["status"] for row in rows] == ["done"] * 4 + ["failed"] * 2
    eight, higher, two, _ = rows[:4]
    assert eight["quality"] < two["quality"]
    assert higher["rate"] < eight["rate"]  # neurons fire less above a higher threshold
    assert 0 < eight["memory_ann_int8_joule"] < eight["memory_snn_joule"]
    assert "quantise.bits = 9" in rows[5]["error_text"]
    assert parquet.read_table(tmp_path / "s" / "results.parquet").to_pylist() == rows
    again = spikewright("sweep", "--out", "s", "--json", cwd=tmp_path, timeout=300)
    assert json.loads(again.stdout) == rows  # the seconds too: nothing was measured
    assert "4 points are known from before" in again.stderr
    assert {p.name for p in (tmp_path / "s").iterdir()} == {
        "points", "lock", "sweep.json", "results.parquet", "results.json", "results.md", "pareto.png", "pareto.svg",
    }  # fmt: skip


@pytest.mark.slow
def test_a_running_cluster_measures_what_this_machine_would(tmp_path: Path) -> None:
    """A scheduler and a worker as `dask` starts them, in processes of their own; the worker loads the package anew."""
    dask = Path(sys.executable).with_name("dask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    log = (tmp_path / "dask.log").open("w")
    begin = partial(subprocess.Popen, cwd=tmp_path, stdout=log, stderr=log)
    options = ["--bits", "8,4", "--samples", "20"]
    with (
        log,
        _until_the_end(begin([dask, "scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":")[-1], "--no-dashboard"])),
    ):  # fmt: skip
        alone = spikewright("sweep", *options, "--scheduler", address, "--out", "far", cwd=tmp_path)
        assert alone.returncode == 2
        assert f"dask worker {address}" in " ".join(alone.stderr.split())
        with _until_the_end(begin([dask, "worker", address, "--nthreads", "1", "--no-dashboard"])):
            far = spikewright("sweep", *options, "--scheduler", address, "--out", "far", cwd=tmp_path)
    assert far.returncode == 0, far.stderr
    assert spikewright("sweep", *options, "--out", "near", cwd=tmp_path).returncode == 0
    there, here = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("far", "near"))
    for point in (*there, *here):
        point.pop("seconds", None)
    assert there == here
    assert len(here) == 2


@contextmanager
def _until_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
