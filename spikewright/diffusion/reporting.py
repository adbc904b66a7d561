"""The report of a deployed Spiking-Diffusion: quality, tokens, operations and energy of a generated image."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import measuring
from ..answers import answers
from ..benchmarks.counting import totals
from ..benchmarks.energy import load_models
from ..benchmarks.fidelity import fidelity, paper_fidelity
from ..benchmarks.generated_file import NAME, GeneratedFile, write_generated
from ..benchmarks.quality import mean_and_interval
from ..benchmarks.report import generation as made_of
from ..benchmarks.report import schema as parts
from ..benchmarks.report.pictures import Pictures
from ..benchmarks.report.write import write_report
from ..benchmarks.similarity import structural_similarity
from ..deployment import SHOWN, fit_part
from ..generating.checking import AGREEMENT_SAMPLES
from ..generating.counting import baseline_of, journeys, layers_in, layers_of, placed, times, together
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
from ..hardware.emulator import Emulator
from ..hardware.evaluation import evaluate
from ..models.ann_vae import Autoencoder
from ..models.feature_classifier import FeatureClassifier
from ..models.sampler import expected_evaluations
from ..progress import Steps
from ..recipe import DiffusionRecipe
from ..report_head import head
from ..verification import Verification
from ..workspace import Workspace
from .baseline import FILES, export_twins, run_twins
from .evaluators import ChipEvaluator
from .generation import Generated, generate_in_parts
from .pricing import host_macs, image_joules
from .quality import Reconstructions, TokenFigures, generate_twins, reconstruct, token_figures
from .system import PARTS, System
from .verification import parts_of

Images = NDArray[np.float32]
#: Bits a token by which the integer program's bound may exceed the float network's.
BOUND_LIMIT = 0.02
HOST_NOTE = (
    "The host also draws the tokens: a softmax over the codes of each position that is revealed, once an image and position; "
    "it multiplies nothing that is counted here. Chip steps are of images that are streamed back to back in batches; an image "
    "by itself waits for each evaluation to pass through all layers."
)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Everything that the report is made of."""

    made: Generated
    reconstructions: Reconstructions
    generated: dict[str, Images]
    figures: TokenFigures
    exchange: made_of.Exchange
    evaluator: ChipEvaluator


def report_system(workspace: Workspace, system: System, found: Verification, steps: Steps) -> parts.Report:
    """Measure quality, count, price, and write the report; also the file of images for comparisons."""
    recipe = workspace.recipe
    assert isinstance(recipe, DiffusionRecipe)
    deploy = recipe.deploy
    models = load_models(deploy.energy)
    images = workspace.test_images
    with steps("ANN twins to ONNX"):
        twins = export_twins(workspace)
    evaluator = ChipEvaluator(system, "emulator")
    try:
        measured = _measure(workspace, system, evaluator, recipe, steps)
    finally:
        evaluator.close()
    made, evaluations = measured.made, float(measured.made.evaluations.mean())
    if evaluator.clipped:
        steps.note(f"{evaluator.clipped} currents of code vectors exceed the largest bias and were clipped")
    autoencoder, classifier = workspace.network("fad"), workspace.network("classifier")
    assert isinstance(autoencoder, Autoencoder)
    assert isinstance(classifier, FeatureClassifier)
    with steps("Frechet distances and image metrics"):
        quality = measuring.quality(
            images, workspace.train_images, measured.reconstructions.images, measured.generated, autoencoder
        )
        samples, floors = _samples(workspace, measured, quality, classifier)
        image_metrics = parts.Fidelity(**vars(fidelity(measured.generated["int8"], images)))
        by_paper = made_of.PaperFid(**vars(paper_fidelity(measured.generated["int8"], images)))
    with steps("Operations, baseline, energy, fit"):
        inputs = {part.name: part.samples for part in parts_of(workspace, system, AGREEMENT_SAMPLES)}
        tallies = evaluator.tallies
        runs = {"denoiser": evaluations, "decoder": 1.0}
        layers = {name: times(layers_of(tally, inputs[name]), runs[name]) for name, tally in tallies.items()}
        encoded = evaluate(Emulator(system.encoder.program), images)
        encoder_layers = layers_in(system.encoder.program, encoded.recording, len(images), inputs["encoder"])
        chip = load_chip(deploy.chip)
        placements, fits = placed({name: part.program for name, part in system.parts.items()}, chip)
        generating = {name: fits[name] for name in tallies}
        every = [layer for group in layers.values() for layer in group]
        baseline = baseline_of({"denoiser": (twins.denoiser, evaluations), "decoder": (twins.decoder, 1.0)})
        macs = host_macs(system)
        energy = measuring.energy(
            every, macs, baseline, journeys(placements, tallies, len(made.images)), models
        )
        joules = image_joules(system, made, twins, models)
    fitted = fit_part(chip, together(generating, chip))
    generation = made_of.Generation(
        programs=[
            program_row(
                name,
                PARTS[name],
                part.program,
                runs.get(name, 0.0),
                fits[name].synapses,
                fits[name].cores_placed,
            )
            for name, part in system.parts.items()
        ],
        temperature=deploy.temperature,
        refinements=deploy.refinements or None,
        seed=recipe.seed,
        positions=system.grid[0] * system.grid[1],
        evaluations=evaluations,
        expected_evaluations=expected_evaluations(system.grid[0] * system.grid[1], deploy.refinements),
        tokens=_tokens(measured.figures),
        samples=samples,
        floors=floors,
        same_images=found.same_images,
        exchange=measured.exchange,
        host_macs=macs,
        host_share_note=HOST_NOTE,
        published=published("spiking-diffusion", recipe.data.name),
        paper_fid=by_paper,
        per_image=per_image(made, joules),
    )
    with steps("ANN twins by ONNX Runtime, in floats and integers"):
        runs_of_twins = run_twins(workspace)
    with steps("Report and pictures"):
        pictures = Pictures(
            originals=images[:SHOWN],
            reconstructions={name: made[:SHOWN] for name, made in measured.reconstructions.images.items()},
            generated={name: made[:SHOWN] for name, made in measured.generated.items()},
            rasters=rasters(system.parts, inputs),
        )
        report = parts.Report(
            **head(workspace, chip, [p.program for p in (system.denoiser, system.encoder, system.decoder)]),
            answers=answers(quality, found.equivalence, fitted, energy, recipe.quantise.bits, generation),
            samples=parts.Samples(
                quality=len(images),
                generated=len(made.images),
                counted=len(made.images),
                norse=found.norse_images,
                reference=found.reference_images,
                lava=found.lava_images,
            ),
            quality=quality,
            fidelity=image_metrics,
            equivalence=found.equivalence,
            layers=layer_rows(system.parts, layers, runs, found.overhead_spikes, models),
            reconstruction_layers=layer_rows(
                system.parts, {"encoder": encoder_layers}, {"encoder": 1.0}, found.overhead_spikes, models
            ),
            totals=totals_row((system.denoiser, system.decoder), totals(every), macs, baseline),
            baseline=parts.Baseline(
                name="ANN twins of denoiser and decoder",
                macs=baseline.macs,
                parameters=baseline.parameters,
                nodes=[vars(node) for node in baseline.nodes],
                runs=runs_of_twins,
            ),
            energy=energy,
            fit=fitted,
            timing=parts.Timing(
                steps={**found.seconds, **steps.seconds},
                emulator_seconds_per_sample=sum(e.seconds for e in evaluator.exchanges.values()) / len(made.images),
                lava_seconds_per_sample=next(
                    (s.seconds / s.images for s in found.same_images if s.backend == "lava" and s.equal is not None), None
                ),
            ),
            files={
                **{f"{name}: {what}": f"{name}/{file}" for name in PARTS for what, file in _LEVELS.items()},
                **{f"ANN {name}": file for name, file in FILES.items()},
                "images": NAME,
                "checks": workspace.equivalence.name,
                "recipe": "recipe.json",
            },
            generation=generation,
        )  # fmt: skip
        write_report(report, pictures, workspace.folder)
        _keep_images(workspace, measured, recipe.seed)
        shutil.rmtree(workspace.under_way)
    return report


_LEVELS = {"float NIR": "model.nir", "integer NIR": "model.int8.nir", "program": "program.npz"}


def _measure(
    workspace: Workspace, system: System, evaluator: ChipEvaluator, recipe: DiffusionRecipe, steps: Steps
) -> _Measured:
    deploy, count, folder = recipe.deploy, recipe.deploy.generated_images, workspace.under_way
    with steps(f"{len(workspace.test_images)} test images through every version") as step:
        reconstructions = reconstruct(workspace, system, step.update)
    with steps(f"{count} images generated on the emulator") as step:
        made = generate_in_parts(
            system, "emulator", count, folder / "int8", seed=recipe.seed, temperature=deploy.temperature,
            refinements=deploy.refinements, evaluator=evaluator, report=step.update,
        )  # fmt: skip
    exchange = exchange_of(evaluator.exchanges.values(), count)
    with steps(f"{count} images from the float networks and the ANN twins") as step:
        generated = generate_twins(
            workspace,
            system,
            made,
            folder,
            seed=recipe.seed,
            temperature=deploy.temperature,
            refinements=deploy.refinements,
            progress=step.update,
        )
    with steps(f"Bound and tokens on {min(deploy.bound_grids, len(workspace.test_images))} test grids"):
        scorer = ChipEvaluator(system, "emulator")
        try:
            figures = token_figures(workspace, system, scorer, deploy.bound_grids, reconstructions.chosen)
        finally:
            scorer.close()
    return _Measured(made, reconstructions, generated, figures, exchange, evaluator)


def _samples(
    workspace: Workspace, measured: _Measured, quality: parts.Quality, classifier: FeatureClassifier
) -> tuple[dict[str, made_of.SampleQuality], made_of.SampleFloors]:
    images, count = workspace.test_images, len(measured.made.images)
    rows = {}
    for name, version in (("ann", quality.ann), ("float", quality.float_), ("int8", quality.int8)):
        mean, half = mean_and_interval(structural_similarity(measured.reconstructions.images[name], images))
        rows[name] = made_of.SampleQuality(
            fad=version.fad_samples,
            classifier_frechet=classifier_distance(classifier, measured.generated[name], images),
            ssim_reconstruction=mean,
            ssim_reconstruction_ci95=half,
        )
    floors = made_of.SampleFloors(
        fad=quality.fad_floor,
        classifier_frechet=classifier_distance(classifier, workspace.train_images[:count], images),
    )
    return rows, floors


def _tokens(figures: TokenFigures) -> made_of.TokenQuality:
    return made_of.TokenQuality(
        codes=figures.codes,
        used_codes=figures.used_codes,
        perplexity=figures.perplexity,
        unigram_bits=figures.unigram_bits,
        elbo_float=figures.elbo_float,
        elbo_int8=figures.elbo_int8,
        elbo_ann=figures.elbo_ann,
        elbo_limit=BOUND_LIMIT,
        within_limit=figures.elbo_int8 - figures.elbo_float <= BOUND_LIMIT,
        masked_accuracy_float=figures.masked_accuracy_float,
        masked_accuracy_int8=figures.masked_accuracy_int8,
        token_agreement=figures.token_agreement,
        encoder_token_agreement=figures.encoder_token_agreement,
    )


def _keep_images(workspace: Workspace, measured: _Measured, seed: int) -> None:
    t = measured.figures
    shared = {"used_codes": float(t.used_codes), "perplexity": t.perplexity, "unigram_bits": t.unigram_bits}
    figures = {
        "float": {**shared, "elbo_bits": t.elbo_float},
        "int8": {**shared, "elbo_bits": t.elbo_int8},
        "ann": {"elbo_bits": t.elbo_ann, "unigram_bits": t.unigram_bits_ann},
    }
    content = GeneratedFile(measured.generated, measured.reconstructions.images, seed, figures)
    write_generated(workspace.folder / NAME, content)
