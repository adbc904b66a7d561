"""The file of images that a build's networks generated: ``generated.npz`` in its folder.

A deployment writes it once, a comparison of models reads it; nobody has to run a network again to judge its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.whole_file import whole_file
from .errors import QualityError
from .quality import Images

NAME = "generated.npz"
VERSIONS = ("ann", "float", "int8")
#: Reconstructions of a version that are worth their room.
MOST_RECONSTRUCTIONS = 2000
REMEDY = "run `spikewright deploy` again"
_RECONSTRUCTED, _FIGURE = "reconstructed_", "figure_"
_BEYOND = 1e-3  # what rounding may add to the range


@dataclass(frozen=True, eq=False)
class GeneratedFile:
    """Images of every version of one model.

    Attributes
    ----------
    samples : mapping of str to ndarray
        By version (``ann``, ``float``, ``int8``): images (N, C, H, W) in [-1, 1] from the model's prior, as many of each.
    reconstructions : mapping of str to ndarray
        By version, same layout: what it makes of the first test images, in their order; versions may be missing.
    seed : int
        Of the drawing.
    figures : mapping of str to mapping of str to float
        By version: further figures by name, such as ``elbo_bits``.
    """

    samples: Mapping[str, Images]
    reconstructions: Mapping[str, Images]
    seed: int
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Samples of each version."""
        return len(next(iter(self.samples.values())))


def write_generated(path: Path, content: GeneratedFile) -> None:
    """Write the file whole or not at all; of reconstructions, the first :data:`MOST_RECONSTRUCTIONS`.

    Raises
    ------
    QualityError
        What is to be written could not be read back.
    """
    arrays: dict[str, Any] = {**content.samples}
    arrays |= {
        f"{_RECONSTRUCTED}{version}": made[:MOST_RECONSTRUCTIONS]
        for version, made in content.reconstructions.items()
    }
    for version, figures in content.figures.items():
        arrays |= {
            f"{_FIGURE}{version}_{name}": np.array(value, np.float64) for name, value in figures.items()
        }
    arrays |= {"count": np.array(content.count), "seed": np.array(content.seed)}
    _parse(path, arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_generated(path: Path) -> GeneratedFile:
    """Read the file and check every array.

    Raises
    ------
    QualityError
        It is missing or damaged, or an array is missing, has a wrong shape or holds no images; names file, array and
        remedy.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise QualityError(f"{path}: no such file; run `spikewright deploy` first") from None
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise QualityError(f"{path}: not a readable .npz file ({error}); {REMEDY}") from None
    return _parse(path, arrays)


def _parse(path: Path, arrays: Mapping[str, NDArray[Any]]) -> GeneratedFile:
    known = {*VERSIONS, *(_RECONSTRUCTED + version for version in VERSIONS), "count", "seed"}
    unknown = [name for name in arrays if name not in known and _figure(name) is None]
    if unknown:
        raise QualityError(f"{path}: unknown arrays {', '.join(sorted(unknown))}; {REMEDY}")
    count, seed = (_whole_number(path, arrays, name) for name in ("count", "seed"))
    samples = {version: _images(path, arrays, version) for version in VERSIONS}
    shape = samples[VERSIONS[0]].shape[1:]
    made = {
        version: _images(path, arrays, _RECONSTRUCTED + version)
        for version in VERSIONS
        if _RECONSTRUCTED + version in arrays
    }
    for name, images in (*samples.items(), *((_RECONSTRUCTED + v, images) for v, images in made.items())):
        if images.shape[1:] != shape:
            raise QualityError(
                f"{path}: array {name!r}: images of {images.shape[1:]}, those of {VERSIONS[0]!r} are {shape}; {REMEDY}"
            )
        if name in samples and len(images) != count:
            raise QualityError(
                f"{path}: array {name!r}: {len(images)} images, but 'count' is {count}; {REMEDY}"
            )
    figures: dict[str, dict[str, float]] = {}
    for name, value in arrays.items():
        found = _figure(name)
        if found is not None:
            figures.setdefault(found[0], {})[found[1]] = _number(path, name, value)
    return GeneratedFile(samples, made, seed, figures)


def _figure(name: str) -> tuple[str, str] | None:
    """Version and name of a figure, or None where an array is none."""
    for version in VERSIONS:
        prefix = f"{_FIGURE}{version}_"
        if name.startswith(prefix) and len(name) > len(prefix):
            return version, name.removeprefix(prefix)
    return None


def _number(path: Path, name: str, value: NDArray[Any]) -> float:
    if value.shape != () or value.dtype.kind not in "iuf" or not np.isfinite(value):
        raise QualityError(f"{path}: array {name!r}: no finite number; {REMEDY}")
    return float(value)


def _whole_number(path: Path, arrays: Mapping[str, NDArray[Any]], name: str) -> int:
    if name not in arrays:
        raise QualityError(f"{path}: array {name!r} is missing; {REMEDY}")
    value = arrays[name]
    if value.shape != () or value.dtype.kind not in "iu" or value < 0:
        raise QualityError(f"{path}: array {name!r}: no whole number from 0; {REMEDY}")
    return int(value)


def _images(path: Path, arrays: Mapping[str, NDArray[Any]], name: str) -> Images:
    if name not in arrays:
        raise QualityError(f"{path}: array {name!r} is missing; {REMEDY}")
    images = arrays[name]
    if images.ndim != 4 or images.dtype.kind != "f" or not images.size:
        raise QualityError(
            f"{path}: array {name!r}: {images.dtype} of shape {images.shape}, not floats (N, C, H, W); {REMEDY}"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= -1 - _BEYOND and high <= 1 + _BEYOND):  # NaN fails as well
        raise QualityError(
            f"{path}: array {name!r}: pixels from {low:.3g} to {high:.3g}, not in [-1, 1]; {REMEDY}"
        )
    return images.astype(np.float32, copy=False)
