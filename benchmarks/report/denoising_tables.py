"""The tables and sentences about a Gaussian diffusion: its sampler, its noise, and what an evaluation costs."""

from __future__ import annotations

from collections.abc import Sequence

from . import units
from .generation import EvaluationEnergy, NoiseQuality, Sampler
from .prediction import ORDER, Prediction
from .schema import Report
from .tables import DASH, Table, version_name
from .units import count, joule, plain, signed_percent


def opening(sampler: Sampler, seed: int) -> str:
    """How an image comes about, in figures."""
    told = _prediction(sampler) + _thresholds(sampler)
    return f"The host starts from Gaussian noise and {_walk(sampler)}. {told}Seed {seed}."


def _prediction(sampler: Sampler) -> str:
    if sampler.prediction == "noise":
        return ""
    return (
        "The network tells an image's velocity (Salimans and Ho, arXiv 2202.00512); the host forms the noise from it and "
        "from the image as it is. "
    )


def _walk(sampler: Sampler) -> str:
    steps, indices = count(sampler.steps), count(sampler.diffusion_steps)
    plural = "" if sampler.steps == 1 else "s"
    if sampler.rule == "ddim":
        return f"takes {steps} DDIM step{plural} through a diffusion of {indices} steps, one evaluation of the denoiser each"
    visited = f"every index of a diffusion of {indices} steps"
    if sampler.steps != sampler.diffusion_steps:
        visited = f"{steps} of the {indices} indices of a diffusion"
    return f"visits {visited}, one evaluation of the denoiser each, adding fresh noise after each but the last (DDPM)"


def _thresholds(sampler: Sampler) -> str:
    if sampler.threshold == 1:
        return ""
    note = sampler.threshold_note.strip().rstrip(".")
    meaning = f": {note}" if note else ""
    factor = units.significant(sampler.threshold)
    return (
        f"All firing thresholds are {factor} times what they were in training (threshold guidance){meaning}. "
    )


def exceeds_limit(noise: NoiseQuality) -> bool:
    """Whether the integer program's error is more than the limit above the float network's."""
    return not noise.within_limit or noise.gap_percent > noise.limit_percent


def prediction(report: Report, noise: NoiseQuality) -> Prediction:
    """How well each version predicts the noise in test images."""
    loud = exceeds_limit(noise)
    return Prediction("Noise", _table(report, noise), _note(report, noise), loud, _remark(noise))


def _table(report: Report, noise: NoiseQuality) -> Table:
    errors = (noise.mse_float, noise.mse_int8, noise.mse_ann)
    # As many digits as their gap takes, and the same number of them in each column.
    shown = [plain(error) if error is None else units.significant(error, "#.5g") for error in errors]
    rows = [
        ("Error of the noise (MSE)", *shown),
        ("Against the float network", DASH, signed_percent(noise.gap_percent), DASH),
        ("Limit", DASH, signed_percent(noise.limit_percent), DASH),
    ]
    return Table(("Noise", *(version_name(key, report.weight_bits) for key in ORDER)), rows)


def _note(report: Report, noise: NoiseQuality) -> str:
    chip, gap = version_name("int8", report.weight_bits), signed_percent(noise.gap_percent)
    side, limit = "beyond" if exceeds_limit(noise) else "within", units.significant(noise.limit_percent)
    return f"Error of the noise, {chip} against float SNN: {gap}, {side} the limit of {limit} %."


def _remark(noise: NoiseQuality) -> str:
    plural = "" if noise.images == 1 else "s"
    return (
        f"Over {count(noise.images)} test image{plural}, each with the noise of one index of the diffusion. Noise "
        "has variance 1, so a network that predicts none of it errs by 1."
    )


def evaluation_energy(rows: Sequence[EvaluationEnergy]) -> Table:
    """One evaluation of the denoiser by each accounting."""
    cells = [
        (
            row.title,
            row.note or DASH,
            joule(row.snn_joule),
            joule(row.ann_joule),
            units.significant(row.ratio, ".3g"),
        )
        for row in rows
    ]
    return Table(("Accounting", "What is charged", "SNN", "ANN", "SNN / ANN"), cells, labels=2)


EVALUATION_NOTE = "Energy of one evaluation of the denoiser for one image, not of a whole generated image."
