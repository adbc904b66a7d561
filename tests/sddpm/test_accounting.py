"""Operations of an evaluation, counted on the float network and on the chip, against brute counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikewright.benchmarks.energy import load_models
from spikewright.export.linear import Conv2d, fan_out
from spikewright.hardware import host
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.models.unet_blocks import SpikingResample, SpikingResidual
from spikewright.models.unet_layout import Build, UNetConfig
from spikewright.sddpm.accounting import evaluation_energy, observe
from spikewright.sddpm.baseline import export_twin
from spikewright.sddpm.evaluators import ChipDenoiser
from spikewright.sddpm.pricing import host_macs, tail_macs
from spikewright.sddpm.system import System
from spikewright.workspace import Workspace

IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 1, 8, 12)).astype(np.float32)


@pytest.mark.parametrize("build", ["chip", "lean", "faithful"])
def test_operations_of_the_float_network_are_those_of_a_brute_count(build: Build) -> None:
    torch.manual_seed(0)
    network = SpikingUNet(UNetConfig(image=(8, 12), channels=8, multipliers=(1, 2), build=build)).eval()
    found = observe(network, IMAGES)
    torch.manual_seed(1)
    with torch.no_grad():
        rasters = network.predict(*network.corrupt(torch.from_numpy(IMAGES)))[1]

    def reach(conv: torch.nn.Conv2d, raster: torch.Tensor) -> float:
        """Synapses that spikes of a sequence pass, mean over images."""
        channels, height, width = raster.shape[2:]
        map_ = Conv2d(
            np.ones(tuple(conv.weight.shape), np.float32), (channels, height, width),
            stride=conv.stride, padding=(1, 1),
        )  # fmt: skip
        return float(raster.sum((0, 1)).flatten().numpy() @ fan_out(map_)) / raster.shape[1]

    assert found.layers["entrance"].sops == pytest.approx(reach(network.entrance, rasters["coding_n"]))
    down, block = network.get_submodule("down0"), network.get_submodule("d0_0")
    assert isinstance(down, SpikingResample)
    assert isinstance(block, SpikingResidual)
    assert found.layers["down0.conv"].sops == pytest.approx(reach(down.conv, rasters["down0.n1"]))
    assert found.layers["d0_0.conv2"].sops == pytest.approx(reach(block.conv2, rasters["d0_0.n2"]))
    analogue = {name for name, layer in found.layers.items() if not layer.spikes}
    shortcuts = {name for name in found.layers if name.endswith("shortcut")}
    tail = {"chip": {"tail"}, "lean": {"tail"}, "faithful": {"tail.conv", "tail.side"}}[build]
    assert analogue == {"coding"} | tail | (set() if build == "lean" else shortcuts)
    assert found.first == found.layers["coding"].macs == 8 * (3 * 8 - 2) * (3 * 12 - 2)
    # The tail is charged for every time step, whether it was evaluated as often or once.
    tail_all = 4 * 22 * 34 * (8 if build != "faithful" else 8 + 1)
    assert sum(found.layers[n].macs for n in tail) * (1 if build == "faithful" else 4) == tail_all
    assert found.analogue_sops <= found.analogue


def test_an_evaluation_is_priced_by_four_ways(workspace: Workspace, system: System) -> None:
    chip = ChipDenoiser(system, "emulator")
    try:
        chip(IMAGES.astype(np.float64), 400)
    finally:
        chip.close()
    twin = export_twin(workspace)
    observed = observe(system.network, IMAGES)
    last = system.denoiser.program.populations[-2].name
    rows = evaluation_energy(system, observed, chip.tally, {last: 10.0}, host_macs(system), twin)
    paper, honest, deployed, outside = rows
    figures = load_models()["cmos45"].figures
    multiply = (figures["fp32_multiply"].value + figures["fp32_add"].value) * 1e-12
    assert paper.ann_joule == pytest.approx(multiply * twin.macs)
    assert paper.snn_joule == pytest.approx(
        4.6e-12 * observed.first + 0.9e-12 * (observed.sops + observed.analogue_sops)
    )
    assert honest.snn_joule > paper.snn_joule
    sops = float(chip.last["sops"].mean())
    assert deployed.snn_joule == pytest.approx(4.6e-12 * host_macs(system) + 0.9e-12 * sops)
    group = [g for g in system.denoiser.program.synapses if g.source == last]
    more = 10 * sum(float(fan_out(g.map).mean()) for g in group)
    assert outside.snn_joule - deployed.snn_joule == pytest.approx(0.9e-12 * more, rel=1e-6)
    assert all(row.ratio == pytest.approx(row.snn_joule / row.ann_joule) for row in rows)


def test_the_published_tail_is_the_hosts_work_in_every_step(system: System) -> None:
    config = replace(system.network.config, build="faithful")
    network = SpikingUNet(config).eval()
    found = observe(network, IMAGES)
    tail = sum(layer.macs for name, layer in found.layers.items() if name.startswith("tail"))
    assert tail_macs(replace(system, network=network)) == tail


def test_the_host_multiplies_for_the_first_convolution_alone(system: System) -> None:
    """The currents of the time are looked up and handed to every pixel."""
    assert tail_macs(system) == 0
    assert host_macs(system) == host.operations(system.denoiser.program) == 8 * (3 * 8 - 2) * (3 * 12 - 2)
