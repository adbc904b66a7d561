"""Images are a matter of seed and number alone: not of the backend, the batch, the parts, or a kill."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.errors import BuildError
from spikewright.generating import made as making
from spikewright.generating import same
from spikewright.generating.made import Made
from spikewright.hardware import lava
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.models.train import reestimate_batch_norm
from spikewright.models.unet_layout import Build, UNetConfig
from spikewright.sddpm.checks import same_images
from spikewright.sddpm.evaluators import ChipDenoiser, FloatDenoiser, open_denoiser
from spikewright.sddpm.generation import generate, generate_in_parts
from spikewright.sddpm.lowering import lower_denoiser
from spikewright.sddpm.system import System

SEED, STEPS = 3, 4


def on_emulator(
    system: System, count: int, batch: int = 50, first: int = 0, steps: int | None = STEPS, seed: int = SEED
) -> Made:
    chip = ChipDenoiser(system, "emulator")
    try:
        return generate(system, chip, count, seed=seed, sampling_steps=steps, batch=batch, first=first)
    finally:
        chip.close()


def equal(a: Made, b: Made) -> bool:
    return all((getattr(a, name) == getattr(b, name)).all() for name in vars(a))


def test_images_do_not_depend_on_what_is_made_beside_them(system: System) -> None:
    whole = on_emulator(system, 7)
    assert equal(whole, on_emulator(system, 7, batch=3))
    pieces = [on_emulator(system, many, first=first) for first, many in ((0, 2), (2, 1), (3, 4))]
    assert equal(whole, Made.joined(pieces))
    assert whole.images.shape == (7, 1, 8, 12)
    assert np.abs(whole.images).max() <= 1
    assert len({image.tobytes() for image in whole.images}) == 7
    assert (whole.evaluations == STEPS).all()
    assert (whole.spikes > 0).all()
    assert not equal(whole, on_emulator(system, 7, seed=4))


@pytest.mark.parametrize(
    "backend",
    [
        "reference",
        pytest.param(
            "lava", marks=pytest.mark.skipif(not lava.available()[0], reason="Lava is not installed")
        ),
    ],
)
def test_another_backend_makes_the_same_images_spike_for_spike(system: System, backend: str) -> None:
    limit = 300.0 if backend == "lava" else None
    found = same_images(system, backend, 2, seed=SEED, sampling_steps=3, time_limit=limit)
    assert found.equal, found.first
    assert found.differing_spikes == found.differing_readouts == 0
    assert found.evaluations == 6
    program = system.denoiser.program
    # Images follow each other every period; only the first waits for all levels.
    assert found.chip_steps < 3 * 2 * (program.depth + program.timesteps)


@pytest.mark.parametrize("build", ["faithful", "lean"])
def test_other_builds_make_the_same_images_too(build: Build, tmp_path: Path) -> None:
    """The published tail reads the stream after every step from both backends; what parts there parts the images."""
    torch.manual_seed(0)
    network = SpikingUNet(UNetConfig(image=(8, 12), channels=4, multipliers=(1, 2), build=build))
    images = torch.rand(16, 1, 8, 12) * 2 - 1
    reestimate_batch_norm(network, images, 16)
    other = System(lower_denoiser(network.eval(), images, tmp_path), network, 1.0)
    assert (other.tail is None) == (build == "lean")
    found = same_images(other, "reference", 2, seed=SEED, sampling_steps=3)
    assert found.equal, found.first
    made = on_emulator(other, 3)
    assert np.isfinite(made.images).all()
    assert len({image.tobytes() for image in made.images}) == 3


def test_a_difference_is_found_and_named(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    program = system.denoiser.program
    altered = tuple(
        replace(p, threshold=p.threshold + (p.name == program.populations[1].name) * 40)
        for p in program.populations
    )
    wrong, opened = replace(program, populations=altered), same.open_session

    def swapped(given: object, backend: str = "emulator", **options: object) -> object:
        return opened(wrong if backend == "reference" else given, backend, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(same, "open_session", swapped)
    found = same_images(system, "reference", 2, seed=SEED, sampling_steps=3)
    assert not found.equal
    assert found.differing_spikes > 0
    assert found.first.startswith(f"index 999 of the diffusion: {program.populations[1].name}")


def test_a_run_that_was_killed_goes_on_where_it_was(
    system: System, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PART", 3)

    def make(count: int, **changed: object) -> Made:
        given = {"seed": SEED, "sampling_steps": STEPS} | changed
        return generate_in_parts(system, "emulator", count, folder, **given)  # type: ignore[arg-type]

    def killed(done: int, of: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(8, report=killed)
    assert [p.name for p in (folder / "parts").glob("*.npz")] == ["000000-000003.npz"]
    assert equal(make(8), on_emulator(system, 8))
    stamps = {p: p.stat().st_mtime_ns for p in (folder / "parts").iterdir()}
    make(8)
    assert stamps == {p: p.stat().st_mtime_ns for p in (folder / "parts").iterdir()}
    for changed, message in (
        ({"seed": 4}, "seed was 3, is 4"),
        ({"sampling_steps": 5}, "steps was 4, is 5"),
        ({"sampling_steps": None}, "sampler was 'ddim', is 'ddpm'"),
    ):
        with pytest.raises(BuildError, match=message):
            make(8, **changed)
    with pytest.raises(BuildError, match=r"threshold was 1.0, is 0.99"):
        generate_in_parts(
            replace(system, threshold=0.99), "emulator", 8, folder, seed=SEED, sampling_steps=STEPS
        )
    part = folder / "parts" / "000003-000006.npz"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BuildError, match=r"000003-000006.npz: damaged .*; delete it"):
        make(8)


def test_what_an_earlier_run_counted_is_counted_again(
    system: System, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PART", 3)

    def run(count: int) -> tuple[Made, ChipDenoiser]:
        chip = ChipDenoiser(system, "emulator")
        try:
            made = generate_in_parts(
                system, "emulator", count, folder, seed=SEED, sampling_steps=STEPS, denoiser=chip
            )
        finally:
            chip.close()
        return made, chip

    run(3)
    made, second = run(8)
    shutil.rmtree(folder)
    again, whole = run(8)
    assert equal(made, again)
    assert second.tally.samples == whole.tally.samples == second.exchange.samples == 8 * STEPS
    for name, total in whole.tally.totals.items():
        np.testing.assert_array_equal(second.tally.totals[name], total)
    assert second.rate == whole.rate
    assert second.exchange.state_words_read == whole.exchange.state_words_read > 0
    assert second.noise.clipped == whole.noise.clipped


def test_chip_and_float_network_make_alike_images(system: System) -> None:
    chip = on_emulator(system, 6)
    by_float = generate(system, FloatDenoiser(system), 6, seed=SEED, sampling_steps=STEPS)
    assert not by_float.spikes.any()
    own = np.abs(chip.images - by_float.images).mean()
    others = np.abs(chip.images - np.roll(by_float.images, 1, 0)).mean()
    assert own < 0.5 * others


def test_another_threshold_is_the_float_networks_too_and_ends(system: System) -> None:
    lower = FloatDenoiser(replace(system, threshold=0.8))
    images, trained = np.random.default_rng(0).normal(size=(2, 1, 8, 12)), FloatDenoiser(system)
    before = trained(images, 500)
    assert np.abs(lower(images, 500) - before).max() > 1e-3
    assert (trained(images, 500) == before).all()


def test_an_unknown_backend_is_refused(system: System) -> None:
    with pytest.raises(
        BuildError, match="backend is 'loihi'; choose one of emulator, lava, loihi2, reference, float"
    ):
        open_denoiser(system, "loihi")
