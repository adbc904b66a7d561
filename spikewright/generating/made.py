"""Generated images with what each of them took, kept in parts as they are made: a run that was killed goes on there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BuildError
from ..export.graph import Synapses
from ..export.whole_file import whole_file
from ..lowering import Lowered

#: Images of a part; on backends that take one sample at a time, where a part is what is lost at most.
PART, SLOW_PART = 100, 2
SLOW = ("lava", "reference")


@dataclass(frozen=True, eq=False)
class Made:
    """Images, and what each of them took; float networks count no spikes.

    Attributes
    ----------
    images : ndarray of float32
        (N, C, H, W) in [-1, 1].
    evaluations : ndarray of int64
        Runs of the denoiser for each image.
    spikes, sops, messages : ndarray of int64
        (N, programs): of each program in all its runs. Messages are spikes times the populations that each goes to.
    """

    images: NDArray[np.float32]
    evaluations: NDArray[np.int64]
    spikes: NDArray[np.int64]
    sops: NDArray[np.int64]
    messages: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Parts one after another."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


Some = TypeVar("Some", bound=Made)


def in_parts(
    kind: type[Some],
    make: Callable[[int, int, Callable[[int, int], None]], Some],
    count: int,
    folder: Path,
    *,
    key: dict[str, Any],
    slow: bool = False,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Some:
    """Images 0 to ``count``, kept in ``folder/parts`` as they are made.

    Parameters
    ----------
    make : callable
        Makes images from a number on, so many, and reports how many of these are done.
    key : dict
        What decides the images, apart from their number.
    slow : bool
        Keep smaller parts.

    Raises
    ------
    BuildError
        The folder holds parts of another key, or a damaged one.
    """
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _claim(parts / "key.json", key)
    size = SLOW_PART if slow else PART
    found: list[Some] = []
    for first in range(0, count, size):
        many = min(size, count - first)
        path = parts / f"{first:06d}-{first + many:06d}.npz"
        if path.exists():
            found.append(_read(kind, path))
        else:
            made = make(first, many, lambda done, of, first=first: report(first + done, count))  # type: ignore[misc]
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.savez_compressed(stream, **{f.name: getattr(made, f.name) for f in fields(made)})
            found.append(made)
        report(first + many, count)
    return kind.joined(found)


def digest(parts: Iterable[Lowered], backend: str) -> str:
    """Short name of everything in programs that decides images; of the float weights as well where they compute them."""
    found = hashlib.sha256()
    for part in parts:
        for node in part.float_graph.nodes.values() if backend == "float" else ():
            if isinstance(node, Synapses):
                found.update(np.ascontiguousarray(node.map.weight).tobytes())
        for group in part.program.synapses:
            found.update(np.ascontiguousarray(group.map.weight).tobytes())
        for p in part.program.populations:
            found.update(p.threshold.tobytes() + p.bias_mantissa.tobytes() + p.membrane_decay.tobytes())
        for _, array in sorted(part.program.host_arrays.items()):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _claim(path: Path, key: dict[str, Any]) -> None:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(key), encoding="utf-8")
        return
    except (OSError, ValueError):
        there = {}
    if there != key:
        differing = next((name for name in key if there.get(name) != key[name]), "key")
        raise BuildError(
            f"{path.parent}: holds images of another run ({differing} was {there.get(differing)!r}, is {key[differing]!r}); "
            "delete the folder or choose another with --out"
        )


def _read(kind: type[Some], path: Path) -> Some:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return kind(**{f.name: arrays[f.name] for f in fields(kind)})
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise BuildError(f"{path}: damaged ({error}); delete it and run the command again") from None
