"""Image data sets: files written by the tests, and the official ones where SPIKEWRIGHT_DATA names them."""

import gzip
import hashlib
import io
import os
import pickle
import socket
import struct
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikewright.models.data import (
    DATASETS,
    BadFileError,
    DataError,
    Images,
    MissingFileError,
    UnknownDatasetError,
    cifar,
    fetch,
    load_images,
    prepare,
    read_idx,
    sources,
)

HEIGHT, WIDTH, COUNT = 3, 5, 4
REAL_ROOT = os.environ.get("SPIKEWRIGHT_DATA")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Keep the user's own cache and data folder out of the tests that write their own files."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("SPIKEWRIGHT_DATA", raising=False)
    monkeypatch.setattr(fetch, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def real():
    if not REAL_ROOT:
        pytest.skip("SPIKEWRIGHT_DATA is not set")
    return partial(load_images, root=REAL_ROOT, download=False)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-3, "no name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def idx_bytes(array, kind=0x08):
    return bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def pixels_of(*shape):
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Return a function that puts a tiny non-square set in place of the official test split of one."""

    def make(name, labels=(1, 2, 3, 4), stored=None, url=None):
        stored = pixels_of(COUNT, HEIGHT, WIDTH) if stored is None else stored
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], height=HEIGHT, width=WIDTH))
        pair = sources.IDX_FILES[name]["test"]
        files = []
        for file, array in ((pair.images, stored), (pair.labels, np.array(labels, np.uint8))):
            path = put(tmp_path / "root" / file.folders[0] / file.name, idx_bytes(array))
            files.append(replace(file, md5=md5(path), source=url + file.name if url else file.source))
        monkeypatch.setitem(sources.IDX_FILES[name], "test", sources.IdxPair(*files))
        return tmp_path / "root", stored, path

    return make


# --- names, splits, registry


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownDatasetError, match=r"'mnits'.*digits, mnist, fashion-mnist, kmnist"):
        load_images("mnits", "train")
    with pytest.raises(DataError, match=r"no split 'valid'.*train, test"):
        load_images("digits", "valid")
    assert not issubclass(DataError, ValueError)


def test_digits_split_and_scale():
    train, test = load_images("digits", "train"), load_images("digits", "test")
    assert train.pixels.shape == (1437, 1, 8, 8)
    assert test.pixels.shape == (360, 1, 8, 8)
    assert train.pixels[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # stored as 0 0 5 13 9 1 0 0
    assert train.pixels.max() == 255
    assert train.note == test.note == ""


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_real_sets_match_the_registry(real, name, split):
    images, info = real(name, split), DATASETS[name]
    count = info.train_count if split == "train" else info.test_count
    if images.note.startswith("KMNIST: only the first 7,011"):
        count = 7011
    assert images.pixels.shape == (count, info.channels, info.height, info.width)
    assert set(np.unique(images.labels)) == set(range(info.classes))
    assert images.pixels.min() == 0
    assert images.pixels.max() == 255


def test_real_partial_kmnist_labels_are_the_first_official_ones(real):
    images = real("kmnist", "train")
    official = read_idx(fetch.find("KMNIST/raw/train-labels-idx1-ubyte.gz", [Path(REAL_ROOT)]), 1)
    assert np.array_equal(images.labels, official[: len(images.labels)])


def test_real_emnist_is_upright(real):
    images = real("emnist-letters", "test")
    mean = {c: images.pixels[images.labels == ord(c) - ord("A"), 0].mean(0) for c in "AMTUVWYPL"}
    for letter in "AMTUVWY":  # mirror-symmetric left to right, not top to bottom
        upright, mirrored, upset = mean[letter], mean[letter][:, ::-1], mean[letter][::-1]
        assert np.corrcoef(upright.flat, mirrored.flat)[0, 1] > np.corrcoef(upright.flat, upset.flat)[0, 1]
    assert mean["P"][:14].sum() > 1.5 * mean["P"][14:].sum()
    assert mean["P"][:, :14].sum() > mean["P"][:, 14:].sum()
    assert mean["L"][14:].sum() > 1.2 * mean["L"][:14].sum()


def test_real_lossy_cifar_resembles_the_lossless_part(real):
    lossless = fetch.find("cifar10/cifar10_train_first4000_lossless.npz", [Path(REAL_ROOT)])
    images = real("cifar10", "train")
    if lossless is None or not images.note:
        pytest.skip("needs both the lossy set and the lossless part")
    assert "JPEG quality 75" in images.note
    assert images.labels[:20].tolist() == [*range(10), *range(10)]
    part = np.load(lossless)
    rank = [0] * 10
    for image, label in zip(part["images"][:200], part["labels"], strict=False):
        same = images.pixels[10 * rank[label] + int(label)].astype(float)
        rank[label] += 1
        assert np.abs(image.transpose(2, 0, 1) - same).mean() < 15


# --- IDX


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_idx_round_trip(tmp_path, name):
    array = pixels_of(COUNT, HEIGHT, WIDTH)
    assert np.array_equal(read_idx(put(tmp_path / name, idx_bytes(array)), 3), array)


ARRAY = idx_bytes(pixels_of(COUNT, HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("content", "ndim", "what"),
    [
        (ARRAY[:-1], 3, "fewer elements than the 60"),
        (ARRAY + b"\0", 3, "more elements than the 60"),
        (ARRAY, 1, "begins with 00 00 08 03 where 00 00 08 01"),
        (idx_bytes(np.zeros((2, 2), ">f4"), 0x0D), 2, "begins with 00 00 0d 02"),
        (b"<html>", 3, "begins with 3c"),
        (ARRAY[:9], 3, "ends inside its header"),
        (ARRAY[:4] + b"\xff" * 12, 3, "fewer elements"),
        (b"", 3, "begins with"),
    ],
)
def test_idx_errors_name_the_file_and_the_remedy(tmp_path, content, ndim, what):
    for path in (put(tmp_path / "bad.idx", content), put(tmp_path / "bad.idx.gz", content)):
        with pytest.raises(BadFileError, match=what) as caught:
            read_idx(path, ndim)
        assert str(path) in str(caught.value)
        assert "delete it and fetch it again" in str(caught.value)


def test_idx_damaged_gzip(tmp_path):
    path = put(tmp_path / "a.idx.gz", ARRAY)
    whole = path.read_bytes()
    flipped = whole[:-8] + bytes(4) + whole[-4:]  # its CRC
    for content in (whole[:-12], whole[:5], flipped, b"no gzip", whole[:12] + b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(BadFileError, match=r"a\.idx\.gz"):
            read_idx(path, 3)


# --- finding, checking, fetching


def test_root_before_variable_before_cache(tiny, monkeypatch, cache, tmp_path):
    root, stored, _ = tiny("mnist")
    images = load_images("mnist", "test", root=root, download=False)
    assert np.array_equal(images.pixels[:, 0], stored)
    assert images.labels.tolist() == [1, 2, 3, 4]
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(root))
    assert load_images("mnist", "test", download=False).labels.dtype == np.int64
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="switched off"):
        load_images("mnist", "test", root=tmp_path / "empty", download=False)
    root.rename(cache)
    load_images("mnist", "test", root=tmp_path / "empty", download=False)
    with pytest.raises(MissingFileError, match="SPIKEWRIGHT_DATA to a folder that does"):
        load_images("mnist", "test")


def test_emnist_is_turned_and_relabelled(tiny):
    stored = np.zeros((1, WIDTH, HEIGHT), np.uint8)
    stored[0, 4, 1] = 9  # column 4, row 1 of the upright letter
    root, *_ = tiny("emnist-letters", labels=[26], stored=stored)
    images = load_images("emnist-letters", "test", root=root, download=False)
    assert images.pixels.shape == (1, 1, HEIGHT, WIDTH)
    assert images.pixels[0, 0, 1, 4] == 9
    assert images.labels.tolist() == [25]


def test_set_that_contradicts_itself(tiny):
    for labels, what in (((1, 2), "holds 2 labels for 4 images"), ((1, 2, 3, 10), "labels of no class")):
        root, *_ = tiny("mnist", labels=labels)
        with pytest.raises(BadFileError, match=what):
            load_images("mnist", "test", root=root)
    root, *_ = tiny("mnist", stored=pixels_of(COUNT, WIDTH, HEIGHT))
    with pytest.raises(BadFileError, match="5 x 3 pixels, not 3 x 5"):
        load_images("mnist", "test", root=root)


def test_wrong_checksum_even_after_a_right_one(tiny):
    root, _, label_path = tiny("mnist")
    load_images("mnist", "test", root=root)
    put(label_path, idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(BadFileError, match=r"t10k-labels.* is not the official file.*delete it and fetch"):
        load_images("mnist", "test", root=root)


def test_partial_kmnist_only_where_the_full_file_is_not(tmp_path, cache):
    put(tmp_path / sources.KMNIST_PARTIAL_IMAGES, idx_bytes(pixels_of(2, 28, 28)))
    put(tmp_path / sources.KMNIST_PARTIAL_LABELS, idx_bytes(np.array([0, 9], np.uint8)))
    images = load_images("kmnist", "train", root=tmp_path)
    assert images.note == "KMNIST: only the first 2 of the 60,000 official training images"
    put(cache / "KMNIST/raw/train-images-idx3-ubyte.gz", b"another")
    with pytest.raises(BadFileError, match="not the official file"):
        load_images("kmnist", "train", root=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "emnist-letters", "cifar10"])
def test_no_network(no_network, cache, tmp_path, name):
    start = time.monotonic()
    with pytest.raises(MissingFileError) as caught:
        load_images(name, "train", root=tmp_path)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    for part in (str(tmp_path), str(cache), "set SPIKEWRIGHT_DATA or connect to the network"):
        assert part in message
    assert caught.value.__suppress_context__  # no traceback of the HTTP library


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "www").mkdir()
    handler = partial(_Quiet, directory=tmp_path / "www")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield tmp_path / "www", f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


def test_fetch_into_the_cache(tiny, server, cache):
    www, url = server
    root, stored, _ = tiny("fashion-mnist", url=url)
    with pytest.raises(MissingFileError, match="HTTPError"):
        load_images("fashion-mnist", "test")
    for path in (root / "FashionMNIST/raw").iterdir():
        path.rename(www / path.name)
    assert np.array_equal(load_images("fashion-mnist", "test").pixels[:, 0], stored)
    assert (cache / "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz").is_file()


def test_fetch_of_the_wrong_file(tiny, server, cache):
    www, url = server
    tiny("mnist", url=url)
    put(www / "t10k-images-idx3-ubyte.gz", b"something else")
    with pytest.raises(BadFileError, match="delivered has another MD5"):
        load_images("mnist", "test")
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_server_that_never_answers(tiny, monkeypatch):
    monkeypatch.setattr(fetch, "_TIMEOUT_S", (0.5, 0.5))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tiny("mnist", url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(MissingFileError, match="ReadTimeout"):
            load_images("mnist", "test")


def test_fetch_out_of_a_zip(tiny, server, monkeypatch):
    www, url = server
    root, stored, _ = tiny("emnist-letters", stored=pixels_of(COUNT, WIDTH, HEIGHT))
    with zipfile.ZipFile(www / "gzip.zip", "w") as archive:
        for path in (root / "EMNIST/raw").iterdir():
            archive.write(path, f"gzip/{path.name}")
        members = tuple(archive.namelist())
    zipped = replace(sources.EMNIST_ZIP, url=url + "gzip.zip", md5=md5(www / "gzip.zip"), members=members)
    pair = sources.IDX_FILES["emnist-letters"]["test"]
    pair = sources.IdxPair(replace(pair.images, source=zipped), replace(pair.labels, source=zipped))
    monkeypatch.setitem(sources.IDX_FILES["emnist-letters"], "test", pair)
    assert np.array_equal(load_images("emnist-letters", "test").pixels[:, 0], stored.transpose(0, 2, 1))


# --- CIFAR-10


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


# --- preparing


def images_of(pixels):
    return Images(pixels, np.zeros(len(pixels), np.int64), "tiny", "test")


def test_images_check_their_arrays():
    with pytest.raises(DataError, match="pixels are float64"):
        images_of(np.zeros((1, 1, 2, 2)))
    with pytest.raises(DataError, match=r"labels are int64 of shape \(3,\)"):
        Images(pixels_of(2, 1, 2, 2), np.zeros(3, np.int64), "tiny", "test")


def test_prepare_scales_exactly():
    every = images_of(np.arange(256, dtype=np.uint8).reshape(1, 1, 8, 32))
    out = prepare(every, (8, 32), "none")
    assert out.dtype == np.float32
    expected = 2 * np.arange(256) / 255 - 1
    np.testing.assert_allclose(out.ravel(), expected, atol=1e-7)
    assert (out.min(), out.max()) == (-1, 1)
    assert np.array_equal(prepare(every, (8, 32), "resize"), out)
    assert np.array_equal(prepare(every, (8, 32), "pad"), out)


def test_prepare_pads_round_the_centre():
    pixels = np.full((2, 3, 2, 3), 255, np.uint8)
    out = prepare(images_of(pixels), (5, 7), "pad")
    assert out.shape == (2, 3, 5, 7)
    expected = np.full((5, 7), -1)
    expected[1:3, 2:5] = 1
    assert (out == expected).all()
    assert (pixels == 255).all()


def test_prepare_resizes_bilinearly():
    ramp = images_of(np.array([[[[0, 255]]], [[[255, 0]]]], np.uint8))
    np.testing.assert_allclose(prepare(ramp, (1, 4), "resize")[0, 0, 0], [-1, -0.5, 0.5, 1], atol=1e-6)
    stripes = images_of(np.tile(np.array([0, 255, 0], np.uint8), (1, 1, 4, 3)))
    thinned = prepare(stripes, (4, 3), "resize")
    assert thinned.shape == (1, 1, 4, 3)
    np.testing.assert_allclose(thinned[0, 0, :, 1], -1 / 3, atol=1e-6)  # 1 without antialiasing
    tall = images_of(np.repeat(np.array([0, 255], np.uint8), 8).reshape(1, 1, 2, 8))
    mixed = prepare(tall, (4, 4), "resize")  # one dimension grows while the other shrinks
    np.testing.assert_allclose(mixed[0, 0], np.repeat([[-1], [-0.5], [0.5], [1]], 4, axis=1), atol=1e-6)


def test_prepare_works_in_pieces():
    many = images_of(pixels_of(4100, 1, 4, 4))
    whole = prepare(many, (3, 5), "resize")
    last = prepare(images_of(many.pixels[-5:]), (3, 5), "resize")
    np.testing.assert_allclose(whole[-5:], last, atol=1e-6)
    assert np.abs(whole).max() <= 1


@pytest.mark.parametrize(
    ("size", "fit", "what"),
    [
        ((2, 9), "pad", "do not fit a canvas of 2 x 9: choose fit 'resize'"),
        ((5, 3), "none", "are 3 x 5, not 5 x 3: choose fit 'pad' or 'resize'"),
        ((0, 4), "resize", "0 x 4 is empty"),
        ((3, 5), "stretch", "no fit 'stretch': choose one of pad, resize, none"),
    ],
)
def test_prepare_errors(size, fit, what):
    with pytest.raises(DataError, match=what):
        prepare(images_of(pixels_of(1, 1, HEIGHT, WIDTH)), size, fit)
