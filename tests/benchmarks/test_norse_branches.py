"""norse runs a file with branches of unequal length as the float graph has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.benchmarks.equivalence.norse_check import run_norse
from spikewright.export.float_run import run_float
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.trace import trace
from tests.export.networks import Residual


def test_branches_meet_in_the_same_step(tmp_path: Path) -> None:
    pytest.importorskip("norse")
    torch.manual_seed(0)
    samples = torch.rand(4, 2, 7, 5).numpy()
    traced = trace(Residual(), torch.from_numpy(samples[0]), timesteps=6, coding="direct")
    graph = write_nir(to_float(traced), tmp_path / "residual.nir")
    mine = run_float(graph, samples).spikes
    theirs, _ = run_norse(tmp_path / "residual.nir", samples, 6, graph.settings.dt)
    assert mine["joined"].any()
    for name, spikes in mine.items():
        assert np.array_equal(theirs[name].reshape(spikes.shape), spikes), name
