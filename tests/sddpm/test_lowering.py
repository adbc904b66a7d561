"""The spiking U-Net as a program: unrolled streams, the published delays, shared skips, the time as a bias, sampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.export.float_run import run_float
from spikewright.export.graph import LIF, IntegerNeuron, Synapses
from spikewright.export.linear import Conv2d, ConvTranspose2d
from spikewright.export.record import run_module
from spikewright.hardware import host, reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.lava import driver
from spikewright.hardware.noise import ChipNoise, time_currents, with_time
from spikewright.hardware.program import ProgramError
from spikewright.hardware.program_io import load_program
from spikewright.hardware.recording import compare
from spikewright.hardware.session import open_session
from spikewright.lowering import Lowered
from spikewright.models.denoising_samplers import denoise
from spikewright.models.initialise import xavier
from spikewright.models.noise_schedule import NoiseSchedule
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.models.train import reestimate_batch_norm
from spikewright.models.unet_layout import Build, Prediction, UNetConfig
from spikewright.sddpm.lowering import host_tail, lower_denoiser

CONFIG = UNetConfig(image=(8, 12), in_channels=2, channels=4, diffusion_steps=50)
BUILDS: tuple[Build, ...] = ("chip", "lean")
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def images(count: int = 12) -> torch.Tensor:
    return torch.rand(count, 2, 8, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


def network(build: Build, prediction: Prediction = "noise") -> SpikingUNet:
    torch.manual_seed(0)
    model = SpikingUNet(replace(CONFIG, build=build, prediction=prediction))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    if isinstance(model.tail, nn.Conv2d):
        xavier(model.tail)
    reestimate_batch_norm(model, images(48), 16)
    return model.eval()


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Lowered]:
    model = network(request.param)
    return model, lower_denoiser(model, images(), tmp_path_factory.mktemp(request.param))


def seen(model: SpikingUNet, count: int = 4) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return np.asarray(model.pack(images(count), torch.arange(count) * 12).numpy())


def test_the_float_graph_is_the_module_spike_for_spike(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    run, graph = run_module(model, torch.from_numpy(seen(model)), 4, method="step"), lowered.float_graph
    made = run_float(graph, seen(model))
    assert len(made.spikes) == 27
    assert {
        name: int((made.spikes[name] != run.spikes[name]).sum()) for name in made.spikes
    } == dict.fromkeys(made.spikes, 0)
    told = made.readouts["readout"].reshape(run.output.shape)
    assert np.allclose(told, run.output, atol=1e-4)


def test_the_streams_are_unrolled_into_regular_synapses(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    graph = lowered.float_graph
    into = {
        name: [graph.sources(s)[0] for s in graph.sources(name) if s not in graph.direct(name)]
        for name in [*graph.select(LIF), "readout"]
    }
    assert all(len(set(sources)) == len(sources) for sources in into.values())
    assert max(len(sources) for sources in into.values()) == (6 if model.config.build == "chip" else 3)
    # One group feeds the coding layer; 65 in the chip's build, of which the host's is the 65th.
    assert sum(len(s) for s in into.values()) == (64 if model.config.build == "chip" else 50)
    for name in graph.select(Synapses):
        node = graph.nodes[name]
        assert isinstance(node, Synapses)
        irregular = "readout" in graph.targets(name) or name in graph.direct(graph.targets(name)[0])
        if not irregular:  # a 3x3 behind a 3x3 is no 5x5 at the border
            assert isinstance(node.map, Conv2d | ConvTranspose2d), name
            wide = 4 if isinstance(node.map, ConvTranspose2d) else 3
            assert node.map.weight.shape[2] in (1, wide)


#: Skip by skip (spec 5.5, the three-level network): source, its level, target, its level, extra delay.
DELAYS = [
    ("m0_n1", 9, "u2_0_n2", 14, 4),
    ("d2_0_n1", 7, "u2_1_n2", 16, 8),
    ("down1_n1", 6, "u1_0_n2", 19, 12),
    ("d1_0_n1", 4, "u1_1_n2", 21, 16),
    ("down0_n1", 3, "u0_0_n2", 24, 20),
    ("d0_0_n1", 1, "u0_1_n2", 26, 24),
]
#: The same sources to the next population behind, through the 1x1 shortcut of the spikes.
LEAN_DELAYS = [
    ("m0_n1", 9, "u2_1_n1", 15, 5),
    ("d2_0_n1", 7, "up2_n1", 17, 9),
    ("down1_n1", 6, "u1_1_n1", 20, 13),
    ("d1_0_n1", 4, "up1_n1", 22, 17),
    ("down0_n1", 3, "u0_1_n1", 25, 21),
    ("d0_0_n1", 1, "readout", 27, 25),
]


def test_levels_and_delays_are_those_of_the_table(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    program = lowered.program
    assert [p.start for p in program.populations] == [*range(28)]
    assert program.steps(1) == 31  # latency of an evaluation
    found = {(g.source, g.target): g.delay for g in program.synapses}
    lean = model.config.build == "lean"
    for source, early, target, late, delay in DELAYS + (LEAN_DELAYS if lean else []):
        assert program.population(source).start == early
        assert program.population(target).start == late
        assert found[source, target] == delay
    assert max(found.values()) == (25 if lean else 26)
    assert all(not p.relay for p in program.populations)


#: The published network: source of each stream taken back, its level, the second population of the block that takes it,
#: its level, and the population behind that block.
PUBLISHED = [
    ("m0_n1", 20, "u3_0_n2", 25, "u3_1_n1"),
    ("d3_1_n1", 18, "u3_1_n2", 27, "u3_2_n1"),
    ("d3_0_n1", 16, "u3_2_n2", 29, "up3_n1"),
    ("down2_n1", 15, "u2_0_n2", 32, "u2_1_n1"),
    ("d2_1_n1", 13, "u2_1_n2", 34, "u2_2_n1"),
    ("d2_0_n1", 11, "u2_2_n2", 36, "up2_n1"),
    ("down1_n1", 10, "u1_0_n2", 39, "u1_1_n1"),
    ("d1_1_n1", 8, "u1_1_n2", 41, "u1_2_n1"),
    ("d1_0_n1", 6, "u1_2_n2", 43, "up1_n1"),
    ("down0_n1", 5, "u0_0_n2", 46, "u0_1_n1"),
    ("d0_1_n1", 3, "u0_1_n2", 48, "u0_2_n1"),
    ("d0_0_n1", 1, "u0_2_n2", 50, "readout"),
]


@pytest.mark.parametrize("build", BUILDS)
def test_the_published_depth_has_51_populations_and_delays_within_six_bits(
    build: Build, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = UNetConfig((8, 8), 1, 2, (1, 2, 2, 4), 2, diffusion_steps=10, build=build)
    program = lower_denoiser(SpikingUNet(config).eval(), torch.rand(4, 1, 8, 8) * 2 - 1, tmp_path).program
    assert [p.start for p in program.populations] == [*range(52)]
    assert program.steps(1) == 55
    found = {(g.source, g.target): g.delay for g in program.synapses}
    for number, (source, early, target, late, behind) in enumerate(PUBLISHED, 1):
        assert (program.population(source).start, program.population(target).start) == (early, late)
        assert found[source, target] == 4 * number
        if build == "lean":
            assert found[source, behind] == 4 * number + 1
    assert max(found.values()) == (49 if build == "lean" else 50)
    groups: dict[str, int] = {}
    for group in program.synapses:
        groups[group.target] = groups.get(group.target, 0) + 1
    assert max(groups.values()) == (3 if build == "lean" else 8)


def test_neurons_of_streams_taken_back_do_not_exist(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    sizes = {p.name: p.size for p in lowered.program.populations}
    for stage in model.plan.up:
        if stage.kind == "residual":
            assert sizes[f"{stage.name}_n1"] == stage.main * np.prod(stage.side)
    doubled = sum(stage.skip * int(np.prod(stage.side)) for stage in model.plan.up)
    assert doubled == 4 * 96 * 2 + (4 + 8) * 24 + 16 * 6


def test_every_backend_gives_the_same_integers(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    inputs, clipped = host.encode(lowered.program, seen(model, 3))
    slow = reference.run(lowered.program, inputs)
    fast = Emulator(lowered.program).run(inputs, detail="states")
    assert compare(slow, fast, [*slow.spikes]).equal
    assert all(spikes.any() for name, spikes in slow.spikes.items() if name != "readout")
    assert clipped == 0
    # Images that stream at other indices are those that run alone.
    for k in range(3):
        alone = Emulator(lowered.program).run(inputs.select(slice(k, k + 1)))
        assert (alone.readouts["readout"] == fast.readouts["readout"][k]).all()


@pytest.mark.lava
def test_lava_gives_the_same_integers_streamed(built: tuple[Any, Lowered]) -> None:
    """Two images back to back, each with biases of its own that are written as each population's window begins."""
    model, lowered = built
    inputs, _ = host.encode(lowered.program, seen(model, 2))
    try:
        outside = driver.run(lowered.program, inputs, detail="states", time_limit=300)
    except driver.LavaUnavailable as error:
        pytest.skip(str(error))
    ours = Emulator(lowered.program).run(inputs, detail="states")
    assert compare(outside, ours, [*ours.spikes]).equal


def test_the_host_writes_the_time_beside_spikes(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    program, graph = lowered.program, lowered.integer_graph
    timed = [f"{stage.name}_n2" for stage in model.plan.timed]
    assert [p.name for p in program.populations if p.host_bias] == ["coding_n", *timed]
    assert all(program.inputs_of(name) for name in timed)
    plain, later = (host.encode(program, with_time(program, images(2).numpy(), t))[0] for t in (3, 40))
    assert all(
        (a == b).all() for a, b in zip(plain.biases["coding_n"], later.biases["coding_n"], strict=True)
    )
    # A bias is the current of the time in steps of the population's scale, and the bias of its own.
    table = time_currents(program)
    at = 0
    for stage in model.plan.timed:
        name = f"{stage.name}_n2"
        node = graph.nodes[name]
        assert isinstance(node, IntegerNeuron)
        direct = graph.nodes[graph.direct(name)[0]]
        assert isinstance(direct, Synapses)
        own = np.asarray(direct.bias, np.float64).reshape(stage.out, -1)
        wanted = (table[40, at : at + stage.out, None] + own).reshape(-1) * node.scale
        given = np.left_shift(*(array[0] for array in later.biases[name]))
        assert np.abs(given - wanted).max() <= 1 + np.abs(wanted).max() / 4096
        at += stage.out


def test_the_table_travels_with_the_program_and_knows_its_limits(built: tuple[Any, Lowered]) -> None:
    model, lowered = built
    with torch.no_grad():
        assert np.allclose(time_currents(lowered.program), model.time_table().numpy())
    with pytest.raises(ProgramError, match=r"indices from 50 to 50.*knows 0 to 49"):
        with_time(lowered.program, images(2).numpy(), 50)
    with pytest.raises(ProgramError, match="is no denoiser"):
        time_currents(replace(lowered.program, host={}))


def test_a_sampler_is_driven_by_the_chip(built: tuple[Any, Lowered]) -> None:
    _, lowered = built
    schedule = NoiseSchedule(CONFIG.diffusion_steps)
    made = []
    for backend, batch in (("emulator", 3), ("emulator", 1), ("reference", 2)):
        with open_session(lowered.program, backend) as session:
            chip = ChipNoise(session)
            made.append(denoise(chip, 3, (2, 8, 12), schedule, steps=3, seed=4, batch=batch))
            assert session.exchange.evaluations == 3 * -(-3 // batch)
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all()
    assert made[0].std() > 0.1


@pytest.mark.parametrize("build", ["chip", "faithful"])
def test_the_host_forms_the_noise_from_a_velocity(build: Build, tmp_path: Path) -> None:
    """Networks of equal weights tell the same numbers; what differs is what the host makes of them."""
    given, times, alpha_bar = images(3).double().numpy(), np.array([0, 20, 49]), NoiseSchedule(50).alpha_bar
    told = {}
    for prediction in PREDICTIONS:
        model = network(build, prediction)
        program, tail = lower_denoiser(model, images(), tmp_path).program, host_tail(model)
        states = [] if tail is None else ["tap"]
        with open_session(load_program(tmp_path / "program.npz"), "emulator", states=states) as session:
            chip = ChipNoise(session, tail)
            told[prediction] = chip(given, times)
            assert np.allclose(chip(given, 20)[1], told[prediction][1])
        with torch.no_grad():
            assert np.allclose(time_currents(program), model.time_table().numpy())
    left = alpha_bar[times][:, None, None, None]
    assert np.allclose(told["velocity"], np.sqrt(1 - left) * given + np.sqrt(left) * told["noise"], atol=1e-6)
    assert np.abs(told["velocity"] - told["noise"]).max() > 0.1


def test_another_threshold_is_the_programs_exactly(tmp_path: Path) -> None:
    model = network("lean")
    lowered = lower_denoiser(model, images(), tmp_path, threshold=0.997)
    for name in lowered.integer_graph.select(IntegerNeuron):
        node = lowered.integer_graph.nodes[name]
        assert isinstance(node, IntegerNeuron)
        if isinstance(node.origin, LIF):
            assert node.threshold * 64 / node.scale == pytest.approx(0.997, rel=1e-6)


def test_the_published_tail_is_the_hosts(tmp_path: Path) -> None:
    """The chip hands over the stream after each step; what the host makes of it is the module's noise."""
    model = network("faithful")
    lowered = lower_denoiser(model, images(), tmp_path)
    last, tail = lowered.program.populations[-1], host_tail(model)
    assert (last.name, last.shape) == ("tap", (4, 8, 12))
    assert tail is not None
    assert host_tail(network("chip")) is None
    run = run_float(lowered.float_graph, seen(model), states=True)
    with torch.no_grad():
        wanted = model(images(4), torch.arange(4) * 12).numpy()
    assert np.allclose(
        tail(run.membranes["tap"].reshape(4, 4, 4, 8, 12).astype(np.float64)), wanted, atol=1e-4
    )
    made = []
    for backend in ("emulator", "reference"):
        with open_session(lowered.program, backend, states=["tap"]) as session:
            made.append(ChipNoise(session, tail)(images(2).double().numpy(), 0))
            streams = session.read(["tap"], "states").membranes["tap"]
    assert (made[0] == made[1]).all()
    assert made[0].shape == (2, 2, 8, 12)
    # Flipped spikes multiply in a network that was not trained; of the same spikes the streams are the same.
    graph = lowered.float_graph
    inputs, _ = host.encode(lowered.program, with_time(lowered.program, images(2).numpy(), 0))
    spikes = Emulator(lowered.program).run(inputs, detail="states").spikes
    feeding = {graph.sources(s)[0] for s in graph.sources("tap")}
    of_these = run_float(graph, injected={name: spikes[name] for name in feeding}, states=True).membranes[
        "tap"
    ]
    assert np.abs(streams / last.scale - of_these).max() < 0.02 * np.abs(of_these).max()
