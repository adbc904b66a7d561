"""The tables and sentences about heart rates: the HTML page, the Markdown page and the terminal show the same."""

from __future__ import annotations

from typing import Literal

from . import units
from .pulse import LEAST_COST, RATES, PopulationRate, Pulse, PulseEnergy, PulseScores
from .pulse_stream import PulseStream
from .schema import Report
from .tables import DASH, Table, version_name
from .units import amount, count, fixed, joule, plural, share

_SCORES = (
    "MAE, bpm",
    "95 % interval",
    "RMSE, bpm",
    "MAPE, %",
    "Pearson",
    "SNR, dB",
    "Wave correlation",
    "Flat",
)
_READING = ("MAE, bpm", "95 % interval", "RMSE, bpm", "MAPE, %", "Pearson", "Trusted", "MAE of these, bpm")
_UNDEFINED = "undefined"
_VARIANTS = {
    "deployment": "the host reads spikes only, so no value gets past the chip",
    "reproduction": "built as published: the host's own features reach its last layers beside the spikes",
}
_ATTENTIONS = {
    "mask": "a mask for each channel, as published",
    "values": "tokens exchange values: queries read what keys and values of all of a clip have in common",
}


def opening(pulse: Pulse) -> str:
    """What was judged, in figures."""
    return (
        f"Heart rates and pulse waves of {plural(pulse.videos, 'face video')} ({pulse.data.strip().rstrip('.')}), cut into "
        f"{plural(pulse.clips, 'clip')}. {sample_note(pulse)} Variant: {pulse.variant}, {_VARIANTS[pulse.variant]}. "
        f"Attention: {_ATTENTIONS[pulse.attention]}."
    )


def sample_note(pulse: Pulse) -> str:
    """What a sample is."""
    return f"A sample is a clip: {clip_length(pulse)}."


def clip_length(pulse: Pulse) -> str:
    """Frames and seconds of a clip."""
    frames, fps = count(pulse.clip_frames), units.significant(pulse.fps)
    return f"{frames} frames at {fps} a second, {units.significant(pulse.clip_seconds, '.3g')} s"


def accuracy(report: Report, pulse: Pulse, by: Literal["video", "clip"]) -> Table:
    """Scores of every version and classical method."""
    rows = []
    for row in pulse.rows:
        scores = row.by_clip if by == "clip" else row.by_video
        rows.append((version_name(row.name, report.weight_bits), *_scores(scores)))
    return Table(("Version or method", *_SCORES), rows)


READING_NOTE = (
    "As spikewright pulse reads: from the changes from frame to frame that a network tells, of prediction and reference "
    "alike. The published protocol above reads their sum, where slow disturbances weigh more and a fast heart is misread as "
    "a slow one."
)


def readings(report: Report, pulse: Pulse) -> Table:
    """Errors of heart rates of videos read from changes, and of those that are to be trusted."""
    rows = []
    for row in pulse.rows:
        scores = row.from_changes
        error = DASH if scores.mae_trusted is None else fixed(scores.mae_trusted, 3)
        cells = (
            fixed(scores.mae, 3),
            interval(scores),
            fixed(scores.rmse, 3),
            fixed(scores.mape, 2),
            _defined(scores.pearson, 4),
            count(scores.trusted),
            error,
        )
        rows.append((version_name(row.name, report.weight_bits), *cells))
    return Table(("Version or method", *_READING), rows)


def _scores(scores: PulseScores) -> tuple[str, ...]:
    return (
        fixed(scores.mae, 3),
        interval(scores),
        fixed(scores.rmse, 3),
        fixed(scores.mape, 2),
        _defined(scores.pearson, 4),
        _defined(scores.snr, 2),
        fixed(scores.wave_correlation, 4),
        count(scores.flat),
    )


def interval(scores: PulseScores) -> str:
    """Interval of the mean absolute error."""
    if scores.mae_interval is None:
        return DASH
    low, high = scores.mae_interval
    return f"{fixed(low, 3)} to {fixed(high, 3)}"


def _defined(value: float | None, decimals: int) -> str:
    return _UNDEFINED if value is None else fixed(value, decimals)


def exceeds_limit(pulse: Pulse) -> bool:
    """Whether the integer program's heart rates are worse than the float network's by more than the limit."""
    return pulse.gap_bpm > pulse.gap_limit_bpm


def gap_note(report: Report, pulse: Pulse) -> str:
    """The gap between integer and float in a sentence."""
    side = "beyond" if exceeds_limit(pulse) else "within"
    chip, limit = version_name("int8", report.weight_bits), units.significant(pulse.gap_limit_bpm)
    return (
        f"Mean absolute error by video, {chip} against float SNN: {fixed(pulse.gap_bpm, 3, sign=True)} bpm, "
        f"{side} the limit of {limit} bpm."
    )


def trust_note(report: Report, pulse: Pulse) -> str:
    """How many heart rates of the chip its own waves vouch for, and how far those are off."""
    found = pulse.row("int8").from_changes
    off = "" if found.mae_trusted is None else f"; those err by {fixed(found.mae_trusted, 3)} bpm"
    return (
        f"{version_name('int8', report.weight_bits)}: by its wave alone the heart rate of {count(found.trusted)} of "
        f"{plural(found.count, 'video')} is to be trusted{off}."
    )


def ablations(pulse: Pulse) -> Table:
    """The float network without one part each, and whether that part earns its place."""
    rows = [
        (
            row.title,
            "decorative" if row.decorative else "costs",
            fixed(row.cost, 4, sign=True),
            *_ablated(row.by_video),
        )
        for row in pulse.ablations
    ]
    if pulse.ablation_whole is not None:
        rows.insert(0, ("nothing", "whole network", DASH, *_ablated(pulse.ablation_whole)))
    head = (
        "Without",
        "Verdict",
        "Cost",
        "Wave correlation",
        "MAE, bpm",
        "95 % interval",
        "RMSE, bpm",
        "Pearson",
    )
    return Table(head, rows, labels=2)


def _ablated(scores: PulseScores) -> tuple[str, ...]:
    return (
        fixed(scores.wave_correlation, 4),
        fixed(scores.mae, 3),
        interval(scores),
        fixed(scores.rmse, 3),
        _defined(scores.pearson, 4),
    )


def ablation_note(pulse: Pulse) -> str:
    """How the table came about."""
    return (
        f"The float network on {plural(pulse.ablation_videos, 'video')}, by video, one part taken out at a time; nothing is "
        f"trained anew. The cost is the wave correlation that is lost; below {LEAST_COST:g} a part is decorative."
    )


def contribution_notes(pulse: Pulse) -> list[str]:
    """A sentence on each decorative part, or that none was looked for; empty where every part costs."""
    if not pulse.ablations:
        return ["No part was ablated: whether the spikes contribute anything was not measured."]
    return [
        f"{row.title[:1].upper()}{row.title[1:]} is decorative: without it the waves correlate {_lost(row.cost)}."
        for row in pulse.ablations
        if row.decorative
    ]


def _lost(cost: float) -> str:
    if not round(cost, 4):
        return "just as well"
    return f"{fixed(-cost, 4)} better" if cost < 0 else f"only {fixed(cost, 4)} less"


def rates(pulse: Pulse) -> Table:
    """Firing rates of populations, those outside the range marked."""
    return Table(
        ("Population", "Verdict", "Rate"),
        [(row.name, _range(row), share(row.rate)) for row in pulse.rates],
        labels=2,
    )


def _range(row: PopulationRate) -> str:
    if row.within:
        return "within"
    side, limit = ("below", RATES[0]) if row.rate < RATES[0] else ("above", RATES[1])
    return f"✗ {side} {100 * limit:g} %"


def rates_outside(pulse: Pulse) -> list[str]:
    """Populations outside the range."""
    return [row.name for row in pulse.rates if not row.within]


def rates_note(pulse: Pulse) -> str:
    """Which populations do not fire as they should."""
    outside = rates_outside(pulse)
    listed = f" ({', '.join(outside)})" if outside else ""
    return (
        f"Populations that fire outside {100 * RATES[0]:g} to {100 * RATES[1]:g} % of their time steps: "
        f"{len(outside) or 'none'} of {count(len(pulse.rates))}{listed}."
    )


def host(pulse: Pulse) -> Table:
    """The host's part in each precision."""
    rows = []
    for row in pulse.host:
        scores: tuple[str, ...] = (DASH,) * len(_SCORES)
        if row.by_video is not None:
            scores = _scores(row.by_video)
        rows.append((row.precision, _ran(row.by_video, row.reason), *scores))
    return Table(("Host", "Result", *_SCORES), rows, labels=2)


def _ran(scores: PulseScores | None, reason: str) -> str:
    return "ran" if scores is not None else f"did not run: {reason.strip() or 'no reason was recorded'}"


def energy(energy: PulseEnergy) -> Table:
    """Joules of a clip as the paper counts, and what they amount to."""
    rows = [
        ("Spiking blocks", joule(energy.spiking_blocks)),
        ("The twin's transformer layers", joule(energy.twin_blocks)),
        ("Twin's layers over spiking blocks", f"{units.significant(energy.block_ratio)} times"),
        ("Host, the rest of the network", joule(energy.host)),
        ("Whole network saves, of the twin's energy", f"{fixed(energy.whole_saving_percent, 2)} %"),
        ("MACs of the host", count(energy.host_macs)),
        (f"MACs of the host with the other stem: {energy.other_stem}", count(energy.other_stem_host_macs)),
    ]
    return Table(("A clip, as the paper counts", "Value"), rows)


ENERGY_NOTE = (
    "4.6 pJ a multiply-accumulate and 0.9 pJ a synaptic operation (45 nm arithmetic); memory traffic, neuron updates and "
    "the exchange between host and chip are left out. The ratio is of the blocks alone: read it with the saving of the whole."
)


def exchange(pulse: Pulse) -> str:
    """What crosses the border between host and chip."""
    return f"The host writes and reads {amount(pulse.exchange_bytes)} bytes a clip."


STREAM_NOTE = (
    "The integers of the program above on a camera that is still running: neurons for one token frame, delays for the taps "
    "in time, and no clip is sent."
)


def stream(stream: PulseStream, fps: float) -> Table:
    """What a stream takes of a chip and does there, and how far the wave is behind the camera."""
    low, high = stream.behind_frames
    seconds = units.significant(high / fps, ".3g")
    a_second = amount(stream.sops_per_token * fps / stream.token_frames)
    cores = DASH if stream.cores is None else count(stream.cores)
    rows = [
        ("Frames of the camera a token frame", count(stream.token_frames)),
        ("Chip steps a token frame", count(stream.period)),
        ("Neurons", count(stream.neurons)),
        ("Synapses", count(stream.synapses)),
        (f"Cores of {stream.chip}", f"{cores}, does not fit" if stream.obstacles else cores),
        ("Longest delay, steps", count(stream.longest_delay)),
        (
            "Latency of the chip",
            f"{count(stream.latency_steps)} steps, {plural(stream.latency_tokens, 'token frame')}",
        ),
        ("Wave behind the camera", f"{low} to {high} frames, at most {seconds} s"),
        ("SOPs a token frame; a second", f"{amount(stream.sops_per_token)}; {a_second}"),
        ("Spikes outside of windows, over those inside", share(stream.outside)),
    ]
    return Table(("A stream", "Value"), rows)


def obstacles(stream: PulseStream) -> str:
    """Why a stream does not fit; empty where it does."""
    if not stream.obstacles:
        return ""
    first, more = stream.obstacles[0].strip().rstrip("."), len(stream.obstacles) - 1
    return f"It does not fit {stream.chip}: {first}{f', and {more} more' if more else ''}."


def stream_check(stream: PulseStream) -> str:
    """Whether the stream fires the clips' spikes."""
    return (
        f"{plural(stream.clips, 'clip')} streamed between silence: {count(stream.differing)} of "
        f"{count(stream.neuron_steps)} neuron steps differ from the program of clips."
    )


def no_stream(pulse: Pulse) -> str:
    """Why there is no stream."""
    return f"Not on a stream: {pulse.stream_reason.strip().rstrip('.') or 'it was not measured'}."


def published(pulse: Pulse) -> Table:
    """Other authors' figures."""
    rows = [
        (
            row.method,
            row.trained_on or "nothing",
            row.tested_on,
            *(
                DASH if value is None else fixed(value, 2)
                for value in (row.mae, row.rmse, row.mape, row.pearson)
            ),
        )
        for row in pulse.published
    ]
    return Table(
        ("Method", "Trained on", "Tested on", "MAE, bpm", "RMSE, bpm", "MAPE, %", "Pearson"), rows, labels=3
    )


def published_note(pulse: Pulse) -> str:
    """What these figures are not."""
    source = pulse.published_source.strip().rstrip(".") or "no source was recorded"
    return f"Other data than this report's, so not comparable with the tables above. Source: {source}."


NO_RATES = "No firing rate was recorded."
NO_HOST = "No precision of the host was recorded."
NOT_PUBLISHED = "No published figure was recorded for this system."
