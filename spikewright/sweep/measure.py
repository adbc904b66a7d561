"""One point, measured without Lava: exported, quantised, placed, run on the emulator over test samples, and priced.

The functions are those of the reports, on the same networks and the same counts; only images drawn from noise, and what is
judged by them, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .. import measuring
from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..benchmarks.counting import LayerCount, totals
from ..benchmarks.energy import load_models
from ..benchmarks.quality import mean_and_interval, reconstruction_error
from ..deployment import export_recipe
from ..diffusion import baseline as diffusion_baseline
from ..diffusion import pricing as diffusion_pricing
from ..diffusion import system as diffusion_system
from ..diffusion.evaluators import ChipEvaluator
from ..diffusion.quality import reconstruct, token_figures
from ..diffusion.verification import parts_of
from ..generating.checking import AGREEMENT_SAMPLES
from ..generating.counting import baseline_of, layers_of, placed, times, together
from ..generating.tally import Tally
from ..hardware.chip import load_chip
from ..hardware.emulator import Emulator
from ..hardware.evaluation import evaluate
from ..hardware.placement import Hops, Placement, hops
from ..hardware.program import Program
from ..models.ann_vae import ANNVAE
from ..models.physformer_ann import PhysFormer
from ..models.sampler import expected_evaluations
from ..physformer import accuracy
from ..physformer import pricing as pulse_pricing
from ..physformer import system as pulse_system
from ..physformer import verification as pulse_verification
from ..physformer.data import count_recordings, recordings
from ..physformer.host_part import export_host
from ..progress import Steps
from ..recipe import DiffusionRecipe, ESVAERecipe, PulseRecipe, Recipe, UNetRecipe
from ..sddpm import baseline as sddpm_baseline
from ..sddpm import pricing as sddpm_pricing
from ..sddpm import system as sddpm_system
from ..sddpm.evaluators import ChipDenoiser
from ..sddpm.quality import noise_quality
from ..sddpm.verification import samples_of
from ..workspace import Workspace
from .figures import Figures, Joules, Quality

Counted = TypeVar("Counted")
Means = Mapping[str, NDArray[np.float64]]


class Sampled(Workspace):
    """A recipe with its weights at hand and so many test samples, drawn by the recipe's seed.

    Parameters
    ----------
    files : mapping of str to Path
        Weights by kind.
    samples : int
        Test images, or videos, at most.
    """

    def __init__(self, recipe: Recipe, folder: Path, files: Mapping[str, Path], samples: int) -> None:
        super().__init__(recipe, folder)
        self.files, self.samples = files, samples

    def weights(self, kind: str) -> Path | None:
        """As handed in."""
        return self.files.get(kind)

    def chosen(self, of: int) -> NDArray[np.int64]:
        """Numbers of the test samples, in the order that the seed gives them."""
        return np.random.default_rng(self.recipe.seed).permutation(of)[: self.samples]

    @cached_property
    def test_images(self) -> NDArray[np.float32]:
        """The test images that were drawn."""
        images = self._images("test")
        return images[self.chosen(len(images))]


@dataclass(frozen=True, eq=False)
class Part:
    """What one of a sample's programs does in a run.

    Attributes
    ----------
    means : mapping of str to ndarray
        Spikes of each neuron in a run, by population and source.
    layers : list of LayerCount
        Of a run.
    runs : float
        For a sample.
    """

    program: Program
    means: Means
    layers: list[LayerCount]
    runs: float = 1.0

    @classmethod
    def of(cls, tally: Tally, samples: NDArray[np.float32], runs: float = 1.0) -> Part:
        """The program of a tally; ``samples`` say which neuron updates had something to do."""
        means = {name: spikes / tally.samples for name, spikes in tally.totals.items()}
        return cls(tally.program, means, layers_of(tally, samples), runs)


@dataclass(frozen=True, eq=False)
class Measured:
    """What the systems measure, each in its own way; ``parts`` are the programs of a sample, by name."""

    quality: list[Quality]
    samples: int
    parts: dict[str, Part]
    host_macs: int
    twin: MacCount
    clipped: int


def measure(workspace: Sampled) -> Figures:
    """Figures of a recipe, all files in the workspace's folder."""
    workspace.folder.mkdir(parents=True, exist_ok=True)
    found = _SYSTEMS[type(workspace.recipe)](workspace, Steps.silent())
    parts, chip = found.parts, load_chip(workspace.recipe.deploy.chip)
    models = load_models(workspace.recipe.deploy.energy)
    placements, fits = placed({name: part.program for name, part in parts.items()}, chip)
    fit = together(fits, chip) if len(fits) > 1 else next(iter(fits.values()))
    layers = [layer for part in parts.values() for layer in times(part.layers, part.runs)]
    energy = measuring.energy(layers, found.host_macs, found.twin, _journeys(placements, parts), models)
    sums, first = totals(layers), next(iter(parts.values()))
    complete = all(placement.complete for placement in placements.values())
    cores = fit.cores_placed if complete else None
    errors = [str(finding) for finding in fit.findings if finding.severity == "error"]
    if (
        cores is not None and cores > fit.cores_available and not errors
    ):  # each program fits a chip, not all together
        errors = [f"all programs together take {cores} cores, {chip.title} has {fit.cores_available}"]
    alone = len(parts) == 1
    return Figures(
        quality=found.quality,
        samples=found.samples,
        evaluations=first.runs,
        spikes=sums.spikes,
        sops=sums.sops,
        neuron_updates=sums.neuron_updates,
        host_macs=found.host_macs,
        ann_macs=found.twin.macs,
        energy={
            name: Joules(**{field: getattr(row, field) for field in Joules.model_fields})
            for name, row in energy.items()
        },
        neurons=fit.neurons,
        synapses=fit.synapses,
        cores=cores,
        cores_available=fit.cores_available,
        chips=None if cores is None else -(-cores // fit.cores_available),
        fits=not errors,
        errors=errors,
        binding=fit.binding,
        timesteps=first.program.timesteps,
        period=first.program.period,
        latency_steps=round(sum(p.runs * (p.program.depth + p.program.timesteps) for p in parts.values())),
        rate=sums.rate,
        rates={
            layer.name if alone else f"{name}/{layer.name}": layer.rate
            for name, part in parts.items()
            for layer in part.layers
        },
        clipped=found.clipped,
    )


def _journeys(placements: Mapping[str, Placement], parts: Mapping[str, Part]) -> Hops | None:
    """Hops of a sample's spikes; None where a program is not placed."""
    if not all(placement.complete for placement in placements.values()):
        return None
    found = [
        hops(placements[name], {k: mean * part.runs for k, mean in part.means.items()})
        for name, part in parts.items()
    ]
    return Hops(*(sum(getattr(h, f) for h in found) for f in Hops.__dataclass_fields__))


def _esvae(workspace: Sampled, steps: Steps) -> Measured:
    """Test images reconstructed."""
    lowered, images, ann = export_recipe(workspace, steps), workspace.test_images, workspace.network("ann")
    assert isinstance(ann, ANNVAE)
    ran = evaluate(Emulator(lowered.program), images)
    made = measuring.reconstruct(lowered, ann, images, ran.outputs, lambda done, of: None)
    errors = {name: reconstruction_error(pictures, images) for name, pictures in made.items()}
    twin = _counted_once(workspace, lambda: _exported(ann, images.shape[1:], workspace.onnx))
    layers = measuring.count_layers(lowered.program, images, ran.recording, {})
    return Measured(
        [_by_sample("reconstruction error (MSE)", errors)],
        len(images),
        {"network": Part(lowered.program, ran.means(), layers)},
        measuring.sum_up(lowered, layers, twin).host_macs,
        twin,
        ran.clipped,
    )  # fmt: skip


def _diffusion(workspace: Sampled, steps: Steps) -> Measured:
    """The bound on test grids, and test images reconstructed.

    A run of the denoiser costs the mean over the bound's partly hidden grids; an image takes as many of them as the
    sampler does in the mean.
    """
    recipe = workspace.recipe
    assert isinstance(recipe, DiffusionRecipe)
    system, images = diffusion_system.export_system(workspace, steps), workspace.test_images
    twins = _counted_once(workspace, lambda: diffusion_baseline.export_twins(workspace))
    made = reconstruct(workspace, system, lambda done, of: None)
    chip = ChipEvaluator(system, "emulator")
    try:
        found = token_figures(workspace, system, chip, len(images), made.chosen)
        for first in range(0, len(images), 100):
            chip.images(made.chosen[first : first + 100])
        tallies, clipped = chip.tallies, chip.clipped
    finally:
        chip.close()
    runs = {
        "denoiser": float(expected_evaluations(system.grid[0] * system.grid[1], recipe.deploy.refinements)),
        "decoder": 1.0,
    }
    inputs = {part.name: part.samples for part in parts_of(workspace, system, AGREEMENT_SAMPLES)}
    errors = {name: reconstruction_error(some, images) for name, some in made.images.items()}
    bound = {"int8": found.elbo_int8, "float": found.elbo_float, "ann": found.elbo_ann}
    return Measured(
        [
            _quality("bound (bits a token)", bound),
            _by_sample("reconstruction error (MSE)", errors),
        ],
        len(images),
        {name: Part.of(tally, inputs[name], runs[name]) for name, tally in tallies.items()},
        diffusion_pricing.host_macs(system),
        baseline_of({"denoiser": (twins.denoiser, runs["denoiser"]), "decoder": (twins.decoder, 1.0)}),
        clipped,
    )  # fmt: skip


def _sddpm(workspace: Sampled, steps: Steps) -> Measured:
    """The noise told in test images, at indices spread over the diffusion.

    An evaluation costs the mean over them; an image takes one for each step of the sampler.
    """
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    system, images = sddpm_system.export_system(workspace, steps), workspace.test_images
    twin = _counted_once(workspace, lambda: sddpm_baseline.export_twin(workspace))
    chip = ChipDenoiser(system, "emulator")
    try:
        found = noise_quality(workspace, system, len(images), lambda done, of: None, chip)
    finally:
        chip.close()
    assert found.mse_ann is not None
    deploy = recipe.deploy
    runs = float(deploy.sampling_steps if deploy.sampler == "ddim" else recipe.model.diffusion_steps)
    inputs = samples_of(workspace, system, AGREEMENT_SAMPLES)
    errors = {"int8": found.mse_int8, "float": found.mse_float, "ann": found.mse_ann}
    return Measured(
        [_quality("error of the noise (MSE)", errors)],
        len(images),
        {sddpm_system.NAME: Part.of(chip.tally, inputs, runs)},
        round(runs * sddpm_pricing.host_macs(system)),
        baseline_of({sddpm_system.NAME: (twin, runs)}),
        chip.noise.clipped,
    )


def _pulse(workspace: Sampled, steps: Steps) -> Measured:
    """Heart rates of test videos; a sample is a clip."""
    recipe = pulse_system.recipe_of(workspace)
    twin = workspace.network("physformer_ann")
    assert isinstance(twin, PhysFormer)
    network = pulse_system.network_of(workspace)
    system = pulse_system.System(pulse_system.export_blocks(workspace, network, steps), network)
    export_host(network, workspace.folder)
    frames = recipe.data.frames
    shape = (3, frames, *recipe.data.image)
    counted = _counted_once(workspace, lambda: _exported(twin, shape, workspace.onnx))
    chosen = workspace.chosen(count_recordings(recipe.data, "test")).tolist()
    videos = recordings(recipe.data, "test", recipe.train_seed, chosen=chosen)
    judged = accuracy.judge(system, twin, videos, ablation_videos=0)
    versions = ("int8", "float", "ann")
    by_video = {name: judged.by_video(name) for name in versions}
    from_changes = {name: judged.by_video(name, "differences").errors for name in versions}
    inputs = pulse_verification.part_of(workspace, system, pulse_verification.AGREEMENT_CLIPS).samples
    return Measured(
        [
            _by_sample("heart rate (MAE, bpm)", {name: by_video[name].errors for name in versions}),
            _by_sample("heart rate from changes (MAE, bpm)", from_changes),
            _by_sample("1 - correlation of waves", {name: 1 - by_video[name].wave_correlation for name in versions}),
        ],
        len(judged.waves["reference"]),
        {pulse_system.NAME: Part.of(judged.tally, inputs)},
        pulse_pricing.host_macs(workspace.folder),
        counted,
        judged.clipped,
    )  # fmt: skip


_SYSTEMS: dict[type[Recipe], Callable[[Sampled, Steps], Measured]] = {
    ESVAERecipe: _esvae,
    DiffusionRecipe: _diffusion,
    UNetRecipe: _sddpm,
    PulseRecipe: _pulse,
}


_COUNTED: dict[str, Any] = {}


def _counted_once(workspace: Workspace, count: Callable[[], Counted]) -> Counted:
    """Operations of the twin, which follow from the architecture alone; points of a worker share them."""
    key = workspace.recipe.model_dump_json(include={"model", "data"})
    if key not in _COUNTED:
        _COUNTED[key] = count()
    found: Counted = _COUNTED[key]
    return found


def _exported(network: nn.Module, shape: tuple[int, ...], path: Path) -> MacCount:
    export_onnx(network, shape, path)
    return count_macs(path)


def _quality(measure: str, values: Mapping[str, float]) -> Quality:
    return Quality(
        measure=measure, chip=values["int8"], chip_ci95=None, float_network=values["float"], ann=values["ann"]
    )


def _by_sample(measure: str, errors: Mapping[str, NDArray[np.float64]]) -> Quality:
    """Of errors (samples,) of each version, on the same samples."""
    told = _quality(measure, {name: float(error.mean()) for name, error in errors.items()})
    own, change = (mean_and_interval(some)[1] for some in (errors["int8"], errors["int8"] - errors["float"]))
    return told.model_copy(update={"chip_ci95": own, "change_ci95": change})
