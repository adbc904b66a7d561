"""SDID and its ReLU twin: published sizes, two orders of evaluation, losses, training on tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.export.record import run_module
from spikewright.export.trace import trace
from spikewright.models.absorbing import elbo, predictor, unigram_bits
from spikewright.models.feature_classifier import FeatureClassifier
from spikewright.models.recipe import TrainRecipe
from spikewright.models.sampler import sample
from spikewright.models.sdid import SDID, SIZES, Denoiser, SDIDConfig, one_hot
from spikewright.models.sdid_ann import ANNDenoiser
from spikewright.models.train import Interrupted, Progress, reestimate_batch_norm, train

SMALL = SDIDConfig(codes=5, grid=(3, 4), channels=(8, 12, 10), timesteps=3)


def grids(count: int, config: SDIDConfig = SMALL, seed: int = 1) -> torch.Tensor:
    return torch.randint(
        0, config.codes, (count, *config.grid), generator=torch.Generator().manual_seed(seed)
    )


def network(config: SDIDConfig = SMALL, kind: type[Denoiser] = SDID) -> Any:
    torch.manual_seed(0)
    model = kind(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1.0)
    reestimate_batch_norm(model, grids(64, config), 16)
    return model.eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    counts = {name: parameters(SDID(config)) for name, config in SIZES.items() if name != "paper"}
    assert counts == {"XS": 65_216, "S": 374_848, "M": 758_176}
    assert parameters(SDID(SDIDConfig(channels=(32, 64, 96, 64)))) == 203_872
    # The release feeds two channels, token and time; ours a channel a token.
    assert parameters(SDID(SIZES["paper"])) == 3_101_504 + (129 - 2) * 64 * 9
    for config in (SMALL, SIZES["S"]):
        assert parameters(ANNDenoiser(config)) == parameters(SDID(config))


@pytest.mark.parametrize("kind", [SDID, ANNDenoiser])
def test_hidden_and_known_tokens_each_have_a_channel(kind: type[Denoiser]) -> None:
    tokens = grids(2)
    tokens[0, 1, 2] = 5
    hot = one_hot(tokens, 5)
    assert hot.shape == (2, 6, 3, 4)
    assert torch.equal(hot.sum(1), torch.ones(2, 3, 4))
    assert hot[0, 5, 1, 2] == 1
    logits = network(kind=kind)(tokens)
    assert logits.shape == (2, 5, 3, 4)


@pytest.mark.parametrize("config", [SMALL, SIZES["XS"]])
def test_stepping_sums_what_the_whole_sequence_averages(config: SDIDConfig) -> None:
    model = network(config)
    tokens = grids(4, config)
    tokens[:, ::2] = config.codes
    hot = one_hot(tokens, config.codes)
    with torch.no_grad():
        spikes, logits = model.spikes(tokens), model(tokens)
    run = run_module(model, hot, config.timesteps, method="step")
    for name, raster in spikes.items():
        stepped = torch.from_numpy(run.spikes[f"{name}_neuron"]).movedim(1, 0)
        assert int((stepped != raster.flatten(2)).sum()) == 0, name
        assert 0 < raster.mean() < 1, name
    assert torch.allclose(torch.from_numpy(run.output) / config.timesteps, logits, atol=1e-5)
    in_time = hot[:, None].expand(-1, config.timesteps, -1, -1, -1)
    assert (
        run_module(model, in_time, config.timesteps, method="step", coding="spikes").output == run.output
    ).all()
    traced = trace(model, hot[0], timesteps=config.timesteps, coding="spikes", method="step")
    assert {f"{name}_neuron" for name in spikes} <= traced.nodes.keys()


def test_the_head_sees_first_and_last_layer() -> None:
    model = network()
    with torch.no_grad():
        spikes = model.spikes(grids(2))
        logits = model.logits(spikes)
        for name in ("s1", "s3"):
            changed = {**spikes, name: torch.zeros_like(spikes[name])}
            assert not torch.allclose(model.logits(changed), logits)
        each = torch.stack([model.logits({k: s[t : t + 1] for k, s in spikes.items()}) for t in range(3)])
    assert torch.allclose(each.mean(0), logits, atol=1e-5)


@pytest.mark.parametrize("kind", [SDID, ANNDenoiser])
def test_losses_add_up(kind: type[Denoiser]) -> None:
    model = network(kind=kind)
    torch.manual_seed(5)
    losses = model.losses(grids(6), rate_penalty=0.5)
    rate = losses.get("rate", torch.zeros(()))
    assert torch.allclose(losses["total"], losses["bits"] + 0.5 * rate)
    assert 0 <= losses["accuracy"] <= 1
    losses["total"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_normalisations_are_estimated_on_grids_as_training_shows_them() -> None:
    model = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        seen = torch.cat([model.corrupt(part) for part in grids(64).split(16)])
    assert 0.3 < float((seen == 5).float().mean()) < 0.75
    with torch.no_grad():
        current = model.s1.affine(one_hot(seen, 5))
    assert torch.allclose(model.s1.norm.running_mean, current.mean((0, 2, 3)), atol=1e-5)


@pytest.mark.parametrize("kind", [SDID, ANNDenoiser])
def test_it_learns_a_rule_resumes_and_samples_it(kind: type[Denoiser], tmp_path: Path) -> None:
    """Grids whose rows repeat one token: the marginal says log2 5 bits, one known position says all of its row."""
    rows = torch.randint(0, 5, (640, 3, 1), generator=torch.Generator().manual_seed(8))
    tokens = rows.expand(-1, -1, 4).contiguous()
    recipe = TrainRecipe(epochs=9, batch=64, lr=1e-2)

    def run(folder: Path, stop: int | None = None) -> Any:
        torch.manual_seed(2)
        model = kind(SMALL)

        def report(progress: Progress) -> None:
            if progress.step == stop:
                raise KeyboardInterrupt

        train(model, tokens, recipe, folder=folder, seed=3, accelerator="cpu", report=report)
        return model

    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "again", stop=17)
    again = run(tmp_path / "again").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.state_dict().items())
    found = elbo(predictor(whole), tokens.numpy(), 5)
    assert unigram_bits(tokens.numpy()) > 2.3
    assert found.bits < 1.3
    assert found.masked_accuracy > 0.6
    made = sample(predictor(whole), 60, (3, 4), 5).tokens
    assert np.mean(made == np.roll(made, 1, axis=2)) > 0.6


@pytest.mark.parametrize("image", [(28, 28), (32, 32), (13, 20)])
def test_the_feature_classifier_has_64_features_for_any_image(image: tuple[int, int]) -> None:
    model = FeatureClassifier(image, 3, 7).eval()
    given = torch.rand(5, 3, *image)
    assert model.features(given).shape == (5, 64)
    assert model(given).shape == (5, 7)
    losses = model.losses(given, labels=torch.tensor([0, 1, 2, 3, 6]))
    assert float(losses["total"].detach()) == pytest.approx(
        float(nn.functional.cross_entropy(model(given), torch.tensor([0, 1, 2, 3, 6])).detach())
    )
