"""Whatever real networks are made of: the float graph does what the module does, spike for spike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import LIF, Graph, Synapses
from spikewright.export.levels import require
from spikewright.export.linear import Conv2d, ConvTranspose2d
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.record import run_module
from spikewright.export.trace import trace
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.recording import compare
from spikewright.models.temporal import CausalConv3d
from tests.export.networks import Written, leaky

STEPS = 6


def equal_to_module(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    """The float graph of a module, held against it on random spikes."""
    torch.manual_seed(0)
    samples = (torch.rand(5, STEPS, *shape) < 0.4).float()
    graph = to_float(trace(module, samples[0, 0], timesteps=STEPS, coding="spikes"))
    require(graph, "float")
    ran = run_module(module, samples, STEPS, coding="spikes")
    mine = run_float(graph, samples.numpy())
    compared = 0
    for name, spikes in ran.spikes.items():
        if isinstance(graph.nodes.get(name), LIF):
            assert (spikes == mine.spikes[name]).all(), name
            assert 0 < spikes.mean() < 1, (name, spikes.mean())
            compared += 1
    assert compared
    return graph


def synaptic(**settings: Any) -> snn.Synaptic:
    kept = {"alpha": 0.7, "beta": 0.8, "threshold": 0.4, "init_hidden": True, "reset_mechanism": "zero"}
    return snn.Synaptic(**{**kept, "reset_delay": False, **settings})


class Recurrent(nn.Module):
    """Spikes of the step before come in as an argument, and spikes go out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc, self.back, self.out = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 4)
        self.hidden, self.last = synaptic(), synaptic(alpha=0.3)

    def initial(self, batch: int) -> Tensor:
        return torch.zeros(batch, 5)

    def forward(self, x: Tensor, spikes: Tensor) -> tuple[Tensor, Tensor]:
        spikes = self.hidden(self.fc(x) + self.back(spikes))
        return self.last(self.out(spikes)), spikes


def conv(*args: Any, **kwargs: Any) -> nn.Conv2d:
    torch.manual_seed(len(args))
    return nn.Conv2d(*args, **kwargs)


NETWORKS: dict[str, tuple[Callable[..., Any], dict[str, nn.Module]]] = {
    "max pool": (lambda m, x: m.b(m.g(F.max_pool2d(m.a(m.f(x)), (2, 1)))), {"g": conv(3, 2, 3)}),
    "average pool before a layer": (lambda m, x: m.b(m.g(m.pool(m.a(m.f(x))))), {"g": conv(3, 2, (2, 3)), "pool": nn.AvgPool2d(2)}),
    "pool with leftover and padding": (
        lambda m, x: m.b(m.g(m.pool(m.a(m.f(x))))), {"g": conv(3, 2, 3, padding=1), "pool": nn.AvgPool2d((2, 3))}
    ),
    "sum pool": (lambda m, x: m.b(m.g(F.avg_pool2d(m.a(m.f(x)), 2) * 4)), {"g": conv(3, 2, 2)}),
    "pool of currents": (lambda m, x: m.b(F.avg_pool2d(m.g(m.a(m.f(x))), 2)), {"g": conv(3, 2, 3)}),
    "adaptive pool": (lambda m, x: m.b(m.g(m.pool(m.a(m.f(x))))), {"g": conv(3, 4, 1), "pool": nn.AdaptiveAvgPool2d((3, 2))}),
    "upsampling": (
        lambda m, x: m.b(m.g(F.interpolate(m.a(m.f(x)), scale_factor=2))), {"g": conv(3, 2, 3, padding=1)}
    ),
    "upsampling module": (lambda m, x: m.b(m.g(m.up(m.a(m.f(x))))), {"g": conv(3, 2, (3, 2)), "up": nn.Upsample(scale_factor=(2, 3))}),
    "concatenated spikes": (
        lambda m, x: m.b(m.g(torch.cat([m.a(m.f(x)), m.c(m.h(x))], 1))), {"g": conv(5, 2, 3), "h": conv(2, 2, 3, padding=1), "c": leaky(0.5, 0.3)}
    ),
    "concatenated currents": (
        lambda m, x: m.b(torch.cat([m.g(m.a(m.f(x))), m.h(m.a2(m.f2(x)))], dim=-3)),
        {"g": conv(3, 2, 3), "h": conv(3, 1, 3), "f2": conv(2, 3, 3, padding=1), "a2": leaky(0.5, 0.3)},
    ),
    "concatenated rows": (
        lambda m, x: m.b(m.g(torch.cat([m.a(m.f(x)), m.c(m.h(x))], 2))), {"g": conv(3, 2, 3), "h": conv(2, 3, 3, padding=1), "c": leaky(0.5, 0.3)}
    ),
    "residual of spikes": (lambda m, x: (lambda s: m.b(m.g(s) + s))(m.a(m.f(x))), {"g": conv(3, 3, 3, padding=1)}),
    "sum of spikes into one layer": (
        lambda m, x: m.b(m.g(m.a(m.f(x)) + m.c(m.h(x)))), {"g": conv(3, 2, 3), "h": conv(2, 3, 3, padding=1), "c": leaky(0.5, 0.3)}
    ),
    "product of spikes": (
        lambda m, x: m.b(m.g(m.a(m.f(x)) * m.c(m.h(x)))), {"g": conv(3, 2, 3), "h": conv(2, 3, 3, padding=1), "c": leaky(0.5, 0.1)}
    ),
    "one current, two populations": (
        lambda m, x: (lambda y: m.b(m.g(m.a(y)) - m.h(m.c(y))))(m.f(x)), {"g": conv(3, 2, 3), "h": conv(3, 2, 3), "c": leaky(0.5, 0.2)}
    ),
    "permuted and sliced": (
        lambda m, x: m.b(m.g(m.a(m.f(x)).transpose(2, 3).flip(3)[:, 1:, ::2])), {"g": conv(2, 2, 3)}
    ),
    "chunks": (lambda m, x: (lambda p: m.b(m.g(p[0]) + m.h(p[1])))(m.a(m.f(x)).chunk(2, 3)), {"g": conv(3, 2, 3), "h": conv(3, 2, 3)}),
    "shuffled channels": (lambda m, x: m.b(m.g(m.shuffle(m.a(m.f(x))))), {"g": conv(3, 2, 3), "shuffle": nn.ChannelShuffle(3)}),
    "grouped transposed": (lambda m, x: m.b(m.g(m.a(m.f(x)))), {"g": nn.ConvTranspose2d(3, 6, 3, stride=2, groups=3)}),
    "normalised, grouped and transposed": (
        lambda m, x: m.b(m.n(m.g(m.a(m.f(x))))), {"g": nn.ConvTranspose2d(3, 6, 3, stride=2, groups=3), "n": nn.BatchNorm2d(6)}
    ),
    "normalised in groups": (
        lambda m, x: m.b(m.n(m.g(m.a(m.f(x))).unflatten(1, (2, 2)).flatten(2, 3))), {"g": conv(3, 4, 3), "n": nn.BatchNorm2d(2)}
    ),
    "current and its dropout": (
        lambda m, x: (lambda y: m.b(y + m.drop(y)))(m.g(m.a(m.f(x)))), {"g": conv(3, 2, 3), "drop": nn.Dropout()}
    ),
    "square of spikes": (lambda m, x: (lambda s: m.b(m.g(s * s)))(m.a(m.f(x))), {"g": conv(3, 2, 3)}),
    "norm of spikes": (lambda m, x: m.b(m.g(m.n(m.a(m.f(x))))), {"g": conv(3, 2, 3), "n": nn.BatchNorm2d(3)}),
    "two layers in a row": (lambda m, x: m.b(m.h(m.g(m.a(m.f(x))))), {"g": conv(3, 4, 3, padding=1), "h": conv(4, 2, (2, 3))}),
    "number times spikes": (lambda m, x: m.b(m.g(0.5 * m.a(m.f(x)) / 2)), {"g": conv(3, 2, 3)}),
    "one axis": (
        lambda m, x: m.b(m.g(F.max_pool1d(m.a(m.f(x)).flatten(2), 2))), {"g": nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2)}
    ),
    "an axis of time": (
        lambda m, x: m.b(m.g(m.a(m.f(x)))),
        {"g": CausalConv3d(3, 4, (3, 2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 1, 1))},
    ),
    "an axis of time, in groups": (
        lambda m, x: (lambda s: m.b(m.n(m.g(s)) + m.h(s)))(m.a(m.f(x))),
        {"g": CausalConv3d(3, 3, (2, 3, 1), padding=(1, 0), groups=3, bias=False), "n": nn.BatchNorm2d(3), "h": conv(3, 3, 1)},
    ),
    "three axes": (
        lambda m, x: m.b(m.g(m.a(m.f(x)).unsqueeze(1))), {"g": nn.Conv3d(1, 2, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0))}
    ),
}  # fmt: skip


def network(name: str) -> nn.Module:
    step, parts = NETWORKS[name]
    torch.manual_seed(1)
    net = Written(step, f=nn.Conv2d(2, 3, 3, padding=1), a=leaky(0.5, 0.25), b=leaky(0.7, 0.05), **parts)
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):  # wide awake: silence proves nothing
            module.weight.data *= 2
            module.weight.data[0].abs_()
            if module.bias is not None:
                module.bias.data.abs_().add_(0.15)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_real_parts_is_its_module(name: str) -> None:
    equal_to_module(network(name), (2, 6, 8))


@pytest.mark.parametrize("bits", [8, 15])
@pytest.mark.parametrize("name", [*NETWORKS, "recurrent"])
def test_it_goes_all_the_way_to_the_chip(name: str, bits: int, tmp_path: Path) -> None:
    module, shape = (Recurrent(), (6,)) if name == "recurrent" else (network(name), (2, 6, 8))
    graph = write_nir(equal_to_module(module, shape), tmp_path / "float.nir")
    samples = (np.random.default_rng(0).random((3, STEPS, *shape)) < 0.4).astype(np.float32)
    run = run_float(graph, samples)
    integer = write_nir(quantise(graph, Calibration.of(run), bits=bits), tmp_path / "integer.nir")
    program = compile_program(integer)
    inputs, _ = host.encode(program, samples)
    fast = Emulator(program).run(inputs, detail="states")
    assert compare(reference.run(program, inputs), fast, [*fast.spikes]).equal
    last = program.populations[-1].name
    agreement = (fast.spikes[last] == run.spikes[last]).mean()
    assert agreement > (0.99 if bits == 15 else 0.9), agreement


def test_spike_driven_recurrence_is_its_module() -> None:
    graph = equal_to_module(Recurrent(), (6,))
    back = graph.nodes["back"]
    assert isinstance(back, Synapses)
    assert back.lag == 1
    assert ("hidden", "back") in graph.edges
    assert ("back", "hidden") in graph.edges


@pytest.mark.parametrize(
    "settings",
    [
        {"linear_features": 5},
        {"all_to_all": False, "V": torch.linspace(-1, 1, 5)},
        {"all_to_all": False, "V": 0.5},
    ],
)
def test_a_recurrent_leaky_neuron_is_its_module(settings: dict[str, Any]) -> None:
    torch.manual_seed(2)
    neuron = snn.RLeaky(
        0.6, threshold=0.3, init_hidden=True, reset_mechanism="zero", reset_delay=False, **settings
    )
    equal_to_module(nn.Sequential(nn.Linear(6, 5), neuron), (6,))


@pytest.mark.parametrize(
    "neuron",
    [
        lambda: snn.Leaky(0.8, threshold=0.3, init_hidden=True),
        lambda: snn.Leaky(torch.linspace(0.2, 1, 5), threshold=torch.linspace(0.1, 0.5, 5), init_hidden=True),
        lambda: snn.Synaptic(0.6, 0.8, threshold=0.3, init_hidden=True),
        lambda: snn.RLeaky(0.7, threshold=0.3, init_hidden=True, linear_features=5),
    ],
)
def test_snntorch_takes_the_threshold_off_in_the_next_step(neuron: Callable[[], snn.SpikingNeuron]) -> None:
    torch.manual_seed(2)
    layer = nn.Linear(6, 5)
    layer.weight.data.abs_()  # membranes well above two thresholds: what a reset leaves fires again
    graph = equal_to_module(nn.Sequential(layer, neuron()), (6,))
    node = graph.nodes["1"]
    assert isinstance(node, LIF)
    assert node.reset == "subtract-delayed"
    samples = (np.random.default_rng(0).random((3, STEPS, 6)) < 0.4).astype(np.float32)
    run = run_float(graph, samples)
    program = compile_program(quantise(graph, Calibration.of(run), bits=15))
    inputs, _ = host.encode(program, samples)
    fast = Emulator(program).run(inputs, detail="states")
    assert compare(reference.run(program, inputs), fast, ["1"]).equal
    assert (fast.spikes["1"] == run.spikes["1"]).mean() > 0.97


def test_decays_of_each_neuron_are_kept() -> None:
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Linear(6, 5), synaptic(alpha=torch.linspace(0, 0.9, 5), beta=torch.linspace(0.2, 1, 5))
    )
    graph = equal_to_module(net, (6,))
    node = graph.nodes["1"]
    assert isinstance(node, LIF)
    assert np.allclose(node.alpha, np.linspace(0, 0.9, 5))


def test_maps_stay_convolutions() -> None:
    graph = equal_to_module(network("upsampling"), (2, 6, 8))
    assert isinstance(graph.nodes["g"].map, ConvTranspose2d)  # type: ignore[union-attr]
    map_ = equal_to_module(network("sum pool"), (2, 6, 8)).nodes["g"].map  # type: ignore[union-attr]
    assert isinstance(map_, Conv2d)
    assert map_.weight.shape == (2, 3, 4, 4)
    assert map_.stride == (2, 2)


class FedBackWrongly(Recurrent):
    def forward(self, x: Tensor, spikes: Tensor) -> Any:
        out, _ = super().forward(x, spikes)
        return out


def test_a_state_that_is_not_returned_is_named() -> None:
    with pytest.raises(
        Exception, match=r"spikes: argument 2 of the step is fed back, .* return \(output, \*states\)"
    ):
        trace(FedBackWrongly(), torch.zeros(6), timesteps=3, coding="spikes")
