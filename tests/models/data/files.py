"""Data files that the tests write."""

import gzip
import hashlib
import os
import struct

import numpy as np

HEIGHT, WIDTH, COUNT = 3, 5, 4
REAL_ROOT = os.environ.get("SPIKEWRIGHT_DATA")


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
