"""Event recordings: binning, splits, and files that are right, missing or damaged."""

import io
import struct
import sys
import tarfile
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from spikewright.models.data import (
    BadFileError,
    DataError,
    MissingFileError,
    SpikeFrames,
    UnknownDatasetError,
    braille,
    load_events,
    sources,
)
from spikewright.models.data.events import bin_events, bin_width, stratified_split

from .files import REAL_ROOT, md5


@pytest.fixture(autouse=True)
def tonic():
    return pytest.importorskip("tonic")


@pytest.fixture
def real_events():
    if not REAL_ROOT:
        pytest.skip("SPIKEWRIGHT_DATA is not set")
    return partial(load_events, root=REAL_ROOT, download=False)


def events_of(rows, names="txp"):
    dtype = [(name, np.int64) for name in names]
    return np.array([tuple(row) for row in rows], dtype=dtype)


def test_bins_are_half_open_and_hold_zero_or_one():
    rows = [(0, 1, 0), (3, 1, 0), (9, 2, 1), (10, 2, 1), (29, 0, 0), (30, 0, 1), (500, 0, 1)]
    frames = bin_events(events_of(rows), (3, 1, 2), steps=3, bin_us=10)
    assert frames.dtype == np.uint8
    wanted = np.zeros((3, 2, 3))  # time, polarity, place; what comes at 30 and later is left out
    wanted[0, 0, 1] = wanted[0, 1, 2] = wanted[1, 1, 2] = wanted[2, 0, 0] = 1
    assert np.array_equal(frames.reshape(wanted.shape), wanted)


def test_pixels_keep_row_and_column():
    frames = bin_events(events_of([(12, 4, 1, 1)], "txyp"), (5, 3, 2), steps=2, bin_us=10)
    assert frames.shape == (2, 2, 3, 5)
    assert np.argwhere(frames).tolist() == [[1, 1, 1, 4]]


@pytest.mark.parametrize("steps", [1, 7, 32, 128, 256])
def test_the_last_bin_holds_the_last_moment(steps):
    assert (steps - 1) * bin_width(1_300_000, steps) <= 1_300_000 < steps * bin_width(1_300_000, steps)


def test_splits_are_disjoint_complete_and_stay_when_a_class_is_left_out():
    labels = np.repeat(np.arange(4), 20)
    fractions = {"train": 0.7, "validation": 0.15, "test": 0.15}
    parts = stratified_split(labels, fractions, 5)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(80))
    assert {name: np.bincount(labels[part]).tolist() for name, part in parts.items()} == {
        "train": [14] * 4, "validation": [3] * 4, "test": [3] * 4
    }  # fmt: skip
    again = stratified_split(labels, fractions, 5)
    assert all(np.array_equal(part, again[name]) for name, part in parts.items())
    assert not np.array_equal(parts["test"], stratified_split(labels, fractions, 6)["test"])
    fewer = stratified_split(labels[:40], fractions, 5)
    assert np.array_equal(fewer["test"], parts["test"][:6])


def test_frames_check_their_arrays():
    spikes, labels = np.zeros((2, 3, 4), np.uint8), np.zeros(2, np.int64)
    make = partial(SpikeFrames, classes=("a",), bin_us=1, name="tiny", split="test")
    make(spikes, labels)
    for wrong in (spikes.astype(float), spikes[0], spikes + 2):
        with pytest.raises(DataError, match="tiny: spikes are"):
            make(wrong, labels)
    with pytest.raises(DataError, match=r"tiny: labels are int64 of shape \(1,\)"):
        make(spikes, labels[:1])


def test_unknown_names(tmp_path):
    with pytest.raises(UnknownDatasetError, match="'shd': choose one of braille, nmnist"):
        load_events("shd", "test")
    with pytest.raises(DataError, match="no split 'dev': choose one of train, validation, test"):
        load_events("braille", "dev")
    with pytest.raises(DataError, match="classes A, Q, Ä: give at least two different ones of Space, A, B"):
        load_events("braille", "test", classes=("A", "Q", "Ä"), root=tmp_path)
    with pytest.raises(DataError, match="classes 1, 7: leave them out"):
        load_events("nmnist", "test", classes=("1", "7"), root=tmp_path)


def test_without_tonic_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tonic"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(DataError, match=r"need tonic.*pip install 'spikewright\[events\]'"):
        bin_events(events_of([(0, 0, 0)]), (1, 1, 1), 1, 1)


# Braille letters


def letters_of(count=20, names=("A", "B", "Space")):
    """A file's arrays: one event a sample, its place and time told by the sample's number; the last sample has two."""
    total = count * len(names)
    sample = np.append(np.arange(total), total - 1).astype(np.uint16)
    return {
        "sample": sample,
        "taxel": (sample % 12).astype(np.uint8),
        "on": (sample % 2).astype(np.uint8),
        "t": np.append(np.linspace(0.0, 1.3, total), 0.5).astype(np.float32),
        "letter": np.repeat(names, count),
    }


def put_letters(folder, **changes):
    arrays = {name: array for name, array in {**letters_of(), **changes}.items() if array is not None}
    path = folder / braille.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_braille_frames_and_labels(tmp_path):
    put_letters(tmp_path)
    parts = [
        load_events("braille", split, steps=13, root=tmp_path) for split in ("train", "validation", "test")
    ]
    assert [part.spikes.shape for part in parts] == [(42, 13, 24), (9, 13, 24), (9, 13, 24)]
    assert parts[0].classes == braille.LETTERS
    seen = {}
    for part in parts:
        for spikes, label in zip(part.spikes, part.labels, strict=True):
            step, channel = np.argwhere(spikes)[-1]
            seen.setdefault((int(step), int(channel)), []).append(part.classes[label])
    # Sample 0 (A, at 0 s) is OFF of taxel 0; sample 59 (Space, at 1.3 s) is ON of taxel 11.
    assert "A" in seen[0, 0]
    assert "Space" in seen[12, 12 + 11]
    total = sum(int(part.spikes.sum()) for part in parts)
    assert total == 61


def test_braille_classes_are_labelled_in_the_order_asked_for(tmp_path):
    put_letters(tmp_path)
    every = load_events("braille", "test", root=tmp_path)
    some = load_events("braille", "test", classes=("Space", "A"), root=tmp_path)
    assert every.labels.tolist() == [1] * 3 + [2] * 3 + [0] * 3
    assert some.labels.tolist() == [1] * 3 + [0] * 3
    assert np.array_equal(some.spikes, every.spikes[[0, 1, 2, 6, 7, 8]])


def test_braille_missing(tmp_path):
    with pytest.raises(
        MissingFileError, match=r"there is no .*theta10\.npz.*Zenodo record 7050094.*SPIKEWRIGHT_DATA"
    ):
        load_events("braille", "test", root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"taxel": None}, "holds no array taxel"),
        ({"taxel": np.full(61, 12, np.uint8)}, r"holds taxel outside 0\.\.11"),
        ({"on": np.full(61, 2, np.uint8)}, r"holds on outside 0\.\.1"),
        ({"sample": np.arange(61)}, r"holds sample outside 0\.\.59"),
        ({"sample": np.zeros(61, int)}, "holds no events of sample 1"),
        ({"t": np.full(61, np.nan, np.float32)}, "holds times outside"),
        ({"t": np.full(61, -0.1)}, "holds times outside"),
        ({"t": np.zeros(60)}, "holds 61 samples, 61 taxels, 61 signs and 60 times"),
        ({"t": np.zeros((61, 1))}, r"holds t as float64 of shape \(61, 1\)"),
        ({"letter": np.array(["Ω"] * 60)}, "holds the letter 'Ω'"),
        ({"letter": np.array([{}] * 60)}, "cannot be read"),  # a pickle
    ],
)
def test_braille_damaged(tmp_path, changes, what):
    path = put_letters(tmp_path, **changes)
    with pytest.raises(BadFileError, match=what) as caught:
        load_events("braille", "test", root=tmp_path)
    assert str(path) in str(caught.value)


def test_braille_truncated(tmp_path):
    path = put_letters(tmp_path)
    whole = path.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(BadFileError, match=r"cannot be read|holds no array"):
            load_events("braille", "test", root=tmp_path)


# N-MNIST


def recording(*rows):
    """Five bytes an event: column, row, polarity and 23 bits of microseconds, big end first."""
    return b"".join(bytes((x, y)) + struct.pack(">I", p << 23 | t)[1:] for x, y, p, t in rows)


GOOD = recording((3, 5, 1, 0), (33, 0, 0, 10_001), (33, 0, 0, 10_002), (0, 33, 1, 315_000))


def put_tar(folder, members):
    path = folder / sources.NMNIST_SUBSET
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_nmnist_frames_labels_and_order(tmp_path):
    put_tar(
        tmp_path,
        {"NMNIST/Test/7/00002.bin": recording((1, 1, 0, 5)), "NMNIST/Test/3/00001.bin": GOOD, "NMNIST/Test/3/00101.bin": b""},
    )  # fmt: skip
    frames = load_events("nmnist", "test", root=tmp_path)
    assert frames.spikes.shape == (2, 32, 2, 34, 34)
    assert frames.labels.tolist() == [3, 7]
    assert np.argwhere(frames.spikes[0]).tolist() == [[0, 1, 5, 3], [1, 0, 0, 33], [31, 1, 33, 0]]
    assert "first 1,000 of 60,000" in frames.note


def test_nmnist_official_archive_gives_the_same(tmp_path, monkeypatch):
    members = {f"Train/{i % 2}/{i:05d}.bin": recording((i % 34, 1, 0, 5)) for i in range(1, 41)}
    folders = [tmp_path / name for name in ("subset", "official")]
    put_tar(folders[0], {f"NMNIST/{name}": content for name, content in members.items()})
    path = folders[1] / "nmnist" / "train.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr("Train/1/01001.bin", b"never read")
    monkeypatch.setitem(sources.NMNIST_ZIPS, "Train", replace(sources.NMNIST_ZIPS["Train"], md5=md5(path)))
    for split, count in (("train", 36), ("validation", 4)):
        one, other = (load_events("nmnist", split, root=folder, download=False) for folder in folders)
        assert len(one.labels) == count
        assert np.array_equal(one.spikes, other.spikes)
        assert np.array_equal(one.labels, other.labels)


def test_nmnist_missing_and_unofficial(tmp_path):
    with pytest.raises(MissingFileError, match=r"N-MNIST: test\.zip was not found.*switched off"):
        load_events("nmnist", "test", root=tmp_path, download=False)
    (tmp_path / "nmnist").mkdir()
    (tmp_path / "nmnist" / "test.zip").write_bytes(b"something else")
    with pytest.raises(BadFileError, match=r"test\.zip is not the official file"):
        load_events("nmnist", "test", root=tmp_path, download=False)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", r"holds NMNIST/Test/1/00001\.bin without events"),
        (recording((0, 240, 0, 5)), "without events"),  # a timer overflow alone
        (GOOD[:-1], "of 19 bytes, which is no multiple of 5"),
        (recording((34, 0, 0, 5)), "events outside 34 x 34 pixels"),
        (recording((0, 200, 0, 5)), "events outside 34 x 34 pixels"),
        (recording((0, 0, 0, 5), (0, 0, 0, 4)), "go back in time"),
    ],
)
def test_nmnist_damaged_recording(tmp_path, content, what):
    path = put_tar(tmp_path, {"NMNIST/Test/1/00001.bin": content})
    with pytest.raises(BadFileError, match=what) as caught:
        load_events("nmnist", "test", root=tmp_path)
    assert str(path) in str(caught.value)


def test_nmnist_damaged_archive(tmp_path):
    path = put_tar(tmp_path, {"NMNIST/Test/1/00001.bin": GOOD})
    with pytest.raises(BadFileError, match="holds no recordings Train"):
        load_events("nmnist", "train", root=tmp_path)
    whole = path.read_bytes()
    for end in (0, 20, len(whole) // 2):
        path.write_bytes(whole[:end])
        with pytest.raises(BadFileError, match=r"cannot be read|holds no recordings"):
            load_events("nmnist", "test", root=tmp_path)


# The real files


def test_real_braille(real_events):
    parts = {
        split: real_events("braille", split, classes=braille.SUBSET)
        for split in ("train", "validation", "test")
    }
    assert {split: np.bincount(part.labels).tolist() for split, part in parts.items()} == {
        "train": [140] * 7, "validation": [30] * 7, "test": [30] * 7
    }  # fmt: skip
    assert parts["test"].bin_us == 10_157
    assert len(real_events("braille", "validation").labels) == 27 * 30


def test_real_nmnist(real_events):
    sizes = {split: len(real_events("nmnist", split).labels) for split in ("train", "validation", "test")}
    assert sizes == {"train": 900, "validation": 100, "test": 100}
    test = real_events("nmnist", "test")
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # as MNIST's test set begins
    assert 0.02 < test.spikes.mean() < 0.05
