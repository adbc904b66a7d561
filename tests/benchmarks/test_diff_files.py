"""Recordings on disk: what was written is read, and what is damaged is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.benchmarks.equivalence.diff import diff
from spikewright.benchmarks.equivalence.observe import trace_float, trace_program
from spikewright.benchmarks.equivalence.trace_file import FORMAT, format_of, load_trace, save_trace
from spikewright.benchmarks.equivalence.traces import DiffError, Trace
from spikewright.hardware.program_io import save_program
from tests.benchmarks.networks import levels

NET = "generator"


def trace(level: str) -> Trace:
    net = levels(NET)
    return (
        trace_float(net.graph, net.samples) if level == "float" else trace_program(net.program, net.samples)
    )


@pytest.fixture(params=["float", "integer"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Trace, Path]:
    run, path = trace(request.param), tmp_path / "run.npz"
    save_trace(run, path, {"result": np.arange(3)})
    return run, path


def test_a_recording_reads_back_as_it_was(saved: tuple[Trace, Path]) -> None:
    run, path = saved
    assert format_of(path) == FORMAT
    back = load_trace(path)
    assert back.layers.keys() == run.layers.keys()
    assert list(back.layers) == list(run.layers)
    assert (back.who, back.arithmetic, back.extent) == (run.who, run.arithmetic, run.extent)
    assert np.array_equal(back.samples, run.samples)
    for name, layer in run.layers.items():
        other = back.layers[name]
        assert (other.shape, other.kind, other.sources) == (layer.shape, layer.kind, layer.sources)
        for key in ("spikes", "held", "threshold"):
            assert np.array_equal(getattr(other, key), getattr(layer, key))
        if layer.raw is not None:
            assert all(np.array_equal(v, getattr(other.raw, k)) for k, v in vars(layer.raw).items())
    report = diff(run, back)
    assert report.equal
    assert report.exact == (run.arithmetic == "integer")
    assert not list(path.parent.glob(".*"))


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays.pop("header")))
    change(header, arrays)
    np.savez(path, header=np.array(json.dumps(header)), **arrays)


def shorter(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["spikes/seed"] = arrays["spikes/seed"][:, :5]


def fewer(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    del arrays["spikes/read"]


def newer(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    header["version"] = 9


def other_type(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["spikes/seed"] = arrays["spikes/seed"].astype(float)


def other_kind(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    header["layers"][1]["kind"] = "glia"


def no_layers(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    del header["layers"]


def something_else(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    header["format"] = "holiday-pictures"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shorter, "spikes/seed has shape"),
        (fewer, "spikes/read"),
        (newer, "version 9, this release reads 1"),
        (other_type, "spikes/seed holds float64"),
        (other_kind, "'glia'"),
        (no_layers, "layers"),
        (something_else, "holds holiday-pictures"),
    ],
)
def test_a_damaged_recording(saved: tuple[Trace, Path], change: Callable[..., None], words: str) -> None:
    _, path = saved
    rewritten(path, change)
    with pytest.raises(DiffError) as caught:
        load_trace(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_recording_cut_off_midway(saved: tuple[Trace, Path], share: float) -> None:
    _, path = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DiffError, match=r"truncated or no \.npz"):
        load_trace(path)


def test_a_flipped_byte_in_the_middle(saved: tuple[Trace, Path]) -> None:
    _, path = saved
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DiffError, match=r"run\.npz"):
        load_trace(path)


def test_files_of_another_kind(tmp_path: Path) -> None:
    save_program(levels(NET).program, tmp_path / "program.npz")
    with pytest.raises(DiffError, match="holds spikewright-program"):
        load_trace(tmp_path / "program.npz")
    np.savez(tmp_path / "plain.npz", x=np.zeros(3))
    with pytest.raises(DiffError, match="holds no header"):
        load_trace(tmp_path / "plain.npz")
    with pytest.raises(DiffError, match="no such file"):
        load_trace(tmp_path / "none.npz")
    with pytest.raises(DiffError, match=r"written as \.npz"):
        save_trace(trace("float"), tmp_path / "run.npy")
    with pytest.raises(DiffError, match="no such folder"):
        save_trace(trace("float"), tmp_path / "nowhere" / "run.npz")
