"""A convolution over time gives one step at a time what torch gives for the whole sequence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from spikewright.models.temporal import CausalConv3d


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": (3, 3, 2), "padding": (1, 0)},
        {"kernel_size": (2, 1, 3), "stride": (2, 1), "dilation": (3, 1, 2), "groups": 2},
        {"kernel_size": (1, 3, 3), "padding": 1, "bias": False},
    ],
)
def test_steps_are_the_sequence(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = CausalConv3d(2, 4, **settings)
    x = torch.randn(7, 3, 2, 6, 8, requires_grad=True)
    whole = layer.sequence(x)
    for _ in range(2):  # and again after a reset
        steps = torch.stack([layer(frame) for frame in x])
        assert torch.allclose(steps, whole, atol=1e-5)
        layer.reset_mem()
    # torch's own, padded in front.
    plain = nn.Conv3d(
        2, 4, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups, layer.bias is not None
    )  # fmt: skip
    plain.load_state_dict(layer.state_dict())
    front = torch.zeros(3, 2, (layer.kernel_size[0] - 1) * layer.dilation[0], 6, 8)
    wanted = plain(torch.cat([front, x.permute(1, 2, 0, 3, 4)], 2)).permute(2, 0, 1, 3, 4)
    assert torch.allclose(whole, wanted, atol=1e-6)
    (by_step,) = torch.autograd.grad(steps.square().sum(), x, retain_graph=True)
    (at_once,) = torch.autograd.grad(whole.square().sum(), x)
    assert torch.allclose(by_step, at_once, atol=1e-3)


def test_another_batch_needs_a_reset() -> None:
    layer = CausalConv3d(1, 1, (2, 1, 1))
    layer(torch.zeros(3, 1, 2, 5))
    with pytest.raises(ValueError, match=r"\(2, 1, 2, 5\) after one of \(3, 1, 2, 5\); call reset_mem"):
        layer(torch.zeros(2, 1, 2, 5))
