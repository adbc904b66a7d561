"""Synaptic operations and multiply-accumulates as neurobench counts them.

neurobench (Yik et al., 2025, Nature Communications 16:1545) counts, layer by layer, weights other than zero that meet an
input other than zero; so do we, on the chip's integers. Where the definitions part, a test says how.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikewright.benchmarks.ann import count_macs, export_onnx
from spikewright.benchmarks.counting import count
from spikewright.export.linear import Conv2d, Dense, LinearMap
from spikewright.hardware import host
from spikewright.hardware.emulator import Emulator

from .networks import levels

neurobench = pytest.importorskip(
    "neurobench.metrics.utils.layers", reason="pip install --no-deps neurobench==2.3.0"
)


def torch_layer(map_: LinearMap) -> nn.Module:
    """The torch layer with the same weights; weights are integers in floats."""
    weight = torch.from_numpy(np.asarray(map_.weight, np.float32))
    layer: nn.Linear | nn.Conv2d
    if isinstance(map_, Dense):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    else:
        assert isinstance(map_, Conv2d)
        layer = nn.Conv2d(
            weight.shape[1] * map_.groups, weight.shape[0], weight.shape[2:], map_.stride, map_.padding,
            map_.dilation, map_.groups, bias=False,
        )  # fmt: skip
    layer.weight.data = weight
    return layer


@pytest.mark.parametrize("name", ["sequential", "explicit", "residual-spikes"])
def test_synaptic_operations_of_every_layer(name: str) -> None:
    level = levels(name)
    inputs, _ = host.encode(level.program, level.samples)
    ran = Emulator(level.program).run(inputs, "spikes")
    counted = {layer.name: layer.sops for layer in count(level.program, ran, inputs.samples)}
    found = dict.fromkeys(counted, 0.0)
    for group in level.program.synapses:
        layer = torch_layer(group.map)
        raster = torch.from_numpy(ran.spikes[group.source]).float()
        # neurobench sees one time step of a batch at a time.
        for step in raster.unbind(1):
            seen = step if isinstance(layer, nn.Linear) else step.reshape(-1, *group.map.input_shape)
            operations, spiking = neurobench.single_layer_MACs(seen, layer)
            assert spiking
            found[group.target] += float(operations) / inputs.samples
    assert found == pytest.approx(counted)
    assert sum(found.values()) > 0


class Net(nn.Module):
    """An ANN with asymmetric kernels, strides and groups."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(2, 6, (3, 5), stride=(2, 1), padding=(1, 0))
        self.second = nn.Conv2d(6, 4, (1, 3), padding=(0, 1), groups=2, bias=False)
        self.last = nn.Linear(4 * 5 * 10, 7)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.second(self.first(images).relu()).relu().flatten(1))


def test_multiply_accumulates_of_an_ann(tmp_path: Path) -> None:
    net = Net()
    export_onnx(net, (2, 9, 14), tmp_path / "net.onnx")
    wanted = {node.macs for node in count_macs(tmp_path / "net.onnx").nodes}
    found, images = set(), torch.rand(3, 2, 9, 14) + 0.5
    with torch.no_grad():
        for layer in (net.first, net.second, net.last):
            total, _ = neurobench.single_layer_MACs(images, layer, total=True)
            found.add(round(float(total) / 3))
            images = layer(images)
            images = images.flatten(1) if layer is net.second else images
    assert found == wanted


def test_what_neurobench_leaves_out_of_an_ann_is_counted_here(tmp_path: Path) -> None:
    """Its effective operations skip inputs that are zero; a processor that ships the ANN multiplies them all the same."""
    net = Net()
    export_onnx(net, (2, 9, 14), tmp_path / "net.onnx")
    images = torch.rand(1, 2, 9, 14)
    images[:, :, ::2] = 0
    with torch.no_grad():
        effective, spiking = neurobench.single_layer_MACs(images, net.first)
    assert not spiking
    first = count_macs(tmp_path / "net.onnx").nodes[0]
    assert 0 < float(effective) < first.macs


def test_a_graded_or_signed_input_is_told_apart() -> None:
    """neurobench takes inputs of -1, 0 and 1 for spikes; a value of 2 makes its operations multiplications, as here."""
    layer = nn.Linear(4, 3, bias=False)
    for value, spiking in ((1.0, True), (-1.0, True), (2.0, False)):
        operations, told = neurobench.single_layer_MACs(torch.tensor([[value, 0.0, 0.0, value]]), layer)
        assert (float(operations), told) == (6.0, spiking)
