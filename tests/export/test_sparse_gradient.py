"""Gradients of a sparse product against those of the dense one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from spikewright.export import sparse_gradient
from spikewright.export.linear import Sparse

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
def test_gradients_are_those_of_the_dense_product(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_gradient, "CHUNK", chunk)
    dense = RNG.normal(size=(9, 12)) * (RNG.random((9, 12)) < 0.4)
    dense[3] = 0  # an output without inputs
    map_ = Sparse.of(sparse.csr_matrix(dense.astype(np.float32)), (3, 4), (9,))
    x = torch.randn(5, 12, requires_grad=True)
    weight = torch.from_numpy(map_.weight).requires_grad_()
    upstream = torch.randn(5, 9)
    y = map_.forward(x, weight)
    y.backward(upstream)
    matrix = torch.from_numpy(dense.astype(np.float32))
    assert torch.allclose(y, x @ matrix.T, atol=1e-5)
    assert torch.allclose(x.grad, upstream @ matrix, atol=1e-5)
    rows, columns = np.nonzero(dense)
    assert torch.allclose(weight.grad, (upstream.T @ x.detach())[rows, columns], atol=1e-5)


def test_only_what_is_asked_for_is_computed() -> None:
    map_ = Sparse.of(sparse.csr_matrix(np.eye(4, dtype=np.float32)), (4,), (4,))
    x = torch.randn(2, 4, requires_grad=True)
    map_.forward(x, torch.from_numpy(map_.weight)).sum().backward()
    assert torch.equal(x.grad, torch.ones(2, 4))
