"""The program stands for the network it came from; files alone are the system; a deployment is a whole report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright import lowering
from spikewright.benchmarks.generated_file import NAME, read_generated
from spikewright.errors import BuildError, RecipeError
from spikewright.export.fine_tune import Tuned, fine_tune
from spikewright.export.graph import Graph
from spikewright.models.checkpoint import load_tensors
from spikewright.progress import Step, Steps
from spikewright.recipe import load_recipe
from spikewright.sddpm.quality import noise_quality
from spikewright.sddpm.reporting import report_system, threshold_note
from spikewright.sddpm.system import System, export_system, load_system
from spikewright.sddpm.verification import verify_system
from spikewright.systems import SDDPM
from spikewright.training import ensure_weights
from spikewright.workspace import Workspace


def nothing(done: int, of: int) -> None: ...


def test_the_files_alone_are_the_system(system: System, workspace: Workspace) -> None:
    again = load_system(workspace.folder)
    assert again.image == system.image == (1, 8, 12)
    assert again.schedule.steps == 1000
    assert (
        again.denoiser.program.populations[3].threshold == system.denoiser.program.populations[3].threshold
    ).all()
    assert all(path.exists() for path in SDDPM.files(workspace.folder).values())


def test_a_missing_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"recipe.json is missing.*run `spikewright export` first"):
        load_system(tmp_path)


def test_few_images_are_tuned_on_with_noise_of_many_kinds(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantise = workspace.recipe.quantise.model_copy(update={"bits": 4, "tune": 1, "tuning_images": 2000})
    tuned = Workspace(workspace.recipe.model_copy(update={"quantise": quantise}), tmp_path / "tuned")
    shutil.copytree(workspace.folder, tuned.folder)
    given: list[np.ndarray] = []

    def seen(graph: Graph, samples: np.ndarray, *args: Any, **kwargs: Any) -> Tuned:
        given.extend((samples, kwargs["targets"]))
        return fine_tune(graph, samples, *args, **kwargs)

    monkeypatch.setattr(lowering, "fine_tune", seen)
    assert len(tuned.train_images) < 1500
    export_system(tuned, Steps())
    samples, noise = given
    assert len(samples) == len(noise) == 2000
    assert len(np.unique(noise, axis=0)) == 2000
    assert len(np.unique(samples.reshape(2000, -1), axis=0)) == 2000


def test_integers_tell_the_noise_of_the_shipped_network_as_floats_do(tmp_path: Path) -> None:
    workspace = Workspace(load_recipe("sddpm-digits"), tmp_path)
    system = export_system(workspace, Steps())
    found = noise_quality(workspace, system, 100, nothing)
    assert found.within_limit
    assert abs(found.gap_percent) <= 1
    assert found.mse_float < 0.25  # noise of variance 1 is told
    assert found.mse_ann is not None
    assert found.mse_ann < found.mse_float


def test_a_deployment_is_a_whole_report(workspace: Workspace, system: System) -> None:
    found = verify_system(workspace, system, Steps(), use_lava=False)
    assert not found.failed
    assert [s.backend for s in found.same_images] == ["reference"]
    assert found.same_images[0].equal
    report = report_system(workspace, system, found, Steps())
    made = report.generation
    assert made is not None
    assert made.sampler is not None
    assert (made.sampler.rule, made.sampler.steps, made.evaluations) == ("ddim", 4, 4.0)
    assert made.tokens is None
    assert made.noise is not None
    assert made.evaluation_energy is not None
    assert len(made.evaluation_energy) == 4
    # Counts are of all evaluations of an image.
    (program,) = made.programs
    assert program.runs == 4
    assert sum(layer.sops for layer in report.layers) == pytest.approx(made.per_image.sops_mean)
    assert report.totals.host_macs == made.host_macs == 4 * 8 * 22 * 34
    for name in ("report.md", "report.html", "report.json"):
        assert (workspace.folder / name).stat().st_size > 1000
    kept = read_generated(workspace.folder / NAME)
    assert set(kept.samples) == {"ann", "float", "int8"}
    assert kept.samples["int8"].shape == (6, 1, 8, 12)
    assert not kept.reconstructions


def test_a_network_may_tell_velocities_and_see_more_finely(recipe: Path, tmp_path: Path) -> None:
    finer = {"model.prediction": "velocity", "model.coding_channels": 12}
    workspace = Workspace(load_recipe(str(recipe), finer), tmp_path / "build")
    ensure_weights(workspace, Steps())
    system = export_system(workspace, Steps())
    found = verify_system(workspace, system, Steps(), use_lava=False)
    assert not found.failed
    report = report_system(workspace, system, found, Steps())
    assert report.generation is not None
    assert report.generation.sampler is not None
    assert report.generation.sampler.prediction == "velocity"
    assert "to its velocity" in report.generation.programs[0].purpose
    noise = report.generation.noise
    assert noise is not None
    assert noise.mse_ann is not None
    assert 0 < max(noise.mse_float, noise.mse_int8, noise.mse_ann) < 0.9
    # ONNX Runtime tells the velocities of the same twin, and the host forms the same noise.
    twin = {run.precision: run.value for run in report.baseline.runs}
    assert twin["float32"] == pytest.approx(noise.mse_ann, rel=1e-3)
    assert "tells an image's velocity" in (workspace.folder / "report.md").read_text()


def test_training_that_starts_from_the_twin_and_is_stopped_ends_with_the_same_weights(
    recipe: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = load_recipe(str(recipe), {"train.start": "twin"})
    whole, stopped = (Workspace(begun, tmp_path / name) for name in ("whole", "stopped"))
    paths = ensure_weights(whole, Steps(), kinds=("unet", "unet_ann"))
    assert list(paths) == ["unet_ann", "unet"]
    told = load_tensors(paths["unet"])[1]["test"]["noise_mse"]
    assert told < load_tensors(workspace.weights("unet"))[1]["test"]["noise_mse"]

    class Killed(Exception): ...

    def kill(step: object, done: int, of: int) -> None:
        if done == 30:
            raise Killed

    path = stopped.training_folder("unet_ann") / "weights.safetensors"
    path.parent.mkdir(parents=True)
    shutil.copy(paths["unet_ann"], path)
    with monkeypatch.context() as patched:
        patched.setattr(Step, "update", kill)
        with pytest.raises(Killed):
            ensure_weights(stopped, Steps(), kinds=("unet", "unet_ann"))
    again = ensure_weights(stopped, Steps(), kinds=("unet", "unet_ann"))
    one, other = (load_tensors(found["unet"])[0] for found in (paths, again))
    assert all((value == other[name]).all() for name, value in one.items())


def test_all_checks_hold_at_another_threshold(recipe: Path, workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(load_recipe(str(recipe), {"deploy.threshold_scale": 0.97}), tmp_path / "build")
    shutil.copytree(workspace.folder / "train", other.folder / "train")
    guided = export_system(other, Steps())
    assert guided.threshold == load_system(other.folder).threshold == 0.97
    found = verify_system(other, guided, Steps(), use_lava=False)
    assert not found.failed
    assert found.equivalence.norse.ran
    # The float network that layers are held against has the same threshold: their rates agree.
    for row in found.equivalence.quantisation:
        assert row.rate_int8 == pytest.approx(row.rate_float, abs=0.03)


def test_a_threshold_is_said_in_bits(system: System) -> None:
    from dataclasses import replace

    assert threshold_note(system) == ""
    said = threshold_note(replace(system, threshold=0.99))
    assert "least significant bits" in said
    values = np.concatenate([p.threshold for p in system.firing])
    assert f"{values.min():,}" in said


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"deploy.sampling_steps": 1001}, "deploy.sampling_steps = 1001: the diffusion has 1000 steps"),
        ({"deploy.temperature": 0.5}, r"unknown key 'deploy.temperature'"),
        ({"deploy.threshold_scale": 0.0}, r"deploy.threshold_scale = 0.0: input should be greater than 0"),
        ({"deploy.sampler": "euler"}, r"deploy.sampler = 'euler'"),
        ({"data.image": [10, 8]}, "multiple of 4"),
        ({"model.build": "swish"}, r"model.build = 'swish'"),
        ({"train.start": "zero"}, r"train.start = 'zero'"),
        (
            {"train.start": "twin", "model.build": "lean"},
            r"train.start = 'twin': shortcuts of the lean build",
        ),
    ],
)
def test_wrong_recipes_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("sddpm-digits", overrides)
