"""Folders, a cache and a network of the tests' own."""

import socket
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from spikewright.models.data import (
    DATASETS,
    fetch,
    load_images,
    sources,
)

from .files import COUNT, HEIGHT, REAL_ROOT, WIDTH, idx_bytes, md5, pixels_of, put


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
