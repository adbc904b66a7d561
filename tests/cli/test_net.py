"""``export-net``, and ``simulate`` of a .net file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spikewright.export.nir_write import write_nir
from spikewright.export.quantise import quantise
from tests.export.graphs import calibrated, chain

from .conftest import spikewright


def test_there_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    floats = chain(rng, [8, 7, 5], timesteps=6)
    samples = (rng.random((5, 6, 8)) < 0.5).astype(np.float32)
    write_nir(quantise(floats, calibrated(floats, samples)), tmp_path / "a.int8.nir")
    np.save(tmp_path / "in.npy", samples)
    refused = spikewright("export-net", "a.int8.nir", "a.net", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: chain: a .net file cannot hold")
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "a.net").exists()
    done = spikewright("export-net", "a.int8.nir", "a.net", "--round", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "a.net"), done.stderr
    ran = spikewright("simulate", "a.net", "--steps", "6", "--input", "in.npy", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["populations"]["neuron_dense2"]["neurons"] == 5


def test_a_net_file_needs_its_time_steps(tmp_path: Path) -> None:
    done = spikewright("simulate", "a.net", "--input", "in.npy", cwd=tmp_path)
    assert done.returncode == 2
    assert "give --steps" in done.stderr
    done = spikewright("simulate", "a.net", "--steps", "4", "--input", "in.npy", cwd=tmp_path)
    assert done.returncode == 2
    assert "a.net: no such file" in done.stderr
