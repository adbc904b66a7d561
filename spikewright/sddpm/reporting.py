"""The report of a deployed SDDPM: quality, operations and energy of a generated image."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import measuring
from ..answers import answers
from ..benchmarks.ann import MacCount
from ..benchmarks.counting import totals
from ..benchmarks.energy import load_models
from ..benchmarks.fidelity import fidelity
from ..benchmarks.generated_file import NAME as IMAGES
from ..benchmarks.generated_file import GeneratedFile, write_generated
from ..benchmarks.report import generation as made_of
from ..benchmarks.report import schema as parts
from ..benchmarks.report.pictures import Pictures
from ..benchmarks.report.write import write_report
from ..deployment import SHOWN, fit_part
from ..generating.checking import AGREEMENT_SAMPLES
from ..generating.counting import baseline_of, journeys, layers_of, placed, times
from ..generating.made import Made
from ..generating.rows import (
    classifier_distance,
    exchange_of,
    layer_rows,
    per_image,
    program_row,
    published,
    rasters,
    totals_row,
)
from ..hardware.chip import load_chip
from ..models.ann_vae import Autoencoder
from ..models.feature_classifier import FeatureClassifier
from ..models.guidance import firing_threshold
from ..progress import Steps
from ..recipe import UNetRecipe
from ..report_head import head
from ..verification import Verification
from ..workspace import Workspace
from .accounting import evaluation_energy, observe
from .baseline import FILE, export_twin, run_twin
from .evaluators import ChipDenoiser
from .generation import generate_in_parts
from .pricing import host_macs, image_joules
from .quality import generate_twins, noise_quality
from .system import NAME, System
from .verification import samples_of

Images = NDArray[np.float32]
HOST_NOTE = (
    "The host also takes the noise off the image, a handful of products a pixel, and looks the currents of the time up in a "
    "table; neither is counted. Chip steps are of images that are streamed back to back in batches; an image by itself "
    "waits for each evaluation to pass through all layers."
)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Everything that the report is made of."""

    made: Made
    generated: dict[str, Images]
    noise: made_of.NoiseQuality
    exchange: made_of.Exchange
    chip: ChipDenoiser
    twin: list[parts.TwinRun]


def report_system(workspace: Workspace, system: System, found: Verification, steps: Steps) -> parts.Report:
    """Measure quality, count, price, and write the report; also the file of images for comparisons."""
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    deploy, program, images = recipe.deploy, system.denoiser.program, workspace.test_images
    models = load_models(deploy.energy)
    with steps("ANN twin to ONNX"):
        twin = export_twin(workspace)
    chip = ChipDenoiser(system, "emulator")
    try:
        measured = _measure(workspace, system, chip, recipe, steps)
    finally:
        chip.close()
    made, runs = measured.made, float(measured.made.evaluations.mean())
    if chip.noise.clipped:
        steps.note(f"{chip.noise.clipped} input currents exceed the largest bias and were clipped")
    autoencoder, classifier = workspace.network("fad"), workspace.network("classifier")
    assert isinstance(autoencoder, Autoencoder)
    assert isinstance(classifier, FeatureClassifier)
    with steps("Frechet distances and image metrics"):
        quality = measuring.quality(images, workspace.train_images, None, measured.generated, autoencoder)
        samples = {
            name: made_of.SampleQuality(
                fad=row.fad_samples,
                classifier_frechet=classifier_distance(classifier, measured.generated[name], images),
                ssim_reconstruction=None,
                ssim_reconstruction_ci95=None,
            )
            for name, row in (("ann", quality.ann), ("float", quality.float_), ("int8", quality.int8))
        }
        unseen = workspace.train_images[: len(made.images)]
        floors = made_of.SampleFloors(
            fad=quality.fad_floor, classifier_frechet=classifier_distance(classifier, unseen, images)
        )
        image_metrics = parts.Fidelity(**vars(fidelity(measured.generated["int8"], images)))
    with steps("Operations, baseline, energy, fit"):
        inputs = samples_of(workspace, system, AGREEMENT_SAMPLES)
        layers = times(layers_of(chip.tally, inputs), runs)
        hardware = load_chip(deploy.chip)
        placements, fits = placed({NAME: program}, hardware)
        baseline = baseline_of({NAME: (twin, runs)})
        macs = round(runs * host_macs(system))
        energy = measuring.energy(
            layers, macs, baseline, journeys(placements, {NAME: chip.tally}, len(made.images)), models
        )
        joules = image_joules(system, made, twin, models)
        outside = {
            name.removeprefix(f"{NAME}/"): spikes / found.reference_images
            for name, spikes in found.overhead_spikes.items()
        }
        with firing_threshold(system.network, system.threshold):
            observed = observe(system.network, images[:AGREEMENT_SAMPLES])
        by_accounting = evaluation_energy(system, observed, chip.tally, outside, host_macs(system), twin)
    fitted = fit_part(hardware, fits[NAME])
    generation = made_of.Generation(
        programs=[
            program_row(NAME, system.purpose, program, runs, fits[NAME].synapses, fits[NAME].cores_placed)
        ],
        sampler=made_of.Sampler(
            rule=deploy.sampler,
            steps=round(runs),
            diffusion_steps=recipe.model.diffusion_steps,
            threshold=system.threshold,
            threshold_note=threshold_note(system),
            prediction=recipe.model.prediction,
        ),
        noise=measured.noise,
        seed=recipe.seed,
        evaluations=runs,
        samples=samples,
        floors=floors,
        same_images=found.same_images,
        exchange=measured.exchange,
        host_macs=macs,
        host_share_note=HOST_NOTE,
        published=published(recipe.model.kind, recipe.data.name),
        per_image=per_image(made, joules),
        evaluation_energy=by_accounting,
    )
    with steps("Report and pictures"):
        pictures = Pictures(
            originals=images[:0],
            reconstructions={},
            generated={name: some[:SHOWN] for name, some in measured.generated.items()},
            rasters=rasters({NAME: system.denoiser}, {NAME: inputs}),
        )
        report = parts.Report(
            **head(workspace, hardware, [program]),
            answers=answers(quality, found.equivalence, fitted, energy, recipe.quantise.bits, generation),
            samples=parts.Samples(
                quality=measured.noise.images,
                generated=len(made.images),
                counted=len(made.images),
                norse=found.norse_images,
                reference=found.reference_images,
                lava=found.lava_images,
            ),
            quality=quality,
            fidelity=image_metrics,
            equivalence=found.equivalence,
            layers=layer_rows(
                {NAME: system.denoiser}, {NAME: layers}, {NAME: runs}, found.overhead_spikes, models
            ),
            totals=totals_row((system.denoiser,), totals(layers), macs, baseline),
            baseline=_baseline(baseline, measured.twin),
            energy=energy,
            fit=fitted,
            timing=_timing(chip, found, steps, len(made.images)),
            files={
                "float NIR": workspace.float_nir.name,
                "integer NIR": workspace.integer_nir.name,
                "program": workspace.program.name,
                "ANN baseline": FILE,
                "images": IMAGES,
                "checks": workspace.equivalence.name,
                "recipe": "recipe.json",
            },
            generation=generation,
        )
        write_report(report, pictures, workspace.folder)
        _keep_images(workspace, measured, recipe.seed)
        shutil.rmtree(workspace.under_way)
    return report


def threshold_note(system: System) -> str:
    """What a threshold other than the trained one means in the program's integers; empty at the trained one."""
    if system.threshold == 1.0:
        return ""
    values = np.concatenate([p.threshold for p in system.firing])
    moved = (1 - 1 / system.threshold) * values
    return (
        f"Integer thresholds lie from {values.min():,} to {values.max():,}, so that the factor moves them by "
        f"{np.abs(moved).min():.2g} to {np.abs(moved).max():.2g} least significant bits; weights are quantised for them."
    )


def _measure(
    workspace: Workspace, system: System, chip: ChipDenoiser, recipe: UNetRecipe, steps: Steps
) -> _Measured:
    deploy, count, folder = recipe.deploy, recipe.deploy.generated_images, workspace.under_way
    sampling_steps = deploy.sampling_steps if deploy.sampler == "ddim" else None
    with steps(f"{count} images generated on the emulator") as step:
        made = generate_in_parts(
            system, "emulator", count, folder / "int8", seed=recipe.seed, sampling_steps=sampling_steps,
            denoiser=chip, report=step.update,
        )  # fmt: skip
    exchange = exchange_of((chip.exchange,), count)
    with steps(f"{count} images from the float network and the ANN twin") as step:
        generated = generate_twins(
            workspace,
            system,
            made.images,
            folder,
            seed=recipe.seed,
            sampling_steps=sampling_steps,
            progress=step.update,
        )
    images = min(deploy.noise_images, len(workspace.test_images))
    with steps(f"Error of the noise in {images} test images") as step:
        noise = noise_quality(workspace, system, images, step.update)
    with steps("ANN twin by ONNX Runtime, in floats and integers"):
        twin = run_twin(workspace, system.schedule, images)
    return _Measured(made, generated, noise, exchange, chip, twin)


def _baseline(counted: MacCount, runs: list[parts.TwinRun]) -> parts.Baseline:
    return parts.Baseline(
        name="ANN twin",
        macs=counted.macs,
        parameters=counted.parameters,
        nodes=[vars(node) for node in counted.nodes],
        runs=runs,
    )


def _timing(chip: ChipDenoiser, found: Verification, steps: Steps, images: int) -> parts.Timing:
    on_lava = (s.seconds / s.images for s in found.same_images if s.backend == "lava" and s.equal is not None)
    return parts.Timing(
        steps={**found.seconds, **steps.seconds},
        emulator_seconds_per_sample=chip.exchange.seconds / images,
        lava_seconds_per_sample=next(on_lava, None),
    )


def _keep_images(workspace: Workspace, measured: _Measured, seed: int) -> None:
    noise = measured.noise
    figures = {
        "float": {"noise_mse": noise.mse_float},
        "int8": {"noise_mse": noise.mse_int8},
        "ann": {} if noise.mse_ann is None else {"noise_mse": noise.mse_ann},
    }
    write_generated(workspace.folder / IMAGES, GeneratedFile(measured.generated, {}, seed, figures))
