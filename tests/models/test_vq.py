"""VQ-SVAE and its ReLU twin: published sizes, two orders of evaluation, losses, and codes that come into use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikewright.export.record import run_module
from spikewright.export.trace import trace
from spikewright.models.codebook import Start, perplexity
from spikewright.models.data import load_images, prepare
from spikewright.models.recipe import TrainRecipe
from spikewright.models.train import Interrupted, Progress, train
from spikewright.models.vector_quantised import SIZES, VectorQuantised, VQConfig
from spikewright.models.vq_ann import VQVAE
from spikewright.models.vq_svae import VQSVAE

SMALL = VQConfig((12, 8), in_channels=2, channels=(5, 6), dim=4, codes=9, timesteps=5)


def images(count: int, config: VQConfig = SMALL, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, config.in_channels, *config.image, generator=generator) * 2 - 1


def network(config: VQConfig = SMALL, kind: type[VectorQuantised] = VQSVAE, seed: int = 0) -> Any:
    """A network whose layers all fire and whose normalisations have seen images."""
    torch.manual_seed(seed)
    model = kind(config).train()
    model.measure(images(16, config))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1.0)
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(4):
            model(images(16, config))
    return model.eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    counts = {name: parameters(VQSVAE(config)) for name, config in SIZES.items()}
    assert counts == {"XS": 4_242, "S": 16_290, "M": 30_658, "paper": 50_658}
    for config in SIZES.values():  # the twin has one step, so there is no mix over time to learn
        assert parameters(VQVAE(config)) == parameters(VQSVAE(config)) - 1


def test_layers_have_the_published_shapes() -> None:
    model = VQSVAE(SIZES["paper"]).eval()
    with torch.no_grad():
        out = model(images(1, SIZES["paper"]))
    wanted = {
        "e1": (32, 14, 14), "e2": (64, 7, 7), "e3": (16, 7, 7),
        "g": (16, 7, 7), "d1": (64, 14, 14), "d2": (32, 28, 28),
    }  # fmt: skip
    assert {name: tuple(raster.shape[2:]) for name, raster in out.spikes.items()} == wanted
    assert sum(raster[0, 0].numel() for raster in out.spikes.values()) == 48_608
    assert out.tokens.shape == (1, 7, 7)


@pytest.mark.parametrize("config", [SMALL, SIZES["XS"], VQConfig((28, 20), channels=(4, 6), timesteps=3)])
def test_the_twins_shapes_are_the_same(config: VQConfig) -> None:
    snn, ann, given = network(config), network(config, VQVAE), images(3, config)
    with torch.no_grad():
        assert snn.tokens(given).shape == ann.tokens(given).shape == (3, *config.grid)
        assert snn.encode(given)[0].shape == ann.encode(given).shape == (3, config.dim, *config.grid)
        assert snn(given).images.shape == ann(given).shape == given.shape
        assert torch.equal(ann(given), ann.decode(ann.tokens(given)))
        assert torch.equal(snn(given).images, snn.decode(snn.tokens(given))[0])
    shapes = [
        [(m.weight.shape, m.stride) for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        for model in (snn, ann)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("image", [(28, 18), (14, 28), (0, 4)])
def test_sides_that_do_not_halve_are_refused(image: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{image[0]}x{image[1]}.*multiple of 4"):
        VQConfig(image)


def test_the_quantiser_sees_a_leaky_sum_mixed_with_the_rate() -> None:
    model, given = network(), images(3)
    with torch.no_grad():
        model.mix.fill_(0.3)
        z, spikes = model.encode(given)
    membrane = torch.zeros_like(z)
    for step in spikes["e3"]:
        membrane = 0.8 * membrane + step
    assert torch.allclose(z, 0.7 * membrane + 0.3 * spikes["e3"].mean(0), atol=1e-6)
    assert spikes["e3"].mean() > 0


@pytest.mark.parametrize("config", [SMALL, SIZES["XS"]])
def test_stepping_ends_where_the_whole_sequence_does(config: VQConfig) -> None:
    model, given = network(config), images(5, config)
    with torch.no_grad():
        z, encoded = model.encode(given)
        vectors = model.codebook.lookup(model.codebook.nearest(z))
        made, decoded = model.decode(model.codebook.nearest(z))
    for method, sample, spikes in (
        ("encode_step", given, encoded),
        ("decode_step", vectors.detach(), decoded),
    ):
        run = run_module(model, sample, config.timesteps, method=method)
        for name, raster in spikes.items():
            stepped = torch.from_numpy(run.spikes[f"{name}_neuron"]).movedim(1, 0)
            assert int((stepped != raster.flatten(2)).sum()) == 0, name
            assert 0 < raster.mean() < 1, name
        traced = trace(model, sample[0], timesteps=config.timesteps, coding="direct", method=method)
        assert {f"{name}_neuron" for name in spikes} <= traced.nodes.keys()
        output = torch.from_numpy(run.output)
        assert torch.allclose(output, made if method == "decode_step" else encoded["e3"][-1], atol=1e-5)


def test_losses_add_up() -> None:
    model, given = network(), images(6)
    losses = model.losses(given, rate_penalty=0.5)
    out = model(given)
    assert torch.allclose(losses["mse"], (out.images - given).square().mean())
    assert torch.allclose(losses["rec"], losses["mse"] / images(16).var(correction=0))
    spikes = torch.cat([s.flatten(1).mean(1) * s[0].numel() for s in out.spikes.values()]).sum()
    neurons = sum(s[0].numel() for s in out.spikes.values())
    assert torch.allclose(losses["rate"], spikes / neurons / SMALL.timesteps)
    parts = losses["rec"] + losses["vec"] + losses["psp"] + 0.5 * losses["rate"]
    assert torch.allclose(losses["total"], parts)
    potential = torch.zeros_like(out.spikes["g"][0])
    squares = []
    for made, wanted in zip(out.spikes["g"], out.spikes["e3"], strict=True):
        potential = 0.5 * potential + 0.5 * (made - wanted)
        squares.append(potential.square().mean())
    assert torch.allclose(losses["psp"], 1.25 * torch.stack(squares).mean())
    losses["total"].backward()
    # Bias before batch normalisation has no gradient when it trains; here statistics stand still.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("kind", [VQSVAE, VQVAE])
def test_without_a_pixel_variance_there_is_no_loss(kind: type[VectorQuantised]) -> None:
    model: Any = kind(SMALL)
    with pytest.raises(ValueError, match="measure"):
        model.losses(images(2))


@pytest.mark.parametrize("kind", [VQSVAE, VQVAE])
def test_a_run_stopped_at_any_stage_of_the_codebook_ends_with_the_same_weights(
    kind: type[VectorQuantised], tmp_path: Path
) -> None:
    config = VQConfig(
        (8, 8), channels=(3, 4), dim=4, codes=16, timesteps=3, start=Start(4, reseed_every=3, reseed_until=12)
    )
    recipe = TrainRecipe(epochs=4, batch=8)
    given = images(32, config)

    def run(folder: Path, stop: int | None = None) -> nn.Module:
        torch.manual_seed(2)
        model: Any = kind(config)
        model.measure(given)

        def report(progress: Progress) -> None:
            if progress.step == stop:
                raise KeyboardInterrupt

        train(model, given, recipe, folder=folder, seed=3, accelerator="cpu", report=report)
        return model

    whole = run(tmp_path / "whole").state_dict()
    assert int(whole["codebook.iteration"]) == 16
    for stop in (2, 4, 5, 8, 12, 15):
        with pytest.raises(Interrupted):
            run(tmp_path / str(stop), stop)
        again = run(tmp_path / str(stop)).state_dict()
        assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items()), stop


def test_codes_come_into_use_on_real_digits() -> None:
    given = torch.from_numpy(prepare(load_images("digits", "train"), (8, 8), "none"))
    torch.manual_seed(0)
    model = VQSVAE(VQConfig((8, 8), channels=(8, 16), dim=8, codes=16, timesteps=4, start=Start(10, 15, 45)))
    model.measure(given)
    optimiser = torch.optim.AdamW(model.parameter_groups(2e-3))
    errors = []
    for _ in range(70):
        losses = model.losses(given[torch.randint(0, len(given), (32,))])
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        errors.append(float(losses["mse"].detach()))
    model.eval()
    with torch.no_grad():
        value, used = perplexity(model.tokens(given[:300]), 16)
    assert int(used) >= 12
    assert float(value) > 4
    assert errors[-1] < 0.5 * errors[0]
