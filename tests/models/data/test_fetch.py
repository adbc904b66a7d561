"""IDX files, and finding, checking and fetching data files."""

import socket
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from spikewright.models.data import (
    BadFileError,
    MissingFileError,
    fetch,
    load_images,
    read_idx,
    sources,
)

from .files import COUNT, HEIGHT, WIDTH, idx_bytes, md5, pixels_of, put


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
