"""Programs on disk: whole round trips, and every bad file an error that names it."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from spikewright.hardware import program_io, reference
from spikewright.hardware.program import Inputs, Program, ProgramError
from spikewright.hardware.program_io import (
    load_program,
    map_arrays,
    map_from_header,
    map_header,
    save_program,
)
from tests.hardware.test_program import program
from tests.programs import programs


def same(a: Any, b: Any) -> bool:
    """Equal all the way down, types of arrays included."""
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
        )
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, tuple) and not isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=programs())
def test_a_program_comes_back_the_same_and_runs_the_same(
    case: tuple[Program, Inputs], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("program") / "p.npz"
    save_program(case[0], path)
    back = load_program(path)
    assert same(case[0], back)
    before, after = reference.run(*case), reference.run(back, case[1])
    assert all((before.spikes[name] == raster).all() for name, raster in after.spikes.items())
    assert [p.name for p in path.parent.iterdir()] == ["p.npz"]


def test_host_settings_and_arrays_come_back(tmp_path: Path) -> None:
    arrays = {"step0.weight": np.eye(3, dtype=np.float32), "fc.bias": np.array([1, 2], np.int16)}
    host = {"encoders": [], "steps": [{"kind": "rate_prior", "node": "a", "arrays": ["weight"]}]}
    save_program(program(host=host, host_arrays=arrays), tmp_path / "p.npz")
    back = load_program(tmp_path / "p.npz")
    assert back.host == host
    assert same(back.host_arrays, arrays)


def test_every_map_survives_its_header() -> None:
    for group in program().synapses:
        header = json.loads(json.dumps(map_header(group.map)))
        assert same(map_from_header(header, map_arrays(group.map)), group.map)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ProgramError) as caught:
        load_program(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert all(word in message for word in words), message


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    save_program(program(), tmp_path / "p.npz")
    whole, cut = (tmp_path / "p.npz").read_bytes(), tmp_path / "cut.npz"
    for end in range(0, len(whole), max(1, len(whole) // 100)):
        cut.write_bytes(whole[:end])
        refused(cut, "export it again")


def test_a_file_damaged_anywhere_is_refused_or_the_same(tmp_path: Path) -> None:
    save_program(program(), tmp_path / "p.npz")
    whole, rng = (tmp_path / "p.npz").read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for position in rng.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "d.npz").write_bytes(bytes(damaged))
        try:
            outcomes.add(same(load_program(tmp_path / "d.npz"), program()))
        except ProgramError:
            outcomes.add("refused")
    assert outcomes == {True, "refused"}


class _Danger:
    """Would run if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


def _pickled_array(path: Path) -> None:
    np.savez(path, header=np.array([_Danger()], dtype=object))


CONTENTS: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("a program"),
    "a pickle": lambda p: p.write_bytes(pickle.dumps(_Danger())),
    "a pickled array": _pickled_array,
    "one array": lambda p: np.save(p.open("wb"), np.zeros(3)),
    "arrays of another tool": lambda p: np.savez(p, images=np.zeros((2, 3))),
    "a header of no JSON": lambda p: np.savez(p, header=np.array("{")),
    "a header of no table": lambda p: np.savez(p, header=np.array("[1, 2]")),
    "a zip of text": lambda p: zipfile.ZipFile(p, "w").writestr("header.npy", "text"),
    "a folder": lambda p: p.mkdir(),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_program_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    CONTENTS[content](path)
    refused(path)


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "p.npz", "no such program", "spikewright export")


def rewritten(path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Path:
    """A program whose header and arrays were edited."""
    save_program(program(), path)
    with np.load(path) as file:
        arrays = dict(file.items())
    header = json.loads(str(arrays.pop("header")))
    edit(header, arrays)
    np.savez(path, header=np.array(json.dumps(header)), **arrays)
    return path


EDITS: list[tuple[str, Callable[[dict[str, Any], dict[str, Any]], Any], tuple[str, ...]]] = [
    ("another format", lambda h, a: h.update(format="onnx"), ("onnx version 2", "export it again")),
    ("another version", lambda h, a: h.update(version=1), ("version 1", "reads", "version 2")),
    ("no version", lambda h, a: h.pop("version"), ("version None",)),
    ("no period", lambda h, a: h.pop("period"), ("incomplete", "period")),
    ("a period in words", lambda h, a: h.update(period="long"), ("incomplete",)),
    ("a population less", lambda h, a: h["populations"].pop(), ("unknown population",)),
    ("a population of text", lambda h, a: h["populations"].append("x"), ("incomplete",)),
    ("a field too many", lambda h, a: h["populations"][0].update(colour="red"), ("incomplete", "colour")),
    (
        "an unknown map",
        lambda h, a: h["synapses"][0]["map"].update(kind="attention"),
        ("incomplete", "attention"),
    ),
    ("an array less", lambda h, a: a.pop("weight/in-a"), ("incomplete", "weight/in-a")),
    (
        "a weight of another shape",
        lambda h, a: a.update({"weight/in-a": np.ones((2, 2), np.int8)}),
        ("incomplete",),
    ),
    ("weights in floats", lambda h, a: a.update({"weight/in-a": np.ones((5, 6))}), ("in-a", "int8")),
    (
        "a threshold in floats",
        lambda h, a: a.update({"population/a/threshold": np.ones(5)}),
        ("a", "float64"),
    ),
    ("a decay of text", lambda h, a: h["populations"][0].update(current_decay="fast"), ("incomplete",)),
    ("a delay that does not fit", lambda h, a: h["synapses"][2].update(delay=5), ("in-b", "balance")),
]


@pytest.mark.parametrize(("edit", "words"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_an_edited_program_is_refused(edit: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    refused(rewritten(tmp_path / "p.npz", edit), *words)


@pytest.mark.parametrize("where", ["savez_compressed", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_program(program(), tmp_path / "p.npz")
    before = (tmp_path / "p.npz").read_bytes()

    def fail(*args: Any, **arrays: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(program_io.np if where == "savez_compressed" else os, where, fail)
    with pytest.raises(OSError, match="disk full"):
        save_program(program(name="other"), tmp_path / "p.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]
    assert (tmp_path / "p.npz").read_bytes() == before
