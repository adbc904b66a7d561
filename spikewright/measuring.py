"""What a report measures: images through every version of a network, their quality, and the counts behind energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .benchmarks.ann import MacCount
from .benchmarks.counting import LayerCount, count, totals
from .benchmarks.energy import Activity, EnergyModel, price, swings
from .benchmarks.quality import frechet_distance, mean_and_interval, reconstruction_error
from .benchmarks.report import schema as parts
from .export.float_run import run_float
from .export.graph import Synapses
from .hardware import host
from .hardware.emulator import Emulator
from .hardware.placement import Hops
from .hardware.program import Inputs, Program
from .hardware.recording import Recording
from .lowering import Lowered
from .models.ann_vae import ANNVAE, Autoencoder

Images: TypeAlias = NDArray[np.float32]
Models: TypeAlias = Mapping[str, EnergyModel]
TILE = 64  # images that a float network sees at a time
STATE_SAMPLES = 16  # samples whose states say which neuron updates had something to do
GAP_LIMIT = 1.0  # per cent of reconstruction error that quantisation may cost


def reconstruct(
    lowered: Lowered, ann: ANNVAE, images: Images, made: Images, progress: Callable[[int, int], None]
) -> dict[str, Images]:
    """Images (N, C, H, W) reconstructed by the ANN twin, the float network and the integer program (``made``)."""
    return {
        "ann": _in_tiles(lambda x: ann(torch.from_numpy(x)).numpy(), images, lambda done, of: None),
        "float": _in_tiles(lambda x: _float(lowered, samples=x), images, progress),
        "int8": made,
    }


def generate(
    lowered: Lowered, ann: ANNVAE, amount: int, seed: int, progress: Callable[[int, int], None]
) -> dict[str, Images]:
    """Images from the priors; float network and integer program decode the same latent spikes."""
    latent = host.prior_spikes(lowered.program, amount, seed)
    assert lowered.latent is not None
    decoder = lowered.decoder
    recording = Emulator(decoder).run(Inputs({lowered.latent: latent}), "totals")
    with torch.no_grad():
        drawn = ann.generate(amount, torch.Generator().manual_seed(seed)).numpy()
    return {
        "ann": drawn,
        "float": _in_tiles(lambda z: _float(lowered, latent=z), latent, progress),
        "int8": host.decode(decoder, recording),
    }


def _float(
    lowered: Lowered, samples: Images | None = None, latent: NDArray[np.uint8] | None = None
) -> Images:
    injected = {} if latent is None or lowered.latent is None else {lowered.latent: latent}
    run = run_float(lowered.float_graph, samples, injected)
    last = lowered.program.populations[-1]
    values = run.readouts[last.name].astype(np.float64)
    return (
        host.apply_functions(lowered.program, last.name, values).reshape(-1, *last.shape).astype(np.float32)
    )


def _in_tiles(
    run: Callable[[Any], Images], inputs: NDArray[Any], progress: Callable[[int, int], None]
) -> Images:
    out = []
    with torch.no_grad():
        for first in range(0, len(inputs), TILE):
            out.append(run(inputs[first : first + TILE]))
            progress(min(first + TILE, len(inputs)), len(inputs))
    return np.concatenate(out)


def quality(
    images: Images,
    unseen: Images,
    reconstructed: dict[str, Images] | None,
    generated: dict[str, Images],
    autoencoder: Autoencoder,
) -> parts.Quality:
    """Reconstruction error and Frechet distances of every version.

    Parameters
    ----------
    reconstructed : dict of str to ndarray or None
        ``images`` as each version reconstructs them; None where a system reconstructs nothing.
    unseen : ndarray
        Real images beside the test images; as many of them as were generated give the floor, since the distance
        depends on the number of samples.
    """

    def features(pictures: Images) -> NDArray[np.float64]:
        return _in_tiles(
            lambda x: autoencoder.features(torch.from_numpy(x)).numpy(), pictures, lambda done, of: None
        ).astype(np.float64)

    real = features(images)

    def row(name: str) -> parts.QualityRow:
        distance = frechet_distance(features(generated[name]), real)
        if reconstructed is None:
            return parts.QualityRow(
                reconstruction_mse=None,
                reconstruction_mse_ci95=None,
                fad_reconstruction=None,
                fad_samples=distance,
            )
        mean, half = mean_and_interval(reconstruction_error(reconstructed[name], images))
        return parts.QualityRow(
            reconstruction_mse=mean,
            reconstruction_mse_ci95=half,
            fad_reconstruction=frechet_distance(features(reconstructed[name]), real),
            fad_samples=distance,
        )

    rows = {name: row(name) for name in ("ann", "float", "int8")}
    chip, floating = rows["int8"].reconstruction_mse, rows["float"].reconstruction_mse
    gap = None if chip is None or floating is None else 100 * (chip / floating - 1)
    return parts.Quality(
        ann=rows["ann"],
        float=rows["float"],
        int8=rows["int8"],
        gap_percent=gap,
        within_one_percent=None if gap is None else gap <= GAP_LIMIT,
        fad_floor=frechet_distance(features(unseen[: len(generated["int8"])]), real),
        fad_trace=float(np.trace(np.cov(real, rowvar=False))),
    )


def count_layers(
    program: Program, images: Images, recording: Recording, overhead_spikes: dict[str, int]
) -> list[LayerCount]:
    """Operations of every layer over all images; active updates from the states of a few."""
    few, _ = host.encode(program, images[:STATE_SAMPLES])
    states = Emulator(program).run(few, detail="states")
    active = {layer.name: layer.active_updates for layer in count(program, states, few.samples)}
    counted = count(program, replace(recording, overhead_spikes=overhead_spikes or None), len(images))
    return [replace(layer, active_updates=active[layer.name]) for layer in counted]


def sum_up(lowered: Lowered, layers: list[LayerCount], baseline: MacCount) -> parts.Totals:
    """Sums over layers, and the operations beside the ANN's."""
    sums = totals(layers)
    weights = [n for n in lowered.float_graph.nodes.values() if isinstance(n, Synapses)]
    return parts.Totals(
        neurons=sums.neurons,
        synapses=sums.synapses,
        parameters=sum(n.map.weight.size + (0 if n.bias is None else n.bias.size) for n in weights),
        spikes=sums.spikes,
        sops=sums.sops,
        neuron_updates=sums.neuron_updates,
        host_macs=host.operations(lowered.program),
        overhead_spikes=sums.overhead_spikes,
        sops_per_mac=sums.sops / baseline.macs,
        graded_sops=sums.graded_sops,
        payload_bits=sums.payload_bits,
    )


def energy(
    layers: list[LayerCount], host_macs: int, baseline: MacCount, hops: Hops | None, models: Models
) -> dict[str, parts.EnergyRow]:
    """Every energy model's figures for a sample, with the journeys of its spikes where the network is placed."""
    activity = Activity.of(totals(layers), host_macs, baseline, hops)
    return {
        name: parts.EnergyRow(
            **plain(price(model, activity)),
            swings=[parts.Swing(**vars(swing)) for swing in swings(model, activity)],
        )
        for name, model in models.items()
    }


def plain(row: Any) -> dict[str, Any]:
    """A dataclass as a table whose sequences are lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(row).items()}
