"""A spiking U-Net that starts from its trained ANN twin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikewright.models.data import load_images, prepare
from spikewright.models.recipe import TrainRecipe
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.models.train import train
from spikewright.models.unet_ann import UNet
from spikewright.models.unet_layout import UNetConfig
from spikewright.models.unet_start import SPREAD, fit, start_from_twin

CONFIG = UNetConfig(image=(8, 12), channels=8, multipliers=(1, 2), coding_channels=24)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(prepare(load_images("digits", "train"), CONFIG.image, "resize"))


@pytest.fixture(scope="module")
def twin(images: Tensor, tmp_path_factory: pytest.TempPathFactory) -> UNet:
    torch.manual_seed(1)
    network = UNet(CONFIG)
    train(
        network,
        images,
        TrainRecipe(epochs=8, lr=1e-2),
        folder=tmp_path_factory.mktemp("twin"),
        seed=1,
    )
    return network.eval()


def started(config: UNetConfig, twin: UNet, images: Tensor) -> SpikingUNet:
    torch.manual_seed(2)
    network = SpikingUNet(config)
    start_from_twin(network, twin, images)
    return network


def error(network: SpikingUNet | UNet, images: Tensor) -> float:
    """Of the noise in images, with statistics of the batch."""
    torch.manual_seed(3)
    with torch.no_grad():
        return float(network.losses(images[:400])["total"])


@pytest.mark.parametrize("build", ["chip", "faithful"])
def test_it_tells_noise_before_any_training(build: str, twin: UNet, images: Tensor) -> None:
    config = replace(CONFIG, build=build)
    torch.manual_seed(2)
    fresh = error(SpikingUNet(config).train(), images)
    told, aimed = error(started(config, twin, images), images), error(twin, images)
    assert fresh > 0.9
    assert aimed < 0.25
    assert told < aimed + 0.3 * (fresh - aimed)


def test_streams_follow_the_twin_scaled_to_the_range_of_rates(twin: UNet, images: Tensor) -> None:
    """Means over the time steps of a stream, against the same stream of the twin: the same values, another scale."""
    network = started(CONFIG, twin, images)
    seen, times, _ = twin.draw(images[:200])
    mine: dict[str, Tensor] = {}
    theirs: dict[str, Tensor] = {}

    def keep(name: str, stream: Tensor) -> Tensor:
        mine[name] = stream.unflatten(0, (CONFIG.timesteps, -1)).mean(0)
        return stream

    hooks = [
        twin.get_submodule(stage.name).register_forward_hook(
            lambda module, given, out, name=stage.name: theirs.__setitem__(name, out)
        )
        for stage in twin.plan.stages
    ]
    with torch.no_grad():
        twin.predict(seen, times)
        for hook in hooks:
            hook.remove()
        current = network.coding_norm(network.coding(seen))
        spikes = network.coding_n.sequence(current.expand(CONFIG.timesteps, *current.shape))
        currents = [c.repeat(CONFIG.timesteps, 1)[:, :, None, None] for c in network.time_currents(times)]
        network.body(
            spikes.flatten(0, 1),
            currents,
            lambda name, neuron, given: neuron.sequence(given.unflatten(0, (CONFIG.timesteps, -1))).flatten(
                0, 1
            ),
            keep,
        )
    for stage in twin.plan.stages:
        a, b = mine[stage.name], theirs[stage.name]
        by_channel = [
            np.corrcoef(x.flatten(), y.flatten())[0, 1] for x, y in zip(a.unbind(1), b.unbind(1), strict=True)
        ]
        assert np.median(by_channel) > 0.8, stage.name
        assert 0.6 * SPREAD < float(a.std((0, 2, 3)).median()) < 1.6 * SPREAD, stage.name


def test_the_same_seed_starts_alike_and_the_twin_stays_as_it_is(twin: UNet, images: Tensor) -> None:
    before = {name: value.clone() for name, value in twin.state_dict().items()}
    one, other = (started(CONFIG, twin, images).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())
    assert all(torch.isfinite(value).all() for value in one.values())


def test_a_silent_channel_does_no_harm(twin: UNet, images: Tensor) -> None:
    silent = UNet(CONFIG)
    silent.load_state_dict(twin.state_dict())
    block = silent.get_submodule("d0_0")
    with torch.no_grad():
        for parameter in (block.norm1.weight, block.time.linear.weight, block.time.linear.bias):
            parameter[2] = 0
        block.norm1.bias[2] = -50
    network = started(CONFIG, silent.eval(), images)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    assert error(network, images) < 0.6


def test_it_learns_faster_than_from_random_weights(twin: UNet, images: Tensor, tmp_path: Path) -> None:
    recipe = TrainRecipe(epochs=2, lr=3e-3)
    reached = {}
    torch.manual_seed(2)
    for name, network in (("random", SpikingUNet(CONFIG)), ("twin", started(CONFIG, twin, images))):
        train(network, images, recipe, folder=tmp_path / name, seed=1)
        reached[name] = error(network.train(), images)
    assert reached["twin"] < 0.8 * reached["random"]


def test_a_lean_build_has_no_such_start(twin: UNet, images: Tensor) -> None:
    with pytest.raises(ValueError, match="lean build read spikes"):
        start_from_twin(SpikingUNet(replace(CONFIG, build="lean")), twin, images)


@pytest.mark.parametrize(("kernel", "padding"), [((3, 3), (1, 1)), ((1, 3), (0, 1)), ((5, 1), (2, 0))])
def test_a_layer_is_fitted_to_what_another_makes(kernel: tuple[int, int], padding: tuple[int, int]) -> None:
    torch.manual_seed(4)
    known, layer = (nn.Conv2d(3, 5, kernel, padding=padding) for _ in range(2))
    inputs = torch.randn(30, 3, 9, 14)
    with torch.no_grad():
        fit(layer, inputs, known(inputs))
        torch.testing.assert_close(layer.weight, known.weight, atol=2e-3, rtol=0)
        torch.testing.assert_close(layer.bias, known.bias, atol=2e-3, rtol=0)
