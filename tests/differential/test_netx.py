"""lava-dl's own netx runs the files that we read and write, and gives our emulator's spikes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.export.errors import ExportError
from spikewright.export.graph import Graph, IntegerNeuron
from spikewright.export.net_grid import to_net_grid
from spikewright.export.net_read import read_net
from spikewright.export.net_write import write_net
from spikewright.export.quantise import quantise
from spikewright.hardware import host
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, ProgramError
from tests.differential import netx
from tests.export.graphs import calibrated, chain
from tests.export.net_files import Layer, cuba, random_layers, write
from tests.export.test_net_bad_files import change_a_number

available, reason = netx.available()
pytestmark = [pytest.mark.lava, pytest.mark.skipif(not available, reason=reason)]

STEPS = 16
#: States clear once, just before the sample reaches a layer, and with them what biases did ahead of it.
ONE_SAMPLE = {"reset_interval": 128, "reset_offset": 1}
TIME_LIMIT = 400.0


def emulated(graph: Graph, raster: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Rasters (steps, neurons) of the layers, in order."""
    program = compile_program(graph)
    flat = raster.reshape(1, len(raster), -1).astype(np.uint8)
    recording = Emulator(program).run(Inputs({"input": flat}), "spikes")
    return [recording.spikes[p.name][0] for p in program.populations if not p.relay]


def differing(wanted: list[NDArray[np.uint8]], given: dict[str, NDArray[Any]]) -> tuple[int, int, int]:
    """Spikes that differ, neuron steps compared, and spikes there are; a layer at depth d is d steps late in netx."""
    assert "error" not in given, given["error"]
    assert len(wanted) == len(given)
    wrong = compared = spikes = 0
    for depth, raster in enumerate(wanted, 1):
        late = given[f"layer{depth - 1}"][depth : depth + len(raster)]
        assert late.shape == raster.shape
        wrong += int((late != raster).sum())
        compared += raster.size
        spikes += int(raster.sum())
    return wrong, compared, spikes


def raster_for(graph: Graph, seed: int) -> NDArray[np.uint8]:
    shape = graph.nodes["input"].shape
    return (np.random.default_rng(seed).random((STEPS, *shape)) < 0.5).astype(np.uint8)


def agree(cases: list[tuple[Path, Graph, NDArray[np.uint8]]]) -> None:
    """netx gives the emulator's spikes on every file."""
    jobs = []
    for path, graph, raster in cases:
        steps = STEPS + len(graph.nodes)  # more than there are layers
        padded = np.zeros((steps, *raster.shape[1:]), np.uint8)
        padded[:STEPS] = raster
        jobs.append(netx.Case(path, steps, padded, arguments=ONE_SAMPLE))
    given = netx.run(jobs, TIME_LIMIT)
    results = [
        differing(emulated(graph, raster), found)
        for (_, graph, raster), found in zip(cases, given, strict=True)
    ]
    wrong, compared, spikes = np.sum(results, 0)
    assert not wrong, [path.name for (path, *_), r in zip(cases, results, strict=True) if r[0]]
    assert 0.01 * compared < spikes < 0.9 * compared  # something fires, and not everything


def _random_files(folder: Path, seeds: range) -> list[tuple[Path, Graph, NDArray[np.uint8]]]:
    cases = []
    for seed in seeds:
        path = write(folder / f"{seed}.net", random_layers(np.random.default_rng(seed)))
        try:
            graph = read_net(path, timesteps=STEPS)
        except ExportError:  # weights that netx loses
            continue
        cases.append((path, graph, raster_for(graph, seed)))
    assert len(cases) > 0.8 * len(seeds)
    return cases


def test_random_files_of_slayers_kind(tmp_path: Path) -> None:
    agree(_random_files(tmp_path, range(1000, 1014)))


def _changed_files(folder: Path, seeds: range) -> list[tuple[Path, Graph, NDArray[np.uint8]]]:
    """Random files with one number set to an odd value, those of them that we take."""
    cases = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        path = write(folder / f"changed{seed}.net", random_layers(rng))
        with h5py.File(path, "r+") as file:
            change_a_number(
                file, seed, int(rng.choice([0, 1, -1, 3, 62, 255, -256, 4096, 5000, 131072, -(2**20)]))
            )
        try:
            graph = read_net(path, timesteps=STEPS)
            compile_program(graph)
        except (ExportError, ProgramError):
            continue
        cases.append((path, graph, raster_for(graph, seed)))
    return cases


@pytest.mark.slow
def test_what_we_take_of_damaged_files_is_what_netx_takes(tmp_path: Path) -> None:
    cases = _changed_files(tmp_path, range(2000, 2020))
    assert len(cases) >= 5
    agree(cases)


def test_a_network_that_slayer_exports(tmp_path: Path) -> None:
    path = tmp_path / "slayer.net"
    child = Path(__file__).with_name("slayer_child.py")
    subprocess.run([sys.executable, str(child), str(path)], check=True, timeout=200, capture_output=True)
    said: list[str] = []
    graph = read_net(path, timesteps=STEPS, note=said.append)
    assert not said
    last = graph.nodes["neuron_dense5"]
    assert isinstance(last, IntegerNeuron)
    assert last.readout  # SLAYER's Affine has a threshold above every membrane
    agree([(path, graph, raster_for(graph, 0))])


def test_a_run_out_of_time_is_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", random_layers(np.random.default_rng(1)))
    with pytest.raises(AssertionError, match="out of time"):
        netx.run([netx.Case(path, 4)], 0.3)


@pytest.mark.slow
def test_many_random_files(tmp_path: Path) -> None:
    for first in range(0, 120, 30):
        agree(_random_files(tmp_path, range(first, first + 30)))
        agree(_changed_files(tmp_path, range(first, first + 40)))


def test_files_that_we_write(tmp_path: Path) -> None:
    cases = []
    for seed in (1, 5, 11):  # files read and written again
        original = write(tmp_path / "read.net", random_layers(np.random.default_rng(seed), lags=False))
        graph = read_net(original, timesteps=STEPS)
        write_net(graph, tmp_path / f"{seed}.net")
        cases.append((tmp_path / f"{seed}.net", graph, raster_for(graph, seed)))
    for seed in (0, 1, 2):  # networks of ours
        graph = quantised_chain(seed)
        write_net(graph, tmp_path / f"chain{seed}.net")
        cases.append((tmp_path / f"chain{seed}.net", graph, raster_for(graph, seed)))
    agree(cases)


def quantised_chain(seed: int) -> Graph:
    """A dense network of ours, on netx's grid."""
    rng = np.random.default_rng(seed)
    floats = chain(rng, [12, 9, 7, 5], beta=0.75, timesteps=STEPS)
    samples = (rng.random((6, STEPS, 12)) < 0.5).astype(np.float32)
    return to_net_grid(quantise(floats, calibrated(floats, samples)))


def test_input_neurons_that_the_host_drives(tmp_path: Path) -> None:
    shape = (2, 3, 5)
    rng = np.random.default_rng(4)
    layers: list[Layer] = [
        {"type": "input", "shape": np.array(shape), "weight": 3, "bias": -2, **cuba(90, 777, 200)},
        {
            "type": "conv",
            "shape": np.array([3, 2, 5]),
            "weight": rng.integers(-60, 60, (3, 2, 2, 1)) * 2,
            "stride": 1,
            "padding": 0,
            "dilation": 1,
            "groups": 1,
            **cuba(100),
        },
    ]
    path = write(tmp_path / "a.net", layers)
    program = compile_program(read_net(path, timesteps=STEPS))
    values = rng.integers(-20, 40, (1, *shape)).astype(np.float32)
    inputs, clipped = host.encode(program, values)
    assert not clipped
    recording = Emulator(program).run(inputs, "spikes")
    job = netx.Case(path, STEPS + 1, bias=(3 * values[0] - 2).astype(np.int64))
    (given,) = netx.run([job], TIME_LIMIT)
    first, second = (recording.spikes[p.name][0] for p in program.populations)
    np.testing.assert_array_equal(given["layer0"][:STEPS], first)
    np.testing.assert_array_equal(given["layer1"][1:], second)
    assert first.any()
    assert second.any()


def test_what_netx_refuses_we_refuse(tmp_path: Path) -> None:
    dense: Layer = {"type": "dense", "shape": np.array([2]), "weight": np.array([[2, -4], [6, 8]]), **cuba()}
    wrong: list[list[Layer]] = [
        [{**dense, "weight": np.zeros((2, 2))}],
        [{**dense, "type": "pool"}],
        [{**dense, "weight": np.ones((3, 2))}],
        [{**dense, "delay": np.array([1, 2, 3])}],
        [{**dense, "delay": np.array([[-1, 0], [0, 0]])}],
        [dense, {k: v for k, v in dense.items() if k != "type"}],
        [{"type": "input", "shape": np.array([1, 2, 1])}, {**dense, "type": "conv", "stride": 1}],
    ]
    paths = [write(tmp_path / f"{i}.net", layers) for i, layers in enumerate(wrong)]
    for path in paths:
        with pytest.raises(ExportError, match=str(path)):
            read_net(path, timesteps=STEPS)
    given = netx.run([netx.Case(path, 2, np.zeros((2, 2))) for path in paths], TIME_LIMIT)
    assert all("error" in found for found in given), given
