"""What was deployed, on what, and by what: the list at the top of a report."""

from __future__ import annotations

from datetime import UTC, datetime

from . import pulse_tables, units
from .generation import Sampler
from .schema import Report
from .tables import DASH
from .units import amount, count


def facts(report: Report) -> list[tuple[str, str]]:
    """What was deployed, on what, and by what."""
    scales = "one scale a channel" if report.per_channel_scales else "one scale a layer"
    tune = report.recipe.get("quantise", {}).get("tune", 0)
    tuned = f", fine-tuned for {count(tune)} iterations" if tune else ""
    return [
        ("Model", report.model),
        ("Data set", report.dataset),
        ("Chip", report.chip),
        ("Weights", f"{report.weight_bits} bits, {scales}{tuned}"),
        *_times(report),
        ("Seed", str(report.seed)),
        ("Written", f"{written(report.created)} by {report.tool}"),
    ]


def _times(report: Report) -> list[tuple[str, str]]:
    pulse, generation = report.pulse, report.generation
    if pulse is not None:
        return [
            ("Variant", pulse.variant),
            ("A clip", pulse_tables.clip_length(pulse)),
            ("Time", f"{report.timesteps} steps a clip, one clip every {report.period} steps"),
            ("Latency", f"{report.latency_steps} steps from first input to read-out"),
        ]
    if generation is None:
        return [
            ("Time", f"{report.timesteps} steps a sample, one sample every {report.period} steps"),
            ("Latency", f"{report.latency_steps} steps from first input to read-out"),
        ]
    sampler = [] if generation.sampler is None else [("Sampler", _sampler(generation.sampler))]
    needed = [program for program in generation.programs if program.runs]
    runs = [f"{amount(program.runs)} × {program.name}" for program in needed]
    steps = [f"{program.name} {count(program.timesteps)} steps" for program in needed]
    return [
        *sampler,
        (
            "A generated image",
            f"{' + '.join(runs) or DASH}, {amount(generation.exchange.chip_steps)} chip steps",
        ),
        ("Time", f"{', '.join(steps) or DASH} a run"),
    ]


def _sampler(sampler: Sampler) -> str:
    some = "all" if sampler.steps == sampler.diffusion_steps else f"{count(sampler.steps)} of"
    words = f"{sampler.rule.upper()}, {some} {count(sampler.diffusion_steps)} indices"
    words += "" if sampler.prediction == "noise" else f" by {sampler.prediction}"
    factor = "" if sampler.threshold == 1 else f", firing thresholds × {units.significant(sampler.threshold)}"
    return f"{words}{factor}"


def written(created: str) -> str:
    """An ISO time to the minute in UTC; anything else as it stands."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"
