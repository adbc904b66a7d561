"""Quality of images, with reconstructions and without."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from spikewright import measuring
from spikewright.models.ann_vae import Autoencoder
from tests.benchmarks.reports import blob_images


class Corners:
    """Four pixels as features."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, ::7, ::7].flatten(1)


def test_a_system_without_reconstructions_is_judged_by_its_samples() -> None:
    images, unseen = blob_images(40, 1, 8, 8, 0.3), blob_images(40, 1, 8, 8, 0.3, seed=9)
    made = {
        name: blob_images(30, 1, 8, 8, level, seed=5)
        for name, level in (("ann", 0.3), ("float", 0.4), ("int8", 0.5))
    }
    judge = cast(Autoencoder, Corners())
    without = measuring.quality(images, unseen, None, made, judge)
    assert not without.reconstructs
    assert without.within_one_percent is None
    rebuilt = {
        name: np.clip(images + shift, -1, 1) for name, shift in (("ann", 0.1), ("float", 0.1), ("int8", 0.2))
    }
    beside = measuring.quality(images, unseen, rebuilt, made, judge)
    assert beside.reconstructs
    assert beside.within_one_percent is False
    for ours, theirs in (
        (without.ann, beside.ann),
        (without.float_, beside.float_),
        (without.int8, beside.int8),
    ):
        assert ours.reconstruction_mse is None
        assert ours.reconstruction_mse_ci95 is None
        assert ours.fad_reconstruction is None
        assert ours.fad_samples == pytest.approx(theirs.fad_samples)
        assert theirs.reconstruction_mse is not None
    assert (without.fad_floor, without.fad_trace) == (beside.fad_floor, beside.fad_trace)
