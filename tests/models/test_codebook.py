"""The codebook: what is nearest, where gradients go, and how codes come into use."""

from __future__ import annotations

import pytest
import torch

from spikewright.models.codebook import Codebook, Start, perplexity


def outputs(count: int = 6, dim: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, 3, 5, generator=torch.Generator().manual_seed(seed)).double()


def codebook(codes: int = 7, dim: int = 4, start: Start | None = None) -> Codebook:
    torch.manual_seed(1)
    return Codebook(codes, dim, start or Start()).double()


def test_each_position_takes_the_nearest_code() -> None:
    book, z = codebook(), outputs()
    distance = (z[:, None] - book.vectors[None, :, :, None, None]).square().sum(2)
    assert torch.equal(book.nearest(z), distance.argmin(1))
    assert torch.equal(book.lookup(book.nearest(z))[2, :, 1, 4], book.vectors[book.nearest(z)[2, 1, 4]])


def test_the_gradient_passes_straight_through_and_the_loss_moves_both_sides() -> None:
    book, z = codebook(), outputs().requires_grad_()
    quantised = book(z)
    weight = torch.randn_like(z)
    (quantised.vectors * weight).sum().backward()
    assert torch.allclose(quantised.vectors, book.lookup(quantised.tokens))
    assert torch.equal(z.grad, weight)  # type: ignore[arg-type]
    assert book.vectors.grad is None
    z.grad = None
    loss = book(z).loss
    loss.backward()
    difference = (z - book.lookup(quantised.tokens)).detach()
    assert torch.allclose(z.grad, 0.25 * 2 * difference / z.numel())  # type: ignore[arg-type]
    code = int(quantised.tokens[0, 0, 0])
    moved = (difference.movedim(1, -1)[quantised.tokens == code]).sum(0) * -2 / z.numel()
    assert torch.allclose(book.vectors.grad[code], moved)  # type: ignore[index]
    assert float(loss.detach()) == pytest.approx(1.25 * float(difference.square().mean()))


def test_codes_are_drawn_after_the_warm_up_and_drawn_again_while_unused() -> None:
    book = codebook(codes=12, start=Start(warmup=3, reseed_every=5, reseed_until=10))
    initial = book.vectors.detach().clone()
    z = outputs(count=4).requires_grad_()
    rows = z.detach().movedim(1, -1).reshape(-1, 4)
    for _ in range(3):
        passed = book.train_step(z)
        assert passed.vectors is z
        assert float(passed.loss.detach()) == 0
        assert torch.equal(book.vectors, initial)
    book.train_step(z)  # iteration 3 draws all codes
    drawn = book.vectors.detach().clone()
    assert all((rows == code).all(1).any() for code in drawn)
    assert len(drawn.unique(dim=0)) == 12
    with torch.no_grad():
        book.vectors[5] = 100.0  # out of reach
    book.usage[5] = 0
    book.train_step(z)
    assert torch.equal(book.vectors[5], torch.full((4,), 100.0, dtype=torch.float64))
    book.train_step(z)  # iteration 5 draws the unused one again, and no other
    assert (rows == book.vectors[5]).all(1).any()
    kept = [code for code in range(12) if code != 5]
    assert torch.equal(book.vectors[kept], drawn[kept])
    with torch.no_grad():
        book.vectors[5] = 100.0
    book.usage[5] = 0  # it had been chosen in the iteration that drew it
    for _ in range(20):  # iteration 10 is the last that draws
        book.train_step(z)
        if int(book.iteration) == 11:
            assert float(book.vectors[5].detach().abs().max()) < 100
            with torch.no_grad():
                book.vectors[5] = 100.0
    assert float(book.vectors[5].detach().max()) == 100


def test_more_codes_than_distinct_outputs_are_drawn_more_than_once() -> None:
    book = codebook(codes=9, start=Start(warmup=0))
    z = torch.zeros(2, 4, 3, 5).double()
    z[0, 1] = 1.0
    assert set(book.train_step(z).tokens.unique().tolist()) < set(range(9))
    assert sorted({tuple(code) for code in book.vectors.tolist()}) == [(0, 0, 0, 0), (0, 1, 0, 0)]


def test_evaluation_leaves_the_state_alone() -> None:
    book = codebook()
    before = {name: tensor.clone() for name, tensor in book.state_dict().items()}
    book(outputs())
    assert all(torch.equal(tensor, before[name]) for name, tensor in book.state_dict().items())


def test_perplexity_counts_equally_frequent_codes() -> None:
    for used in (1, 2, 7):
        value, number = perplexity(torch.arange(used).repeat(5, 3, 1), 10)
        assert float(value) == pytest.approx(used)
        assert int(number) == used
    assert float(perplexity(torch.tensor([0, 0, 0, 1]), 2)[0]) == pytest.approx(1.754765, rel=1e-5)
