"""Scores of predicted pulse waves against reference waves, heart rates of both computed in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import PulseError
from .heart_rate import heart_rate, is_trusted, signal_to_noise
from .waves import HIGH, LOW, Wave, checked_wave, pulse_band, pulse_of, standardised

#: What a heart rate is read from: the filtered pulse wave, as published, or the changes that it is the sum of.
ReadFrom: TypeAlias = Literal["wave", "differences"]

SHORTEST = 16  # samples, what the band-pass needs
RESAMPLINGS = 2000


@dataclass(frozen=True)
class Scores:
    """Errors of heart rates and likeness of waves, over all videos or clips.

    Attributes
    ----------
    mae, rmse : float
        Mean absolute and root mean square error, bpm.
    mape : float
        Mean absolute error in percent of the reference rate.
    pearson : float or None
        Correlation of predicted and reference rates; None for fewer than two, or where either never changes.
    snr : float or None
        Mean signal-to-noise ratio at the reference rate, dB, over predictions that are not flat; None if all are.
    count : int
        Videos or clips judged.
    wave_correlation : float
        Mean correlation of predicted and reference waves.
    mae_interval : tuple of float or None
        95 % bootstrap interval of ``mae``, whole videos resampled; None for a single video.
    flat : int
        Predictions without any pulse. Their rate counts as the lower end of the band, as an argmax over an empty
        periodogram gives it, and their wave correlation as 0: silence wins nothing.
    trusted : int
        Predictions whose own quality (:func:`.heart_rate.quality`) says that their rate can be trusted.
    mae_trusted : float or None
        Mean absolute error of those, bpm; None where there are none.
    """

    mae: float
    rmse: float
    mape: float
    pearson: float | None
    snr: float | None
    count: int
    wave_correlation: float
    mae_interval: tuple[float, float] | None
    flat: int
    trusted: int
    mae_trusted: float | None


@dataclass(frozen=True, eq=False)
class Judgements:
    """Heart rates and likeness of waves, a video or clip each.

    Attributes
    ----------
    videos : ndarray of int64
        Number of the video that it is of.
    rates, references : ndarray of float64
        Heart rates of prediction and reference, bpm; that of a flat prediction is the lower end of the band.
    wave_correlation : ndarray of float64
        Correlation of predicted and reference wave; 0 where the prediction is flat.
    snr : ndarray of float64
        Signal-to-noise ratio at the reference rate, dB; NaN where the prediction is flat.
    flat : ndarray of bool
        Predictions without any pulse.
    trusted : ndarray of bool
        Predictions whose quality, which knows no reference, is enough to trust their rate.
    """

    videos: NDArray[np.int64]
    rates: Wave
    references: Wave
    wave_correlation: Wave
    snr: Wave
    flat: NDArray[np.bool_]
    trusted: NDArray[np.bool_]

    @property
    def errors(self) -> Wave:
        """Absolute errors of the heart rate, bpm."""
        return np.abs(self.rates - self.references)


def score(
    predicted_waves: Sequence[ArrayLike],
    reference_waves: Sequence[ArrayLike],
    fps: float,
    by: Literal["video", "clip"] = "video",
    clip_length: int = 160,
    *,
    differences: bool = False,
    read_from: ReadFrom = "wave",
    max_lag: float = 0.0,
    low: float = LOW,
    high: float = HIGH,
    seed: int = 0,
) -> Scores:
    """Judge predicted waves by the published protocol: detrend, band-pass, heart rate, for both sides alike.

    Waves that were filtered so before may be given again; a second pass moves no peak by much. The filter keeps half of
    0.75 Hz: below some 55 bpm a wave with a strong second harmonic is read at its double, on both sides alike.

    Parameters
    ----------
    predicted_waves, reference_waves : sequence of array_like
        One wave (T,) a video, of equal length in both; lengths may differ between videos.
    fps : float
        Samples a second.
    by : {"video", "clip"}
        What one heart rate is taken of. Clips are cut before any filter, so that none sees its neighbours; what is left
        over at the end of a video is not judged.
    clip_length : int
        Samples of a clip.
    differences : bool
        Both sides are changes from frame to frame: take their cumulative sum first.
    read_from : {"wave", "differences"}
        What heart rates, and whether to trust them, are read from: the filtered wave as published, or the changes as
        they are, which only ``differences`` has. A sum divides power by the square of the frequency, so that a slow
        disturbance beneath a fast heart wins; the changes favour neither.
    max_lag : float
        Seconds by which a prediction may be shifted either way before its wave is compared; the best shift counts, which
        favours it even where it is noise. With 0, the default, a late prediction loses correlation.
    low, high : float
        The band in Hz.
    seed : int
        Of the bootstrap.

    Raises
    ------
    PulseError
        Waves do not pair up, are too short or not finite, or a reference is flat; or differences are to be read that
        were not given.
    """
    found = judge(
        predicted_waves,
        reference_waves,
        fps,
        by,
        clip_length,
        differences=differences,
        read_from=read_from,
        max_lag=max_lag,
        low=low,
        high=high,
    )
    errors, rates, truths = found.errors, found.rates, found.references
    return Scores(
        mae=float(errors.mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        mape=float(100 * (errors / truths).mean()),
        pearson=_correlation(rates, truths) if np.ptp(rates) > 0 and np.ptp(truths) > 0 else None,
        snr=None if np.isnan(found.snr).all() else float(np.nanmean(found.snr)),
        count=len(errors),
        wave_correlation=float(found.wave_correlation.mean()),
        mae_interval=_interval(errors, found.videos, seed),
        flat=int(found.flat.sum()),
        trusted=int(found.trusted.sum()),
        mae_trusted=float(errors[found.trusted].mean()) if found.trusted.any() else None,
    )


def judge(
    predicted_waves: Sequence[ArrayLike],
    reference_waves: Sequence[ArrayLike],
    fps: float,
    by: Literal["video", "clip"] = "video",
    clip_length: int = 160,
    *,
    differences: bool = False,
    read_from: ReadFrom = "wave",
    max_lag: float = 0.0,
    low: float = LOW,
    high: float = HIGH,
) -> Judgements:
    """What :func:`score` takes the mean of, one by one; parameters and errors are those of :func:`score`."""
    pairs = _pairs(predicted_waves, reference_waves)
    if by not in ("video", "clip"):
        raise PulseError(f'by is {by!r}; choose "video" or "clip"')
    if by == "clip" and clip_length < SHORTEST:
        raise PulseError(f"clip_length is {clip_length}; give {SHORTEST} or more")
    if read_from not in ("wave", "differences") or (read_from == "differences" and not differences):
        raise PulseError(
            f'read_from is {read_from!r} and differences {differences}; read a "wave", or "differences" that are given'
        )
    pulse = pulse_of if differences else pulse_band
    rows = []
    for video, pair in enumerate(pairs):
        pieces = _pieces(pair, clip_length if by == "clip" else None, video)
        # All clips of a video at once: a filter's start costs more than a row.
        for clip, (given, filtered) in enumerate(zip(pieces, pulse(pieces, fps, low, high), strict=True)):
            ours, theirs = filtered
            read, told = given if read_from == "differences" else filtered
            truth = heart_rate(told, fps, low, high)
            if np.isnan(truth):
                where = f"reference wave {video}" + (f", clip {clip}," if by == "clip" else "")
                raise PulseError(f"{where} is flat: it has no heart rate; leave the video out")
            rate = heart_rate(read, fps, low, high)
            flat = bool(np.isnan(rate))
            ratio = np.nan if flat else signal_to_noise(ours, truth, fps, low, high)
            likeness = _likeness(ours, theirs, round(max_lag * fps))
            trusted = is_trusted(read, fps, low, high)
            rows.append((video, 60 * low if flat else rate, truth, likeness, ratio, flat, trusted))
    return Judgements(*(np.array(column) for column in zip(*rows, strict=True)))


def _pairs(predicted: Sequence[ArrayLike], reference: Sequence[ArrayLike]) -> list[tuple[Wave, Wave]]:
    """The waves of each video, checked."""
    if len(predicted) != len(reference) or len(predicted) == 0:
        raise PulseError(
            f"{len(predicted)} predicted waves against {len(reference)}; give one of each a video"
        )
    pairs = []
    for video, waves in enumerate(zip(predicted, reference, strict=True)):
        ours, theirs = (
            checked_wave(wave, f"{name} wave {video}", SHORTEST)
            for name, wave in zip(("predicted", "reference"), waves, strict=True)
        )
        if len(ours) != len(theirs):
            raise PulseError(
                f"predicted wave {video} has {len(ours)} samples, its reference {len(theirs)}; "
                "cut both to the same frames"
            )
        pairs.append((ours, theirs))
    return pairs


def _pieces(pair: tuple[Wave, Wave], length: int | None, video: int) -> Wave:
    """A video's waves, whole or cut into clips: (clips, 2, samples)."""
    total = len(pair[0])
    length = length or total
    if total < length:
        raise PulseError(f"wave {video} has {total} samples, a clip {length}; give a shorter clip_length")
    clips = total // length
    return np.stack([wave[: clips * length].reshape(clips, length) for wave in pair], axis=1)


def _correlation(a: Wave, b: Wave) -> float:
    """Pearson correlation; 0 where either is flat."""
    return float(np.clip((standardised(a) * standardised(b)).mean(), -1, 1))


def _likeness(predicted: Wave, reference: Wave, lag: int) -> float:
    """Correlation at the best shift of up to ``lag`` samples either way."""
    length = len(predicted)
    if not 0 <= lag <= length // 2:
        raise PulseError(f"max_lag is {lag} samples for waves of {length}; give 0 up to half of them")
    return max(
        _correlation(predicted[max(0, s) : length + min(0, s)], reference[max(0, -s) : length - max(0, s)])
        for s in range(-lag, lag + 1)
    )


def _interval(errors: Wave, videos: NDArray[np.int64], seed: int) -> tuple[float, float] | None:
    """95 % percentile interval of the mean error, whole videos resampled: the clips of one are not independent."""
    if videos[-1] == 0:
        return None
    totals, counts = np.bincount(videos, errors), np.bincount(videos)
    drawn = np.random.default_rng(seed).integers(len(totals), size=(RESAMPLINGS, len(totals)))
    low, high = np.quantile(totals[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)
