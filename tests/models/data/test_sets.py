"""Every data set: its split, its scale, and the official files where SPIKEWRIGHT_DATA names them."""

from pathlib import Path

import numpy as np
import pytest

from spikewright.models.data import (
    DATASETS,
    DataError,
    UnknownDatasetError,
    fetch,
    load_images,
    read_idx,
)

from .files import REAL_ROOT


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownDatasetError, match=r"'mnits'.*digits, mnist, fashion-mnist, kmnist"):
        load_images("mnits", "train")
    with pytest.raises(DataError, match=r"no split 'valid'.*train, test"):
        load_images("digits", "valid")
    assert not issubclass(DataError, ValueError)


def test_digits_split_and_scale():
    train, test = load_images("digits", "train"), load_images("digits", "test")
    assert train.pixels.shape == (1437, 1, 8, 8)
    assert test.pixels.shape == (360, 1, 8, 8)
    assert train.pixels[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # stored as 0 0 5 13 9 1 0 0
    assert train.pixels.max() == 255
    assert train.note == test.note == ""


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_real_sets_match_the_registry(real, name, split):
    images, info = real(name, split), DATASETS[name]
    count = info.train_count if split == "train" else info.test_count
    if images.note.startswith("KMNIST: only the first 7,011"):
        count = 7011
    assert images.pixels.shape == (count, info.channels, info.height, info.width)
    assert set(np.unique(images.labels)) == set(range(info.classes))
    assert images.pixels.min() == 0
    assert images.pixels.max() == 255


def test_real_partial_kmnist_labels_are_the_first_official_ones(real):
    images = real("kmnist", "train")
    official = read_idx(fetch.find("KMNIST/raw/train-labels-idx1-ubyte.gz", [Path(REAL_ROOT)]), 1)
    assert np.array_equal(images.labels, official[: len(images.labels)])


def test_real_emnist_is_upright(real):
    images = real("emnist-letters", "test")
    mean = {c: images.pixels[images.labels == ord(c) - ord("A"), 0].mean(0) for c in "AMTUVWYPL"}
    for letter in "AMTUVWY":  # mirror-symmetric left to right, not top to bottom
        upright, mirrored, upset = mean[letter], mean[letter][:, ::-1], mean[letter][::-1]
        assert np.corrcoef(upright.flat, mirrored.flat)[0, 1] > np.corrcoef(upright.flat, upset.flat)[0, 1]
    assert mean["P"][:14].sum() > 1.5 * mean["P"][14:].sum()
    assert mean["P"][:, :14].sum() > mean["P"][:, 14:].sum()
    assert mean["L"][14:].sum() > 1.2 * mean["L"][:14].sum()


def test_real_lossy_cifar_resembles_the_lossless_part(real):
    lossless = fetch.find("cifar10/cifar10_train_first4000_lossless.npz", [Path(REAL_ROOT)])
    images = real("cifar10", "train")
    if lossless is None or not images.note:
        pytest.skip("needs both the lossy set and the lossless part")
    assert "JPEG quality 75" in images.note
    assert images.labels[:20].tolist() == [*range(10), *range(10)]
    part = np.load(lossless)
    rank = [0] * 10
    for image, label in zip(part["images"][:200], part["labels"], strict=False):
        same = images.pixels[10 * rank[label] + int(label)].astype(float)
        rank[label] += 1
        assert np.abs(image.transpose(2, 0, 1) - same).mean() < 15
