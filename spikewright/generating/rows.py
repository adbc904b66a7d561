"""Rows of a report about generated images that several systems fill alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ..benchmarks.ann import MacCount
from ..benchmarks.counting import CountTotals, LayerCount
from ..benchmarks.frechet import distances
from ..benchmarks.published_fid import load_published
from ..benchmarks.quality import mean_and_interval
from ..benchmarks.report import generation as made_of
from ..benchmarks.report import schema as parts
from ..deployment import layer_part
from ..export.graph import Synapses
from ..export.scale_chain import scale_chain
from ..hardware import host
from ..hardware.emulator import Emulator
from ..hardware.program import Program
from ..hardware.session import Exchange
from ..lowering import Lowered
from ..measuring import Models
from ..models.feature_classifier import FeatureClassifier
from .made import Made

Images = NDArray[np.float32]


def exchange_of(sessions: Iterable[Exchange], images: int) -> made_of.Exchange:
    """What crossed the border of sessions, for each of so many images."""
    every = list(sessions)
    names = made_of.Exchange.model_fields
    return made_of.Exchange(**{name: sum(getattr(e, name) for e in every) / images for name in names})


def per_image(made: Made, joules: Mapping[str, NDArray[np.float64]]) -> made_of.PerImage:
    """Means over images and the intervals around them."""
    spikes, sops = (
        mean_and_interval(values.sum(1).astype(np.float64)) for values in (made.spikes, made.sops)
    )
    each = {name: mean_and_interval(table[:, 0]) for name, table in joules.items()}
    return made_of.PerImage(
        spikes_mean=spikes[0],
        spikes_ci95=spikes[1],
        sops_mean=sops[0],
        sops_ci95=sops[1],
        joule={name: made_of.JouleMean(mean=mean, ci95=half) for name, (mean, half) in each.items()},
    )


def program_row(
    name: str, purpose: str, program: Program, runs: float, synapses: int, cores: int | None
) -> made_of.Program:
    """What a program is for, how often an image needs it, and how large it is."""
    return made_of.Program(
        name=name,
        purpose=purpose,
        runs=runs,
        timesteps=program.timesteps,
        period=program.period,
        latency_steps=program.depth + program.timesteps,
        neurons=sum(p.size for p in program.populations),
        synapses=synapses,
        cores_placed=cores,
    )


def published(model: str, dataset: str) -> list[made_of.PublishedFigure] | None:
    """What a system's authors report for a data set; None where that is nothing."""
    known = load_published()[model]
    if dataset not in known.fid:
        return None
    note = f"{known.source}; {known.protocol}"
    return [made_of.PublishedFigure(dataset=dataset, fid=known.fid[dataset], note=note)]


def classifier_distance(classifier: FeatureClassifier, images: Images, real: Images) -> float | None:
    """Frechet distance in a classifier's features; None where there are too few images to tell."""

    def features(pictures: Images) -> NDArray[np.float64]:
        with torch.no_grad():
            found = [classifier.features(x) for x in torch.from_numpy(pictures).split(500)]
        return torch.cat(found).numpy().astype(np.float64)

    # With fewer images than features the distance mostly says how few they are.
    enough = min(len(images), len(real)) > features(images[:1]).shape[1]
    return distances(images, real, {"classifier": features})["classifier"] if enough else None


def layer_rows(
    lowered: Mapping[str, Lowered],
    layers: Mapping[str, list[LayerCount]],
    runs: Mapping[str, float],
    overhead_spikes: Mapping[str, int],
    models: Models,
) -> list[parts.Layer]:
    """Counted layers of several programs, each with its constants and how often the program runs."""
    rows = []
    for name, counted in layers.items():
        part = lowered[name]
        chains = scale_chain(part.integer_graph, part.float_graph)
        for layer in counted:
            row = layer_part(layer, chains.get(layer.name, []), runs[name], models)
            overhead = overhead_spikes.get(f"{name}/{layer.name}")
            rows.append(row.model_copy(update={"program": name, "overhead_spikes": overhead}))
    return rows


def totals_row(lowered: Iterable[Lowered], sums: CountTotals, macs: int, baseline: MacCount) -> parts.Totals:
    """Sums over layers of the programs that generate, and the operations beside the ANN's."""
    weights = [
        node for part in lowered for node in part.float_graph.nodes.values() if isinstance(node, Synapses)
    ]
    return parts.Totals(
        neurons=sums.neurons,
        synapses=sums.synapses,
        parameters=sum(n.map.weight.size + (0 if n.bias is None else n.bias.size) for n in weights),
        spikes=sums.spikes,
        sops=sums.sops,
        neuron_updates=sums.neuron_updates,
        host_macs=macs,
        overhead_spikes=sums.overhead_spikes,
        sops_per_mac=sums.sops / baseline.macs,
        graded_sops=sums.graded_sops,
        payload_bits=sums.payload_bits,
    )


def rasters(
    lowered: Mapping[str, Lowered], inputs: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.uint8]]:
    """Spikes of one run of each program."""
    found: dict[str, NDArray[np.uint8]] = {}
    for name, part in lowered.items():
        program = part.program
        ran = Emulator(program).run(host.encode(program, inputs[name][:1])[0], detail="spikes").spikes
        found |= {
            f"{name}: {p.name}": ran[p.name][0]
            for p in program.populations
            if not (p.readout or p.relay or p.graded)
        }
    return found
