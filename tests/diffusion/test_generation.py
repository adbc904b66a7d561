"""Images are a matter of seed and number alone: not of the backend, the batch, the parts, or a kill."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from spikewright.diffusion.checks import same_images
from spikewright.diffusion.evaluators import ChipEvaluator, FloatEvaluator, open_evaluator
from spikewright.diffusion.generation import Generated, generate, generate_in_parts
from spikewright.diffusion.quality import generate_twins
from spikewright.diffusion.system import System
from spikewright.errors import BuildError
from spikewright.hardware import lava
from spikewright.models.sampler import expected_evaluations
from spikewright.workspace import Workspace

SEED = 3


def on_emulator(
    system: System, count: int, batch: int = 50, first: int = 0, temperature: float = 1.0
) -> Generated:
    evaluator = ChipEvaluator(system, "emulator")
    try:
        return generate(
            system, evaluator, count, seed=SEED, batch=batch, first=first, temperature=temperature
        )
    finally:
        evaluator.close()


def equal(a: Generated, b: Generated) -> bool:
    return all((getattr(a, name) == getattr(b, name)).all() for name in vars(a))


def test_images_do_not_depend_on_what_is_made_beside_them(system: System) -> None:
    whole = on_emulator(system, 7)
    assert equal(whole, on_emulator(system, 7, batch=3))
    pieces = [on_emulator(system, many, first=first) for first, many in ((0, 2), (2, 1), (3, 4))]
    assert equal(whole, Generated.joined(pieces))
    assert whole.images.shape[1:] == (1, 16, 16)
    assert len({image.tobytes() for image in whole.images}) == 7
    assert (whole.tokens < system.codes).all()


def test_another_backend_makes_the_same_image_spike_for_spike(system: System) -> None:
    found = same_images(system, "reference", 3, seed=SEED, temperature=1.0)
    assert found.equal, found.first
    assert found.differing_spikes == found.differing_readouts == 0
    assert found.evaluations == on_emulator(system, 3).evaluations.sum()


def test_refined_images_are_the_same_on_another_backend_and_cost_six_evaluations_more(system: System) -> None:
    found = same_images(system, "reference", 2, seed=SEED, temperature=1.0, refinements=2)
    assert found.equal, found.first
    evaluator = ChipEvaluator(system, "emulator")
    try:
        made = generate(system, evaluator, 5, seed=SEED, refinements=2)
    finally:
        evaluator.close()
    plain = on_emulator(system, 5)
    assert (made.evaluations - plain.evaluations == 12).all()
    assert (made.spikes[:, 0] > plain.spikes[:, 0]).all()
    assert (made.tokens != plain.tokens).any((1, 2)).all()
    assert found.evaluations == made.evaluations[:2].sum()


def test_of_an_image_only_the_beginning_may_be_repeated(system: System) -> None:
    found = same_images(system, "reference", 2, seed=SEED, temperature=1.0, refinements=1, evaluations=3)
    every = same_images(system, "reference", 2, seed=SEED, temperature=1.0, refinements=1)
    assert found.equal, found.first
    assert found.evaluations == 6 < every.evaluations
    assert every.whole
    assert not found.whole
    more = same_images(system, "reference", 2, seed=SEED, temperature=1.0, refinements=1, evaluations=1000)
    assert more.whole
    assert more.evaluations == every.evaluations


@pytest.mark.skipif(not lava.available()[0], reason="Lava is not installed")
def test_lava_makes_the_same_two_images_spike_for_spike(system: System) -> None:
    found = same_images(system, "lava", 2, seed=SEED, temperature=1.0, time_limit=300)
    assert found.equal, found.first
    assert found.neuron_steps > 100_000


def test_a_difference_is_found_and_named(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from spikewright.generating import same

    program = system.denoiser.program
    altered = tuple(
        replace(p, threshold=p.threshold + (p.name == program.populations[1].name) * 40)
        for p in program.populations
    )
    wrong = replace(program, populations=altered)
    opened = same.open_session

    def swapped(given: object, backend: str = "emulator", **options: object) -> object:
        return opened(wrong if given is program and backend == "reference" else given, backend, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(same, "open_session", swapped)
    found = same_images(system, "reference", 2, seed=SEED, temperature=1.0)
    assert not found.equal
    assert found.differing_spikes > 0
    assert found.first.startswith(f"evaluation 1: {program.populations[1].name}")


def test_the_number_of_evaluations_is_the_expected_one(system: System) -> None:
    made = on_emulator(system, 300)
    positions = system.grid[0] * system.grid[1]
    mean, spread = made.evaluations.mean(), made.evaluations.std() / np.sqrt(300)
    assert abs(mean - expected_evaluations(positions)) < 4 * spread
    assert (made.evaluations <= positions).all()
    assert (made.spikes > 0).all()
    # Spikes are of all runs of the denoiser: more evaluations, more spikes.
    assert np.corrcoef(made.evaluations, made.spikes[:, 0])[0, 1] > 0.5


def test_cold_images_are_likelier_and_a_wrong_temperature_is_refused(system: System) -> None:
    cold, warm = on_emulator(system, 40, temperature=0.05), on_emulator(system, 40)
    kinds = [len({grid.tobytes() for grid in made.tokens}) for made in (cold, warm)]
    assert kinds[0] < kinds[1]
    with pytest.raises(ValueError, match="temperature is 0"):
        on_emulator(system, 1, temperature=0)


def test_a_run_that_was_killed_goes_on_where_it_was(
    system: System, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikewright.generating import made as making

    monkeypatch.setattr(making, "PART", 3)

    def killed(done: int, of: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_in_parts(system, "emulator", 8, folder, seed=SEED, report=killed)
    assert [p.name for p in (folder / "parts").glob("*.npz")] == ["000000-000003.npz"]
    made = generate_in_parts(system, "emulator", 8, folder, seed=SEED)
    assert equal(made, on_emulator(system, 8))
    stamps = {p: p.stat().st_mtime_ns for p in (folder / "parts").iterdir()}
    generate_in_parts(system, "emulator", 8, folder, seed=SEED)
    assert stamps == {p: p.stat().st_mtime_ns for p in (folder / "parts").iterdir()}
    with pytest.raises(BuildError, match="seed was 3, is 4"):
        generate_in_parts(system, "emulator", 8, folder, seed=4)
    with pytest.raises(BuildError, match="temperature"):
        generate_in_parts(system, "emulator", 8, folder, seed=SEED, temperature=0.5)
    with pytest.raises(BuildError, match="refinements was 0, is 1"):
        generate_in_parts(system, "emulator", 8, folder, seed=SEED, refinements=1)
    part = folder / "parts" / "000003-000006.npz"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BuildError, match=r"000003-000006.npz: damaged .*; delete it"):
        generate_in_parts(system, "emulator", 8, folder, seed=SEED)


def test_what_an_earlier_run_counted_is_counted_again(
    system: System, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikewright.generating import made as making

    monkeypatch.setattr(making, "PART", 3)

    def report(evaluator: ChipEvaluator, stop: int) -> Generated:
        def killed(done: int, of: int) -> None:
            if done > stop:
                raise KeyboardInterrupt

        try:
            return generate_in_parts(
                system, "emulator", 8, folder, seed=SEED, evaluator=evaluator, report=killed
            )
        finally:
            evaluator.close()

    first, second, whole = (ChipEvaluator(system, "emulator") for _ in range(3))
    with pytest.raises(KeyboardInterrupt):
        report(first, 4)
    made = report(second, 8)
    shutil.rmtree(folder)
    assert equal(made, report(whole, 8))
    for name, tally in whole.tallies.items():
        assert second.tallies[name].samples == tally.samples > 0
        for population, total in tally.totals.items():
            np.testing.assert_array_equal(second.tallies[name].totals[population], total)
        counted, wanted = vars(second.exchanges[name]), vars(whole.exchanges[name])
        assert counted.keys() == wanted.keys()
        for field in ("evaluations", "samples", "spikes_written", "spikes_read", "state_words_read"):
            assert counted[field] == wanted[field], field
        assert counted["samples"] == tally.samples
    # Parts of other weights are no error here, as a build that is measured anew has no use for them.
    (folder / "parts" / "key.json").write_text('{"seed": 1}')
    again = ChipEvaluator(system, "emulator")
    assert equal(report(again, 8), made)
    assert again.tallies["decoder"].samples == 8


def test_float_files_say_what_the_networks_say(system: System, workspace: Workspace, folder: Path) -> None:
    made = on_emulator(system, 5)

    def twins() -> dict[str, np.ndarray]:
        return generate_twins(
            workspace, system, made, folder, seed=SEED, temperature=1.0, progress=lambda done, of: None
        )

    drawn = twins()
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}
    assert len(kept) == 2
    assert all((again == drawn[name]).all() for name, again in twins().items())
    assert kept == {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}
    by_file = generate(system, FloatEvaluator(system), 5, seed=SEED)
    assert np.abs(by_file.images - drawn["float"]).max() < 1e-4
    assert drawn["ann"].shape == made.images.shape
    assert not by_file.spikes.any()


def test_an_unknown_backend_is_refused(system: System) -> None:
    with pytest.raises(
        BuildError, match="backend is 'loihi'; choose one of emulator, lava, loihi2, reference, float"
    ):
        open_evaluator(system, "loihi")


def test_only_logits_that_are_drawn_from_leave_the_chip(system: System) -> None:
    evaluator = ChipEvaluator(system, "emulator")
    try:
        made = generate(system, evaluator, 4, seed=SEED)
    finally:
        evaluator.close()
    positions = system.grid[0] * system.grid[1]
    exchange = evaluator.denoiser.exchange
    # Each position is drawn once, whatever the number of evaluations.
    assert exchange.state_words_read == 4 * positions * system.codes
    assert exchange.spikes_read == 0
    steps = system.denoiser.program.timesteps
    assert exchange.spikes_written == made.evaluations.sum() * positions * steps
