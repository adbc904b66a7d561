"""The published network: its sizes, its two orders of evaluation, and its losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.models.ann_vae import ANNVAE, Autoencoder
from spikewright.models.esvae import (
    BETA,
    ESVAE,
    MMD_WEIGHT,
    READOUT_BETA,
    SIZES,
    SURROGATE_WINDOW,
    THRESHOLD,
    ESVAEConfig,
)

SMALL = ESVAEConfig(image=(16, 8), in_channels=2, channels=(4, 6), latent=5, timesteps=6)


def network(config: ESVAEConfig = SMALL, seed: int = 0) -> ESVAE:
    """A network with large currents and normalisations that have seen images, so that every layer fires."""
    torch.manual_seed(seed)
    model = ESVAE(config).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.constant_(module.weight, 0.6)
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(4):
            model(images(16, config))
    return model.eval()


def images(count: int, config: ESVAEConfig = SMALL, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, config.in_channels, *config.image, generator=generator) * 2 - 1


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    assert parameters(ESVAE(SIZES["XS"])) == 5_789
    assert parameters(ESVAE(SIZES["S"])) == 67_961
    paper = ESVAE(SIZES["paper"])
    assert parameters(paper) == 855_905
    assert sum(parameters(block) for _, block in paper.blocks(paper.encoder_names)) == 421_664
    assert (
        sum(parameters(b) for _, b in paper.blocks(paper.decoder_names)) + parameters(paper.head) == 433_185
    )
    assert parameters(paper.prior) == 1_056


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (ESVAEConfig(channels=(32, 64, 128, 256), latent=128, timesteps=16), 1_068_257),
        (ESVAEConfig(in_channels=3, channels=(32, 64, 128, 256), latent=128, timesteps=16), 1_069_411),
        (ESVAEConfig((64, 64), 3, (32, 64, 128, 256, 512), 128, 16), 3_696_227),
        (ESVAEConfig(channels=(8, 16, 32), latent=16), 30_745),
    ],
)
def test_parameter_counts_of_the_other_published_sizes(config: ESVAEConfig, count: int) -> None:
    assert parameters(ESVAE(config)) == count


def test_each_layer_has_the_shape_of_the_published_table() -> None:
    model = ESVAE(SIZES["paper"]).eval()
    with torch.no_grad():
        spikes = model(images(1, SIZES["paper"])).spikes
    wanted = {
        "e1": (32, 16, 16), "e2": (64, 8, 8), "e3": (128, 4, 4), "e4": (256, 2, 2), "e5": (32,),
        "d0": (256, 2, 2), "d1": (128, 4, 4), "d2": (64, 8, 8), "d3": (32, 16, 16), "d4": (32, 32, 32),
    }  # fmt: skip
    assert {name: tuple(raster.shape[2:]) for name, raster in spikes.items()} == wanted
    assert all(raster.shape[:2] == (16, 1) for raster in spikes.values())


def test_images_that_are_not_square_come_back_in_their_shape() -> None:
    out = network()(images(3))
    assert out.images.shape == (3, 2, 16, 8)
    assert out.images.abs().max() <= 1
    assert out.rates.shape == (3, 5)
    assert torch.equal(out.rates * 6, (out.rates * 6).round())  # counts over time steps
    assert network().generate(4).shape == (4, 2, 16, 8)


@pytest.mark.parametrize("image", [(16, 6), (18, 8), (2, 16), (0, 16)])
def test_sides_that_do_not_halve_are_refused_with_the_number_that_would(image: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=f"{image[0]}x{image[1]}: 2 stride-2 stages need each side to be a multiple of 4"
    ):
        ESVAEConfig(image=image, channels=(4, 6))


def test_constants_are_the_published_ones() -> None:
    assert (BETA, THRESHOLD, READOUT_BETA, MMD_WEIGHT) == (0.25, 0.2, 0.8, 1e-3)
    assert pytest.approx((-0.7, 0.3)) == SURROGATE_WINDOW  # |u| < 0.5 around zero, not around the threshold
    for name, block in ESVAE(SMALL).blocks([*ESVAE(SMALL).encoder_names, *ESVAE(SMALL).decoder_names]):
        assert float(block.neuron.beta) == 0.25, name
        assert float(block.neuron.threshold) == pytest.approx(0.2), name
        assert torch.allclose(block.norm.weight, torch.tensor(0.2)), name  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [SMALL, SIZES["XS"]])
def test_stepping_ends_where_the_whole_sequence_does(config: ESVAEConfig) -> None:
    model, given = network(config), images(5, config)
    with torch.no_grad():
        whole = model(given, sample=False)
        for module in model.modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        spikes: dict[str, list[torch.Tensor]] = {}
        for name, block in model.blocks([*model.encoder_names, *model.decoder_names]):
            block.register_forward_hook(lambda m, i, out, name=name: spikes.setdefault(name, []).append(out))
        for _ in range(config.timesteps):
            last = model.step(given)
    differing = sum(int((torch.stack(s) != whole.spikes[name]).sum()) for name, s in spikes.items())
    assert spikes.keys() == whole.spikes.keys()
    assert all(0 < s.mean() < 1 for s in whole.spikes.values())
    assert differing == 0
    assert torch.allclose(last, whole.images, atol=1e-5)


def test_passing_through_is_deterministic_and_sampling_is_not() -> None:
    model, given = network(), images(4)
    with torch.no_grad():
        assert torch.equal(model(given, sample=False).images, model(given, sample=False).images)
        torch.manual_seed(0)
        first = model(given).images
        assert not torch.equal(first, model(given).images)
        torch.manual_seed(0)
        assert torch.equal(first, model(given).images)


def test_losses_add_up() -> None:
    model, given = network(), images(6)
    torch.manual_seed(3)
    losses = model.losses(given, rate_penalty=0.5)
    torch.manual_seed(3)
    out = model(given)
    spikes = torch.cat([s.flatten(1).mean(1) * s[0].numel() for s in out.spikes.values()]).sum()
    neurons = sum(s[0].numel() for s in out.spikes.values())
    rate = spikes / neurons / SMALL.timesteps
    assert torch.allclose(losses["rate"], rate, atol=1e-6)
    assert torch.allclose(losses["mse"], (out.images - given).square().mean())
    assert torch.allclose(losses["total"], losses["mse"] + 1e-3 * losses["mmd"] + 0.5 * losses["rate"])
    losses["total"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.prior.parameters())
    assert sum(float(p.grad.abs().sum()) > 0 for p in model.parameters() if p.grad is not None) > 20


def test_the_prior_learns_ten_times_faster_and_nothing_is_left_out_or_doubled() -> None:
    model = ESVAE(SMALL)
    groups = model.parameter_groups(1e-3)
    assert [group["lr"] for group in groups] == [1e-3, pytest.approx(1e-2)]
    ours = [id(p) for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    assert sorted(ours) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.prior.parameters()}


def test_training_and_generation_draw_their_rates_from_one_prior() -> None:
    model = network()
    calls: list[int] = []
    model.prior.register_forward_hook(lambda m, i, out: calls.append(out.shape[0]))
    model.losses(images(6))
    model.generate(7)
    assert calls == [6, 7]


def test_generation_follows_its_generator() -> None:
    model = network()
    with torch.no_grad():
        draws = [model.generate(3, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_the_ann_twin_has_the_same_topology() -> None:
    torch.manual_seed(0)
    for twin in (Autoencoder(SMALL), ANNVAE(SMALL)):
        twin.eval()
        assert twin(images(3)).shape == (3, 2, 16, 8)
        assert twin.features(images(3)).shape == (3, 5)
        convolutions = [m for m in twin.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert len(convolutions) == len(
            [m for m in ESVAE(SMALL).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        )
    assert ANNVAE(SMALL).generate(4).shape == (4, 2, 16, 8)
    shared = parameters(Autoencoder(SMALL)) + parameters(ESVAE(SMALL).prior)
    norm = 2 * SMALL.latent  # the spiking latent is normalised, the twin's is Gaussian
    assert parameters(ESVAE(SMALL)) == shared + norm


def test_the_twins_divergence_is_that_of_a_gaussian() -> None:
    twin = ANNVAE(SMALL)
    nn.init.zeros_(twin.mean.weight)
    nn.init.constant_(twin.mean.bias, 0.5)
    nn.init.zeros_(twin.log_variance.weight)
    nn.init.constant_(twin.log_variance.bias, np.log(4.0))
    _, divergence = twin.sample_posterior(images(3))
    assert divergence.item() == pytest.approx(5 * 0.5 * (4 + 0.25 - 1 - np.log(4)), rel=1e-5)


def test_the_twins_losses_add_up_and_its_latent_is_sampled() -> None:
    twin = ANNVAE(SMALL).eval()
    torch.manual_seed(3)
    losses = twin.losses(images(6))
    torch.manual_seed(3)
    out, divergence = twin.sample_posterior(images(6))
    assert torch.allclose(losses["mse"], (out.images - images(6)).square().mean())
    assert torch.allclose(losses["total"], losses["mse"] + 1e-3 * divergence)
    nn.init.zeros_(twin.log_variance.weight)
    spread = []
    for deviation in (1e-6, 1.0):
        nn.init.constant_(twin.log_variance.bias, 2 * np.log(deviation))
        spread.append(
            float((twin.sample_posterior(images(6))[0].images - twin(images(6))).detach().abs().max())
        )
    assert spread[0] < 1e-4 < spread[1]
