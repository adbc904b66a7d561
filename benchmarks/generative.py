"""Generative models beside each other: the same measures, the same number of images, the same feature networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .errors import QualityError
from .frechet import distances_between, features_of
from .image_size import loses_content, to_size
from .quality import Features, Images, mean_and_interval, reconstruction_error
from .similarity import structural_similarity

Interval: TypeAlias = tuple[float, float]  # mean, and half the width of its 95 % interval
#: Share of a model's images that may lose content at their border: networks trained on wider canvases smear a little
#: beyond what they were shown.
MOST_CUT = 0.05


@dataclass(frozen=True, eq=False)
class Generated:
    """What one version of a model made.

    Attributes
    ----------
    model, version : str
        The version is ``ann``, ``float`` or ``int8``.
    samples : ndarray
        Images (N, C, H, W) in [-1, 1] from its prior.
    reconstructions : ndarray or None
        What it makes of the first test images, in their order.
    extra : mapping of str to float
        Further figures by name, shown as they are.
    """

    model: str
    version: str
    samples: Images
    reconstructions: Images | None = None
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Model and version for a message."""
        return f"{self.model}, {self.version}"


@dataclass(frozen=True)
class Row:
    """Figures of one version of a model.

    Attributes
    ----------
    distances : mapping of str to float
        Frechet distance of its samples to the test images, by feature space.
    mse, ssim : tuple of float or None
        Mean over the reconstructions and half the width of its 95 % interval; None without reconstructions.
    cut : float
        Share of its samples that lost content when their border was cut to the common size.
    """

    model: str
    version: str
    distances: Mapping[str, float]
    mse: Interval | None
    ssim: Interval | None
    extra: Mapping[str, float]
    cut: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """All rows, and what they were taken over.

    Attributes
    ----------
    floor : mapping of str to float
        Distance of as many real training images, by feature space.
    samples, reconstructed, real : int
        Samples and reconstructions judged of each version, and test images that distances are taken to.
    size : tuple of int
        Height and width at which everything was compared, in pixels.
    """

    rows: tuple[Row, ...]
    floor: Mapping[str, float]
    samples: int
    reconstructed: int
    real: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Reduction:
    """How much lower a row's figures are than those of the baseline's same version, in per cent; negative: higher.

    Attributes
    ----------
    distances : mapping of str to float
        By feature space.
    mse, dissimilarity : float or None
        Of the reconstruction error, and of 1 - SSIM.
    """

    model: str
    version: str
    distances: Mapping[str, float]
    mse: float | None
    dissimilarity: float | None


def compare(
    models: Sequence[Generated],
    real: Images,
    unseen: Images,
    feature_spaces: Mapping[str, Features],
    count: int,
    most_cut: float = MOST_CUT,
) -> Comparison:
    """Judge the first ``count`` samples of every model, and as many reconstructions of each as every one has.

    Parameters
    ----------
    real : ndarray
        Test images (N, C, H, W) in [-1, 1]; their size is the one at which all are compared.
    unseen : ndarray
        Training images, same layout, for the floor.
    feature_spaces : mapping of str to callable
        By name: features of images of that size.
    most_cut : float
        Share of a model's images that may lose content, see :func:`to_size`.

    Raises
    ------
    QualityError
        There are too few images of a kind, or a size or a number of channels does not fit.
    """
    if not models:
        raise QualityError("there is no model to compare; give at least one")
    size = (real.shape[2], real.shape[3])
    _demand(len(unseen), count, "training images for the floor")
    for model in models:
        _demand(len(model.samples), count, f"samples of {model.label}")
        _check_channels(model, real)
    reconstructed = min((len(m.reconstructions) for m in models if m.reconstructions is not None), default=0)
    if reconstructed > len(real):
        raise QualityError(f"{reconstructed:,} reconstructions of {len(real):,} test images; give them all")
    reference = features_of(real, feature_spaces)

    def distances(images: Images) -> dict[str, float]:
        return distances_between(features_of(images[:count], feature_spaces), reference)

    rows = []
    for model in models:
        samples = _sized(model, "samples", model.samples[:count], size, most_cut)
        mse = ssim = None
        if model.reconstructions is not None:
            made = _sized(model, "reconstructions", model.reconstructions[:reconstructed], size, most_cut)
            mse = mean_and_interval(reconstruction_error(made, real[:reconstructed]))
            ssim = mean_and_interval(structural_similarity(made, real[:reconstructed]))
        cut = float(loses_content(model.samples[:count], size).mean())
        rows.append(Row(model.model, model.version, distances(samples), mse, ssim, model.extra, cut))
    return Comparison(tuple(rows), distances(unseen), count, reconstructed, len(real), size)


def reductions(comparison: Comparison, baseline: str) -> list[Reduction]:
    """Every other model's figures against the baseline's same version; versions that the baseline lacks are left out."""
    against = {row.version: row for row in comparison.rows if row.model == baseline}
    found = []
    for row in comparison.rows:
        other = against.get(row.version)
        if row.model == baseline or other is None:
            continue
        mse = dissimilarity = None
        if row.mse is not None and other.mse is not None:
            mse = _lower_by(row.mse[0], other.mse[0])
        if row.ssim is not None and other.ssim is not None:
            dissimilarity = _lower_by(1 - row.ssim[0], 1 - other.ssim[0])
        lower = {name: _lower_by(value, other.distances[name]) for name, value in row.distances.items()}
        found.append(Reduction(row.model, row.version, lower, mse, dissimilarity))
    return found


def _lower_by(value: float, baseline: float) -> float:
    if baseline == 0:
        return 0.0 if value == 0 else float("-inf")
    return 100 * (1 - value / baseline)


def _demand(have: int, count: int, what: str) -> None:
    if have < count:
        raise QualityError(
            f"{have:,} {what}, but {count:,} are compared; give more, or compare {have:,} of each"
        )


def _check_channels(model: Generated, real: Images) -> None:
    for images in (model.samples, model.reconstructions):
        if images is not None and images.shape[1] != real.shape[1]:
            raise QualityError(
                f"{model.label}: images of {images.shape[1]} channels, the test images have {real.shape[1]}; "
                "compare models of one data set"
            )


def _sized(model: Generated, what: str, images: Images, size: tuple[int, int], most_cut: float) -> Images:
    try:
        return to_size(images, size, most_cut)
    except QualityError as error:
        raise QualityError(f"{model.label}, {what}: {error}") from None
