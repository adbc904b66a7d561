"""The export and report steps of a recipe."""

from __future__ import annotations

from . import measuring
from .answers import answers
from .benchmarks.ann import count_macs, export_onnx
from .benchmarks.counting import LayerCount
from .benchmarks.energy import layer_break_even, load_models
from .benchmarks.fidelity import fidelity
from .benchmarks.generated_file import NAME, GeneratedFile, write_generated
from .benchmarks.quality import reconstruction_error
from .benchmarks.report import schema as parts
from .benchmarks.report.pictures import Pictures
from .benchmarks.report.write import write_report
from .export.graph import HostStep
from .export.scale_chain import Link, scale_chain
from .hardware import host
from .hardware.chip import Chip, load_chip
from .hardware.emulator import Emulator
from .hardware.evaluation import evaluate
from .hardware.fit import FitResult, fit
from .hardware.placement import hops, place
from .lowering import Lowered, Tuning, lower
from .models.ann_vae import ANNVAE, Autoencoder
from .models.esvae import ESVAE
from .progress import Steps
from .report_head import head
from .twin_runs import CALIBRATION_SAMPLES, MOST_SAMPLES, TwinFile, twin_runs
from .verification import Verification
from .workspace import Workspace

SHOWN = 8  # images in a picture


def export_recipe(workspace: Workspace, steps: Steps) -> Lowered:
    """Export, quantise and compile a recipe's network into its build folder."""
    recipe = workspace.recipe
    per_channel = recipe.quantise.per_channel
    if per_channel == "auto":
        per_channel = load_chip(recipe.deploy.chip).per_neuron_threshold.value
    network = workspace.network("snn")
    assert isinstance(network, ESVAE)
    linear = network.prior.linear
    prior = HostStep(
        "rate_prior",
        f"{network.encoder_names[-1]}_neuron",
        {"weight": linear.weight.detach().numpy(), "bias": linear.bias.detach().numpy()},
    )
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.save_recipe()
    workspace.equivalence.unlink(missing_ok=True)  # it spoke of the artefacts that are about to change
    shown = workspace.train_images[: recipe.quantise.tuning_images]
    with steps("Export to NIR, quantise, compile") as step:
        return lower(
            network,
            workspace.train_images[: recipe.quantise.calibration_images],
            workspace.folder,
            name=recipe.name,
            timesteps=network.config.timesteps,
            method="step",
            bits=recipe.quantise.bits,
            per_channel=per_channel,
            host_steps=[prior],
            chip=recipe.deploy.chip,
            tune=Tuning.of(recipe.quantise, step, shown, shown.reshape(len(shown), -1)),
        )


def report_recipe(workspace: Workspace, lowered: Lowered, found: Verification, steps: Steps) -> parts.Report:
    """Measure quality, count, price, and write the report."""
    recipe, program, images = workspace.recipe, lowered.program, workspace.test_images
    emulator, models = Emulator(program), load_models(recipe.deploy.energy)
    ann, autoencoder = workspace.network("ann"), workspace.network("fad")
    assert isinstance(ann, ANNVAE)
    assert isinstance(autoencoder, Autoencoder)

    with steps(f"Integer program on {len(images)} test images") as step:
        ran = evaluate(emulator, images, step.update)
    if ran.clipped:
        steps.note(f"{ran.clipped} input currents exceed the largest bias and were clipped")
    with steps(f"Float network and ANN twin on {len(images)} test images") as step:
        reconstructed = measuring.reconstruct(lowered, ann, images, ran.outputs, step.update)
    with steps(f"{recipe.deploy.generated_images} images from the prior") as step:
        generated = measuring.generate(lowered, ann, recipe.deploy.generated_images, recipe.seed, step.update)
    with steps("Frechet distances and image metrics"):
        quality = measuring.quality(images, workspace.train_images, reconstructed, generated, autoencoder)
        image_metrics = parts.Fidelity(**vars(fidelity(generated["int8"], images)))
    with steps("Operations, baseline, energy, fit"):
        export_onnx(ann, images.shape[1:], workspace.onnx)
        baseline = count_macs(workspace.onnx)
        layers = measuring.count_layers(program, images, ran.recording, found.overhead_spikes)
        totals = measuring.sum_up(lowered, layers, baseline)
        chip = load_chip(recipe.deploy.chip)
        placement = place(program, chip)
        fitted = fit_part(chip, fit(program, chip, placement))
        journeys = hops(placement, ran.means()) if placement.complete else None
        energy = measuring.energy(layers, totals.host_macs, baseline, journeys, models)
    with steps("ANN twin by ONNX Runtime, in floats and integers"):
        runs = _twin_runs(workspace)
    with steps("Report and pictures"):
        raster = emulator.run(host.encode(program, images[:1])[0], detail="spikes").spikes
        pictures = Pictures(
            originals=images[:SHOWN],
            reconstructions={version: made[:SHOWN] for version, made in reconstructed.items()},
            generated={version: made[:SHOWN] for version, made in generated.items()},
            rasters={p.name: raster[p.name][0] for p in program.populations if not p.readout},
        )
        chains = scale_chain(lowered.integer_graph, lowered.float_graph)
        report = parts.Report(
            **head(workspace, chip, [program]),
            answers=answers(quality, found.equivalence, fitted, energy, recipe.quantise.bits),
            samples=parts.Samples(
                quality=len(images),
                generated=recipe.deploy.generated_images,
                counted=len(images),
                norse=found.norse_images,
                reference=found.reference_images,
                lava=found.lava_images,
            ),
            quality=quality,
            fidelity=image_metrics,
            equivalence=found.equivalence,
            layers=[layer_part(layer, chains[layer.name], 1.0, models) for layer in layers],
            totals=totals,
            baseline=parts.Baseline(
                name=type(ann).__name__,
                macs=baseline.macs,
                parameters=baseline.parameters,
                nodes=[vars(node) for node in baseline.nodes],
                runs=runs,
            ),
            energy=energy,
            fit=fitted,
            timing=parts.Timing(
                steps={**found.seconds, **steps.seconds},
                emulator_seconds_per_sample=ran.recording.seconds / len(images),
                lava_seconds_per_sample=_lava_seconds(found),
            ),
            files={
                "float NIR": workspace.float_nir.name,
                "integer NIR": workspace.integer_nir.name,
                "program": workspace.program.name,
                "ANN baseline": workspace.onnx.name,
                "images": NAME,
                "checks": workspace.equivalence.name,
                "recipe": "recipe.json",
            },
        )
        write_report(report, pictures, workspace.folder)
        kept = GeneratedFile(generated, reconstructed, recipe.seed)
        write_generated(workspace.folder / NAME, kept)
    return report


def _twin_runs(workspace: Workspace) -> list[parts.TwinRun]:
    """The twin's reconstructions by ONNX Runtime."""
    some = workspace.test_images[:MOST_SAMPLES]
    return twin_runs(
        {"ann": TwinFile(workspace.onnx, workspace.train_images[:CALIBRATION_SAMPLES])},
        lambda files: {
            "error of reconstructions": float(reconstruction_error(files["ann"](some), some).mean())
        },
        len(some),
    )


def layer_part(layer: LayerCount, chain: list[Link], runs: float, models: measuring.Models) -> parts.Layer:
    """A counted layer, whose program runs so many times a sample, and its constants, as the report says them."""
    arriving, even = layer_break_even(layer, runs, models) or (None, {})
    return parts.Layer(
        name=layer.name,
        shape=list(layer.shape),
        neurons=layer.neurons,
        synapses=layer.synapses,
        stored_weights=layer.stored_weights,
        spikes=layer.spikes,
        sops=layer.sops,
        rate=layer.rate,
        neuron_updates=layer.neuron_updates,
        start=layer.start,
        overhead_spikes=layer.overhead_spikes,
        runs=runs,
        arriving=arriving,
        break_even=even,
        scales=[parts.ScaleChain(**vars(link), error_percent=link.error_percent) for link in chain],
    )


def fit_part(chip: Chip, result: FitResult) -> parts.Fit:
    """Whether a network fits, as the report says it."""
    return parts.Fit(
        chip=chip.title,
        neurons=result.neurons,
        synapses=result.synapses,
        cores_lower_bound=result.cores_lower_bound,
        cores_placed=result.cores_placed,
        cores_available=result.cores_available,
        binding=result.binding,
        findings=[parts.Finding(**vars(finding)) for finding in result.findings],
    )


def _lava_seconds(found: Verification) -> float | None:
    lava = found.equivalence.lava
    return lava.seconds / found.lava_images if lava.ran and found.lava_images else None
