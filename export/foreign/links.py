"""HDF5 without its traps: links that lead elsewhere, data that lie in other files, sizes that a file only claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from .heaps import check_heaps

#: Numbers that a field may hold: nothing on such a chip is larger, and a damaged file may claim terabytes.
MAX_VALUES = 1 << 28
#: Bytes that one stored byte may stand for: deflate reaches 1032, and fill values of data never written any number.
MAX_RATIO = 1100
#: Bytes below which nobody counts.
SMALL = 1 << 16
MAX_ITEMS, MAX_DEPTH = 1 << 18, 64


def members(name: str, group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """What a group holds.

    Raises
    ------
    ExportError
        A soft or external link: what it leads to may be elsewhere, or nowhere.
    """
    for key in group:
        yield key, member(name, group, key)


def member(name: str, group: h5py.Group, key: str) -> Any:
    """One thing that a group holds, or None."""
    if key not in group and group.get(key, getlink=True) is None:
        return None
    link = group.get(key, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = {h5py.SoftLink: "soft", h5py.ExternalLink: "external"}.get(type(link), "unknown")
        raise ExportError(
            f"{name}: {key!r} is a link of the {kind} kind; write what it leads to into the file"
        )
    return group[key]


def values(name: str, key: str, item: Any) -> Any:
    """What a dataset holds.

    Raises
    ------
    ExportError
        It is none, lies in another file, or claims more than the file can hold.
    """
    if not isinstance(item, h5py.Dataset):
        raise ExportError(f"{name}: field {key!r} is no array; export it again")
    bounded(name, key, item)
    return item[()]


def bounded(name: str, key: str, item: h5py.Dataset) -> None:
    """Refuse a dataset that lies in another file, or claims more than the file can hold."""
    if item.external or item.is_virtual:
        raise ExportError(f"{name}: field {key!r} lies in another file; write it into this one")
    count = 0 if item.shape is None else int(np.prod(item.shape, dtype=object))
    claimed, stored = count * item.dtype.itemsize, item.id.get_storage_size()
    if item.shape is None or count > MAX_VALUES or claimed > SMALL + MAX_RATIO * stored:
        raise ExportError(
            f"{name}: field {key!r} claims shape {item.shape}, more than any chip holds or the file stores "
            f"({stored} bytes)"
        )


def check(path: Path) -> None:
    """Refuse a file whose links lead elsewhere or in circles, or that claims more than it stores.

    Raises
    ------
    ExportError
        Names the place in the file.
    OSError
        It is no HDF5 file.
    """
    left = MAX_ITEMS

    def visit(name: str, group: h5py.Group, depth: int) -> None:
        nonlocal left
        for key, item in members(name, group):
            left -= 1
            if left < 0 or depth > MAX_DEPTH:
                raise ExportError(f"{name}: holds groups in groups without end; export it again")
            if isinstance(item, h5py.Group):
                visit(f"{name}/{key}", item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                bounded(name, key, item)
                if item.dtype.kind not in "fiubSO":
                    raise ExportError(f"{name}: {key!r} holds {item.dtype}, neither numbers nor text")

    check_heaps(path)
    with h5py.File(path, "r") as file:
        visit("", file, 0)


def text(value: Any) -> str | None:
    """A string that a dataset holds; None for anything else."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def numbers_of(name: str, key: str, value: Any) -> NDArray[Any]:
    """Finite numbers, at least one.

    Raises
    ------
    ExportError
        Anything else.
    """
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ExportError(f"{name}: field {key!r} holds {array.dtype}, not numbers; export it again")
    if not array.size:
        raise ExportError(f"{name}: field {key!r} is empty (shape {array.shape}); export it again")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ExportError(
            f"{name}: field {key!r} holds {bad} NaN or infinite values; train again, or state a leak"
        )
    return array
