"""A strict reader of IDX, the file format of MNIST and its relatives.

Four bytes of magic (0, 0, element type, number of dimensions), one big-endian 32-bit length per dimension,
then the elements, last dimension fastest. Only unsigned bytes are read, which is all those sets hold.
"""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import BadFileError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        The file; gunzipped on the way when its name ends in ``.gz``.
    ndim : int
        Number of dimensions it must have: 1 for labels (N,), 3 for images (N, H, W).

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    BadFileError
        When the file is unreadable, of another type, or shorter or longer than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return _parse(stream, path, ndim)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad(path, f"cannot be read ({error})") from error


def _parse(stream: BufferedIOBase, path: Path, ndim: int) -> NDArray[np.uint8]:
    header = stream.read(4 + 4 * ndim)
    expected = bytes((0, 0, _UNSIGNED_BYTE, ndim))
    if header[:4] != expected:
        raise _bad(path, f"begins with {header[:4].hex(' ')} where {expected.hex(' ')} should stand")
    if len(header) < 4 + 4 * ndim:
        raise _bad(path, "ends inside its header")
    shape = struct.unpack(f">{ndim}I", header[4:])
    count = math.prod(shape)
    content = stream.read()  # to the end, as only there gzip checks its own checksum
    if len(content) != count:
        relation = "fewer" if len(content) < count else "more"
        raise _bad(path, f"holds {relation} elements than the {count} its header announces")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"IDX file {path} {what}: delete it and fetch it again")
