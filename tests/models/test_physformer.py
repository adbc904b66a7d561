"""Spiking-PhysFormer: sequences equal steps, what each part reads, sizes, both variants and the twin."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from spikewright.models.physformer import SpikingPhysFormer
from spikewright.models.physformer_ann import PhysFormer
from spikewright.models.physformer_host import Stage
from spikewright.models.physformer_layout import SIZES, Attention, PhysFormerConfig, Variant
from spikewright.models.pulse_losses import PulseLoss
from spikewright.models.pulse_network import WINDOW, outside
from spikewright.models.train import reestimate_batch_norm

VARIANTS: tuple[Variant, ...] = ("deployment", "reproduction")
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
SMALL = replace(SIZES["micro"], image=(16, 32), frames=24)


def awake(config: PhysFormerConfig, seed: int = 0) -> tuple[SpikingPhysFormer, Tensor]:
    """A network whose normalisations know their inputs, so that every layer fires, and clips."""
    torch.manual_seed(seed)
    network = SpikingPhysFormer(config)
    clips = torch.randn(5, 3, config.frames, *config.image)
    reestimate_batch_norm(network, clips, 5)
    return network.eval(), clips


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_sequences_equal_single_steps(variant: Variant, attention: Attention) -> None:
    network, clips = awake(replace(SMALL, variant=variant, attention=attention, blocks=2))
    with torch.no_grad():
        waves, rasters = network.predict(clips)
        embedding = network.embedding(clips)
        told = torch.zeros_like(embedding)
        for _ in range(SMALL.timesteps):
            step = network.step(embedding)
            told = told + step if network.reads_spikes else step
        torch.testing.assert_close(network.tell(told, embedding), waves)
    assert waves.shape == (5, SMALL.frames)
    if network.reads_spikes:
        assert torch.equal(told, rasters["final_n"].sum(0))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", ["micro", "S"])
def test_every_layer_of_neurons_can_fire(variant: Variant, size: str) -> None:
    network, clips = awake(replace(SIZES[size], variant=variant, frames=32))
    with torch.no_grad():
        rates = {name: float(spikes.mean()) for name, spikes in network.predict(clips)[1].items()}
    assert len(rates) == 7 * network.config.blocks + network.reads_spikes
    assert min(rates.values()) > 0.01, rates
    # The published gate opens at one coincidence among all tokens, so that it is open nearly always.
    gates = [rate for name, rate in rates.items() if name.endswith(".gate_n")]
    assert max(rate for name, rate in rates.items() if not name.endswith(".gate_n")) < 0.5
    assert all((rate > 0.4) == (variant == "reproduction") for rate in gates), gates


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_layer_of_attention_with_values_can_fire(variant: Variant) -> None:
    network, clips = awake(replace(SIZES["S"], variant=variant, attention="values", frames=32))
    with torch.no_grad():
        rates = {name: float(spikes.mean()) for name, spikes in network.predict(clips)[1].items()}
    assert len(rates) == 8 * network.config.blocks + network.reads_spikes
    assert 0.01 < min(rates.values()) <= max(rates.values()) < 0.5, rates


def test_queries_read_what_keys_and_values_share() -> None:
    """Against sums over all tokens: what is read is a query's share of a matrix of counts, a bit for each pair."""
    network, clips = awake(replace(SMALL, attention="values", heads=2, blocks=1))
    with torch.no_grad():
        rasters = {k.removeprefix("block0."): v for k, v in network.predict(clips)[1].items()}

    def heads(name: str) -> Tensor:  # (steps, N, heads, channels, tokens)
        return rasters[name].flatten(3).unflatten(2, (2, 4))

    counts = torch.einsum("tnhck,tnhdk->tnhcd", heads("key_n"), heads("value_n"))
    found = rasters["meeting_n"].flatten(3).sum(3).unflatten(2, (2, 4, 4))
    assert torch.equal(found, counts)
    assert counts.any()
    gates = rasters["gate_n"].squeeze(3).unflatten(2, (2, 4, 4))
    wanted = torch.einsum("tnhck,tnhcd->tnhdk", heads("query_n"), gates)
    read = rasters["masked_n"].flatten(3).unflatten(2, (2, 4, 4)).sum(3)
    assert torch.equal(read, wanted)
    assert wanted.any()


def test_a_token_reads_another_ones_value_where_there_are_values_alone() -> None:
    for attention in ATTENTIONS:
        network, clips = awake(replace(SMALL, frames=64, attention=attention))
        with torch.no_grad():
            embedding = network.embedding(clips)
            other = embedding.clone()
            other[:, :, 0] += 3.0
            read, moved = (network.see(e)[1]["block0.masked_n"] for e in (embedding, other))
        far = (read != moved)[:, :, :, 3:]  # beyond what a query sees
        assert bool(far.any()) == (attention == "values")


def test_the_mlp_sees_as_many_slices_as_it_is_given() -> None:
    network, clips = awake(replace(SMALL, frames=48, mlp_frames=5))
    with torch.no_grad():
        embedding = network.embedding(clips)
        other = embedding.clone()
        other[:, :, 6] += 3.0
        hidden, moved = (network.see(e)[1]["block0.hidden_n"] for e in (embedding, other))
    slices = (hidden != moved).flatten(0, 2).flatten(2).any(2).any(0)
    assert slices.nonzero().flatten().tolist() == [4, 5, 6, 7, 8]


def test_the_deployed_variant_reads_spikes_alone() -> None:
    network, clips = awake(replace(SMALL, variant="deployment"))
    with torch.no_grad():
        embedding = network.embedding(clips)
        told = torch.randint(0, 5, embedding.shape).float()
        assert torch.equal(network.tell(told, embedding), network.tell(told, 0 * embedding))
        silent = network.see(embedding, lambda name, spikes: torch.zeros_like(spikes))[0]
        assert not silent.any()


def test_the_published_variant_adds_to_the_embedding() -> None:
    network, clips = awake(replace(SMALL, variant="reproduction"))
    with torch.no_grad():
        embedding = network.embedding(clips)
        assert torch.equal(network.bypass(embedding), embedding)
        assert not torch.allclose(network.see(embedding)[0], embedding)


def test_the_deployed_stem_sees_a_frame_at_a_time() -> None:
    for variant, mixes in (("deployment", False), ("reproduction", True)):
        network, clips = awake(replace(SMALL, variant=variant))  # type: ignore[arg-type]
        other = clips.clone()
        other[:, :, 4:8] += 1  # the second token's frames
        with torch.no_grad():
            moved = (network.embedding(other) != network.embedding(clips)).any((0, 1, 3, 4))
        assert moved[1]
        assert bool(moved[0]) == bool(moved[2]) == mixes


@pytest.mark.parametrize("side", [(8, 12), (7, 9), (2, 3)])
def test_maxima_of_slices_are_those_of_the_pool(side: tuple[int, int]) -> None:
    torch.manual_seed(3)
    stage = Stage(3, 4, (3, 5, 3)).eval()
    clips = torch.randn(2, 3, 5, *side)
    pooled = torch.relu(torch.nn.functional.max_pool3d(stage.norm(stage.conv(clips)), (1, 2, 2)))
    assert torch.equal(stage(clips), pooled)


def test_the_gate_of_the_deployed_variant_stays_within_its_slice() -> None:
    network, _ = awake(SMALL)
    block = network.parallel_blocks[0]
    meeting = torch.zeros(1, *SMALL.shape)
    meeting[0, 3, 2] = 1
    current = block.gate(meeting)
    assert current.shape == (1, *SMALL.shape[:2])
    assert current[0, 3, 2] > 0
    assert current.count_nonzero() == 1
    spread = block.gate.spread(current)
    assert spread.shape == meeting.shape
    assert (spread[0, 3, 2] == current[0, 3, 2]).all()


def test_parameters_at_the_size_of_the_specification() -> None:
    """116,161 and 104,641 with biases in the stem; without them, and with a normalised embedding."""
    counts = {
        variant: sum(p.numel() for p in SpikingPhysFormer(replace(SIZES["S"], variant=variant)).parameters())
        for variant in VARIANTS
    }
    assert counts == {"deployment": 104_553, "reproduction": 116_009}


@pytest.mark.parametrize("network_type", [SpikingPhysFormer, PhysFormer])
def test_losses_are_finite_and_reach_every_weight(
    network_type: type[SpikingPhysFormer] | type[PhysFormer],
) -> None:
    torch.manual_seed(0)
    network = network_type(replace(SMALL, frames=64), PulseLoss(30.0, 1.0, 1.0, 2.0))
    labels = torch.sin(torch.arange(64) * torch.tensor([[0.2], [0.3], [0.25]]))
    clips = torch.randn(3, 3, 64, 16, 32, dtype=torch.float32).half()
    network.progress = 0.5
    losses = network.losses(clips, 1.0, labels=labels)
    losses["total"].backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


def test_rates_outside_of_the_window_cost() -> None:
    low, high = WINDOW
    silent, busy = torch.zeros(4, 2, 50), torch.ones(4, 2, 50)
    fair = torch.zeros(4, 2, 50)
    fair[:, :, :10] = 1
    assert outside({"a": fair}) == 0
    assert outside({"a": silent, "b": fair}).item() == pytest.approx(low / 2)
    assert outside({"a": busy}).item() == pytest.approx(1 - high)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": (24, 32)}, "image height 24: take a multiple of 16"),
        ({"frames": 30}, "frames = 30: take a multiple of 4"),
        ({"width": 10}, "width = 10"),
        ({"mlp_frames": 4}, "mlp_frames = 4: take an odd number"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SIZES["micro"], **change)  # type: ignore[arg-type]
