"""What `spikewright generate` leaves behind: a grid of images, their arrays, and a table of what each took."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..benchmarks.quality import mean_and_interval
from ..export.whole_file import whole_file
from .made import Made

GRID, ARRAYS, TABLE, SUMMARY = "grid.png", "images.npz", "images.csv", "summary.json"
#: Images in the picture at most, and screen pixels of an image's pixel.
SHOWN, ZOOM = 100, 3


@dataclass(frozen=True)
class Run:
    """How images were made; ``settings`` are the sampler's own."""

    model: str
    backend: str
    seed: int
    seconds: float
    settings: Mapping[str, float | str]


def write_files(made: Made, joules: dict[str, NDArray[np.float64]], run: Run, folder: Path) -> dict[str, Any]:
    """Write all four files and return the summary.

    Parameters
    ----------
    joules : dict of str to ndarray
        By energy model, (N, 2): of the spiking system and of the ANN twins; empty where nothing spiked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / ARRAYS) as temporary, open(temporary, "wb") as stream:
        arrays: dict[str, Any] = {**vars(made), **{f"joule_{name}": table for name, table in joules.items()}}
        np.savez_compressed(stream, **arrays)
    text = io.StringIO()
    spiking = bool(joules)
    names = ["evaluations", *(["spikes", "sops"] if spiking else [])]
    header = [
        "image",
        *names,
        *(f"joule_{name}" for name in joules),
        *(f"ann_joule_{name}" for name in joules),
    ]
    rows = csv.writer(text)
    rows.writerow(header)
    for image in range(len(made.images)):
        counts = [int(getattr(made, name)[image].sum()) for name in names]
        prices = [float(table[image, column]) for column in (0, 1) for table in joules.values()]
        rows.writerow([image, *counts, *prices])
    with whole_file(folder / TABLE) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    with whole_file(folder / GRID) as temporary:
        picture(made.images[:SHOWN]).save(temporary, format="png")
    summary: dict[str, Any] = {
        "model": run.model,
        "backend": run.backend,
        "seed": run.seed,
        **run.settings,
        "seconds": run.seconds,
        "images": len(made.images),
        "evaluations": _mean(made.evaluations),
    }
    if spiking:
        summary |= {"spikes": _mean(made.spikes.sum(1)), "sops": _mean(made.sops.sum(1))}
        summary["energy"] = {
            name: {"joule": _mean(table[:, 0]), "ann_joule": _mean(table[:, 1])}
            for name, table in joules.items()
        }
    summary["files"] = {what: str(folder / what) for what in (GRID, ARRAYS, TABLE)}
    with whole_file(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _mean(values: NDArray[Any]) -> dict[str, float]:
    mean, half = mean_and_interval(values.astype(np.float64))
    return {"mean": mean, "ci95": half}


def picture(images: NDArray[np.float32]) -> Image.Image:
    """Images (N, C, H, W) in [-1, 1] side by side, about as many columns as rows, a pixel between them."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 96, np.uint8)
    # The published sampler cuts fractions of a grey level off.
    levels = np.clip((images.astype(np.float64) + 1) * 127.5, 0, 255).astype(np.uint8)
    levels = np.broadcast_to(levels, (count, 3, height, width)) if channels == 1 else levels
    for index in range(count):
        top, left = 1 + index // columns * (height + 1), 1 + index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = levels[index].transpose(1, 2, 0)
    size = (canvas.shape[1] * ZOOM, canvas.shape[0] * ZOOM)
    return Image.fromarray(canvas).resize(size, Image.Resampling.NEAREST)
