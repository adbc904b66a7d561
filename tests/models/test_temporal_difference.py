"""Temporal difference convolution: the published formula, and the plain convolution that it folds into."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikewright.models.temporal_difference import TemporalDifferenceConv3d, without_differences


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.floats(0, 1), st.integers(0, 1000))
def test_it_is_a_convolution_less_a_share_of_the_outer_slices(
    inner: int, outer: int, theta: float, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = TemporalDifferenceConv3d(inner, outer, theta).double()
    x = torch.randn(2, inner, 5, 3, 4, dtype=torch.float64)
    outer_slices = conv.weight[:, :, 0].sum((2, 3)) + conv.weight[:, :, 2].sum((2, 3))
    published = F.conv3d(x, conv.weight, padding=1) - theta * F.conv3d(
        x, outer_slices[:, :, None, None, None]
    )
    torch.testing.assert_close(conv(x), published)


def test_the_gradient_reaches_the_weights_through_both_parts() -> None:
    torch.manual_seed(0)
    conv = TemporalDifferenceConv3d(2, 3).double()
    x = torch.randn(2, 2, 4, 3, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(conv, {"weight": w}, x), conv.weight)


def test_every_one_of_a_network_becomes_plain() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        TemporalDifferenceConv3d(2, 3), nn.Sequential(nn.ReLU(), TemporalDifferenceConv3d(3, 2))
    )
    x = torch.randn(3, 2, 6, 2, 5)
    before = network(x)
    without_differences(network)
    assert not any(isinstance(module, TemporalDifferenceConv3d) for module in network.modules())
    torch.testing.assert_close(network(x), before)


def test_a_constant_in_time_keeps_its_share() -> None:
    """With all of the difference taken off, what does not change in time is seen by the centre slice alone."""
    torch.manual_seed(0)
    conv = TemporalDifferenceConv3d(1, 1, theta=1.0)
    x = torch.ones(1, 1, 5, 5, 5)
    assert conv(x)[0, 0, 2, 2, 2].item() == pytest.approx(conv.weight[0, 0, 1].sum().item(), abs=1e-5)
