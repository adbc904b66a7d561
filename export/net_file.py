"""Fields of a lava-dl ``.net`` file (HDF5), checked before anything of their size is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import ExportError
from .formats import Ints

#: Values of one field. A dataset may state any shape without holding a byte of it, so the shape is judged first.
MOST_VALUES = 1 << 25
#: Beyond this no number of the format means anything, and integer arithmetic of the readers might overflow.
LARGEST_NUMBER = 1 << 31
LONGEST_TEXT = 64


class Fields:
    """The datasets of one group, by name.

    Parameters
    ----------
    group : h5py.Group
        Where they are.
    label : str
        What messages call it.
    """

    def __init__(self, group: Any, label: str) -> None:
        self.group, self.label = group, label

    def __contains__(self, name: str) -> bool:
        return name in self.group

    def wrong(self, name: str, detail: str, remedy: str) -> ExportError:
        """An error about a field."""
        return ExportError(f"{self.label}: {name} {detail}; {remedy}")

    def below(self, name: str, label: str) -> Fields:
        """The fields of a group within."""
        item = self._item(name)
        if not isinstance(item, h5py.Group):
            raise self.wrong(name, "is no group", "export the network again")
        return Fields(item, label)

    def text(self, name: str) -> str:
        """One ASCII string, the first where there are several."""
        data = self._dataset(name)
        kind = data.dtype.kind
        if kind not in "SO" or prod(data.shape) < 1 or (kind == "S" and data.dtype.itemsize > LONGEST_TEXT):
            raise self.wrong(name, f"holds {data.dtype} of shape {data.shape}", "write it as an ASCII string")
        value = data[(0,) * len(data.shape)]
        if not isinstance(value, bytes) or len(value) > LONGEST_TEXT or not value.isascii():
            raise self.wrong(name, "is no short ASCII string", "write it as bytes")
        return value.decode("ascii")

    def numbers(self, name: str) -> NDArray[Any]:
        """Finite numbers of any shape, as the file has them."""
        data = self._dataset(name)
        if data.dtype.kind not in "iuf":
            raise self.wrong(name, f"holds {data.dtype}", "write numbers")
        if not prod(data.shape):
            raise self.wrong(name, "is empty", "export the network again")
        values: NDArray[Any] = np.asarray(data[()])
        bad = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(1, bool)
        if bad.any():
            raise self.wrong(name, f"holds {int(bad.sum())} NaN or infinite values", "train again")
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        if values.max() >= LARGEST_NUMBER or values.min() <= -LARGEST_NUMBER:
            raise self.wrong(
                name, f"holds {values.max()} or {values.min()}", "numbers below 2^31 are possible"
            )
        return values

    def truncated(self, name: str) -> Ints:
        """Numbers without their fractions, as netx reads weights, biases and delays."""
        return np.trunc(self.numbers(name)).astype(np.int64)

    def integers(self, name: str, low: int, high: int) -> Ints:
        """Integers within a range, as netx needs registers and geometry."""
        values = self.numbers(name)
        if values.dtype.kind not in "iu":
            raise self.wrong(name, f"holds {values.dtype}", "netx takes integers")
        if values.min() < low or values.max() > high:
            worst = values.min() if values.min() < low else values.max()
            raise self.wrong(name, f"{worst} is outside {low}..{high}", "export the network again")
        return values.astype(np.int64)

    def _item(self, name: str) -> Any:
        if name not in self.group:
            raise self.wrong(name, "is missing", "export the network again")
        link = self.group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):  # a file that pulls in other files is not read
            raise self.wrong(name, "is a link to elsewhere", "store the values in the file itself")
        return self.group[name]

    def _dataset(self, name: str) -> Any:
        item = self._item(name)
        if not isinstance(item, h5py.Dataset):
            raise self.wrong(name, "is a group and no dataset", "export the network again")
        if item.shape is None:
            raise self.wrong(name, "is empty", "export the network again")
        if item.is_virtual or item.external:
            raise self.wrong(name, "is stored in another file", "store the values in the file itself")
        if prod(item.shape) > MOST_VALUES:
            raise self.wrong(name, f"has shape {item.shape}", f"at most {MOST_VALUES} values are read")
        return item


@contextmanager
def opened(path: Path) -> Iterator[Fields]:
    """The root of a file; whatever goes wrong below becomes one error that names the file.

    Raises
    ------
    ExportError
        The file is missing, truncated or no HDF5 file, or the body refused it.
    """
    try:
        with h5py.File(path, "r") as file:
            yield Fields(file, "file")
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file; lava-dl's `export_hdf5` writes one") from None
    except Exception as error:
        # The boundary to a foreign parser of foreign files: HDF5 finds damage only where it looks, whenever it looks.
        text = (str(error).strip().splitlines() or ["no detail"])[0][:200]
        raise ExportError(
            f"{path}: truncated or no .net file ({type(error).__name__}: {text}); export it again"
        ) from None
