"""CIFAR-10 in its official layout and as lossy JPEG."""

import io
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spikewright.models.data import (
    BadFileError,
    cifar,
    load_images,
    sources,
)

from .files import md5


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def cifar_archive(path, batches):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            # Protocol 3 is the oldest that writes bytes as such, as the official Python 2 pickles do.
            content = content if isinstance(content, bytes) else pickle.dumps(content, protocol=3)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def batch(label, value):
    data = np.full((2, 3072), value, np.uint8)
    data[:, 1024:2048] = 100  # green
    data[:, 33] = 200  # red, row 1, column 1
    return {b"data": data, b"labels": [label, 9], b"batch_label": b"x"}


def test_cifar_official_layout(tmp_path, monkeypatch):
    batches = {name: batch(i, i) for i, name in enumerate(cifar.BATCHES["train"])}
    shuffled = dict(reversed(batches.items())) | {cifar.BATCHES["test"][0]: batch(8, 50)}
    path = cifar_archive(tmp_path / "cifar-10-python.tar.gz", shuffled)
    with pytest.raises(BadFileError, match="MD5"):
        load_images("cifar10", "train", root=tmp_path)
    monkeypatch.setattr(sources, "CIFAR10", replace(sources.CIFAR10, md5=md5(path)))
    train = load_images("cifar10", "train", root=tmp_path)
    assert train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert train.pixels[:, 2, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert train.pixels[0, :, 1, 1].tolist() == [200, 100, 0]
    assert train.note == ""
    assert load_images("cifar10", "test", root=tmp_path).labels.tolist() == [8, 9]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (_Evil(), r"refused: it asks for (posix|nt)\.mkdir"),
        ({b"data": np.array([_Evil()], dtype=object)}, "refused"),
        (b"cos\nsystem\n(S'true'\ntR.", r"refused: it asks for os\.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "refused"),
        (b"", "damaged"),
        (pickle.dumps(batch(1, 1), protocol=3)[:-40], "refused|damaged"),
        ([1], "without uint8 data"),
        ({b"data": np.zeros((2, 4), np.uint8), b"labels": [0, 1]}, "without uint8 data"),
        (batch(10, 0), "without one label"),
        (batch("1", 0), "without one label"),
    ],
)
def test_cifar_refuses_other_pickles(tmp_path, monkeypatch, content, what):
    monkeypatch.chdir(tmp_path)
    path = cifar_archive(tmp_path / "c.tar.gz", {cifar.BATCHES["test"][0]: content})
    with pytest.raises(BadFileError, match=what) as caught:
        cifar.read_official(path, "test")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "evil").exists()


def test_cifar_damaged_archives(tmp_path):
    path = cifar_archive(tmp_path / "c.tar.gz", {cifar.BATCHES["test"][0]: batch(1, 1)})
    with pytest.raises(BadFileError, match="does not hold cifar-10-batches-py/data_batch_1"):
        cifar.read_official(path, "train")
    path.write_bytes(path.read_bytes()[:-40])
    for reader in (cifar.read_official, cifar.read_jpeg):
        with pytest.raises(BadFileError, match=r"cannot be read|damaged"):
            reader(path, "test")


def jpeg_archive(path, entries):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, size, colour in entries:
            stream = io.BytesIO()
            Image.new("RGB", size, colour).save(stream, "JPEG", quality=75)
            member = tarfile.TarInfo(name)
            member.size = stream.tell()
            stream.seek(0)
            archive.addfile(member, stream)
    return path


def test_cifar_jpeg_is_balanced_and_said_to_be_lossy(tmp_path, no_network):
    red, blue = (200, 0, 0), (0, 0, 200)
    entries = [
        (f"train/{name}/{number:04}.jpg", (32, 32), red if name == "airplane" else blue)
        for name in ("truck", "airplane")
        for number in (1, 0)
    ]
    path = jpeg_archive(tmp_path / sources.CIFAR10_JPEG, entries)
    images = load_images("cifar10", "train", root=tmp_path)
    assert images.labels.tolist() == [0, 9, 0, 9]
    assert images.note == "CIFAR-10: lossy copy, JPEG quality 75"
    assert np.abs(images.pixels[:, :, 5, 9].astype(int) - [red, blue, red, blue]).max() < 5
    with pytest.raises(BadFileError, match="holds no images test/"):
        load_images("cifar10", "test", root=tmp_path)
    jpeg_archive(path, [("train/cat/0000.jpg", (32, 31), red)])
    with pytest.raises(BadFileError, match=r"cat/0000.jpg of shape \(31, 32, 3\)"):
        load_images("cifar10", "train", root=tmp_path)
