"""Relays from torch to integers: what becomes one, that it changes nothing, and how payloads and weights share bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import LI, LIF, Graph, IntegerNeuron, Relay, Synapses
from spikewright.export.levels import check
from spikewright.export.nir_write import differences, write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import ProgramError
from tests.export import nir_interpreter

SHAPE, STEPS = (1, 7, 5), 4


def neurons() -> snn.Leaky:
    return snn.Leaky(beta=1.0, threshold=1.0, reset_mechanism="zero", reset_delay=False, init_hidden=True)


def integrator(beta: float = 0.0) -> snn.Leaky:
    return snn.Leaky(beta=beta, reset_mechanism="none", init_hidden=True, output=True)


class Residual(nn.Module):
    """Two sums of a stream, an identity and a 1x1 shortcut, a linear tail; the stream passes relays where told."""

    def __init__(self, relays: bool = True) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.coding, self.coding_n = nn.Conv2d(1, 4, 3, padding=1), neurons()
        self.entrance, self.conv1, self.conv2 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.narrow, self.tail = nn.Conv2d(4, 3, 1), nn.Conv2d(3, 1, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 3, 3, padding=1)
        self.n1, self.n2, self.readout = neurons(), neurons(), integrator(0.8)
        self.relays = nn.ModuleList(integrator() for _ in range(3)) if relays else None

    def hand_on(self, index: int, stream: Tensor) -> Tensor:
        """What comes behind sees."""
        if self.relays is None:
            return stream
        values: Tensor = self.relays[index](stream)[1]
        return values

    def forward(self, x: Tensor) -> Tensor:
        """One time step."""
        stream = self.hand_on(0, self.entrance(self.coding_n(self.coding(x) * 3)) * 2)
        stream = self.hand_on(1, self.conv2(self.n1(stream)) + stream)
        stream = self.hand_on(2, self.conv3(self.n2(stream)) + self.narrow(stream))
        told: Tensor = self.readout(self.tail(stream))[1]
        return told


def samples(count: int = 12) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, *SHAPE)).astype(np.float32)


def lowered(module: nn.Module) -> Graph:
    return to_float(trace(module, torch.zeros(SHAPE), timesteps=STEPS, coding="direct"))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return lowered(Residual())


@pytest.fixture(scope="module")
def calibration(graph: Graph) -> Calibration:
    return Calibration.of(run_float(graph, samples()))


def integer(graph: Graph, calibration: Calibration, bits: int) -> Graph:
    return quantise(graph, calibration, payload_bits=bits)


def error(graph: Graph, quantised: Graph) -> float:
    """Mean square error of what is read out, relative to its mean square."""
    program = compile_program(quantised)
    found = Emulator(program, threads=1).run(host.encode(program, samples())[0])
    told = found.readouts["readout"] / program.population("readout").scale
    wanted = run_float(graph, samples()).readouts["readout"]
    return float(((told - wanted) ** 2).mean() / (wanted**2).mean())


def test_what_hands_its_membrane_on_becomes_a_relay(graph: Graph) -> None:
    assert graph.select(Relay) == ["relays_0", "relays_1", "relays_2"]
    assert [n for n in graph.select(LI) if n not in graph.select(Relay)] == ["readout"]
    assert set(graph.sources("relays_1")) == {"conv2", "relays_0_to_relays_1"}
    assert not graph.direct("relays_0")


def test_an_integrator_with_memory_or_without_followers_does_not() -> None:
    module = Residual()
    assert module.relays is not None
    module.relays[1] = integrator(0.5)
    with pytest.raises(ExportError, match="relays_1, which gives no spikes"):
        lowered(module)
    plain = Residual(relays=False)
    plain.readout = integrator(0.0)
    assert not lowered(plain).select(Relay)


def test_a_relay_that_is_read_out_as_well_is_refused(graph: Graph) -> None:
    edges = tuple((a if b != "output" else "relays_2", b) for a, b in graph.edges)
    found = [str(f) for f in check(replace(graph, edges=edges), "float") if f.rule == "neighbours"]
    assert any("comes from relays_2, which hands values on" in f for f in found)


def test_relays_change_nothing_in_floats(graph: Graph) -> None:
    other = lowered(Residual(relays=False))
    a, b = run_float(graph, samples()), run_float(other, samples())
    assert all((a.spikes[name] == raster).all() for name, raster in b.spikes.items())
    assert np.allclose(a.readouts["readout"], b.readouts["readout"], atol=1e-5)
    assert np.allclose(a.relayed["relays_2"], a.rates()["relays_2"])
    assert (a.relayed["relays_1"] < 0).any()


@pytest.mark.parametrize("bits", [4, 8, 12, 24])
def test_payloads_are_as_fine_as_width_and_weights_allow(
    graph: Graph, calibration: Calibration, bits: int
) -> None:
    made = integer(graph, calibration, bits)
    for name in graph.select(Relay):
        relay, peak = made.nodes[name], calibration.membrane_peak[name].max()
        assert isinstance(relay, IntegerNeuron)
        assert 2 <= relay.payload_bits <= bits
        limit, unit = 2 ** (relay.payload_bits - 1) - 1, relay.payload_unit
        assert unit == 2.0 ** round(np.log2(unit))
        assert peak * unit < limit  # nothing that calibration saw saturates
        assert limit < 2 * (1.25 * peak * unit + 1)  # and no bit is wasted
        for s in graph.targets(name):
            group = made.nodes[s]
            assert isinstance(group, Synapses)
            q = np.abs(group.map.weight.astype(int))
            alike = q.max() == q.min()
            assert q.max() >= (1 if alike else 31)
            if alike:  # an identity: its weight is exact
                assert q.max() & (q.max() - 1) == 0


def test_more_bits_are_better_until_weights_are_what_counts(graph: Graph, calibration: Calibration) -> None:
    errors = {bits: error(graph, integer(graph, calibration, bits)) for bits in (3, 6, 12)}
    assert errors[3] > 4 * errors[6] > 4 * errors[12]
    assert errors[12] < 0.002
    unrolled = lowered(Residual(relays=False))
    other = quantise(unrolled, Calibration.of(run_float(unrolled, samples())))
    assert errors[12] < 4 * error(unrolled, other)


def test_the_compiled_program_lines_up_and_every_backend_agrees(
    graph: Graph, calibration: Calibration
) -> None:
    program = compile_program(integer(graph, calibration, 10))
    starts = {p.name: p.start for p in program.populations}
    # Each relay takes a step of its own: coding, relay, neurons, relay, neurons, relay, read-out.
    assert starts == {
        "coding_n": 0, "relays_0": 1, "n1": 2, "relays_1": 3, "n2": 4, "relays_2": 5, "readout": 6
    }  # fmt: skip
    assert {g.name: g.delay for g in program.synapses if g.delay} == {"relays_0_to_relays_1": 1, "narrow": 1}
    inputs, _ = host.encode(program, samples(3))
    slow, fast = reference.run(program, inputs), Emulator(program).run(inputs, "states")
    for name, sent in slow.spikes.items():
        assert (fast.spikes[name] == sent).all()
    assert (slow.readouts["readout"] == fast.readouts["readout"]).all()
    assert any((slow.spikes[f"relays_{i}"] < -1).any() for i in range(3))


def test_nobody_injects_spikes_in_place_of_a_relay(graph: Graph, calibration: Calibration) -> None:
    with pytest.raises(ProgramError, match="relays_1"):
        compile_program(integer(graph, calibration, 8), inject="relays_1")


def test_nir_files_hold_relays_and_read_as_what_they_mean(
    graph: Graph, calibration: Calibration, tmp_path: Path
) -> None:
    assert not differences(write_nir(graph, tmp_path / "float.nir"), graph)
    made = integer(graph, calibration, 9)
    back = write_nir(made, tmp_path / "integer.nir")
    assert not differences(back, made)
    relay = back.nodes["relays_1"]
    assert isinstance(relay, IntegerNeuron)
    assert isinstance(relay.origin, Relay)
    assert (relay.payload_bits, relay.payload_shift) == (
        made.nodes["relays_1"].payload_bits,  # type: ignore[union-attr]
        made.nodes["relays_1"].payload_shift,  # type: ignore[union-attr]
    )
    run = run_float(graph, samples(2))
    file = nir_interpreter.load(tmp_path / "float.nir")
    for n in range(2):  # the interpreter's integrators send nothing on: the first relay is as far as it gets
        read = nir_interpreter.run(file, np.repeat(samples(2)[n][None], STEPS, 0), 1e-4, integrate="current")
        assert np.allclose(read.membranes["relays_0"][-1].reshape(-1), run.readouts["relays_0"][n], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda g: g, {"payload_bits": 1}, "payload bits: 1 is outside 2..24"),
        (lambda g: g, {"payload_bits": 25}, "payload bits: 25"),
        (
            lambda g: g,
            {"bits": 15},
            "relays_0: graded relays and what they feed have weights of up to 8 bits",
        ),
        (lambda g: g, {"wide": None}, "ask for no wider ones there"),
        (lambda g: g, {"wide": ["n1"]}, "ask for no wider ones there"),
        (
            lambda g: g.with_node("n1", replace(g.nodes["n1"], alpha=np.array([0.5]))),
            {},
            "n1: has a synaptic current, and a graded relay feeds it",
        ),
    ],
)
def test_what_relays_are_not_quantised_with_is_named(
    graph: Graph,
    calibration: Calibration,
    change: Callable[[Graph], Graph],
    settings: dict[str, int],
    message: str,
) -> None:
    with pytest.raises(ExportError, match=message):
        quantise(change(graph), calibration, **settings)  # type: ignore[arg-type]


def test_a_calibration_of_another_graph_is_refused(graph: Graph, calibration: Calibration) -> None:
    peaks = {name: peak for name, peak in calibration.membrane_peak.items() if name != "relays_1"}
    with pytest.raises(ExportError, match="relays_1: the calibration has no states of it"):
        quantise(graph, replace(calibration, membrane_peak=peaks))


def test_populations_away_from_relays_are_quantised_as_ever(graph: Graph, calibration: Calibration) -> None:
    made = integer(graph, calibration, 8)
    for name in graph.select(LIF):
        neuron = made.nodes[name]
        assert isinstance(neuron, IntegerNeuron)
        assert not neuron.payload_bits
