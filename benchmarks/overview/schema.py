"""What the page over all models says, as data: ``results.json``.

Every figure of the page is one of these; every energy, count and time step is of one sample, which is a reconstructed
image, a generated image, a clip of video or a recording, as ``sample`` says.
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from ..report.part import Amount, Count, Part
from ..report.schema import Answers

FORMAT: Final = "spikewright-benchmark"
VERSION: Final = 1
#: An error of at most so many times the twin's counts as equal quality.
EQUAL_QUALITY: Final = 1.01
Winner = Literal["yes", "no", "depends", "unknown"]


class QualityFigure(Part):
    """One measure of quality of every version of a network."""

    name: str
    unit: str = Field(description="May be empty.")
    lower_is_better: bool
    float_: float | None = Field(alias="float", description="The float spiking network.")
    chip: float | None = Field(description="The integer program.")
    ann: float | None = Field(description="The ANN twin in 32-bit floats; its 8-bit integers are not run.")
    samples: Count = Field(description="Samples behind the figures.")
    chip_to_float_percent: float | None = Field(description="Chip over float, minus one, in per cent.")
    chip_to_ann_percent: float | None = Field(description="Chip over the twin, minus one, in per cent.")
    model_config = Part.model_config | {"populate_by_name": True}


class EnergyFigure(Part):
    """One energy model's figures of a sample, in joules."""

    model: str = Field(description="Name of the energy model.")
    title: str
    snn_joule: Amount = Field(description="Chip and host together.")
    snn_joule_ci95: Amount | None = Field(
        description="Half width of the 95 % interval over generated images; None where it was not taken."
    )
    host_joule: Amount
    ann_joule: Amount
    ann_int8_joule: Amount | None = Field(
        description="The twin in 8-bit integers, where the model prices it."
    )
    ratio_fp32: Amount = Field(description="snn_joule / ann_joule.")
    ratio_int8: Amount | None = Field(description="snn_joule / ann_int8_joule.")
    break_even_rate: Amount | None = Field(
        description="Mean spike rate at which the SNN would cost what the int8 twin costs; None if it never does."
    )
    break_even_factor: Amount | None = Field(
        description="Mean spike rate of this run over the one at break-even: above 1 it fires too often by so much."
    )
    words: str = Field(description="Who takes less, by how much, and how far it is from break-even.")


class Headline(Part):
    """Energy against the int8 twin, with the quality at which it was taken."""

    wins: Winner = Field(
        description="Yes: less than the int8 twin by every energy model, at equal or better quality; depends: by some, "
        "or at lower quality; unknown: there is no twin."
    )
    words: str


class CheckFigure(Part):
    """One equivalence check."""

    name: str
    outcome: Literal["equal", "rounding", "differs", "no verdict", "not run"]
    words: str
    samples: Count


class Budget(Part):
    """How much was measured of what the recipe would measure by itself."""

    what: str
    used: Count
    full: Count


class Command(Part):
    """What recomputes some of the figures."""

    what: str
    command: str


class Picture(Part):
    """A picture of a model: a file beside ``report.html``."""

    name: str
    file: str = Field(description="Relative to the folder of this file.")
    caption: str
    command: str = Field(description="What draws it again.")


class Size(Part):
    """What the network takes on the chip."""

    chip: str
    neurons: Count
    synapses: Count
    cores: Count | None = Field(
        description="Of the largest set that is on the chip at once; None where not placed."
    )
    cores_available: Count
    binding: str
    weight_bits: Count


class Activity(Part):
    """What happens during a sample."""

    spikes: Amount
    sops: Amount
    rate: Amount = Field(description="Spikes a neuron and time step.")
    ann_macs: Count | None = Field(description="Multiply-accumulates of the ANN twin; None without one.")
    timesteps: Count = Field(description="Time steps of one run.")
    latency_steps: Count = Field(description="Steps from the first input of a run to its read-out.")
    chip_steps: Amount = Field(description="Steps of the chip for a sample, all runs together.")
    samples: Count = Field(description="Samples behind the counts and the energies.")


class Result(Part):
    """Everything that one model was measured for."""

    system: str
    dataset: str
    dataset_note: str
    sample: str = Field(description="What a sample is.")
    seed: int | None
    answers: Answers
    headline: Headline
    quality: list[QualityFigure] = Field(description="The first one is held against energy.")
    energy: list[EnergyFigure] = Field(description="Empty where there is no twin to price.")
    size: Size
    activity: Activity
    checks: list[CheckFigure]
    budget: list[Budget]
    commands: list[Command]
    pictures: list[Picture]
    report: str | None = Field(
        description="The model's own page, relative to this file; None where it has none."
    )


class Entry(Part):
    """One model of the zoo."""

    number: Count
    name: str
    status: Literal["done", "failed", "no weights", "not run"]
    words: str = Field(description="Why there is no result, and the remedy; empty where there is one.")
    command: str = Field(description="Measures this model anew.")
    seconds: Amount | None = Field(description="Wall time of its measurement.")
    cpu_seconds: Amount | None = Field(description="Processor time of its measurement.")
    result: Result | None

    @model_validator(mode="after")
    def _result_where_done(self) -> Self:
        if (self.status == "done") != (self.result is not None):
            raise ValueError(f"`result` of {self.name} does not suit its status {self.status!r}")
        return self


class Summary(Part):
    """The models counted."""

    models: Count
    done: Count
    failed: Count
    no_weights: Count
    not_run: Count
    same: Count = Field(description="Models that still give the same answer.")
    fits: Count
    cheaper: Count = Field(description="Models that take less than the fp32 twin by every energy model.")
    with_twin: Count
    wins: Count = Field(
        description="Models that win against the int8 twin at equal quality by every energy model."
    )
    wins_depend: Count = Field(description="Models that win by some energy models, or at lower quality.")
    words: str


class Overview(Part):
    """All models."""

    format: Literal["spikewright-benchmark"] = FORMAT
    version: Literal[1] = VERSION
    tool: str
    created: str = Field(description="ISO 8601, UTC.")
    command: str = Field(description="Writes this file.")
    budget: str = Field(description="How the samples were limited, in words.")
    summary: Summary
    models: list[Entry]
