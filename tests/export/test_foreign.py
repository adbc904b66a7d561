"""Files of other tools: what they may hold, what they leave open, and who agrees with the reading."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch

from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.foreign.choices import Choices
from spikewright.export.foreign.convert import open_foreign, read_foreign
from spikewright.export.graph import LIF, Input
from spikewright.export.nir_build import METADATA
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.trace import trace
from spikewright.hardware import host, reference
from spikewright.hardware.chip import load_chip
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.fit import fit
from spikewright.hardware.lava import LavaError
from spikewright.hardware.lava import run as run_lava
from spikewright.hardware.program import ProgramError
from spikewright.hardware.recording import compare
from spikewright.importing import export_nir
from tests.export.test_trace_networks import Recurrent

from . import nir_interpreter
from .foreign_graphs import DT, chain, enter, leave, write

FILE = Path(os.environ.get("SPIKEWRIGHT_DATA", "missing")) / "nir_lif" / "lif_norse.nir"
CHOICES = Choices(DT, "zero", 20)
RNG = np.random.default_rng(5)
WEIGHT, BACK = RNG.normal(0.3, 0.5, (3, 4)), RNG.normal(0, 0.4, (3, 3))
BIAS = RNG.normal(0, 0.1, 3)
SPIKES = (RNG.random((4, 20, 4)) < 0.4).astype(np.float32)


def lif(**fields: Any) -> tuple[str, dict[str, Any]]:
    """Three neurons that fire."""
    values: dict[str, Any] = {
        "tau": 5 * DT,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 0.1,
        "v_reset": 0.0,
        **fields,
    }
    arrays = {k: np.broadcast_to(np.asarray(v, float), (3,)) for k, v in values.items() if v is not None}
    return "neurons", {"type": "LIF", **arrays}


AFFINE = ("layer", {"type": "Affine", "weight": WEIGHT, "bias": BIAS})
LEAVE = leave(3)


def simple(*nodes: Any, **metadata: Any) -> dict[str, Any]:
    return chain(enter(4), AFFINE, *(nodes or (lif(),)), LEAVE, **metadata)


# (b) Files of the nir library, and such as it cannot write ------------------------------------------------------------


def test_files_of_the_nir_library_are_read(tmp_path: Path) -> None:
    one = np.ones(3)
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([4])),
        "layer": nir.Affine(WEIGHT, BIAS),
        "cells": nir.CubaLIF(3 * DT * one, 5 * DT * one, one, 0 * one, 0.1 * one, 0 * one, w_in=2 * one),
        "back": nir.Linear(BACK),
        "scale": nir.Scale(one * 1.5),
        "wait": nir.Delay(one * 2 * DT),
        "out": nir.LIF(5 * DT * one, one, 0 * one, 0.1 * one, 0 * one),
        "output": nir.Output(np.array([3])),
    }
    names = ["input", "layer", "cells", "scale", "wait", "out", "output"]
    edges = [*itertools.pairwise(names), ("cells", "back"), ("back", "cells")]
    nir.write(str(tmp_path / "a.nir"), nir.NIRGraph(nodes, edges))
    agrees(tmp_path / "a.nir", SPIKES)


def agrees(path: Path, samples: np.ndarray, reset: str = "zero", **choices: Any) -> None:
    """The float level spikes as the equations do, and at all."""
    mine = run_float(read_foreign(path, Choices(DT, reset, samples.shape[1], **choices)), samples)  # type: ignore[arg-type]
    loaded = nir_interpreter.load(path)
    for index, sample in enumerate(samples):
        wanted = nir_interpreter.run(loaded, sample, DT, reset)
        for name, raster in mine.spikes.items():
            assert (raster[index] == wanted.spikes[name]).all(), name
    assert 0 < np.mean([s.mean() for s in mine.spikes.values()]) < 1


def test_grouped_and_oblong_convolutions_that_nir_cannot_read(tmp_path: Path) -> None:
    weight = RNG.normal(0.3, 0.5, (4, 1, 3, 2))
    conv = {
        "type": "Conv2d",
        "weight": weight,
        "bias": np.zeros(4),
        "groups": 2,
        "input_shape": np.array([5, 6]),
    }
    conv |= {"stride": np.array([1, 2]), "padding": np.array([1, 0]), "dilation": np.array([1, 2])}
    cells = {
        "type": "LIF",
        **{k: np.full(1, v) for k, v in {"tau": 3 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.2}.items()},
    }
    graph = chain(enter(2, 5, 6), ("conv", conv), ("cells", cells), leave(4, 5, 2))
    path = write(tmp_path / "a.nir", graph)
    with pytest.raises(ValueError, match=r"incompatible|shape|type"):
        nir.read(str(path))
    agrees(path, (RNG.random((3, 15, 2, 5, 6)) < 0.4).astype(np.float32))


def test_an_old_file_without_v_reset_and_with_one_parameter_for_all(tmp_path: Path) -> None:
    _, node = lif(v_reset=None)
    old = {k: v if k == "type" else v[:1] for k, v in node.items()}
    agrees(write(tmp_path / "a.nir", simple(("neurons", old)), version="0.1.1"), SPIKES)


def test_what_other_tools_call_flattening_from_axis_one(tmp_path: Path) -> None:
    """Tools that count a batch axis write start_dim 1 for all of the picture."""
    flat = {"type": "Flatten", "start_dim": 1, "end_dim": -1, "input_type": np.array([1, 2, 2])}
    graph = chain(enter(1, 2, 2), ("flat", flat), AFFINE, lif(), LEAVE)
    agrees(write(tmp_path / "a.nir", graph), SPIKES.reshape(4, 20, 1, 2, 2))


# (c) The public single neuron -----------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not FILE.exists(), reason="needs the NIR paper's single-neuron case under SPIKEWRIGHT_DATA/nir_lif"
)
def test_the_public_neuron_spikes_as_published_and_as_the_chip_recorded(tmp_path: Path) -> None:
    trace_in, _, published = np.loadtxt(FILE.with_suffix(".csv"), delimiter=",").T
    samples = (trace_in > 0).astype(np.float32)[None, :, None]
    made = export_nir(FILE, tmp_path, dt=1e-4, reset="zero", data=samples)
    assert made.float_graph is not None
    (spikes,) = run_float(made.float_graph, samples).spikes.values()
    assert np.flatnonzero(spikes).tolist() == [460, 510, 710, 760]
    assert np.array_equal(np.flatnonzero(published > 0), np.flatnonzero(spikes))
    inputs, _ = host.encode(made.program, samples)
    local = np.flatnonzero(reference.run(made.program, inputs).spikes["1"])
    _, _, recorded = np.loadtxt(FILE.with_name("lif_lava_loihi_fixed.csv"), delimiter=",").T
    assert made.program.population("1").start == 1
    # Local time is global time less the start; the chip's rows count from the input.
    assert (local + made.program.population("1").start).tolist() == np.flatnonzero(recorded).tolist()
    assert made.agreement["1"].differing == 0


# (d) Other readers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_norse_agrees(kind: str, tmp_path: Path) -> None:
    norse = pytest.importorskip("norse.torch")
    one = np.ones(3, np.float32)
    tau, theta = np.float32(6 * DT) * np.array([1, 2, 0.7], np.float32), one * np.float32(0.08)
    # Norse ignores the resistance of a LIF, and what a membrane resets to is the leak.
    cells: Any = nir.LIF(tau, one, 0 * one, theta, 0 * one)
    if kind == "CubaLIF":
        cells = nir.CubaLIF(4 * DT * one, tau, one, 0 * one, theta, 0 * one, w_in=one)
    layer, again = (
        nir.Affine(WEIGHT.astype(np.float32), BIAS.astype(np.float32)),
        nir.Affine(BACK.astype(np.float32) + 0.4, 0 * one),
    )
    names = ["input", "layer", "cells", "again", "more", "output"]
    ends = {"input": nir.Input(np.array([4])), "output": nir.Output(np.array([3]))}
    graph = nir.NIRGraph(
        {**ends, "layer": layer, "cells": cells, "again": again, "more": cells}, [*itertools.pairwise(names)]
    )
    nir.write(str(tmp_path / "a.nir"), graph)
    mine = run_float(read_foreign(tmp_path / "a.nir", CHOICES), SPIKES).spikes["more"]
    module, state, theirs = norse.from_nir(graph, ignore_warnings=True, dt=DT), None, []
    with torch.no_grad():
        for t in range(SPIKES.shape[1]):
            out, state = module(torch.from_numpy(SPIKES[:, t]), state)
            theirs.append(out.numpy())
    assert 0 < mine.mean() < 1
    assert (np.stack(theirs, 1) == mine).all()


def test_snntorch_agrees(tmp_path: Path) -> None:
    import_nir = pytest.importorskip("snntorch.import_nir")
    one = np.ones(3, np.float32)
    nodes = {
        "input": nir.Input(np.array([4])),
        "layer": nir.Affine(WEIGHT.astype(np.float32), BIAS.astype(np.float32)),
        "cells": nir.LIF(5 * DT * one, 2 * one, 0 * one, 0.1 * one, 0 * one),
        "output": nir.Output(np.array([3])),
    }
    graph = nir.NIRGraph(nodes, [("input", "layer"), ("layer", "cells"), ("cells", "output")])
    nir.write(str(tmp_path / "a.nir"), graph)
    mine = run_float(read_foreign(tmp_path / "a.nir", CHOICES), SPIKES).spikes["cells"]
    module, state, theirs = import_nir.import_from_nir(graph), None, []
    with torch.no_grad():
        for t in range(SPIKES.shape[1]):
            out, state = module(torch.from_numpy(SPIKES[:, t]), state)
            theirs.append((out[0] if isinstance(out, tuple) else out).numpy())
    assert (np.stack(theirs, 1) == mine).all()


# (e) Choices ----------------------------------------------------------------------------------------------------------

IF = {"type": "IF", "r": np.full(3, 7.0), "v_threshold": np.ones(3)}
DELAY = ("wait", {"type": "Delay", "delay": np.full(3, 2 * DT)})


@pytest.mark.parametrize(
    ("graph", "choices", "words"),
    [
        (simple(), Choices(reset="zero"), ("neurons", "'tau'", "--dt 1e-4")),
        (simple(), Choices(dt=DT), ("neurons", "v_reset", "--reset zero, --reset subtract, or --reset subtract-delayed")),
        (simple(DELAY, ("neurons", {**IF, "r": np.ones(3)})), Choices(reset="zero"), ("wait", "'delay'", "--dt")),
        (simple(("neurons", IF)), Choices(reset="zero"), ("neurons", "'r'", "--dt")),
        (simple(("neurons", IF)), Choices(DT, "zero"), ("neurons", "'r'", "--integrate impulse", "--integrate current")),
        (simple(), Choices(dt=-1e-4, reset="zero"), ("dt is -0.0001",)),
        (simple(), Choices(dt=float("nan"), reset="zero"), ("dt is nan",)),
        (simple(), Choices(dt="1e-4", reset="zero"), ("dt is '1e-4'",)),  # type: ignore[arg-type]
        (simple(), Choices(dt=1.0, reset="zero"), ("neurons", "'tau'", "shorter dt")),
        (simple(), Choices(DT, "none"), ("reset is 'none'", "--reset")),  # type: ignore[arg-type]
        (simple(), Choices(DT, "zero", 0), ("timesteps is 0", "--steps")),
        (simple(), Choices(DT, "zero", 2.5), ("timesteps is 2.5",)),  # type: ignore[arg-type]
        (simple(), Choices(DT, "zero", coding="rate"), ("coding is 'rate'", "--coding direct")),  # type: ignore[arg-type]
        (simple(), Choices(DT, "zero", peak=256), ("peak is 256", "--peak")),
        (simple(), Choices(DT, "zero", integrate="euler"), ("integrate is 'euler'",)),  # type: ignore[arg-type]
        (simple(dt="soon"), Choices(reset="zero"), ("dt is 'soon'",)),
        (simple(dt=np.array([1.0, 2.0])), Choices(reset="zero"), ("dt is [1.0, 2.0]",)),
        (simple(reset=3.0), Choices(DT), ("reset is 3.0",)),
    ],
)  # fmt: skip
def test_a_choice_that_is_missing_or_wrong(
    graph: dict[str, Any], choices: Choices, words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(write(tmp_path / "a.nir", graph), choices, *words)


def refused(path: Path, choices: Choices, *words: str) -> None:
    with pytest.raises(ExportError) as caught:
        read_foreign(path, choices)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_choices_come_from_metadata_and_the_caller_wins(tmp_path: Path) -> None:
    stated = simple(dt=2 * DT, reset="subtract", timesteps=7, coding="spikes", peak=3, integrate="current")
    path = write(tmp_path / "a.nir", stated)
    read = open_foreign(path, Choices(dt=DT))
    neurons, enters = read.graph.nodes["neurons"], read.graph.nodes["input"]
    assert isinstance(neurons, LIF)
    assert isinstance(enters, Input)
    assert (neurons.reset, enters.peak, read.graph.settings.timesteps) == ("subtract", 3, 7)
    assert neurons.beta == pytest.approx(1 - 1 / 5)
    assert read.origins["dt"] == "stated"
    assert read.origins["reset"] == "the file's metadata"


def test_a_node_may_reset_otherwise_than_the_others(tmp_path: Path) -> None:
    name, node = lif()
    graph = simple((name, {**node, "metadata": {"reset": "subtract"}}), reset="zero")
    neurons = read_foreign(write(tmp_path / "a.nir", graph), Choices(DT)).nodes["neurons"]
    assert isinstance(neurons, LIF)
    assert neurons.reset == "subtract"


# (f) Our own files without our metadata -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recurrent", "feedforward"])
def test_a_file_of_our_own_is_read_as_anybodys(kind: str, tmp_path: Path) -> None:
    if kind == "recurrent":
        shape, module = (6,), Recurrent()
        graph = to_float(trace(module, torch.zeros(6), timesteps=20, coding="spikes"))
    else:
        shape = (4,)
        graph = read_foreign(write(tmp_path / "first.nir", simple(DELAY, lif())), CHOICES)
    write_nir(graph, tmp_path / "a.nir")
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        file.visititems(lambda name, item: None)
        for group in (file["node"], *file["node/nodes"].values()):
            if "metadata" in group:
                assert METADATA in group["metadata"]
                del group["metadata"]
    samples = (np.random.default_rng(1).random((5, 20, *shape)) < 0.4).astype(np.float32)
    mine = run_float(read_foreign(tmp_path / "a.nir", CHOICES), samples)
    wanted = run_float(graph, samples)
    assert mine.spikes.keys() == wanted.spikes.keys()
    for name, raster in wanted.spikes.items():
        assert 0 < raster.mean() < 1
        assert (mine.spikes[name] == raster).all(), name


# (g) Reset by subtraction ---------------------------------------------------------------------------------------------


def test_reset_by_subtraction_runs_everywhere_but_in_lava(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nir", simple())
    agrees(path, SPIKES, "subtract")
    made = export_nir(path, tmp_path / "out", dt=DT, reset="subtract", data=SPIKES, bits=15)
    assert made.agreement["neurons"].differing <= 0.02 * made.agreement["neurons"].neuron_steps
    assert any("Lava refuses" in note for note in made.notes)
    inputs, _ = host.encode(made.program, SPIKES)
    slow, fast = reference.run(made.program, inputs), Emulator(made.program).run(inputs, "states")
    assert compare(slow, fast, ["neurons"]).equal
    zero = export_nir(path, tmp_path / "zero", dt=DT, reset="zero", data=SPIKES, bits=15)
    assert (reference.run(zero.program, inputs).spikes["neurons"] != slow.spikes["neurons"]).any()
    with pytest.raises((LavaError, ProgramError), match=r"neurons: resets by subtraction"):
        run_lava(made.program, inputs)
    assert any(f.rule == "reset" for f in fit(made.program, load_chip("loihi2")).findings)
    assert not any(f.rule == "reset" for f in fit(zero.program, load_chip("loihi2")).findings)
