"""Chips as data: limits and formats of a named chip, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .figures import Figure, Text, find, names, read

FOLDER = Path(__file__).with_name("chips")

Whole: TypeAlias = Annotated[int, Field(strict=True)]
Count: TypeAlias = Annotated[int, Field(strict=True, gt=0)]
Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]


class ChipError(Exception):
    """A chip description that cannot be used; the message names the file, the field and what is allowed."""


class Chip(BaseModel):
    """Limits and formats of a chip.

    Attributes
    ----------
    name, title : str
        Short and printed name.
    notes : tuple of str
        What must be known when the figures are used.
    cores, neurons_per_core : Figure
        Neuromorphic cores of a chip, and neurons that one core holds.
    synapse_words_per_core, synapse_word_bits : Figure
        Synaptic memory of a core: words, and bits in a word.
    weight_bits : Figure
        Widths a weight may have, sign included.
    weight_exponent_min, weight_exponent_max : Figure
        Power of two on a synaptic sum.
    decay_bits, threshold_bits, bias_mantissa_bits : Figure
        Register widths; the bias mantissa's includes its sign.
    bias_exponent_max : Figure
        Largest shift of a bias.
    delay_max : Figure
        Largest delay of a synapse in time steps, beside the one that every synapse takes.
    input_axons_per_core, output_axons_per_core : Figure
        Axons that may end in a core and leave it.
    per_neuron_threshold : Figure
        Each neuron may have a threshold of its own.
    threshold_configurations : Figure, optional
        Distinct thresholds of a core where neurons share them.
    reset_interval_power_of_two : Figure
        Periodic resets come only every 2^n time steps.
    shared_kernels : Figure
        A convolution kernel is stored once and not once a neuron.
    graded_spikes : Figure
        Spikes may carry a value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    title: Text
    notes: tuple[Text, ...] = ()
    cores: Figure[Count]
    neurons_per_core: Figure[Count]
    synapse_words_per_core: Figure[Count]
    synapse_word_bits: Figure[Count]
    weight_bits: Figure[Widths]
    weight_exponent_min: Figure[Whole]
    weight_exponent_max: Figure[Whole]
    decay_bits: Figure[Count]
    threshold_bits: Figure[Count]
    bias_mantissa_bits: Figure[Count]
    bias_exponent_max: Figure[Whole]
    delay_max: Figure[Whole]
    input_axons_per_core: Figure[Count]
    output_axons_per_core: Figure[Count]
    per_neuron_threshold: Figure[Flag]
    threshold_configurations: Figure[Count] | None = None
    reset_interval_power_of_two: Figure[Flag]
    shared_kernels: Figure[Flag]
    graded_spikes: Figure[Flag]

    @model_validator(mode="after")
    def _shared_thresholds_are_counted(self) -> Chip:
        if not self.per_neuron_threshold.value and self.threshold_configurations is None:
            raise ValueError(
                "threshold_configurations is missing; neurons without thresholds of their own need it"
            )
        return self


def chips() -> list[str]:
    """Names of the chips that come with the package."""
    return names(FOLDER)


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip by name, or from a TOML file of one's own.

    Raises
    ------
    ChipError
        Nobody knows the name, or the file breaks a rule.
    """
    try:
        return read(find(name_or_path, FOLDER, "chip"), Chip)
    except ValueError as error:
        raise ChipError(str(error)) from None
