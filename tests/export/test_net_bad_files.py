"""Damaged .net files: each is refused with one ExportError that names it, or read as a legal graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export.errors import ExportError
from spikewright.export.levels import check
from spikewright.export.net_file import MOST_VALUES
from spikewright.export.net_read import read_net
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import ProgramError
from tests.export.net_files import Layer, cuba, random_layers, write

#: A hang is a failure; what takes long on a busy machine is not.
EXAMPLES: dict[str, Any] = {"deadline": timedelta(seconds=30), "suppress_health_check": list(HealthCheck)}
Edit = Callable[[h5py.File], Any]


def base(path: Path, seed: int = 6) -> Path:
    """A file with every kind of layer."""
    rng = np.random.default_rng(seed)

    def grid(*shape: int) -> np.ndarray:
        return rng.integers(-100, 100, shape) * 2

    layers: list[Layer] = [
        {"type": "input", "shape": np.array([1, 4, 3])},
        {
            "type": "conv",
            "shape": np.array([2, 4, 3]),
            "weight": grid(2, 1, 3, 3, 1),
            "stride": np.array([1, 1]),
            "padding": 1,
            "dilation": 1,
            "groups": 1,
            "bias": np.array([3, -4]),
            **cuba(300, 4096),
        },
        {"type": "flatten", "shape": np.array([24])},
        {"type": "dense", "shape": np.array([4]), "weight": grid(4, 24), "delay": np.arange(4), **cuba()},
        {
            "type": "dense_rec",
            "shape": np.array([4]),
            "weight": grid(4, 4),
            "weight_rec": grid(4, 4),
            **cuba(),
        },
        {"type": "dense", "shape": np.array([2]), "weight": grid(2, 4)},
    ]
    return write(path, layers)


with TemporaryDirectory() as _folder:
    BASE = base(Path(_folder) / "a.net").read_bytes()


@contextmanager
def place(content: bytes = b"") -> Iterator[Path]:
    """Where an example's file goes; faster than pytest's folders, which are numbered."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.net"
        path.write_bytes(content)
        yield path


def outcome(path: Path) -> str:
    """``read``, or why not; whatever is read is legal and compiles or is refused by the compiler."""
    try:
        graph = read_net(path, timesteps=5)
    except ExportError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert len(message) < 600
        return message
    assert not [f for f in check(graph, "integer") if f.severity == "error"]
    try:
        compile_program(graph)
    except ProgramError as error:
        return str(error)
    return "read"


def test_the_file_itself_is_fine(tmp_path: Path) -> None:
    assert outcome(base(tmp_path / "a.net")) == "read"


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = base(tmp_path / "a.net").read_bytes()
    cut = tmp_path / "cut.net"
    for end in sorted({0, 1, 7, 8, 47, 96, 512, *range(0, len(whole), len(whole) // 100), len(whole) - 1}):
        cut.write_bytes(whole[:end])
        assert "truncated or no .net file" in outcome(cut)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n\x1a\n", b"{}", bytes(4096)])
def test_what_is_no_hdf5_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_bytes(content)
    assert "truncated or no .net file" in outcome(tmp_path / "a.net")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file" in outcome(tmp_path / "a.net")
    assert "no .net file" in outcome(tmp_path)


@settings(max_examples=250, **EXAMPLES)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=12)
)
def test_flipped_bytes(flips: list[tuple[float, int]]) -> None:
    content = bytearray(BASE)
    for where, bits in flips:
        content[int(where * len(content))] ^= bits
    with place(bytes(content)) as path:
        outcome(path)


NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 3, 62, 63, 255, 256, 4096, 4097, 131071, 131072, 2**31, 2**63 - 1, -(2**40)]
)
FLOATS = st.sampled_from([0.0, 1.5, -2.0, np.nan, np.inf, -np.inf, 1e300])
SHAPES = st.sampled_from(
    [(), (1,), (0,), (2,), (4,), (4, 4), (2, 4), (24, 4), (1, 1, 1), (2, 1, 3, 3), (3, 4, 2)]
)
KINDS = ("i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8", "?", "c16")


@st.composite
def _values(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(KINDS))
    value = draw(FLOATS if kind[0] in "fc" else NUMBERS)
    with np.errstate(all="ignore"):
        return np.full(draw(SHAPES), value).astype(kind)


def _replace(file: h5py.File, name: str, value: Any) -> None:
    del file[name]
    file[name] = value


def _declared(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    """A dataset that states a shape and holds nothing."""
    del file[name]
    file.create_dataset(name, shape, "i8", chunks=tuple(min(n, 64) for n in shape))


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file["layer"].visit(found.append)
    return sorted(f"layer/{name}" for name in found)


ODD: list[Callable[[h5py.File, str], Any]] = [
    lambda f, n: f.__delitem__(n),
    lambda f, n: _replace(f, n, "dense"),
    lambda f, n: _replace(f, n, np.array([b"pool"], "S10")),
    lambda f, n: _replace(f, n, np.array([b"x" * 5000])),
    lambda f, n: _replace(f, n, h5py.Empty("f4")),
    lambda f, n: _replace(f, n, np.zeros(2, [("a", "i4"), ("b", "f4")])),
    lambda f, n: _replace(f, n, f["layer"].ref),
    lambda f, n: (f.__delitem__(n), f.create_group(n)),
    lambda f, n: (f.__delitem__(n), f.create_dataset(n, (3,), h5py.vlen_dtype("i4"))),
    lambda f, n: (f.__delitem__(n), f.create_dataset(n, (2,), h5py.string_dtype())),
    lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.SoftLink("/layer/1/weight"))),
    lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.SoftLink(f"/{n}"))),
    lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/"))),
    lambda f, n: _declared(f, n, (1 << 40,)),
    lambda f, n: _declared(f, n, (1 << 20, 1 << 20)),
    lambda f, n: _declared(f, n, (1 << 14, 1 << 14, 1, 1)),
]


@settings(max_examples=300, **EXAMPLES)
@given(data=st.data())
def test_changed_fields(data: st.DataObject) -> None:
    with place(BASE) as path:
        for _ in range(data.draw(st.integers(1, 2))):
            with h5py.File(path, "r+") as file:
                name = data.draw(st.sampled_from(_names(file)))
                if data.draw(st.booleans()):
                    data.draw(st.sampled_from(ODD))(file, name)
                else:
                    _replace(file, name, data.draw(_values()))
        outcome(path)


@settings(max_examples=100, **EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_one_number_of_a_random_file(seed: int, data: st.DataObject) -> None:
    with place() as path:
        write(path, random_layers(np.random.default_rng(seed)))
        with h5py.File(path, "r+") as file:
            change_a_number(file, data.draw(st.integers(0, 2**32 - 1)), data.draw(NUMBERS))
        outcome(path)


def change_a_number(file: h5py.File, seed: int, number: int) -> None:
    """Set one number of a file, wherever chance falls."""
    rng = np.random.default_rng(seed)
    names = [n for n in _names(file) if isinstance(file[n], h5py.Dataset) and file[n].dtype.kind in "iuf"]
    dataset = file[str(rng.choice(names))]
    values = np.array(dataset[()])
    with np.errstate(all="ignore"):
        values.flat[rng.integers(values.size)] = np.array(number).astype(values.dtype)
    dataset[...] = values


EDITS: list[tuple[str, Edit, tuple[str, ...]]] = [
    ("no layers", lambda f: f.__delitem__("layer"), ("file: layer is missing",)),
    ("empty", lambda f: (f.__delitem__("layer"), f.create_group("layer")), ("layer is empty",)),
    ("a layer less", lambda f: f.__delitem__("layer/3"), ("5 entries but none called 3",)),
    ("another entry", lambda f: f.create_group("layer/extra"), ("7 entries but none called 6",)),
    ("a layer that is no group", lambda f: _replace(f, "layer/2", 3), ("2 is no group",)),
    ("no type", lambda f: f.__delitem__("layer/1/type"), ("layer 1: type is missing",)),
    ("a number as type", lambda f: _replace(f, "layer/1/type", 7), ("layer 1: type holds int64",)),
    ("complex", lambda f: _replace(f, "layer/3/weight", 1j), ("layer 3 (dense): weight holds complex128",)),
    ("bits", lambda f: _replace(f, "layer/3/weight", True), ("layer 3 (dense): weight holds bool",)),
    ("terabytes", lambda f: _declared(f, "layer/3/weight", (1 << 40,)), (f"at most {MOST_VALUES} values",)),
    ("wrong size", lambda f: _declared(f, "layer/3/weight", (4, 23)), ("takes 23 values, 24 come",)),
    (
        "elsewhere",
        lambda f: (
            f.__delitem__("layer/3/weight"),
            f.__setitem__("layer/3/weight", h5py.SoftLink("/layer/4/weight")),
        ),
        ("layer 3 (dense): weight is a link to elsewhere",),
    ),
    (
        "another file",
        lambda f: (
            f.__delitem__("layer/3"),
            f.__setitem__("layer/3", h5py.ExternalLink("b.net", "/layer/3")),
        ),
        ("layer: 3 is a link to elsewhere",),
    ),
    ("a neuron that is a number", lambda f: _replace(f, "layer/3/neuron", 3), ("neuron is no group",)),
]


@pytest.mark.parametrize(("edit", "words"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_an_edited_file_is_refused(edit: Edit, words: tuple[str, ...], tmp_path: Path) -> None:
    path = base(tmp_path / "a.net")
    with h5py.File(path, "r+") as file:
        edit(file)
    message = outcome(path)
    for word in words:
        assert word in message, message
