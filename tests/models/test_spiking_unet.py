"""The spiking U-Net: its equations said again, stepping, shared spikes, sizes, losses, threshold guidance."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.export.record import run_module
from spikewright.models.denoising_samplers import denoise
from spikewright.models.epsilon_prediction import EpsilonPrediction, held_out_error, predictor
from spikewright.models.guidance import firing_threshold
from spikewright.models.initialise import xavier
from spikewright.models.neurons import Leaky
from spikewright.models.noise_schedule import NoiseSchedule
from spikewright.models.recipe import TrainRecipe
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.models.time_embedding import sinusoids
from spikewright.models.train import Interrupted, Progress, reestimate_batch_norm, train
from spikewright.models.unet_ann import UNet
from spikewright.models.unet_layout import SIZES, Build, UNetConfig, plan

SMALL = UNetConfig(image=(8, 12), in_channels=3, channels=4, diffusion_steps=50)
BUILDS: tuple[Build, ...] = ("faithful", "chip", "lean")


def images(count: int = 16, config: UNetConfig = SMALL) -> Tensor:
    shape = (count, config.in_channels, *config.image)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def network(config: UNetConfig = SMALL, kind: type[EpsilonPrediction] = SpikingUNet) -> Any:
    """A network whose last layer says something, and whose normalisations know their inputs."""
    torch.manual_seed(0)
    model = kind(config)
    for name, module in model.named_modules():
        if name.startswith("tail") and isinstance(module, nn.Conv2d):
            xavier(module)
            nn.init.normal_(module.bias, std=0.1)  # type: ignore[arg-type]
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    reestimate_batch_norm(model, images(48, config), 16)
    return model.eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def integrate(currents: list[Tensor], threshold: float = 1.0) -> list[Tensor]:
    """Integrate and fire from rest, reset to zero."""
    v, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        v = v + current
        spikes.append((v > threshold).to(v))
        v = v * (1 - spikes[-1])
    return spikes


def normalised(x: Tensor, norm: Any) -> Tensor:
    mean, var, weight, bias = (
        v[:, None, None] for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / torch.sqrt(var + norm.eps) * weight + bias


def again(model: Any, x: Tensor, times: Tensor, threshold: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
    """The whole network said step by step, with neurons for the streams that are taken back as well."""
    config, p = model.config, dict(model.named_parameters())
    spikes: dict[str, list[Tensor]] = {}

    def conv(name: str, y: Tensor, stride: int = 1) -> Tensor:
        w = p[f"{name}.weight"]
        return F.conv2d(y, w, p[f"{name}.bias"], stride, w.shape[-1] // 2)

    def conv_norm(name: str, norm: str, y: Tensor, stride: int = 1) -> Tensor:
        return normalised(conv(name, y, stride), model.get_submodule(norm))

    def neurons(name: str, currents: list[Tensor]) -> list[Tensor]:
        spikes[name] = integrate(currents, threshold)
        return spikes[name]

    half = config.channels // 2
    angle = times[:, None] * torch.tensor([10_000.0 ** (-i / half) for i in range(half)], dtype=torch.float64)
    table = torch.stack([angle.sin(), angle.cos()], 2).reshape(len(times), -1).float().to(x)
    hidden = F.silu(table @ p["embedding.first.weight"].T + p["embedding.first.bias"])
    vector = hidden @ p["embedding.last.weight"].T + p["embedding.last.bias"]

    coded = [conv_norm("coding", "coding_norm", x)] * config.timesteps
    stream = [conv_norm("entrance", "entrance_norm", s) for s in neurons("coding_n", coded)]
    left = [stream]
    for stage in model.plan.stages:
        name = stage.name
        if stage.kind != "residual":
            s1 = neurons(f"{name}.n1", stream)
            if stage.kind == "up":
                s1 = [s.repeat_interleave(2, 2).repeat_interleave(2, 3) for s in s1]
            stride = 1 if stage.kind == "up" else 2
            stream = [conv_norm(f"{name}.conv", f"{name}.norm", s, stride) for s in s1]
        else:
            if name.startswith("u"):
                stream = [torch.cat(pair, 1) for pair in zip(stream, left.pop(), strict=True)]
            s1 = neurons(f"{name}.n1", stream)
            time = F.silu(vector) @ p[f"{name}.time.linear.weight"].T + p[f"{name}.time.linear.bias"]
            a = [conv_norm(f"{name}.conv1", f"{name}.norm1", s) + time[:, :, None, None] for s in s1]
            b = [conv_norm(f"{name}.conv2", f"{name}.norm2", s) for s in neurons(f"{name}.n2", a)]
            around = s1 if config.build == "lean" else stream
            if f"{name}.shortcut.weight" in p:
                around = [conv(f"{name}.shortcut", y) for y in around]
            stream = [y + z for y, z in zip(b, around, strict=True)]
        if name.startswith("d"):
            left.append(stream)
    assert not left
    told = torch.zeros_like(x)
    for t, y in enumerate(stream):
        if config.build == "faithful":
            o = conv("tail.conv", F.silu(normalised(y, model.tail.norm)))
            o = o + F.silu(normalised(conv("tail.side", o), model.tail.side_norm))
        else:
            o = conv("tail", y)
        told = told + 0.8 ** (config.timesteps - 1 - t) * o
    return told, {name: torch.stack(raster) for name, raster in spikes.items()}


TIMES = torch.tensor([0, 3, 21, 49])


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("threshold", [1.0, 0.9])
def test_it_computes_the_published_equations(build: Build, threshold: float) -> None:
    model = network(replace(SMALL, build=build)).double()
    with torch.no_grad(), firing_threshold(model, threshold):
        told, rasters = model.predict(images(4).double(), TIMES)
        wanted, spikes = again(model, images(4).double(), TIMES, threshold)
    assert rasters.keys() == spikes.keys()
    for name, raster in rasters.items():
        # Neurons behind the main stream's are those of the stream taken back.
        assert int((raster != spikes[name][:, :, : raster.shape[2]]).sum()) == 0, name
        assert 0 < float(raster.mean()) < 1, name
    assert torch.allclose(told, wanted, atol=1e-5)  # the weights of the time steps are single precision
    assert float(told.std()) > 0.05


@pytest.mark.parametrize("build", BUILDS)
def test_neurons_of_a_stream_taken_back_fire_as_those_on_the_way_down(build: Build) -> None:
    """Spec: h0 -> d0_0, h1 -> down0, h2 -> d1_0, h3 -> down1, h4 -> d2_0, h5 -> m0, at any threshold."""
    model = network(replace(SMALL, build=build)).double()
    pairs = {"u2_0": "m0", "u2_1": "d2_0", "u1_0": "down1", "u1_1": "d1_0", "u0_0": "down0", "u0_1": "d0_0"}
    for threshold in (1.0, 0.8):
        with torch.no_grad():
            _, spikes = again(model, images(4).double(), TIMES, threshold)
        for up, down in pairs.items():
            early = spikes[f"{down}.n1"]
            assert torch.equal(spikes[f"{up}.n1"][:, :, -early.shape[2] :], early), up


@pytest.mark.parametrize("build", BUILDS)
def test_stepping_gives_the_spikes_of_the_whole_sequence(build: Build) -> None:
    model = network(replace(SMALL, build=build))
    with torch.no_grad():
        packed = model.pack(images(4), TIMES)
        told, rasters = model.predict(images(4), TIMES)
    run = run_module(model, packed, SMALL.timesteps, method="step")
    differing = {
        name: int((torch.from_numpy(run.spikes[name.replace(".", "_")]).movedim(1, 0) != r.flatten(2)).sum())
        for name, r in rasters.items()
    }
    assert sum(differing.values()) == 0, differing
    assert torch.allclose(torch.from_numpy(run.output), told, atol=1e-5)


def test_the_time_enters_as_one_current_a_channel() -> None:
    model = network()
    with torch.no_grad():
        table = model.time_table()
        packed = model.pack(images(4), TIMES)
    assert table.shape == (50, sum(stage.out for stage in model.plan.timed))
    assert torch.allclose(packed[:, 3 * 8 * 12 :], table[TIMES], atol=1e-6)
    assert torch.equal(packed[:, : 3 * 8 * 12], images(4).flatten(1))
    with torch.no_grad():
        assert not torch.allclose(model(images(4), TIMES), model(images(4), TIMES - TIMES.clamp_max(1)))


def test_the_table_of_sinusoids() -> None:
    table = sinusoids(1000, 128)
    assert table.shape == (1000, 128)
    for t, i in ((0, 0), (1, 0), (999, 3), (17, 63)):
        angle = t / 10_000 ** (2 * i / 128)
        assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_parameter_counts_are_the_published_ones() -> None:
    assert parameters(SpikingUNet(SIZES["paper"])) == 66_568_413
    assert SIZES["paper"].diffusion_steps * SIZES["paper"].channels == 128_000  # the frozen table
    counts = {
        build: parameters(SpikingUNet(replace(SIZES["S"], build=build))) for build in BUILDS
    }  # 0.265 M each
    assert counts == {"faithful": 265_357, "chip": 265_313, "lean": 265_313}
    assert parameters(SpikingUNet(SIZES["smoke"])) == 67_121
    assert parameters(SpikingUNet(SIZES["L"])) == 1_046_705
    # The twin has no second convolution ahead of the blocks, no side branch and no first normalisation.
    own = 16 * 16 * 9 + 16 + 4 * 16
    side = 9 + 1 + 2
    assert parameters(UNet(SIZES["S"])) == counts["faithful"] - own - side


def test_the_plan_takes_every_stream_back() -> None:
    paper = plan(SIZES["paper"])
    assert [s.skip for s in paper.up if s.skip] == [
        512,
        512,
        256,
        256,
        256,
        256,
        256,
        256,
        128,
        128,
        128,
        128,
    ]
    wide = [s.main + s.skip for s in paper.up if s.skip]
    assert wide == [1024, 1024, 768, 768, 512, 512, 512, 512, 384, 384, 256, 256]
    assert sum(s.out for s in paper.timed) == 6784
    assert sum(s.out for s in plan(SIZES["S"]).timed) == 304
    # Populations: the coding layer, two a residual block, one where the resolution changes.
    assert [1 + 2 * len(p.timed) + len(p.stages) - len(p.timed) for p in (paper, plan(SIZES["S"]))] == [
        51,
        27,
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"image": (28, 30)}, "28x30.*multiple of 4"), ({"channels": 5}, "channels is 5")],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        replace(SMALL, **changes)


@pytest.mark.parametrize("build", [*BUILDS, "ann"])
def test_losses_add_up_and_reach_every_weight(build: Any) -> None:
    kind: type[EpsilonPrediction] = UNet if build == "ann" else SpikingUNet
    model = network(SMALL if build == "ann" else replace(SMALL, build=build), kind).train()
    torch.manual_seed(5)
    losses = model.losses(images(), rate_penalty=0.5)
    assert torch.allclose(losses["total"], losses["mse"] + 0.5 * losses.get("rate", torch.zeros(())))
    losses["total"].backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_at_first_nothing_is_told_and_the_error_is_that_of_the_noise() -> None:
    for config, kind in ((replace(SMALL, build="faithful"), SpikingUNet), (SMALL, UNet)):
        torch.manual_seed(0)
        assert float(kind(config).losses(images(64))["mse"].detach()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", [SpikingUNet, UNet])
def test_from_a_velocity_and_what_is_seen_follows_the_noise(kind: type[EpsilonPrediction]) -> None:
    model = network(replace(SMALL, prediction="velocity"), kind)
    times, noise = torch.arange(50), torch.randn(50, 3, 8, 12)
    seen, velocity = model.noisy(images(50), times, noise), model.aim(images(50), times, noise)
    assert torch.allclose(model.noise_in(seen, times, velocity), noise, atol=1e-5)
    # Half of what is wrong with the velocity is wrong with the noise where half of the image is left.
    wrong = model.noise_in(seen, times, velocity + 1) - noise
    assert np.allclose(wrong[:, 0, 0, 0].numpy() ** 2, NoiseSchedule(50).alpha_bar, atol=1e-5)
    # What is told is the network's own; the noise is what forward yields.
    with torch.no_grad():
        told, _ = model.predict(seen, times)
        assert torch.equal(model(seen, times), model.noise_in(seen, times, told))
        plain = network(SMALL, kind)
        assert torch.equal(plain(seen, times), told)
    assert torch.equal(plain.aim(images(50), times, noise), noise)


def test_an_image_may_be_coded_into_more_channels_than_follow() -> None:
    finer = network(replace(SMALL, coding_channels=10))
    told, spikes = finer.predict(images(2), torch.tensor([3, 40]))
    assert spikes["coding_n"].shape == (4, 2, 10, 8, 12)
    assert spikes["d0_0.n1"].shape == (4, 2, 4, 8, 12)
    assert told.shape == (2, 3, 8, 12)
    assert network(replace(SMALL, coding_channels=4)).state_dict().keys() == finer.state_dict().keys()


def test_velocities_are_what_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(replace(SMALL, prediction="velocity"), UNet)
    told: dict[str, torch.Tensor] = {}

    def perfect(seen: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        shape = (-1, 1, 1, 1)
        kept, added = model.kept[times].reshape(shape), model.added[times].reshape(shape)
        noise = (seen - kept * images(4)) / added
        told["velocity"] = kept * noise - added * images(4)
        return told["velocity"], {}

    monkeypatch.setattr(model, "predict", perfect)
    assert float(model.losses(images(4))["mse"]) < 1e-4
    assert float(told["velocity"].std()) > 0.5


def test_images_are_corrupted_by_the_schedule() -> None:
    model, schedule = network(), NoiseSchedule(50)
    ones = torch.ones(50, 3, 8, 12)
    seen = model.noisy(ones, torch.arange(50), 2 * ones)[:, 0, 0, 0].double().numpy()
    assert seen == pytest.approx(np.sqrt(schedule.alpha_bar) + 2 * np.sqrt(1 - schedule.alpha_bar), abs=1e-6)
    torch.manual_seed(3)
    times = torch.cat([model.corrupt(images(40))[1] for _ in range(50)])
    assert times.bincount(minlength=50).float().std() < 3 * math.sqrt(40)
    assert int(times.max()) == 49


def test_held_out_error_is_that_of_what_is_told() -> None:
    given = images(40).numpy()
    schedule = NoiseSchedule(50)

    def knows(seen: Any, time: int) -> Any:
        """The noise, from images that are all the same."""
        left = np.reshape(schedule.alpha_bar[time], (-1, 1, 1, 1))
        return (seen - np.sqrt(left) * 0.25) / np.sqrt(1 - left) + 0.5

    assert held_out_error(knows, np.full_like(given, 0.25), schedule) == pytest.approx(0.25)
    assert held_out_error(lambda seen, time: 0 * seen, given, schedule) == pytest.approx(1, abs=0.05)
    model = network()
    assert held_out_error(predictor(model), given, schedule) == held_out_error(
        predictor(model), given, schedule
    )


def test_another_threshold_holds_for_sequences_and_steps_and_ends() -> None:
    model = network()
    with torch.no_grad():
        packed, rates = model.pack(images(2), TIMES[:2]), []
        plain = model(images(2), TIMES[:2])
        for threshold in (0.8, 1.0, 1.3):
            with firing_threshold(model, threshold):
                told, rasters = model.predict(images(2), TIMES[:2])
                stepped = run_module(model, packed, SMALL.timesteps, method="step").output
            assert torch.allclose(torch.from_numpy(stepped), told, atol=1e-5)
            rates.append(float(torch.cat([r.flatten() for r in rasters.values()]).mean()))
        assert torch.equal(model(images(2), TIMES[:2]), plain)
    assert rates[0] > rates[1] > rates[2]
    assert {float(m.threshold) for m in model.modules() if isinstance(m, Leaky)} == {1.0}
    with pytest.raises(ValueError, match="threshold is 0"), firing_threshold(model, 0.0):
        pass


@pytest.mark.parametrize("kind", [SpikingUNet, UNet])
def test_it_learns_resumes_and_samples(kind: type[EpsilonPrediction], tmp_path: Path) -> None:
    """Images bright on the left and dark on the right, or the other way round."""
    bright = torch.ones(1, 3, 8, 12)
    bright[..., 6:] = -1
    data = 0.8 * torch.cat([bright, -bright]).repeat(32, 1, 1, 1)
    recipe = TrainRecipe(
        epochs=8, batch=16, lr=1e-2, weight_decay=0.0, schedule="onecycle", clip=1.0, ema=0.9
    )

    def run(folder: Path, stop: int | None = None) -> Any:
        torch.manual_seed(2)
        model = kind(SMALL)

        def report(progress: Progress) -> None:
            if progress.step == stop:
                raise KeyboardInterrupt

        train(model, data, recipe, folder=folder, seed=3, accelerator="cpu", report=report)
        return model

    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "again", stop=21)
    again = run(tmp_path / "again").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.state_dict().items())
    schedule = NoiseSchedule(SMALL.diffusion_steps)
    assert held_out_error(predictor(whole), data[:40].numpy(), schedule) < 0.85
    made = denoise(predictor(whole), 3, (3, 8, 12), schedule, steps=5)
    assert made.shape == (3, 3, 8, 12)
    assert np.abs(made).max() <= 1
