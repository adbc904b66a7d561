"""Generating images: the host samples tokens, the chip computes logits and images; in parts that survive a kill.

Random numbers belong to an image's number, so that the images of a seed are the same on every backend, in whatever parts
they are made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BuildError
from ..export.graph import Synapses
from ..export.whole_file import whole_file
from ..models.sampler import Sampling
from .evaluators import ChipEvaluator, Evaluator, FloatEvaluator, open_evaluator
from .system import System

#: Images of a part, and grids that are evaluated together.
PART, BATCH = 100, 50
#: Lava takes one sample at a time; a part is what is lost at most.
LAVA_PART = 2


@dataclass(frozen=True, eq=False)
class Generated:
    """Images, and what each of them took; the float networks have no spikes.

    Attributes
    ----------
    images : ndarray of float32
        (N, C, H, W) in [-1, 1].
    tokens : ndarray of int64
        (N, h, w).
    evaluations : ndarray of int64
        Runs of the denoiser for each image.
    spikes, sops, messages : ndarray of int64
        (N, 2): of the denoiser in all its runs, and of the decoder. Messages are spikes times the populations that each
        goes to.
    """

    images: NDArray[np.float32]
    tokens: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    spikes: NDArray[np.int64]
    sops: NDArray[np.int64]
    messages: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: list[Generated]) -> Generated:
        """Parts one after another."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def generate(
    system: System,
    evaluator: Evaluator,
    count: int,
    *,
    seed: int,
    temperature: float = 1.0,
    first: int = 0,
    batch: int = BATCH,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Generated:
    """Images ``first`` to ``first + count`` of a seed.

    Parameters
    ----------
    evaluator : Evaluator
        Computes logits and images of ``system``.
    temperature : float
        Divides the logits; above 0.
    batch : int
        Grids that are evaluated together.
    report : callable
        Is told how many images of how many are done.
    """
    sampling = Sampling(
        count, system.grid, system.codes, seed=seed, temperature=temperature, first=first, batch=batch
    )
    took = {name: np.zeros((count, 2), np.int64) for name in ("spikes", "sops", "messages")}

    def add(images: NDArray[np.int64], part: int) -> None:
        if isinstance(evaluator, ChipEvaluator):
            for name, values in evaluator.last.items():
                took[name][images, part] += values

    while len(sampling.active):
        active = sampling.active
        logits = evaluator.logits(sampling.grids, sampling.due)
        add(active, 0)
        sampling.reveal(logits)
        report(sampling.finished, count)
    samples = sampling.samples
    made = []
    for start in range(0, count, batch):
        places = np.arange(start, min(start + batch, count))
        made.append(evaluator.images(samples.tokens[places]))
        add(places, 1)
    return Generated(np.concatenate(made), samples.tokens, samples.evaluations, **took)


def generate_in_parts(
    system: System,
    backend: str,
    count: int,
    folder: Path,
    *,
    seed: int,
    temperature: float = 1.0,
    time_limit: float | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Generated:
    """Images 0 to ``count`` of a seed, kept in ``folder/parts`` as they are made: a run that was killed goes on there.

    Raises
    ------
    BuildError
        The folder holds parts of another system, seed, temperature or backend, or a damaged one.
    """
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _claim(parts / "key.json", _key(system, backend, seed, temperature))
    size = LAVA_PART if backend in ("lava", "reference") else PART
    found: list[Generated] = []
    evaluator: FloatEvaluator | ChipEvaluator | None = None
    try:
        for first in range(0, count, size):
            many = min(size, count - first)
            path = parts / f"{first:06d}-{first + many:06d}.npz"
            if path.exists():
                found.append(_read(path))
            else:
                evaluator = evaluator or open_evaluator(system, backend, time_limit)
                made = generate(
                    system, evaluator, many, seed=seed, temperature=temperature, first=first,
                    report=lambda done, of, first=first: report(first + done, count),  # type: ignore[misc]
                )  # fmt: skip
                with whole_file(path) as temporary, open(temporary, "wb") as stream:
                    np.savez_compressed(stream, **{f.name: getattr(made, f.name) for f in fields(made)})
                found.append(made)
            report(first + many, count)
    finally:
        if evaluator is not None:
            evaluator.close()
    return Generated.joined(found)


def _key(system: System, backend: str, seed: int, temperature: float) -> dict[str, Any]:
    """What decides the images, apart from their number."""
    digest = hashlib.sha256()
    for part in (system.denoiser, system.decoder):
        for node in part.float_graph.nodes.values() if backend == "float" else ():
            if isinstance(node, Synapses):
                digest.update(np.ascontiguousarray(node.map.weight).tobytes())
        for group in part.program.synapses:
            digest.update(np.ascontiguousarray(group.map.weight).tobytes())
        for p in part.program.populations:
            digest.update(p.threshold.tobytes() + p.bias_mantissa.tobytes() + p.membrane_decay.tobytes())
        for _, array in sorted(part.program.host_arrays.items()):
            digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "programs": digest.hexdigest()[:16],
        "backend": backend,
        "seed": seed,
        "temperature": temperature,
    }


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


def _read(path: Path) -> Generated:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Generated(**{f.name: arrays[f.name] for f in fields(Generated)})
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise BuildError(f"{path}: damaged ({error}); delete it and run the command again") from None
