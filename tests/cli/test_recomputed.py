"""A report's operations and energy, computed again from nothing but recorded spikes and stored weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.hardware import host
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program_io import load_program
from spikewright.measuring import STATE_SAMPLES
from spikewright.workspace import Workspace


def operations(map_: LinearMap, spikes: np.ndarray) -> int:
    """Weights other than zero that the spikes (steps, inputs) meet: the map itself, with ones for its weights."""
    there, x = torch.from_numpy(map_.weight != 0).double(), torch.from_numpy(spikes).double()
    if isinstance(map_, Dense):
        return int((x @ there.T).sum())
    x = x.reshape(-1, *map_.input_shape)
    if isinstance(map_, Conv2d):
        return int(
            functional.conv2d(x, there, None, map_.stride, map_.padding, map_.dilation, map_.groups).sum()
        )
    assert isinstance(map_, ConvTranspose2d)
    shape = (map_.stride, map_.padding, map_.output_padding, map_.groups, map_.dilation)
    return int(functional.conv_transpose2d(x, there, None, *shape).sum())


def test_operations_and_energy_follow_from_the_spikes(build: Path) -> None:
    report, workspace = json.loads((build / "report.json").read_text()), Workspace.open(build)
    program, images = load_program(build / "program.npz"), workspace.test_images
    spikes = Emulator(program).run(host.encode(program, images)[0], "spikes").spikes
    few = Emulator(program).run(host.encode(program, images[:STATE_SAMPLES])[0], "states")

    count, names = len(images), [p.name for p in program.populations]
    sops = (
        sum(
            operations(g.map, spikes[g.source].reshape(-1, spikes[g.source].shape[2]))
            for g in program.synapses
        )
        / count
    )
    updates = sum(spikes[name][0].size for name in names)
    active = (
        sum(
            np.count_nonzero((few.spikes[n] != 0) | (few.currents[n] != 0) | (few.membranes[n] != 0))
            for n in names
        )
        / STATE_SAMPLES
    )
    host_macs, rows = report["totals"]["host_macs"], report["energy"]
    pico = {
        "cmos45": 0.9 * sops + 4.6 * host_macs,
        "memory": (0.1 + 2.5 + 8 * 1.25) * sops
        + (2 * 3.1 + 4 * 0.1 + 24 * 1.25) * updates
        + (4.6 + 4 * 3.75) * host_macs,
        "loihi1": 23.6 * sops + 81 * active + 52 * (updates - active) + 4.6 * host_macs,
    }
    on_the_way = (
        "spike messages",
        "hops east and west",
        "hops north and south",
    )  # as placed, not by spikes alone
    assert report["totals"]["spikes"] == pytest.approx(
        sum(spikes[n].sum(dtype=int) for n in names) / count, rel=1e-12
    )
    assert report["totals"]["sops"] == pytest.approx(sops, rel=1e-12)
    assert report["totals"]["neuron_updates"] == updates
    for name, expected in pico.items():
        told = rows[name]["snn_joule"] - sum(rows[name]["parts"].get(part, 0) for part in on_the_way)
        assert told == pytest.approx(expected * 1e-12, rel=1e-9), name
    assert sops > 1000
    assert 0 < active <= updates
