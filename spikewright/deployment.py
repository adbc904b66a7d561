"""The export and report steps of a recipe."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import __version__
from .answers import answers
from .benchmarks.ann import count_macs, export_onnx
from .benchmarks.counting import LayerCount, count
from .benchmarks.energy import Activity, load_models, price
from .benchmarks.fidelity import fidelity
from .benchmarks.quality import frechet_distance, frechet_floor, mean_and_interval, reconstruction_error
from .benchmarks.report import schema as parts
from .benchmarks.report.pictures import Pictures
from .benchmarks.report.write import write_report
from .export.float_run import run_float
from .export.graph import HostStep, Synapses
from .export.scale_chain import scale_chain
from .hardware import host
from .hardware.chip import Chip, FitResult, fit, load_chip
from .hardware.emulator import Emulator
from .hardware.recording import Recording
from .lowering import Lowered, lower
from .models.ann_vae import ANNVAE, Autoencoder
from .models.esvae import ESVAE
from .progress import Steps
from .verification import Verification
from .workspace import Workspace

SHOWN = 8  # images in a picture
TILE = 64  # images that a float network sees at a time

Images = NDArray[np.float32]


def export_recipe(workspace: Workspace, steps: Steps) -> Lowered:
    """Export, quantise and compile a recipe's network into its build folder."""
    recipe = workspace.recipe
    chip = load_chip(recipe.deploy.chip)
    per_channel = chip.allows_neuron_thresholds if recipe.quantise.per_channel == "auto" else recipe.quantise.per_channel
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
    with steps("Export to NIR, quantise, compile"):
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
        )


def report_recipe(workspace: Workspace, lowered: Lowered, found: Verification, steps: Steps) -> parts.Report:
    """Measure quality, count, price, and write the report."""
    recipe, program = workspace.recipe, lowered.program
    images = workspace.test_images
    emulator = Emulator(program)
    ann, autoencoder = workspace.network("ann"), workspace.network("fad")
    assert isinstance(ann, ANNVAE) and isinstance(autoencoder, Autoencoder)

    with steps(f"Integer program on {len(images)} test images") as step:
        inputs, clipped = host.encode(program, images)
        recording = emulator.run(inputs, progress=step.update)
    if clipped:
        steps.note(f"[yellow]{clipped} input currents exceed the largest bias and were clipped[/]")
    with steps(f"Float network and ANN twin on {len(images)} test images") as step:
        reconstructed = {
            "ann": _in_tiles(lambda x: _module(ann, x), images, step.update),
            "float": _in_tiles(lambda x: _float(lowered, x), images, step.update),
            "int8": host.decode(program, recording),
        }
    with steps(f"{recipe.deploy.generated_images} images from the prior") as step:
        latent = host.prior_spikes(program, recipe.deploy.generated_images, recipe.seed)
        generated = {
            "ann": ann.generate(len(latent), torch.Generator().manual_seed(recipe.seed)).detach().numpy(),
            "float": _in_tiles(lambda z: _float(lowered, None, z), latent, step.update),
            "int8": _generate(lowered, latent),
        }
    with steps("Frechet distances and image metrics"):
        quality = _quality(images, reconstructed, generated, lambda x: _features(autoencoder, x))
        image_metrics = parts.Fidelity(**vars(fidelity(generated["int8"], images)))
    with steps("Operations, baseline, energy, fit"):
        export_onnx(ann, (1, *images.shape[1:]), workspace.onnx)
        baseline = count_macs(workspace.onnx)
        layers = count(program, recording, found.overhead_spikes)
        totals = _totals(lowered, layers, baseline, found)
        energy = _energy(totals, layers, baseline)
        chip = load_chip(recipe.deploy.chip)
        fitted = fit(program, chip)

    some, _ = host.encode(program, images[:1])
    shown = emulator.run(some, detail="spikes")
    pictures = Pictures(
        originals=images[:SHOWN],
        reconstructions={k: v[:SHOWN] for k, v in reconstructed.items()},
        generated={k: v[:SHOWN] for k, v in generated.items()},
        rasters={p.name: shown.spikes[p.name][0] for p in program.populations if not p.readout},
    )
    chains = scale_chain(lowered.integer_graph, lowered.float_graph)
    report = parts.Report(
        tool=f"spikewright {__version__}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=recipe.model.kind,
        dataset=recipe.data.name,
        dataset_note=workspace.dataset_note,
        seed=recipe.seed,
        chip=chip.name,
        weight_bits=recipe.quantise.bits,
        per_channel_scales=_per_channel(lowered),
        timesteps=program.timesteps,
        period=program.period,
        latency_steps=program.depth + program.timesteps,
        recipe=recipe.model_dump(mode="json"),
        answers=answers(quality, found.equivalence, fitted, energy, recipe.quantise.bits),
        samples=parts.Samples(
            quality=len(images),
            generated=len(latent),
            counted=len(images),
            norse=found.norse_images,
            reference=found.reference_images,
            lava=found.lava_images,
        ),
        quality=quality,
        fidelity=image_metrics,
        equivalence=found.equivalence,
        layers=[_layer(layer, chains[layer.name]) for layer in layers],
        totals=totals,
        baseline=baseline,
        energy=energy,
        fit=_fit(chip, fitted),
        timing=_timing(steps, found, recording, len(images)),
        files=_files(workspace),
    )
    with steps("Report and pictures"):
        write_report(report, pictures, workspace.folder)
    return report
