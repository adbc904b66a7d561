"""Measures of images: Frechet distances against closed forms, SSIM against its formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.benchmarks.errors import QualityError
from spikewright.benchmarks.frechet import distances
from spikewright.benchmarks.quality import (
    Features,
    Images,
    frechet_distance,
    mean_and_interval,
    reconstruction_error,
)
from spikewright.benchmarks.similarity import SIGMA, WINDOW, structural_similarity

Vectors = NDArray[np.float64]


def with_moments(count: int, mean: Vectors, covariance: Vectors, seed: int) -> Vectors:
    """Samples whose own mean and covariance are exactly those given."""
    drawn = np.random.default_rng(seed).standard_normal((count, len(mean)))
    drawn -= drawn.mean(0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def pictures(count: int, channels: int, height: int, width: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, channels, height, width)).astype(np.float32)


def test_distance_of_axis_aligned_gaussians_is_the_closed_form() -> None:
    m1, m2 = np.array([0.0, 1.0, -2.0]), np.array([1.0, 1.0, 2.0])
    s1, s2 = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    a = with_moments(50, m1, np.diag(s1**2), 0)
    b = with_moments(70, m2, np.diag(s2**2), 1)
    wanted = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-10)


def test_distance_of_slanted_gaussians_is_the_closed_form() -> None:
    # For two dimensions tr (C1 C2)^(1/2) = (tr C1 C2 + 2 (det C1 C2)^(1/2))^(1/2).
    c1, c2 = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    zero = np.zeros(2)
    found = frechet_distance(with_moments(40, zero, c1, 0), with_moments(40, zero, c2, 1))
    root = np.sqrt(np.trace(c1 @ c2) + 2 * np.sqrt(np.linalg.det(c1) * np.linalg.det(c2)))
    assert found == pytest.approx(np.trace(c1) + np.trace(c2) - 2 * root, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_distance_is_symmetric_scales_with_the_square_and_ignores_rotations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((60, 7)) @ rng.standard_normal((7, 7))
    b = rng.standard_normal((40, 7)) @ rng.standard_normal((7, 7)) + 1
    turn, _ = np.linalg.qr(rng.standard_normal((7, 7)))
    distance = frechet_distance(a, b)
    assert distance > 0
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, rel=1e-9)
    assert frechet_distance(a @ turn + 5, b @ turn + 5) == pytest.approx(distance, rel=1e-9)


def test_distance_of_a_set_to_itself_is_zero_even_where_its_covariance_is_singular() -> None:
    rng = np.random.default_rng(0)
    full, flat = rng.standard_normal((50, 6)), rng.standard_normal((50, 2)) @ rng.standard_normal((2, 6))
    for features in (full, flat, rng.standard_normal((4, 6))):
        assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-6)


def test_each_feature_space_has_its_distance() -> None:
    spaces: dict[str, Features] = {
        "brightness": lambda images: images.mean((2, 3)).astype(np.float64),
        "corners": lambda images: images[:, :, 0, 0].astype(np.float64),
    }
    a, b = pictures(30, 3, 6, 9), 0.5 * pictures(20, 3, 6, 9, seed=1)
    found = distances(a, b, spaces)
    assert list(found) == ["brightness", "corners"]
    for name, features in spaces.items():
        assert found[name] == frechet_distance(features(a), features(b))
    assert distances(a, a, spaces) == pytest.approx({"brightness": 0, "corners": 0}, abs=1e-9)


@pytest.mark.parametrize(
    ("generated", "real", "wanted"),
    [
        (3, 20, r"brightness: 3 images in the first set for 3 features; give at least 4, better 30 or more"),
        (20, 2, r"brightness: 2 images in the second set for 3 features"),
    ],
)
def test_too_few_images_for_the_features_are_refused(generated: int, real: int, wanted: str) -> None:
    spaces: dict[str, Features] = {"brightness": lambda images: images.mean((2, 3)).astype(np.float64)}
    with pytest.raises(QualityError, match=wanted):
        distances(pictures(generated, 3, 6, 6), pictures(real, 3, 6, 6), spaces)


def test_features_that_are_no_numbers_are_refused() -> None:
    broken = pictures(20, 3, 6, 6)
    broken[[4, 9]] = np.nan
    spaces: dict[str, Features] = {"brightness": lambda images: images.mean((2, 3)).astype(np.float64)}
    with pytest.raises(QualityError, match=r"brightness: features of 2 of 20 images in the first set"):
        distances(broken, pictures(20, 3, 6, 6), spaces)


def ssim_written_out(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Wang et al.'s formula over every window of two images (H, W) in [-1, 1], one window at a time."""
    x, y = (a.astype(np.float64) + 1) / 2, (b.astype(np.float64) + 1) / 2
    offsets = np.arange(WINDOW) - WINDOW // 2
    bell = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * SIGMA**2))
    weights = bell / bell.sum()
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for i in range(x.shape[0] - WINDOW + 1):
        for j in range(x.shape[1] - WINDOW + 1):
            p, q = x[i : i + WINDOW, j : j + WINDOW], y[i : i + WINDOW, j : j + WINDOW]
            mp, mq = (weights * p).sum(), (weights * q).sum()
            vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
            cov = (weights * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 11, 11), (1, 13, 17), (3, 16, 12), (3, 28, 28)]
)
def test_ssim_is_the_formula(channels: int, height: int, width: int) -> None:
    originals = pictures(3, channels, height, width)
    images = np.clip(originals + 0.4 * pictures(3, channels, height, width, seed=1), -1, 1)
    images[2] = -images[2]
    wanted = [
        np.mean([ssim_written_out(a, b) for a, b in zip(image, original, strict=True)])
        for image, original in zip(images, originals, strict=True)
    ]
    assert structural_similarity(images, originals) == pytest.approx(wanted, rel=1e-9)


def test_ssim_of_equal_images_is_one_and_falls_with_noise() -> None:
    originals = pictures(4, 1, 14, 20)
    assert structural_similarity(originals, originals) == pytest.approx(np.ones(4))
    noise = pictures(4, 1, 14, 20, seed=1)
    means = [structural_similarity(originals + k * noise, originals).mean() for k in (0.1, 0.3, 0.9)]
    assert 1 > means[0] > means[1] > means[2]


def test_ssim_of_black_images_is_one() -> None:
    black = np.full((2, 1, 12, 12), -1, np.float32)
    assert structural_similarity(black, black) == pytest.approx(np.ones(2))


def test_ssim_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(QualityError, match=r"images are 10 x 28: SSIM needs 11 x 11"):
        structural_similarity(pictures(2, 1, 10, 28), pictures(2, 1, 10, 28))
    with pytest.raises(QualityError, match=r"\(2, 1, 28, 28\) against originals of \(3, 1, 28, 28\)"):
        structural_similarity(pictures(2, 1, 28, 28), pictures(3, 1, 28, 28))


def test_mean_and_interval_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        mean, half = mean_and_interval(rng.standard_normal(12))
        hits += abs(mean) <= half
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)
    assert mean_and_interval(np.array([0.25])) == (0.25, 0.0)


def test_reconstruction_error_is_the_mean_square_of_each_image() -> None:
    originals = np.zeros((2, 3, 4, 5), np.float32)
    images = originals.copy()
    images[1, 0] = 0.5
    assert reconstruction_error(images, originals) == pytest.approx([0, 0.25 / 3])
    with pytest.raises(ValueError, match="against originals"):
        reconstruction_error(images[:1], originals)
