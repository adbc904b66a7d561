"""Readers of CIFAR-10: the official archive of pickles, and a lossy archive of JPEG files."""

import io
import lzma
import pickle
import re
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import BadFileError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {
    "train": tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
    "test": ("cifar-10-batches-py/test_batch",),
}
_PIXELS = 3 * 32 * 32
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
_JPEG_NAME = re.compile(rf"(train|test)/({'|'.join(CLASSES)})/(\d+)\.jpg")

# NumPy's own rebuilding function has moved between releases; asking an array for it finds it in all.
_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that builds plain containers and NumPy arrays and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_official(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split from ``cifar-10-python.tar.gz``.

    Parameters
    ----------
    path : Path
        The archive.
    split : str
        ``train`` or ``test``.

    Returns
    -------
    pixels : ndarray of uint8, shape (N, 3, 32, 32)
        In the official order; channels are red, green, blue.
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    BadFileError
        When the archive is damaged or holds anything but arrays and plain containers.
    """
    found: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                wanted = member.isfile() and member.name in BATCHES[split]
                stream = archive.extractfile(member) if wanted else None
                if stream is not None:
                    found[member.name] = _read_batch(stream, path, member.name)
    except _TAR_ERRORS as error:
        raise _bad(path, f"cannot be read ({error})") from error
    absent = [name for name in BATCHES[split] if name not in found]
    if absent:
        raise _bad(path, f"does not hold {', '.join(absent)}")
    parts = [found[name] for name in BATCHES[split]]
    return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts])


def _read_batch(stream: IO[bytes], path: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        batch = _ArrayUnpickler(stream, encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise _bad(path, f"holds {name}, whose pickle was refused: {error}") from error
    except (EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # What the unpickler raises on a damaged stream is not limited to its own error.
        raise _bad(path, f"holds {name}, whose pickle is damaged") from error
    data = batch.get(b"data") if isinstance(batch, dict) else None
    labels = batch.get(b"labels") if isinstance(batch, dict) else None
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (_PIXELS,)):
        raise _bad(path, f"holds {name} without uint8 data of shape (N, {_PIXELS})")
    if not (
        isinstance(labels, list)
        and len(labels) == len(data)
        and all(isinstance(label, int) and 0 <= label < len(CLASSES) for label in labels)
    ):
        raise _bad(path, f"holds {name} without one label in 0..9 per image")
    return data.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def read_jpeg(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split from an archive of JPEG files named ``<split>/<class>/<number>.jpg``.

    Parameters
    ----------
    path : Path
        A tar archive, compressed in any way that `tarfile` reads.
    split : str
        ``train`` or ``test``.

    Returns
    -------
    pixels : ndarray of uint8, shape (N, 3, 32, 32)
        By number first and class second, so that any leading part is balanced. The official order is lost.
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    BadFileError
        When the archive is damaged or holds no such images.
    """
    found: dict[tuple[int, int], NDArray[np.uint8]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                match = _JPEG_NAME.fullmatch(member.name)
                if match is None or match[1] != split or not member.isfile():
                    continue
                stream = archive.extractfile(member)
                assert stream is not None  # as it is a regular file
                with Image.open(io.BytesIO(stream.read()), formats=("JPEG",)) as image:
                    pixels = np.asarray(image, dtype=np.uint8)
                if pixels.shape != (32, 32, 3):
                    raise _bad(path, f"holds {member.name} of shape {pixels.shape}, not (32, 32, 3)")
                found[int(match[3]), CLASSES.index(match[2])] = pixels.transpose(2, 0, 1)
    except (*_TAR_ERRORS, Image.DecompressionBombError) as error:
        raise _bad(path, f"cannot be read ({error})") from error
    if not found:
        raise _bad(path, f"holds no images {split}/<class>/<number>.jpg")
    order = sorted(found)
    labels = np.array([label for _, label in order], dtype=np.int64)
    return np.stack([found[key] for key in order]), labels


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"CIFAR-10: {path} {what}: delete it and fetch it again")
