"""One size for images of several canvases."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.benchmarks.errors import QualityError
from spikewright.benchmarks.image_size import loses_content, to_size
from spikewright.models.data import prepare
from spikewright.models.data.images import Images

from .test_quality import pictures


@pytest.mark.parametrize("size", [(32, 32), (28, 31), (33, 28), (29, 29)])
def test_padding_is_the_data_sets_and_cutting_undoes_it(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), dtype=np.uint8)
    stored = Images(pixels, np.zeros(3, np.int64), "drawn", "test")
    small = prepare(stored, (28, 28), "none")
    assert np.array_equal(to_size(small, size), prepare(stored, size, "pad"))
    assert np.array_equal(to_size(to_size(small, size), (28, 28)), small)


def test_one_axis_may_grow_while_the_other_shrinks() -> None:
    images = np.full((2, 3, 10, 20), -1, np.float32)
    images[:, :, :, 4:16] = pictures(2, 3, 10, 12)
    found = to_size(images, (14, 12))
    assert found.shape == (2, 3, 14, 12)
    assert np.array_equal(found[:, :, 2:12], images[:, :, :, 4:16])
    assert (found[:, :, [0, 1, 12, 13]] == -1).all()


def test_what_is_of_the_size_stays() -> None:
    images = pictures(2, 1, 9, 7)
    assert to_size(images, (9, 7)) is not None
    assert np.array_equal(to_size(images, (9, 7)), images)


def test_content_is_not_cut() -> None:
    images = np.full((5, 1, 32, 32), -1, np.float32)
    images[:, :, 2:-2, 2:-2] = 0.3
    images[:, :, 0, 0] = -0.9  # what a network makes of black
    assert to_size(images, (28, 28)).min() == np.float32(0.3)
    images[1, 0, 31, 5] = 0.5
    images[4, 0, 7, 0] = 0.1
    with pytest.raises(QualityError, match=r"32 x 32 to 28 x 28 would lose content of 2 of 5"):
        to_size(images, (28, 28))
    assert loses_content(images, (28, 28)).tolist() == [False, True, False, False, True]
    assert to_size(images, (28, 28), most_cut=0.4).shape == (5, 1, 28, 28)
    images[1, 0, 31, 5] = np.nan
    with pytest.raises(QualityError, match="lose content of 2 of 5"):
        to_size(images, (28, 28))
