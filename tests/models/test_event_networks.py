"""The event classifiers step by step: shapes, state, and the same spikes as over whole samples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikewright.models.augment import jittered, shifted, thinned
from spikewright.models.braille import BrailleConfig, BrailleNet
from spikewright.models.nmnist import NMNISTConfig, NMNISTNet
from spikewright.models.pooling import SumPool2d
from spikewright.models.spike_losses import count_loss, mean_rate, rate_loss

STEPS = 12


def braille() -> BrailleNet:
    torch.manual_seed(1)
    network = BrailleNet(BrailleConfig(inputs=6, hidden=10, classes=3, timesteps=STEPS))
    nn.init.normal_(network.recurrent.weight, std=0.3)
    nn.init.normal_(network.recurrent.bias, std=0.05)
    nn.init.normal_(network.readout.weight, std=0.5)
    return network.eval()


def nmnist() -> NMNISTNet:
    torch.manual_seed(1)
    return NMNISTNet(NMNISTConfig(channels=(3, 4), hidden=8, timesteps=STEPS)).eval()


def samples_for(network: Any, count: int = 5) -> Tensor:
    shape = (6,) if isinstance(network, BrailleNet) else (2, 34, 34)
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(count, STEPS, *shape, generator=generator) < 0.2).to(torch.uint8)


NETWORKS = pytest.mark.parametrize("make", [braille, nmnist])


@NETWORKS
def test_a_sample_does_not_depend_on_its_batch_or_on_what_came_before(make: Any) -> None:
    network = make()
    samples = samples_for(network)
    with torch.no_grad():
        together = network.counts(samples)
        again = network.counts(samples)
        alone = torch.cat([network.counts(sample[None]) for sample in samples])
    assert together.shape == (5, network.config.classes)
    assert together.sum() > 0
    assert torch.equal(together, again)
    assert torch.equal(together, alone)


@NETWORKS
def test_steps_and_sequence_give_the_same_spikes(make: Any) -> None:
    network = make()
    samples = samples_for(network)
    with torch.no_grad():
        spikes = list(network.sequence(samples).values())
        assert torch.equal(spikes[-1].sum(0), network.counts(samples))
    assert all(set(s.unique().tolist()) == {0.0, 1.0} and s.dtype == torch.float32 for s in spikes)


def test_a_braille_step_takes_and_returns_the_recurrent_spikes() -> None:
    network = braille()
    samples = samples_for(network)
    spikes = network.initial(5)
    assert spikes.shape == (5, 10)
    assert not spikes.any()
    rows = []
    with torch.no_grad():
        for x in samples.float().unbind(1):
            output, spikes = network(x, spikes)
            rows.append(spikes)
            assert output.shape == (5, 3)
        whole = network.sequence(samples)["hidden"]
        assert torch.equal(torch.stack(rows), whole)
        # With spikes withheld the bias still acts, the weights do not.
        network.initial(5)
        silent = torch.stack([network(x, torch.zeros(5, 10))[1] for x in samples.float().unbind(1)])
    assert not torch.equal(silent, whole)


def test_what_the_compiler_relies_on() -> None:
    for neuron in (braille().hidden, braille().output):
        assert (neuron.reset_mechanism, neuron.reset_delay, neuron.init_hidden) == ("zero", False, True)
        assert neuron.alpha.ndim == neuron.beta.ndim == neuron.threshold.ndim == 0
        assert float(neuron.graded_spikes_factor) == 1
    network = nmnist()
    for neuron in (network.if1, network.if2, network.if3, network.if4):
        assert (neuron.reset_mechanism, float(neuron.beta)) == ("zero", 1.0)
        assert float(neuron.graded_spikes_factor) == 1
    assert not [name for name, _ in network.named_parameters() if name.endswith("bias")]
    assert {name.split(".")[-1] for name, _ in braille().named_parameters()} == {"weight", "bias"}


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), ((2, 3), (1, 2), (0, 1))])
def test_sum_pooling_is_a_convolution_with_ones(kernel: Any, stride: Any, padding: Any) -> None:
    x = torch.randint(0, 2, (2, 3, 9, 8), generator=torch.Generator().manual_seed(1)).float()
    pool = SumPool2d(kernel, stride, padding)
    ones = torch.ones(3, 1, *pool.kernel_size)
    torch.testing.assert_close(
        pool(x), nn.functional.conv2d(x, ones, stride=pool.stride, padding=pool.padding, groups=3)
    )
    assert pool.stride == (pool.kernel_size if stride is None else pool.stride)


def test_shifted_moves_whole_samples_and_draws_from_torchs_generator() -> None:
    samples = torch.zeros(40, 2, 1, 9, 9, dtype=torch.uint8)
    samples[:, 0, 0, 4, 4] = 1
    samples[:, 1, 0, 4, 5] = 1
    torch.manual_seed(5)
    moved = shifted(samples, 2)
    first, second = moved[:, 0].nonzero()[:, 2:], moved[:, 1].nonzero()[:, 2:]
    assert torch.equal(second - first, torch.tensor([[0, 1]]).expand(40, 2))
    assert (first.min(), first.max()) == (2, 6)
    assert len({tuple(place) for place in first.tolist()}) > 10
    torch.manual_seed(5)
    assert torch.equal(shifted(samples, 2), moved)
    assert torch.equal(shifted(samples, 0), samples)


def test_jittered_moves_spikes_in_time_alone() -> None:
    samples = torch.zeros(60, 40, 3, dtype=torch.uint8)
    samples[:, 20, 0] = samples[:, 22, 2] = 1
    torch.manual_seed(5)
    together = jittered(samples, 6.0, 0.0, 0.0).nonzero()[:, 1:].reshape(60, 2, 2)
    assert together[:, :, 1].tolist() == [[0, 2]] * 60
    assert torch.equal(together[:, 1, 0] - together[:, 0, 0], torch.full((60,), 2))
    assert (together[:, 0, 0].min(), together[:, 0, 0].max()) == (14, 26)
    spread = jittered(samples, 0.0, 1.5, 0.0).nonzero()[::2, 1] - 20
    assert 1 < spread.double().std() < 2
    assert jittered(samples, 0.0, 0.0, 1.0).sum() == 0
    assert 60 < int(jittered(samples, 0.0, 0.0, 0.25).sum()) < 110
    assert torch.equal(jittered(samples, 0.0, 0.0, 0.0), samples)
    assert int(jittered(samples, 100.0, 0.0, 0.0).sum()) < 60  # most leave the sample


def test_thinned_leaves_spikes_out() -> None:
    samples = torch.zeros(10, 10, 40, dtype=torch.uint8)
    samples[:, :, ::2] = 1
    torch.manual_seed(5)
    fewer = thinned(samples, 0.25)
    assert fewer.dtype == torch.uint8
    assert not fewer[:, :, 1::2].any()
    assert 1400 < int(fewer.sum()) < 1600
    assert torch.equal(thinned(samples, 0.0), samples)


def test_losses() -> None:
    counts = torch.tensor([[20.0, 0.0], [0.0, 20.0]])
    assert count_loss(counts, torch.tensor([0, 1]), 20) < 1e-6
    assert count_loss(counts, torch.tensor([1, 0]), 20) == pytest.approx(20, rel=1e-4)
    always, never = torch.ones(4, 3, 2), torch.zeros(4, 3, 2)
    assert float(mean_rate([always, never])) == 0.5
    assert float(rate_loss([always], 0.1, 0.3)) == pytest.approx(0.49)
    assert float(rate_loss([never, never], 0.1, 0.3)) == pytest.approx(0.01)
    assert float(rate_loss([torch.eye(4)[:, :, None]], 0.1, 0.3)) == 0  # each spikes once in four steps


@NETWORKS
def test_losses_reach_every_parameter(make: Any) -> None:
    network = make().train()
    samples = samples_for(network, 16)
    losses = network.losses(samples, 1.0, torch.arange(16) % 3)
    losses["total"].backward()
    assert {"entropy", "accuracy", "rate"} < losses.keys()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
