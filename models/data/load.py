"""Load image data sets by name."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import cifar, sources
from .errors import BadFileError, DataError
from .fetch import find, locate, obtain, search_roots
from .idx import read_idx
from .images import Images
from .registry import SPLITS, DatasetInfo, dataset_info


def load_images(name: str, split: str, *, root: str | Path | None = None, download: bool = True) -> Images:
    """Load one split of a data set.

    Files are looked for below `root`, or else below the folder named by the environment variable
    ``SPIKEWRIGHT_DATA``, then in the download cache, and are fetched into that cache last. Official files
    are checked against their MD5 wherever they lie.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    split : str
        ``train`` or ``test``.
    root : str or Path, optional
        Data folder with the layout ``MNIST/raw``, ``FashionMNIST/raw``, ``KMNIST/raw``, ``EMNIST/raw``,
        ``cifar10``.
    download : bool
        Whether a file found nowhere may be fetched.

    Returns
    -------
    Images
        Its ``note`` is not empty where stand-ins for the official files were found on disk and used: a
        part of the KMNIST training images, or a lossy copy of CIFAR-10.

    Raises
    ------
    DataError
        When the name or split is unknown, or a file is missing or damaged.

    Notes
    -----
    ``digits`` comes with scikit-learn and has no official split there: the last 360 of its 1,797 scans
    are the test set. The scans are ordered by writer, so the writers of the test set are largely unseen
    in training. Its values 0..16 are scaled to 0..255 and rounded.

    ``emnist-letters`` is stored transposed and labelled from 1; both are put right here.
    """
    info = dataset_info(name)
    if split not in SPLITS:
        raise DataError(f"{info.title} has no split {split!r}: choose one of {', '.join(SPLITS)}")
    if name == "digits":
        return _load_digits(info, split)
    roots = search_roots(root)
    if name == "cifar10":
        return _load_cifar10(split, roots, download)
    return _load_idx(info, split, roots, download)


def _load_digits(info: DatasetInfo, split: str) -> Images:
    # Imported here because scikit-learn is slow to import and the other sets do without it.
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    scans = load_digits()
    part = slice(None, info.train_count) if split == "train" else slice(info.train_count, None)
    pixels = np.rint(scans.images[part, None] * (255 / 16)).astype(np.uint8)
    return Images(pixels, scans.target[part].astype(np.int64), info.name, split)


def _load_cifar10(split: str, roots: list[Path], download: bool) -> Images:
    lossy = find(sources.CIFAR10_JPEG, roots)
    if lossy is not None and locate(sources.CIFAR10, roots) is None:
        pixels, labels = cifar.read_jpeg(lossy, split)
        return Images(pixels, labels, "cifar10", split, "CIFAR-10: lossy copy, JPEG quality 75")
    pixels, labels = cifar.read_official(obtain(sources.CIFAR10, roots, download=download), split)
    return Images(pixels, labels, "cifar10", split)


def _load_idx(info: DatasetInfo, split: str, roots: list[Path], download: bool) -> Images:
    pair = sources.IDX_FILES[info.name][split]
    partial = _find_partial_kmnist(info, split, roots)
    if partial is not None:
        image_path, label_path = partial
    else:
        image_path = obtain(pair.images, roots, download=download)
        label_path = obtain(pair.labels, roots, download=download)
    images = read_idx(image_path, 3)
    first_label = 0
    if info.name == "emnist-letters":
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
        first_label = 1
    labels = read_idx(label_path, 1).astype(np.int64) - first_label
    _check(info, images, labels, image_path, label_path)
    note = ""
    if partial is not None:
        note = f"KMNIST: only the first {len(images):,} of the {info.train_count:,} official training images"
    return Images(images[:, None], labels, info.name, split, note)


def _find_partial_kmnist(info: DatasetInfo, split: str, roots: list[Path]) -> tuple[Path, Path] | None:
    if (info.name, split) != ("kmnist", "train"):
        return None
    if locate(sources.IDX_FILES["kmnist"]["train"].images, roots) is not None:
        return None
    images = find(sources.KMNIST_PARTIAL_IMAGES, roots)
    labels = find(sources.KMNIST_PARTIAL_LABELS, roots)
    return None if images is None or labels is None else (images, labels)


def _check(
    info: DatasetInfo,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    image_path: Path,
    label_path: Path,
) -> None:
    again = "delete it and fetch it again"
    if images.shape[1:] != (info.height, info.width):
        raise BadFileError(
            f"{info.title}: {image_path} holds images of {images.shape[1]} x {images.shape[2]} pixels, "
            f"not {info.height} x {info.width}: {again}"
        )
    if len(labels) != len(images):
        raise BadFileError(
            f"{info.title}: {label_path} holds {len(labels)} labels for {len(images)} images: {again}"
        )
    if np.any((labels < 0) | (labels >= info.classes)):
        raise BadFileError(f"{info.title}: {label_path} holds labels of no class: {again}")
