"""What a report says of a system that reads a pulse from face videos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .part import Amount, Count, Part

#: Heart rates of the integer program may be so far from the float network's, in mean absolute error.
LIMIT_BPM = 0.1
#: A part that costs less correlation than this when it is missing is decorative.
LEAST_COST = 0.01
#: Firing rates that a population should have.
RATES = (0.02, 0.40)


class PulseScores(Part):
    """Heart rates and waves against the reference, over videos or clips."""

    mae: Amount = Field(description="Mean absolute error of heart rates in beats a minute.")
    mae_interval: list[float] | None = Field(description="95 % bootstrap interval, whole videos resampled.")
    rmse: Amount = Field(description="Root mean square error, beats a minute.")
    mape: Amount = Field(description="Mean absolute error in per cent of the reference rate.")
    pearson: float | None = Field(description="Correlation of predicted and reference rates.")
    snr: float | None = Field(description="Mean signal-to-noise ratio at the reference rate, dB.")
    wave_correlation: float = Field(description="Mean correlation of predicted and reference waves.")
    flat: Count = Field(description="Predictions without any pulse, read as the lowest rate.")
    count: Count


class PulseRow(Part):
    """One version of the network, or one classical method, on the same videos."""

    name: Literal["ann", "float", "int8", "GREEN", "CHROM", "POS"]
    by_video: PulseScores
    by_clip: PulseScores


class AblationRow(Part):
    """The float network without one of its spiking parts."""

    title: str
    by_video: PulseScores
    cost: float = Field(description="Wave correlation of the whole network less this one's.")
    decorative: bool = Field(description=f"Whether the cost is below {LEAST_COST:g}.")


class PopulationRate(Part):
    """How often a population fires on the chip."""

    name: str
    rate: float = Field(description="Spikes a neuron and time step, over all judged clips.")
    within: bool = Field(description=f"Whether it lies in {RATES[0]:.0%} to {RATES[1]:.0%}.")


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
    trained_on: str
    tested_on: str
    mae: float | None
    mape: float | None
    pearson: float | None
    rmse: float | None


class Pulse(Part):
    """Accuracy of heart rates and waves, and what the spikes contribute."""

    variant: Literal["deployment", "reproduction"]
    data: str = Field(description="What the videos are, in words.")
    videos: Count
    clips: Count
    fps: float
    clip_frames: Count
    rows: list[PulseRow]
    gap_bpm: float = Field(description="Mean absolute error of the integer program less the float network's.")
    gap_limit_bpm: float = LIMIT_BPM
    ablation_videos: Count
    ablations: list[AblationRow]
    rates: list[PopulationRate]
    host: list[HostRow]
    energy: PulseEnergy
    published: list[PublishedPulse]
    published_source: str
    published_energy: str = Field(description="The paper's ratios, in words with their versions.")
    exchange_bytes: Amount = Field(description="What the host writes and reads for a clip.")
