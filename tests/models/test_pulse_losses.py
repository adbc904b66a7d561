"""Losses of pulse waves: gradients, bounds, least at the truth, and finite for a network that says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.models.pulse_losses import (
    PulseLoss,
    frequency_cross_entropy,
    integrated,
    label_distribution,
    negative_pearson,
    spectrum,
)

FPS = 30.0


def sines(rates: list[float], length: int = 160, fps: float = FPS, phase: float = 0.4) -> Tensor:
    time = torch.arange(length, dtype=torch.float64) / fps
    return torch.sin(2 * math.pi * torch.tensor(rates, dtype=torch.float64)[:, None] / 60 * time + phase)


def noise(count: int, length: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, length)))


def test_gradients_are_those_of_differences() -> None:
    waves, reference = noise(2, 17).requires_grad_(), noise(2, 17, 1)
    rates = torch.tensor([60.4, 179.0], dtype=torch.float64)
    loss = PulseLoss(25.0)
    assert torch.autograd.gradcheck(lambda w: negative_pearson(w, reference), waves)
    assert torch.autograd.gradcheck(lambda w: spectrum(w, 25.0), waves)
    assert torch.autograd.gradcheck(lambda w: frequency_cross_entropy(w, rates, 25.0), waves)
    assert torch.autograd.gradcheck(lambda w: label_distribution(w, rates, 25.0, 2.0), waves)
    assert torch.autograd.gradcheck(lambda w: loss(w, reference, rates, 0.3)["total"], waves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e4])
@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-4])
def test_constants_give_finite_losses_and_gradients(dtype: torch.dtype, value: float, spread: float) -> None:
    waves = (value + spread * noise(2, 160)).to(dtype).requires_grad_()
    losses = PulseLoss(FPS)(waves, sines([70, 90]).to(dtype), torch.tensor([70, 90]), 1.0)
    losses["total"].backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert waves.grad is not None
    assert torch.isfinite(waves.grad).all()


def test_a_constant_is_uncorrelated_learns_and_has_equal_shares() -> None:
    waves = torch.zeros(2, 160, dtype=torch.float64, requires_grad=True)
    loss = negative_pearson(waves, sines([70, 90]))
    assert loss.item() == 1
    loss.backward()
    assert waves.grad is not None
    assert waves.grad.abs().min(1).values.max() > 0
    assert spectrum(waves, FPS).detach().numpy() == pytest.approx(np.full((2, 140), 1 / 140))


def test_negative_pearson_is_the_mean_over_clips() -> None:
    ours, theirs = noise(4, 77), noise(4, 77, 1)
    expected = np.mean(
        [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(ours.numpy(), theirs.numpy(), strict=True)]
    )
    assert negative_pearson(ours, theirs).item() == pytest.approx(expected, abs=1e-6)
    assert negative_pearson(
        ours * torch.tensor([[1.0], [9], [0.01], [300]]) + 5, theirs
    ).item() == pytest.approx(expected, abs=1e-4)
    assert negative_pearson(2 * theirs - 3, theirs).item() == pytest.approx(0, abs=1e-6)
    assert negative_pearson(-theirs, theirs).item() == pytest.approx(2, abs=1e-6)


def test_the_spectrum_is_that_of_the_windowed_wave() -> None:
    wave = noise(2, 101)
    seen = (wave - wave.mean(1, keepdim=True)).numpy() * np.hanning(101)
    rates = np.arange(40, 180)
    power = np.abs(seen @ np.exp(-2j * np.pi * np.outer(np.arange(101) / 25, rates / 60))) ** 2
    assert spectrum(wave, 25.0).numpy() == pytest.approx(power / power.sum(1, keepdims=True), rel=1e-5)
    assert spectrum(wave, 25.0, range(50, 90, 4)).shape == (2, 10)


@settings(max_examples=40)
@given(st.floats(45, 175), st.floats(20, 60), st.integers(160, 600), st.floats(0, 6))
def test_the_spectrum_peaks_at_the_rate(bpm: float, fps: float, length: int, phase: float) -> None:
    shares = spectrum(sines([bpm], length, fps, phase), fps)
    assert shares.sum().item() == pytest.approx(1)
    # The mirror image pulls where a clip holds few beats.
    periods = bpm / 60 * length / fps
    assert 40 + shares.argmax().item() == pytest.approx(bpm, abs=1 + 8 / periods)


@settings(max_examples=25)
@given(st.integers(60, 165), st.sampled_from([-1, 1]), st.floats(0, 6))
def test_the_frequency_terms_fall_towards_the_true_rate(bpm: int, side: int, phase: float) -> None:
    # Within the peak of 10 s of waves, 12 bpm to either side.
    rates = [bpm + side * away for away in (11.0, 8.0, 5.0, 2.5, 0.0)]
    waves = sines(rates, 300, FPS, phase)
    truth = torch.tensor([bpm])
    for term in (frequency_cross_entropy, label_distribution):
        values = [term(wave[None], truth, FPS).item() for wave in waves]
        assert values == sorted(values, reverse=True)
        assert values[-1] < values[0] - 0.05


@pytest.mark.parametrize("term", [frequency_cross_entropy, label_distribution])
def test_the_frequency_terms_are_least_at_the_true_rate(term: object) -> None:
    waves = sines([float(r) for r in range(45, 176)], 300)
    for truth in (60, 101, 150):
        values = [term(wave[None], torch.tensor([truth]), FPS).item() for wave in waves]  # type: ignore[operator]
        assert 45 + int(np.argmin(values)) == pytest.approx(truth, abs=1)


def test_entropy_stays_within_its_bounds() -> None:
    lowest, highest = math.log(139 + math.e) - 1, math.log(139 + math.e)
    for wave in (noise(5, 160), sines([40, 60, 80, 120, 170])):
        for rate in (40.0, 80.0, 179.0):
            value = frequency_cross_entropy(wave, torch.full((5,), rate), FPS).item()
            assert lowest <= value <= highest


def test_a_rate_counts_at_its_bin() -> None:
    shares = spectrum(sines([80.0]), FPS)
    for rate, index in ((80.4, 40), (79.6, 40), (40.0, 0), (179.0, 139)):
        expected = (shares.exp().sum().log() - shares[0, index]).item()
        found = frequency_cross_entropy(sines([80.0]), torch.tensor([rate], dtype=torch.float64), FPS)
        assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "std"), [(40.0, 1.0), (90.3, 1.0), (120.0, 5.0), (179.0, 0.2)])
def test_the_divergence_is_that_of_two_distributions(rate: float, std: float) -> None:
    wave = noise(1, 160)
    target = np.exp(-((np.arange(40, 180) - rate) ** 2) / (2 * std**2))
    target = np.maximum(target / target.sum(), 1e-15)
    target /= target.sum()
    shares = spectrum(wave, FPS)[0].numpy()
    softmax = np.exp(shares) / np.exp(shares).sum()
    expected = (target * np.log(target / softmax)).sum()
    found = label_distribution(wave, torch.tensor([rate], dtype=torch.float64), FPS, std)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert found > 0


def test_the_total_follows_the_curriculum() -> None:
    loss = PulseLoss(FPS, alpha=0.2, beta0=0.5, eta=4.0)
    assert loss.curriculum(0) == (0.2, 0.5)
    assert loss.curriculum(0.5) == pytest.approx((0.2, 1.0))
    assert loss.curriculum(1) == pytest.approx((0.2, 2.0))
    assert PulseLoss(FPS).curriculum(1) == pytest.approx((0.1, 5.0))
    found = loss(noise(3, 160), sines([60, 80, 99]), torch.tensor([60, 80, 99]), 0.5)
    expected = 0.2 * found["pearson"] + found["entropy"] + found["distribution"]
    assert found["total"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("length", [160, 95])
def test_integrating_undoes_the_change_from_frame_to_frame(length: int) -> None:
    turns = torch.arange(length + 1) / length
    pulse = torch.sin(2 * torch.pi * 6 * turns) + 0.4 * torch.cos(2 * torch.pi * 5 * turns)
    found = integrated(pulse.diff()[None], 30.0)
    between = (pulse[1:] + pulse[:-1]) / 2  # a change belongs between its two frames
    assert torch.corrcoef(torch.stack([found[0], between]))[0, 1] > 0.999


def test_integrating_leaves_out_what_is_no_heart_rate_and_weighs_slow_errors_more() -> None:
    seconds = torch.arange(320) / 30
    slow, low, high = (torch.sin(2 * torch.pi * rate * seconds)[None] for rate in (0.28125, 0.9375, 1.875))
    assert integrated(slow, 30.0).abs().max() < 0.05 * integrated(low, 30.0).abs().max()
    assert integrated(low, 30.0).std() == pytest.approx(2 * float(integrated(high, 30.0).std()), rel=1e-3)
    with pytest.raises(ValueError, match="hold no heart rate"):
        integrated(torch.randn(1, 9), 30.0)


def test_the_integrals_weight_is_beside_the_waves() -> None:
    torch.manual_seed(1)
    told, wanted, rates = torch.randn(3, 160), torch.randn(3, 160), torch.tensor([60.0, 80.0, 120.0])
    without, whole = (PulseLoss(30.0, 0.5, 1.0, 1.0, weight)(told, wanted, rates) for weight in (0.0, 2.0))
    assert "integral" not in without
    assert float(whole["total"] - without["total"]) == pytest.approx(float(whole["integral"]), rel=1e-4)


def test_descending_finds_the_wave() -> None:
    truth = [66.0, 120.0]
    reference, rates = sines(truth), torch.tensor(truth)
    wave = noise(2, 160).requires_grad_()
    optimiser = torch.optim.Adam([wave], lr=0.2)
    for step in range(60):
        optimiser.zero_grad()
        PulseLoss(FPS, alpha=1.0)(wave, reference, rates, step / 60)["total"].backward()
        optimiser.step()
    assert negative_pearson(wave, reference).item() < 0.2
    assert (40 + spectrum(wave, FPS).argmax(1) - rates).abs().max() <= 3


def test_bad_input_is_named() -> None:
    wave, rates = noise(2, 160), torch.tensor([60, 80])
    with pytest.raises(ValueError, match=r"\(2, 160\) against \(2, 159\)"):
        negative_pearson(wave, wave[:, 1:])
    for shape in ((160,), (0, 160), (2, 1), (2, 160, 1)):
        with pytest.raises(ValueError, match=r"give \(N, T\)"):
            spectrum(torch.ones(shape), FPS)
    for fps in (5.9, math.nan, -30):
        with pytest.raises(ValueError, match="179 bpm need more than"):
            spectrum(wave, fps)
    for term in (frequency_cross_entropy, label_distribution):
        with pytest.raises(ValueError, match="for 2 clips"):
            term(wave, rates[:1], FPS)
        for rate in (39.0, 180.0, math.nan):
            with pytest.raises(ValueError, match="candidates are 40 to 179"):
                term(wave, torch.tensor([60.0, rate]), FPS)
    with pytest.raises(ValueError, match="std is 0"):
        label_distribution(wave, rates, FPS, 0)
    with pytest.raises(ValueError, match=r"progress is 1\.5"):
        PulseLoss(FPS).curriculum(1.5)
    with pytest.raises(ValueError, match="must be above 0"):
        PulseLoss(0.0)
