"""What the page over all models takes from a model's own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..report.checks import Check, checks, same_image
from ..report.schema import EnergyRow, Report
from ..report.tables import mean_rate, sample_name
from . import words
from .schema import (
    Activity,
    Budget,
    CheckFigure,
    Command,
    EnergyFigure,
    Picture,
    QualityFigure,
    Result,
    Size,
)


def result_of(
    report: Report,
    *,
    budget: Sequence[Budget],
    commands: Sequence[Command],
    pictures: Sequence[Picture],
    page: str | None,
) -> Result:
    """The figures of a report that the page over all models shows.

    Parameters
    ----------
    page : str or None
        Where the report's own page lies.
    """
    quality = quality_of(report)
    joules = {} if report.generation is None else report.generation.per_image.joule
    rate = mean_rate(report.layers)
    energy = [
        energy_figure(key, row, rate, joules[key].ci95 if key in joules else None)
        for key, row in report.energy.items()
    ]
    return Result(
        system=report.model,
        dataset=report.dataset,
        dataset_note=report.dataset_note,
        sample=_sample(report),
        seed=report.seed,
        answers=report.answers,
        headline=words.headline(energy, quality),
        quality=quality,
        energy=energy,
        size=_size(report),
        activity=_activity(report, rate),
        checks=_checks(report),
        budget=list(budget),
        commands=list(commands),
        pictures=list(pictures),
        report=page,
    )


def _sample(report: Report) -> str:
    if report.pulse is None and report.generation is None:
        return "reconstructed image"
    return "clip of video" if report.pulse is not None else sample_name(report)


def quality_figure(
    name: str,
    versions: Mapping[str, float | None],
    samples: int,
    *,
    unit: str = "",
    lower_is_better: bool = True,
) -> QualityFigure:
    """One measure of every version (``float``, ``int8``, ``ann``) and how far the chip is from the two others."""
    floating, chip, ann = (versions.get(key) for key in ("float", "int8", "ann"))
    return QualityFigure(
        name=name,
        unit=unit,
        lower_is_better=lower_is_better,
        float=floating,
        chip=chip,
        ann=ann,
        samples=samples,
        chip_to_float_percent=_percent(chip, floating),
        chip_to_ann_percent=_percent(chip, ann),
    )


def _percent(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else 100 * (value / other - 1)


def quality_of(report: Report) -> list[QualityFigure]:
    """Every measure of quality, first the one that energy is held against: what a sample is judged by."""
    if report.pulse is not None:
        by_video = {row.name: row.by_video for row in report.pulse.rows}
        return [
            quality_figure(
                "heart rate, mean absolute error by video",
                {name: row.mae for name, row in by_video.items()},
                report.pulse.videos,
                unit="bpm",
            ),
            quality_figure(
                "correlation of pulse waves",
                {name: row.wave_correlation for name, row in by_video.items()},
                report.pulse.videos,
                lower_is_better=False,
            ),
        ]
    quality = report.quality
    assert quality is not None  # the schema demands it without a pulse
    rows = {"float": quality.float_, "int8": quality.int8, "ann": quality.ann}
    seen, drawn, generation = report.samples.quality, report.samples.generated, report.generation
    found = []
    if generation is not None and generation.noise is not None:
        noise = generation.noise
        errors = {"float": noise.mse_float, "int8": noise.mse_int8, "ann": noise.mse_ann}
        found.append(quality_figure("error of the predicted noise", errors, noise.images))
    if generation is not None:
        distances = {name: row.classifier_frechet for name, row in generation.samples.items()}
        found.append(quality_figure("Frechet distance of samples, classifier's features", distances, drawn))
    if quality.reconstructs:
        errors = {name: row.reconstruction_mse for name, row in rows.items()}
        found.append(quality_figure("reconstruction error", errors, seen))
    distances = {name: row.fad_samples for name, row in rows.items()}
    found.append(quality_figure("Frechet distance of samples, autoencoder's features", distances, drawn))
    return found


def energy_figure(model: str, row: EnergyRow, rate: float, interval: float | None) -> EnergyFigure:
    """One energy model's figures, the mean spike rate of the run beside the one at break-even."""
    int8, even = row.ann_int8_joule, row.break_even_rate
    ratio = row.snn_joule / int8 if int8 else None
    factor = rate / even if even else None
    return EnergyFigure(
        model=model,
        title=row.title,
        snn_joule=row.snn_joule,
        snn_joule_ci95=interval,
        host_joule=row.host_joule,
        ann_joule=row.ann_joule,
        ann_int8_joule=int8,
        ratio_fp32=row.ratio,
        ratio_int8=ratio,
        break_even_rate=even,
        break_even_factor=factor,
        words=words.energy(row.title, row.ratio, ratio, rate, even),
    )


def _size(report: Report) -> Size:
    fit, generation = report.fit, report.generation
    cores = fit.cores_placed
    if generation is not None:
        placed = [program.cores_placed for program in generation.programs if program.runs]
        cores = None if None in placed else sum(cores or 0 for cores in placed)
    return Size(
        chip=fit.chip,
        neurons=fit.neurons,
        synapses=fit.synapses,
        cores=cores,
        cores_available=fit.cores_available,
        binding=fit.binding,
        weight_bits=report.weight_bits,
    )


def _activity(report: Report, rate: float) -> Activity:
    generation = report.generation
    return Activity(
        spikes=report.totals.spikes,
        sops=report.totals.sops,
        rate=rate,
        ann_macs=report.baseline.macs,
        timesteps=report.timesteps,
        latency_steps=report.latency_steps,
        chip_steps=report.period if generation is None else generation.exchange.chip_steps,
        samples=report.samples.counted,
    )


def _checks(report: Report) -> list[CheckFigure]:
    samples = report.samples
    counts = {"norse": samples.norse, "Reference": samples.reference, "Lava": samples.lava}
    found = [check_figure(check, counts[check.name]) for check in checks(report)]
    if report.generation is not None:
        for row in report.generation.same_images:
            check = same_image(row)
            found.append(check_figure(check, row.images, f"{check.name}, whole images"))
    return found


def check_figure(check: Check, samples: int, name: str = "") -> CheckFigure:
    """A check as the page shows it."""
    return CheckFigure(name=name or check.name, outcome=check.outcome, words=check.words, samples=samples)
