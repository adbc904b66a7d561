"""A U-shaped network with skips, streamed on Lava, is the zero-latency integer network; unbalanced it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph, IntegerNeuron, Output, Synapses
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.export.unroll import unroll
from spikewright.hardware import arithmetic as hw
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.lava import driver
from spikewright.hardware.recording import compare
from spikewright.hardware.relays import DelayCosts, balance_cost
from tests.export.networks import leaky

STEPS, SAMPLES, SHAPE = 6, 3, (2, 6, 10)


class UShape(nn.Module):
    """Twelve populations deep; a concatenation joins the finest level, a residual of spikes the middle one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList()
        widths = [(2, 4), (4, 4), (4, 5), (5, 5), (5, 6), (6, 6), (6, 5), (5, 5), (5, 4), (8, 4), (4, 3)]
        strides = [1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1]
        for (before, after), stride in zip(widths, strides, strict=True):
            self.layers.append(nn.Conv2d(before, after, 3, stride=(stride, 1), padding=1))
        self.neurons = nn.ModuleList(leaky(0.6, 0.12) for _ in self.layers)
        self.head, self.last = nn.Linear(3 * 6 * 10, 7), leaky(0.9, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        skip = middle = x
        for index, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
            if index == 9:
                x = torch.cat([F.interpolate(x, scale_factor=(2.0, 1.0)), skip], 1)
            current = layer(x)
            x = neuron(current + middle if index == 7 else current)
            skip, middle = (x, middle) if index == 1 else (skip, x if index == 3 else middle)
        return self.last(self.head(x.flatten(1)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def lowered() -> tuple[Graph, NDArray[np.float32]]:
    samples = (np.random.default_rng(0).random((SAMPLES, STEPS, *SHAPE)) < 0.4).astype(np.float32)
    graph = to_float(trace(UShape(), torch.from_numpy(samples[0, 0]), timesteps=STEPS, coding="spikes"))
    run = run_float(graph, samples)
    rates = {name: spikes.mean() for name, spikes in run.spikes.items()}
    assert all(0.01 < rate < 0.9 for rate in rates.values()), rates
    return quantise(graph, Calibration.of(run)), samples


def zero_latency(graph: Graph, samples: NDArray[np.float32]) -> dict[str, NDArray[np.uint8]]:
    """The integer network in which spikes take no time: every layer sees the same step of the same sample."""
    order = graph.select(IntegerNeuron)
    matrices = {
        n: unroll(node.map).astype(np.int64)
        for n in graph.select(Synapses)
        if isinstance(node := graph.nodes[n], Synapses)
    }
    spikes = {n: np.zeros((SAMPLES, STEPS, np.prod(graph.nodes[n].shape)), np.uint8) for n in order}
    for k in range(SAMPLES):
        u = {n: np.zeros(np.prod(graph.nodes[n].shape), np.int64) for n in order}
        v = {n: x.copy() for n, x in u.items()}
        for t in range(STEPS):
            now = {"input": samples[k, t].reshape(-1).astype(np.int64)}
            for name in order:
                node = graph.nodes[name]
                assert isinstance(node, IntegerNeuron)
                arriving = np.zeros_like(u[name])
                for s in graph.sources(name):
                    synapses = graph.nodes[s]
                    assert isinstance(synapses, Synapses)
                    assert synapses.exponent is not None
                    arriving += hw.synaptic_sum(matrices[s] @ now[graph.sources(s)[0]], synapses.exponent)
                bias = np.left_shift(node.bias_mantissa, node.bias_exponent)
                u[name], v[name], fired = hw.lif_step(
                    u[name], v[name], arriving, current_decay=node.current_decay,
                    membrane_decay=node.membrane_decay, threshold=node.threshold, bias=bias,
                )  # fmt: skip
                now[name] = fired.astype(np.int64)
                spikes[name][k, t] = fired
    return spikes


def test_it_is_deep_and_waits(lowered: tuple[Graph, NDArray[np.float32]]) -> None:
    program = compile_program(lowered[0])
    assert program.depth >= 12
    assert len({g.delay for g in program.synapses} - {0}) >= 2
    assert isinstance(lowered[0].nodes[lowered[0].select(Output)[0]], Output)


@pytest.mark.parametrize("longest", [62, 2])
def test_balanced_it_is_the_zero_latency_network(
    lowered: tuple[Graph, NDArray[np.float32]], longest: int
) -> None:
    graph, samples = lowered
    program = compile_program(graph, costs=DelayCosts(longest=longest))
    assert (balance_cost(program).relay_neurons > 0) == (longest == 2)
    inputs, _ = host.encode(program, samples)
    wanted, streamed = zero_latency(graph, samples), reference.run(program, inputs)
    for name, spikes in wanted.items():
        assert (streamed.spikes[name] == spikes).all(), name
        assert spikes.any()
    assert compare(streamed, Emulator(program).run(inputs, detail="states"), [*streamed.spikes]).equal


@pytest.mark.lava
@pytest.mark.parametrize("longest", [62, 2])
def test_streamed_on_lava_it_is_the_zero_latency_network(
    lowered: tuple[Graph, NDArray[np.float32]], longest: int
) -> None:
    graph, samples = lowered
    program = compile_program(graph, costs=DelayCosts(longest=longest))
    inputs, _ = host.encode(program, samples)
    try:
        theirs = driver.run(program, inputs, time_limit=300)
    except driver.LavaUnavailable as error:
        pytest.skip(str(error))
    for name, spikes in zero_latency(graph, samples).items():
        assert (theirs.spikes[name] == spikes).all(), name


def test_unbalanced_it_is_another_network(lowered: tuple[Graph, NDArray[np.float32]]) -> None:
    graph, samples = lowered
    program = compile_program(graph, balance=False)
    inputs, _ = host.encode(program, samples)
    wanted, streamed = zero_latency(graph, samples), reference.run(program, inputs)
    parted = [name for name, spikes in wanted.items() if (streamed.spikes[name] != spikes).any()]
    assert parted
    assert len(parted) < len(wanted), "what lies ahead of the skips is untouched"
