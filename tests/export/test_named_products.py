"""Products that are layers of their own, convolutions within a point, and biases that the host writes by channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import LIF, Product, Synapses
from spikewright.export.linear import Conv2d, Conv3d
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.models.spiking_attention import Coincidence

RNG = np.random.default_rng(0)
SHAPE = (3, 4, 2, 5)


class Meeting(nn.Module):
    """Spikes of two branches over (channels, time, height, width), their meeting, and the input once more behind it."""

    def __init__(self, kernel: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter_n = snn.Leaky(0.5, init_hidden=True)
        self.key, self.key_n = nn.Conv3d(3, 3, kernel, padding=kernel // 2), snn.Leaky(0.5, init_hidden=True)
        self.meeting_n = Coincidence()
        self.out = nn.Conv3d(3, 3, 1)
        self.last_n = snn.Leaky(0.5, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        """One time step."""
        spikes = self.enter_n(x)
        meeting = self.meeting_n(self.key_n(self.key(spikes)), spikes)
        out: Tensor = self.last_n(x + self.out(meeting))
        return out


def traced(kernel: int = 1):  # type: ignore[no-untyped-def]
    sample = torch.from_numpy(RNG.normal(0.5, 1, SHAPE).astype(np.float32))
    return trace(Meeting(kernel), sample, timesteps=4, coding="direct")


def test_a_product_has_its_modules_name() -> None:
    graph = traced()
    assert isinstance(graph.nodes["meeting_n"], Product)
    lowered = to_float(graph)
    node = lowered.nodes["meeting_n"]
    assert isinstance(node, LIF)
    assert node.threshold.tolist() == [1.5]


def test_a_product_of_currents_is_refused_by_name() -> None:
    class Bad(Meeting):
        """Multiplies the input."""

        def forward(self, x: Tensor) -> Tensor:
            """One time step."""
            return self.last_n(self.meeting_n(x, self.enter_n(x)))

    with pytest.raises(ExportError, match="meeting_n: multiplies input, which is no spike train"):
        to_float(trace(Bad(), torch.zeros(SHAPE), timesteps=2, coding="direct"))


@pytest.mark.parametrize(("kernel", "kind"), [(1, Conv2d), (3, Conv3d)])
def test_a_convolution_within_a_point_is_a_flat_one(kernel: int, kind: type) -> None:
    node = traced(kernel).nodes["key"]
    assert isinstance(node, Synapses)
    assert type(node.map) is kind
    module = Meeting(kernel)
    x = torch.from_numpy(RNG.normal(size=(2, *SHAPE)).astype(np.float32))
    assert node.bias is not None
    ours = node.map.forward(x.flatten(1), torch.from_numpy(node.map.weight)).reshape(2, 3, -1)
    wanted = module.key(x).detach().flatten(2)
    torch.testing.assert_close(ours + torch.from_numpy(node.bias)[:, None], wanted)


def test_strides_within_a_point_stay_three_dimensional() -> None:
    module = nn.Sequential(nn.Conv3d(2, 3, 1, stride=(2, 1, 1)), snn.Leaky(0.5, init_hidden=True))
    node = trace(module, torch.zeros(2, 6, 3, 4), timesteps=2, coding="direct").nodes["0"]
    assert isinstance(node, Synapses)
    assert isinstance(node.map, Conv3d)
    assert node.shape == (3, 3, 3, 4)


def test_a_host_bias_of_a_channel_reads_back(tmp_path: Path) -> None:
    """The last layer has the input's current and spikes with a bias, which the host writes with the current."""
    graph = to_float(traced())
    samples = RNG.normal(0.5, 1, (8, *SHAPE)).astype(np.float32)
    integers = quantise(graph, Calibration.of(run_float(graph, samples)))
    direct = integers.nodes[integers.direct("last_n")[0]]
    assert isinstance(direct, Synapses)
    assert direct.bias is not None
    assert direct.bias.shape == (3,)
    write_nir(integers, tmp_path / "a.nir")  # which raises where it does not read back equal
