"""The streamed Spiking-PhysFormer: spikes and waves of clips without sending clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.errors import BuildError
from spikewright.hardware import host, lava
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.streaming import latency
from spikewright.models.data.errors import DataError
from spikewright.models.physformer import SpikingPhysFormer
from spikewright.models.physformer_layout import SIZES
from spikewright.models.pulse_data.clips import running_normalised
from spikewright.models.pulse_data.pace import paced
from spikewright.physformer.live import LivePulse
from spikewright.physformer.lowering import embeddings, lower_blocks
from spikewright.physformer.reading import WINDOW
from spikewright.physformer.stream_check import same_spikes
from spikewright.physformer.streaming import (
    HEAD_REACH,
    PulseStream,
    TokenStream,
    frames_behind,
    stream_blocks,
)
from spikewright.physformer.system import System
from spikewright.recipe import load_recipe
from spikewright.workspace import Workspace
from tests.cli.conftest import spikewright

HAS_LAVA = pytest.mark.skipif(not lava.available()[0], reason="Lava is not installed")
LAVA = pytest.param("lava", marks=[HAS_LAVA, pytest.mark.lava])


def clips_of(system: System, count: int, seed: int) -> np.ndarray:
    config = system.network.config
    shape = (count, 3, config.frames, *config.image)
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def untrained(folder: Path, image: tuple[int, int], blocks: int) -> System:
    """Random weights behind normalisations that have seen some clips, so that everything fires."""
    torch.manual_seed(3)
    network = SpikingPhysFormer(replace(SIZES["micro"], image=image, blocks=blocks, mlp_frames=3))
    inner = [(block.query_norm, block.key_norm, block.expand_norm) for block in network.parallel_blocks]
    for norm in (network.embedding.norm, *(norm for norms in inner for norm in norms)):
        torch.nn.init.constant_(norm.bias, 0.45)
    shown = torch.randn(4, 3, network.config.frames, *image, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for _ in range(20):
            network.train().predict(shown)
    network.eval()
    return System(lower_blocks(network, shown[:2].numpy(), folder), network)


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> System:
    return untrained(tmp_path_factory.mktemp("micro"), (16, 32), 2)


@pytest.mark.parametrize("backend", ["emulator", "reference", LAVA])
@pytest.mark.parametrize("period", [None, 7])
def test_a_clip_streamed_between_silence_fires_its_spikes(
    micro: System, backend: str, period: int | None
) -> None:
    program = stream_blocks(micro, period)
    shown = embeddings(micro.network, clips_of(micro, 1 if backend == "lava" else 2, 5))
    found = same_spikes(micro, program, shown, backend, 300.0)
    assert found.differing == 0
    assert found.clips == len(shown)
    assert found.neuron_steps == len(shown) * 4 * sum(p.size for p in micro.blocks.program.populations)
    fired = Emulator(micro.blocks.program).run(host.encode(micro.blocks.program, shown)[0], "counts").counts
    assert all(counts.any() for counts in fired.values())


@pytest.mark.slow
def test_size_s_fires_its_spikes(tmp_path: Path) -> None:
    workspace = Workspace(load_recipe("spiking-physformer-synthetic"), tmp_path)
    network = workspace.network("physformer")
    assert isinstance(network, SpikingPhysFormer)
    shape = (2, 3, network.config.frames, *network.config.image)
    shown = np.random.default_rng(4).normal(0, 1, shape).astype(np.float32)
    system = System(lower_blocks(network, shown, tmp_path / "blocks"), network)
    program = stream_blocks(system)
    found = same_spikes(system, program, embeddings(system.network, clips_of(system, 1, 5)), "reference")
    assert found.differing == 0
    assert found.neuron_steps == 399_360
    assert sum(p.size for p in program.populations) == 2496


@pytest.mark.parametrize("backend", ["emulator", "reference"])
def test_waves_are_those_of_clips_away_from_their_borders(micro: System, backend: str) -> None:
    network, clip = micro.network, micro.blocks.program
    shown = clips_of(micro, 3, 6)
    embedding = embeddings(network, shown)
    counts = Emulator(clip).run(host.encode(clip, embedding)[0], "counts")
    with torch.no_grad():
        said = torch.from_numpy(host.decode(clip, counts))
        wanted = network.tell(said, torch.from_numpy(embedding)).double().numpy()
    changes = shown.transpose(0, 2, 3, 4, 1)
    program = stream_blocks(micro)
    one = TokenStream(network, program, backend)
    parts = [one.push(changes[0, k : k + 4]) for k in range(0, 32, 4)] + [one.finish()]
    np.testing.assert_allclose(np.concatenate(parts), wanted[0], atol=1e-5)
    # Nothing but the first value of a token is certain before the next one is.
    behind = latency(program).frames
    assert [len(part) for part in parts[:-1]] == [0] * behind + [1] + [4] * (8 - behind - 1)
    whole = TokenStream(network, program, backend)
    joined = changes.reshape(-1, *changes.shape[2:])
    found = np.concatenate([whole.push(joined[:40]), whole.push(joined[40:]), whole.finish()]).reshape(3, 32)
    reach = network.config.blocks * network.config.reach
    assert (latency(program).before, latency(program).after) == (reach, reach)
    away = 4 * (reach + HEAD_REACH)
    np.testing.assert_allclose(found[:, away:-away], wanted[:, away:-away], atol=1e-5)
    assert np.abs(found - wanted)[0, -away:].max() > 1e-3


def test_the_predictor_looks_one_token_ahead(micro: System) -> None:
    tokens = torch.rand(1, *micro.network.config.shape)
    changed = tokens.clone()
    changed[:, :, 5] += 1
    with torch.no_grad():
        differs = (micro.network.predictor(tokens) != micro.network.predictor(changed))[0].nonzero().ravel()
    assert differs.min() == 4 * (5 - HEAD_REACH) + 1
    assert differs.max() < 4 * (6 + HEAD_REACH)


def test_values_are_as_late_as_told(micro: System) -> None:
    program = stream_blocks(micro, 16)
    stream = PulseStream(micro.network, program)
    least, most = frames_behind(stream.tokens.latency)
    frames = np.random.default_rng(1).integers(0, 255, (120, 16, 32, 3)).astype(np.uint8)
    told, found, ages = 0, [], []
    for newest, frame in enumerate(frames):
        fresh = stream.push(frame)
        ages += [newest - (value + 1) for value in range(told, told + len(fresh))]
        told += len(fresh)
        found.append(fresh)
    assert set(ages[1:]) == set(range(least, most + 1))
    assert ages[0] == least
    wave = np.concatenate([*found, stream.finish()])
    # The same changes of frames, all at once.
    again = TokenStream(micro.network, program)
    changes = running_normalised(frames)[: len(wave)]
    np.testing.assert_allclose(wave, np.concatenate([again.push(changes), again.finish()]), atol=1e-5)


def test_heart_rates_come_every_second(micro: System) -> None:
    rng, live = np.random.default_rng(2), LivePulse(PulseStream(micro.network, stream_blocks(micro)))
    frames = rng.integers(100, 120, (395, 16, 32, 3)).astype(np.uint8)
    found = list(live.follow(frames))
    assert [r.seconds + WINDOW / 2 for r in found] == [10.0, 11.0, 12.0, 13.0]
    pulse = live.pulse()
    assert len(pulse.wave) == 392
    assert pulse.readings == found
    with pytest.raises(BuildError, match="show the stream 30 frames at least"):
        LivePulse(PulseStream(micro.network, stream_blocks(micro))).pulse()


def test_frames_are_paced() -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 255, (40, 2, 3, 3)).astype(np.uint8)
    even = list(paced(((k / 30 + 0.001 * (k % 2), f) for k, f in enumerate(frames)), 30))
    assert (np.stack(even) == frames).all()
    ramp = [(k / 20, np.full((2, 3, 3), 4 * k, np.uint8)) for k in range(31)]
    found = np.stack(list(paced(iter(ramp), 30)))[:, 0, 0, 0].astype(float)
    assert len(found) == 46
    np.testing.assert_allclose(found, np.arange(46) * 80 / 30, atol=0.51)
    with pytest.raises(DataError, match="rising time stamps"):
        list(paced([(0.1, frames[0]), (0.1, frames[1])], 30))
    with pytest.raises(DataError, match="are missing after"):
        list(paced([(0.1, frames[0]), (0.9, frames[1])], 30))
    with pytest.raises(DataError, match="give a number above 0"):
        list(paced([], 0))


def test_what_does_not_stream_is_refused(micro: System) -> None:
    program = stream_blocks(micro)
    published = SpikingPhysFormer(replace(micro.network.config, variant="reproduction"))
    values = SpikingPhysFormer(replace(micro.network.config, attention="values"))
    for network, kind in ((published, "the published variant"), (values, "attention with values")):
        with pytest.raises(BuildError, match=f"{kind} does not stream, as it counts over all of a clip"):
            stream_blocks(System(micro.blocks, network))
    with pytest.raises(BuildError, match="a stream runs on emulator or reference"):
        TokenStream(micro.network, program, "lava")
    with pytest.raises(BuildError, match="5 differences of frames; a token takes 4"):
        TokenStream(micro.network, program).push(np.zeros((5, 16, 32, 3), np.float32))
    with pytest.raises(BuildError, match=r"a frame of shape \(32, 16, 3\); the network takes \(16, 32, 3\)"):
        PulseStream(micro.network, program).push(np.zeros((32, 16, 3), np.uint8))


@pytest.mark.slow
def test_the_command_tells_heart_rates_as_it_goes(system: System, workspace, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipe = workspace.folder.parent / f"{workspace.recipe.model.variant}.toml"
    given = (
        "--synthetic",
        "--recipe",
        str(recipe),
        "--build",
        str(workspace.folder),
        "--out",
        str(tmp_path / "out"),
    )
    done = spikewright("pulse", "100003", "--stream", *given, cwd=tmp_path)
    if system.network.config.counts_all:
        assert done.returncode == 2
        assert "does not stream" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert "the wave is 15 to 18 frames behind the camera" in done.stdout
    assert "  10.0 s" in done.stdout
    assert (tmp_path / "out" / "pulse.json").exists()
    beyond = spikewright("pulse", "100003", "--period", "8", *given, cwd=tmp_path)
    assert beyond.returncode == 2
    assert "goes with --stream" in beyond.stderr
