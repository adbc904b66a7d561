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
from torch import nn

from ..errors import BuildError
from ..export.graph import Synapses
from ..export.whole_file import whole_file
from ..lowering import Lowered
from .counters import Counters, Counting, below, since, under

#: Images of a part; on backends that take one sample at a time, where a part is what is lost at most.
PART, SLOW_PART = 100, 2
SLOW = ("lava", "loihi2", "reference")
#: Where a part's file keeps what was counted.
COUNTED = "counted"


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
    graded_sops : ndarray of int64
        (N, programs): those of the synaptic operations that graded spikes of relays cause.
    """

    images: NDArray[np.float32]
    evaluations: NDArray[np.int64]
    spikes: NDArray[np.int64]
    sops: NDArray[np.int64]
    messages: NDArray[np.int64]
    graded_sops: NDArray[np.int64]

    @classmethod
    def by_floats(cls, images: NDArray[np.float32], evaluations: NDArray[np.int64]) -> Made:
        """Images of networks that do not count."""
        none = np.zeros((len(images), 0), np.int64)
        return Made(images, evaluations, none, none, none, none)

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
    counting: Counting | None = None,
    slow: bool = False,
    anew: bool = False,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Some:
    """Images 0 to ``count``, kept in ``folder/parts`` as they are made.

    Parameters
    ----------
    make : callable
        Makes images from a number on, so many, and reports how many of these are done.
    key : dict
        What decides the images, apart from their number.
    counting : Counting, optional
        Who makes them; what it counted is kept with each part, and is counted again by the run that takes it up.
    slow : bool
        Keep smaller parts.
    anew : bool
        Throw parts of another key away instead of refusing them.

    Raises
    ------
    BuildError
        The folder holds parts of another key, or a damaged one.
    """
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _claim(parts / "key.json", key, anew)
    size = SLOW_PART if slow else PART
    found: list[Some] = []
    for first in range(0, count, size):
        many = min(size, count - first)
        path = parts / f"{first:06d}-{first + many:06d}.npz"
        if path.exists():
            made, counters = _read(kind, path)
            if counting is not None:
                counting.count_also(counters)
        else:
            before = {} if counting is None else counting.counters()
            made = make(first, many, lambda done, of, first=first: report(first + done, count))  # type: ignore[misc]
            counters = {} if counting is None else since(counting.counters(), before)
            arrays = {f.name: getattr(made, f.name) for f in fields(made)} | under(COUNTED, counters)
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.savez_compressed(stream, **arrays)
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
            if p.graded:
                found.update(f"{p.payload_bits} {p.payload_shift}".encode())
        for _, array in sorted(part.program.host_arrays.items()):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def weights_digest(*networks: nn.Module) -> str:
    """Short name of everything that networks have learned."""
    found = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            found.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def _claim(path: Path, key: dict[str, Any], anew: bool) -> None:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(key), encoding="utf-8")
        return
    except (OSError, ValueError):
        there = {}
    if there != key and anew:
        for part in path.parent.glob("*.npz"):
            part.unlink()
        path.unlink()
        _claim(path, key, anew)
    elif there != key:
        differing = next((name for name in key if there.get(name) != key[name]), "key")
        raise BuildError(
            f"{path.parent}: holds images of another run ({differing} was {there.get(differing)!r}, is {key[differing]!r}); "
            "delete the folder or choose another with --out"
        )


def _read(kind: type[Some], path: Path) -> tuple[Some, Counters]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {f.name: arrays[f.name] for f in fields(kind) if f.name in arrays}
            held.setdefault("graded_sops", np.zeros_like(held["sops"]))  # parts made before there were relays
            return kind(**held), below(COUNTED, dict(arrays))
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise BuildError(f"{path}: damaged ({error}); delete it and run the command again") from None
