"""From stored pixels to what a network sees."""

import numpy as np
import pytest

from spikewright.models.data import (
    DataError,
    Images,
    prepare,
)

from .files import HEIGHT, WIDTH, pixels_of


def images_of(pixels):
    return Images(pixels, np.zeros(len(pixels), np.int64), "tiny", "test")


def test_images_check_their_arrays():
    with pytest.raises(DataError, match="pixels are float64"):
        images_of(np.zeros((1, 1, 2, 2)))
    with pytest.raises(DataError, match=r"labels are int64 of shape \(3,\)"):
        Images(pixels_of(2, 1, 2, 2), np.zeros(3, np.int64), "tiny", "test")


def test_prepare_scales_exactly():
    every = images_of(np.arange(256, dtype=np.uint8).reshape(1, 1, 8, 32))
    out = prepare(every, (8, 32), "none")
    assert out.dtype == np.float32
    expected = 2 * np.arange(256) / 255 - 1
    np.testing.assert_allclose(out.ravel(), expected, atol=1e-7)
    assert (out.min(), out.max()) == (-1, 1)
    assert np.array_equal(prepare(every, (8, 32), "resize"), out)
    assert np.array_equal(prepare(every, (8, 32), "pad"), out)


def test_prepare_pads_round_the_centre():
    pixels = np.full((2, 3, 2, 3), 255, np.uint8)
    out = prepare(images_of(pixels), (5, 7), "pad")
    assert out.shape == (2, 3, 5, 7)
    expected = np.full((5, 7), -1)
    expected[1:3, 2:5] = 1
    assert (out == expected).all()
    assert (pixels == 255).all()


def test_prepare_resizes_bilinearly():
    ramp = images_of(np.array([[[[0, 255]]], [[[255, 0]]]], np.uint8))
    np.testing.assert_allclose(prepare(ramp, (1, 4), "resize")[0, 0, 0], [-1, -0.5, 0.5, 1], atol=1e-6)
    stripes = images_of(np.tile(np.array([0, 255, 0], np.uint8), (1, 1, 4, 3)))
    thinned = prepare(stripes, (4, 3), "resize")
    assert thinned.shape == (1, 1, 4, 3)
    np.testing.assert_allclose(thinned[0, 0, :, 1], -1 / 3, atol=1e-6)  # 1 without antialiasing
    tall = images_of(np.repeat(np.array([0, 255], np.uint8), 8).reshape(1, 1, 2, 8))
    mixed = prepare(tall, (4, 4), "resize")  # one dimension grows while the other shrinks
    np.testing.assert_allclose(mixed[0, 0], np.repeat([[-1], [-0.5], [0.5], [1]], 4, axis=1), atol=1e-6)


def test_prepare_works_in_pieces():
    many = images_of(pixels_of(4100, 1, 4, 4))
    whole = prepare(many, (3, 5), "resize")
    last = prepare(images_of(many.pixels[-5:]), (3, 5), "resize")
    np.testing.assert_allclose(whole[-5:], last, atol=1e-6)
    assert np.abs(whole).max() <= 1


@pytest.mark.parametrize(
    ("size", "fit", "what"),
    [
        ((2, 9), "pad", "do not fit a canvas of 2 x 9: choose fit 'resize'"),
        ((5, 3), "none", "are 3 x 5, not 5 x 3: choose fit 'pad' or 'resize'"),
        ((0, 4), "resize", "0 x 4 is empty"),
        ((3, 5), "stretch", "no fit 'stretch': choose one of pad, resize, none"),
    ],
)
def test_prepare_errors(size, fit, what):
    with pytest.raises(DataError, match=what):
        prepare(images_of(pixels_of(1, 1, HEIGHT, WIDTH)), size, fit)
