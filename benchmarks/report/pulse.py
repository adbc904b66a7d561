"""What a report says of a system that reads a pulse from face videos.

A sample is a clip: what one run of the program sees. Heart rates are judged by video, where clips are put together
again, and by clip.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .part import Amount, Count, Part
from .pulse_stream import PulseStream

#: Heart rates of the integer program may be so far from the float network's, in mean absolute error.
LIMIT_BPM = 0.1
#: A part that costs less correlation than this when it is missing is decorative.
LEAST_COST = 0.01
#: Firing rates that a population should have.
RATES = (0.02, 0.40)
#: Difference up to which figures that follow from each other agree: floats, not words.
_SLACK = 1e-6

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class PulseScores(Part):
    """Heart rates and waves against the reference, over videos or clips."""

    mae: Amount = Field(description="Mean absolute error of heart rates in beats a minute.")
    mae_interval: Interval | None = Field(
        description="95 % bootstrap interval, whole videos resampled; None for a single one."
    )
    rmse: Amount = Field(description="Root mean square error, beats a minute.")
    mape: Amount = Field(description="Mean absolute error in per cent of the reference rate.")
    pearson: float | None = Field(
        description="Correlation of predicted and reference rates; None where either never changes."
    )
    snr: float | None = Field(
        description="Mean signal-to-noise ratio at the reference rate, dB; None where every prediction is flat."
    )
    wave_correlation: float = Field(description="Mean correlation of predicted and reference waves.")
    flat: Count = Field(description="Predictions without any pulse, read as the lowest rate.")
    trusted: Count = Field(
        description="Predictions whose own quality index says that their heart rate can be trusted."
    )
    mae_trusted: Amount | None = Field(
        description="Mean absolute error of those, beats a minute; None where there are none."
    )
    count: Count = Field(description="Videos or clips judged.")

    @model_validator(mode="after")
    def _trusted_are_judged(self) -> Self:
        if self.trusted > self.count or (self.mae_trusted is None) != (self.trusted == 0):
            raise ValueError(
                f"`trusted` is {self.trusted} of {self.count} and `mae_trusted` {self.mae_trusted}; at most all are "
                "trusted, and an error belongs to one or more"
            )
        return self


class PulseRow(Part):
    """One version of the network, or one classical method, on the same videos."""

    name: Literal["ann", "float", "int8", "GREEN", "CHROM", "POS"]
    by_video: PulseScores
    by_clip: PulseScores
    from_changes: PulseScores = Field(
        description="By video, heart rates read from the wave's changes from frame to frame."
    )


class AblationRow(Part):
    """The float network without one of its spiking parts."""

    title: str = Field(description="The missing part in the singular, as in `the attention`.")
    by_video: PulseScores
    cost: float = Field(description="Wave correlation of the whole network less this one's.")
    decorative: bool = Field(description=f"Whether the cost is below {LEAST_COST:g}.")

    @model_validator(mode="after")
    def _by_its_cost(self) -> Self:
        if self.decorative != (self.cost < LEAST_COST):
            raise ValueError(
                f"`decorative` is {self.decorative} of {self.title!r} at a cost of {self.cost:g}; a part is "
                f"decorative where it costs less than {LEAST_COST:g}"
            )
        return self


class PopulationRate(Part):
    """How often a population fires on the chip."""

    name: str
    rate: float = Field(description="Spikes a neuron and time step, over all judged clips.")
    within: bool = Field(description=f"Whether it lies in {RATES[0]:.0%} to {RATES[1]:.0%}.")

    @model_validator(mode="after")
    def _by_its_rate(self) -> Self:
        if self.within != (RATES[0] <= self.rate <= RATES[1]):
            raise ValueError(
                f"`within` is {self.within} of {self.name!r} at a rate of {self.rate:g}; it says whether the rate "
                f"lies in {RATES[0]:g} to {RATES[1]:g}"
            )
        return self


class HostRow(Part):
    """The host's part in one precision, around the same integer program."""

    precision: Literal["float32", "int8"]
    by_video: PulseScores | None = Field(description="None where it did not run.")
    reason: str = Field(description="Why it did not run, and the remedy; empty when it ran.")


class PulseEnergy(Part):
    """Joules a clip as the paper counts: 4.6 pJ a multiply-accumulate, 0.9 pJ a synaptic operation (45 nm)."""

    host: Amount
    spiking_blocks: Amount
    twin_blocks: Amount = Field(description="The twin's transformer layers.")
    block_ratio: float = Field(description="twin_blocks / spiking_blocks.")
    whole_saving_percent: float = Field(
        description="What the spiking model saves of the twin's whole energy."
    )
    host_macs: Count
    other_stem_host_macs: Count = Field(
        description="Multiply-accumulates of the host with the other variant's stem."
    )
    other_stem: str = Field(description="Which stem that is.")


class PublishedPulse(Part):
    """A published result, of other data than this report's."""

    method: str
    trained_on: str = Field(description="Empty for a method without training.")
    tested_on: str
    mae: float | None
    mape: float | None
    pearson: float | None
    rmse: float | None


class Pulse(Part):
    """Accuracy of heart rates and waves, and what the spikes contribute."""

    variant: Literal["deployment", "reproduction"]
    attention: Literal["mask", "values"]
    data: str = Field(description="What the videos are, in words.")
    videos: Count
    clips: Count
    fps: Annotated[float, Field(gt=0)] = Field(description="Frames a second.")
    clip_frames: Count
    rows: list[PulseRow] = Field(description="Each name at most once; the float network and the chip always.")
    gap_bpm: float = Field(
        description="Mean absolute error of the integer program less the float network's, by video."
    )
    gap_limit_bpm: float = LIMIT_BPM
    ablation_videos: Count
    ablation_whole: PulseScores | None = Field(
        default=None, description="The whole float network on the videos of the ablations."
    )
    ablations: list[AblationRow] = Field(description="Empty where nothing was ablated.")
    rates: list[PopulationRate]
    host: list[HostRow]
    energy: PulseEnergy
    published: list[PublishedPulse]
    published_source: str
    published_energy: str = Field(description="The paper's ratios, in words with their versions.")
    exchange_bytes: Amount = Field(description="What the host writes and reads for a clip.")
    stream: PulseStream | None = Field(
        default=None,
        description="The blocks on a camera that is still running; None where they do not stream.",
    )
    stream_reason: str = Field(default="", description="Why they do not stream; empty where they do.")

    @property
    def clip_seconds(self) -> float:
        """Length of a clip."""
        return self.clip_frames / self.fps

    def row(self, name: str) -> PulseRow:
        """One version or method, by its name."""
        return next(row for row in self.rows if row.name == name)

    @model_validator(mode="after")
    def _figures_agree(self) -> Self:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names) or not {"float", "int8"} <= set(names):
            raise ValueError(
                f"`rows` are {', '.join(names) or 'none'}; give each at most once, and always `float` and `int8`"
            )
        gap = self.row("int8").by_video.mae - self.row("float").by_video.mae
        if abs(self.gap_bpm - gap) > _SLACK:
            raise ValueError(
                f"`gap_bpm` is {self.gap_bpm:g}, but the mean absolute errors by video of `int8` and `float` "
                f"differ by {gap:g}"
            )
        if self.stream is not None and self.stream_reason:
            raise ValueError("`stream_reason` is given beside a `stream`; it says why there is none")
        if self.ablation_whole is not None:
            self._costs_agree(self.ablation_whole)
        return self

    def _costs_agree(self, whole: PulseScores) -> None:
        for row in self.ablations:
            cost = whole.wave_correlation - row.by_video.wave_correlation
            if abs(row.cost - cost) > _SLACK:
                raise ValueError(
                    f"`cost` of {row.title!r} is {row.cost:g}, but the wave correlations with and without it differ "
                    f"by {cost:g}"
                )
