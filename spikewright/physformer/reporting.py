"""The report of a deployed Spiking-PhysFormer: heart rates, what the spikes contribute, operations and energy of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import measuring
from ..answers import pulse_answers
from ..benchmarks.ann import count_macs, export_onnx
from ..benchmarks.counting import totals
from ..benchmarks.energy import load_models
from ..benchmarks.pulse.heart_rate import heart_rate
from ..benchmarks.pulse.published import load_energy_claims, load_published
from ..benchmarks.pulse.waves import pulse_of
from ..benchmarks.report import pulse as told
from ..benchmarks.report import schema as parts
from ..benchmarks.report.pictures import Pictures
from ..benchmarks.report.pulse_stream import PulseStream
from ..benchmarks.report.write import write_report
from ..deployment import fit_part
from ..generating.counting import journeys, layers_of, placed
from ..generating.rows import layer_rows, rasters, totals_row
from ..hardware.chip import load_chip
from ..hardware.program import Program
from ..models.physformer_ann import PhysFormer
from ..models.pulse_network import FPS
from ..models.recipe import PulseData
from ..progress import Steps
from ..report_head import head
from ..verification import Verification
from ..workspace import Workspace
from .ablation import ABLATIONS, TITLES
from .accuracy import CLASSICAL, Judged, judge
from .data import recordings
from .host_accuracy import HOST_VIDEOS, host_accuracy, run_twin, scores_part
from .host_part import PARTS, PRECISIONS, file_of
from .pricing import host_macs, pulse_energy
from .stream_check import stream_part
from .system import NAME, System, recipe_of
from .system import videos as videos_of
from .verification import AGREEMENT_CLIPS, part_of

ABLATION_VIDEOS = 40
STREAMED_CLIPS = 2
SHOWN_SECONDS = 12
BIAS_BYTES, MEMBRANE_BYTES = 2, 3  # 13-bit mantissa with exponent; 24-bit membrane


def report_system(workspace: Workspace, system: System, found: Verification, steps: Steps) -> parts.Report:
    """Measure accuracy, count, price, and write the report."""
    recipe = recipe_of(workspace)
    models = load_models(recipe.deploy.energy)
    deploy, program, frames = recipe.deploy, system.blocks.program, recipe.data.frames
    twin = workspace.network("physformer_ann")
    assert isinstance(twin, PhysFormer)
    with steps("ANN twin to ONNX"):
        export_onnx(twin, (3, frames, *recipe.data.image), workspace.onnx)
        baseline = count_macs(workspace.onnx)
    with steps(
        f"Heart rates of {deploy.videos} videos: chip, float network, ANN twin, classical methods"
    ) as step:
        videos = recordings(recipe.data, "test", recipe.train_seed, deploy.videos)
        judged = judge(system, twin, videos, ABLATION_VIDEOS, lambda done: step.update(done, deploy.videos))
    if judged.clipped:
        steps.note(f"{judged.clipped} input currents exceed the largest bias and were clipped")
    with steps(f"The host's part in 32-bit floats and 8-bit integers, {HOST_VIDEOS} videos"):
        hosts = host_accuracy(system, workspace.folder, videos_of(workspace, "test", HOST_VIDEOS))
    with steps("ANN twin by ONNX Runtime, in floats and integers"):
        runs = run_twin(workspace)
    with steps("Operations, baseline, energy, fit"):
        sample = part_of(workspace, system, AGREEMENT_CLIPS).samples
        layers = layers_of(judged.tally, sample)
        hardware, clips = load_chip(deploy.chip), judged.tally.samples
        placements, fits = placed({NAME: program}, hardware)
        macs = host_macs(workspace.folder)
        energy = measuring.energy(
            layers, macs, baseline, journeys(placements, {NAME: judged.tally}, clips), models
        )
        sums = totals(layers)
        priced = pulse_energy(system.network.config, workspace.folder, twin, baseline, sums.sops)
    fitted = fit_part(hardware, fits[NAME])
    with steps("The blocks on a stream"):
        streamed = stream_part(system, sample[:STREAMED_CLIPS], hardware)
    with steps("Scores of every version and method"):
        pulse = _pulse(recipe.data, system, judged, hosts, priced, frames, streamed)
    rows = layer_rows({NAME: system.blocks}, {NAME: layers}, {NAME: 1.0}, found.overhead_spikes, models)
    with steps("Report and pictures"):
        report = parts.Report(
            **head(workspace, hardware, [program]),
            answers=pulse_answers(pulse, found.equivalence, fitted, energy, recipe.quantise.bits),
            samples=parts.Samples(
                quality=0,
                generated=0,
                counted=clips,
                norse=found.norse_images,
                reference=found.reference_images,
                lava=found.lava_images,
            ),
            equivalence=found.equivalence,
            layers=[row.model_copy(update={"program": None}) for row in rows],
            totals=totals_row((system.blocks,), sums, macs, baseline),
            baseline=parts.Baseline(
                name="ANN twin",
                macs=baseline.macs,
                parameters=baseline.parameters,
                nodes=[vars(node) for node in baseline.nodes],
                runs=runs,
            ),
            energy=energy,
            fit=fitted,
            timing=parts.Timing(
                steps={**found.seconds, **steps.seconds},
                emulator_seconds_per_sample=judged.seconds / clips,
                lava_seconds_per_sample=_lava_seconds(found),
            ),
            files={
                "float NIR": workspace.float_nir.name,
                "integer NIR": workspace.integer_nir.name,
                "program": workspace.program.name,
                "ANN baseline": workspace.onnx.name,
                **{f"host {part} in {p}": file_of(part, p) for part in PARTS for p in PRECISIONS},
                "checks": workspace.equivalence.name,
                "recipe": "recipe.json",
            },
            pulse=pulse,
        )
        write_report(report, _pictures(system, judged, sample), workspace.folder)
    return report


def _pulse(
    data: PulseData,
    system: System,
    judged: Judged,
    hosts: list[told.HostRow],
    priced: told.PulseEnergy,
    frames: int,
    streamed: tuple[PulseStream | None, str],
) -> told.Pulse:
    rows = []
    for name in ("ann", "float", "int8", *CLASSICAL):
        video, clip = judged.scores(name, frames)
        scores = {"by_video": video, "by_clip": clip, "from_changes": judged.read(name)}
        rows.append(told.PulseRow(name=name, **{by: scores_part(found) for by, found in scores.items()}))  # type: ignore[arg-type]
    by_name = {row.name: row.by_video for row in rows}
    count = len(judged.waves[ABLATIONS[0]])
    whole = scores_part(judged.scores("float", frames, count)[0])
    ablations = []
    for ablation in ABLATIONS:
        video, _ = judged.scores(ablation, frames)
        cost = whole.wave_correlation - video.wave_correlation
        ablations.append(
            told.AblationRow(
                title=TITLES[ablation],
                by_video=scores_part(video),
                cost=cost,
                decorative=cost < told.LEAST_COST,
            )
        )
    published, claims = load_published(), load_energy_claims()
    return told.Pulse(
        variant=system.network.config.variant,
        attention=system.network.config.attention,
        data=_in_words(data),
        videos=len(judged.waves["reference"]),
        clips=judged.tally.samples,
        fps=FPS,
        clip_frames=frames,
        rows=rows,
        gap_bpm=by_name["int8"].mae - by_name["float"].mae,
        ablation_videos=count,
        ablation_whole=whole,
        ablations=ablations,
        rates=_rates(judged),
        host=hosts,
        energy=priced,
        published=[
            told.PublishedPulse(
                method=method.title,
                trained_on=row.train or "",
                tested_on=row.test,
                mae=row.mae,
                mape=row.mape,
                pearson=row.pearson,
                rmse=row.rmse,
            )
            for method in published.values()
            for row in method.results
        ],
        published_source="; ".join(dict.fromkeys(f"{m.source}, {m.data}" for m in published.values())),
        published_energy="; ".join(f"{c.what}: {c.value:g} {c.unit} ({c.source})" for c in claims),
        exchange_bytes=exchange_bytes(system.blocks.program),
        stream=streamed[0],
        stream_reason=streamed[1],
    )


def exchange_bytes(program: Program) -> float:
    """What the host writes for a clip, currents of every population that the embedding feeds, and what it reads back.

    Spikes are read as they come, a bit each; a membrane once, at the end.
    """
    fed = {encoder["population"] for encoder in program.host.get("encoders", [])}
    written = sum(program.population(name).size for name in fed) * BIAS_BYTES
    last = program.populations[-1]
    return written + last.size * (MEMBRANE_BYTES if last.readout else program.timesteps / 8)


def _in_words(data: PulseData) -> str:
    if data.name != "synthetic":
        return f"{data.name}, subjects that were not trained on"
    return (
        f"computed videos of the {data.level} level, {data.video_frames / FPS:g} s each, every one of another subject; "
        "none of them was trained on"
    )


def _rates(judged: Judged) -> list[told.PopulationRate]:
    program, found = judged.tally.program, []
    for population in program.populations:
        if population.readout or population.relay:
            continue
        spikes = float(judged.tally.totals[population.name].sum())
        rate = spikes / (judged.tally.samples * population.size * program.timesteps)
        inside = told.RATES[0] <= rate <= told.RATES[1]
        found.append(told.PopulationRate(name=population.name, rate=rate, within=inside))
    return found


def _pictures(system: System, judged: Judged, sample: NDArray[np.float32]) -> Pictures:
    shown = round(SHOWN_SECONDS * FPS)
    names = ("reference", "float", "int8", "ann")
    fired = rasters({NAME: system.blocks}, {NAME: sample})
    return Pictures(
        rasters={name.removeprefix(f"{NAME}: "): spikes for name, spikes in fired.items()},
        waves={name: pulse_of(judged.waves[name][0], FPS)[:shown] for name in names},
        wave_fps=FPS,
        heart_rates=_heart_rates(judged.waves),
    )


def _heart_rates(waves: Mapping[str, list[NDArray[np.float64]]]) -> dict[str, NDArray[np.floating[Any]]]:
    """Heart rate of each video, as the reference, the chip and POS have it."""
    return {
        name: np.array([heart_rate(pulse_of(wave, FPS), FPS) for wave in waves[name]])
        for name in ("reference", "int8", "POS")
    }


def _lava_seconds(found: Verification) -> float | None:
    lava = found.equivalence.lava
    return lava.seconds / found.lava_images if lava.ran and found.lava_images else None
