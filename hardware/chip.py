"""Chips as data: limits and formats of a named chip, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .figures import Figure, Text, find, names, read

FOLDER = Path(__file__).with_name("chips")

Whole: TypeAlias = Annotated[int, Field(strict=True)]
Count: TypeAlias = Annotated[int, Field(strict=True, gt=0)]
Natural: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
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
    compartment_configurations, synapse_formats : Figure, optional
        Distinct pairs of decays, and of weight width, exponent, delay and index width, where a core limits them.
    neuron_groups_per_core : Figure, optional
        Populations that may share a core, where it limits them.
    synapse_block_size, synapse_block_bits : Figure
        Synapses of an input axon are stored in blocks: how many at most (any number, where none is given), and the
        bits of a block's header. A block fills whole words.
    synapse_index_bits : Figure
        Widths of the index that a synapse carries where a list leaves out neurons.
    shared_kernel_indices : Figure
        The weights of a shared kernel carry such an index too.
    delay_slots_per_core : Figure
        Accumulators for spikes that wait: a neuron takes one for each step of its longest delay and one more.
    cores_per_tile, mesh_rows : Figure
        Cores that share a router, and tiles in a column of the chip's mesh.
    reset_interval_power_of_two : Figure
        Periodic resets come only every 2^n time steps.
    shared_kernels : Figure
        A convolution kernel is stored once and not once a neuron.
    graded_spikes : Figure
        Spikes may carry a value.
    graded_spike_bits : Figure, optional
        Widest value of a spike, sign included; needed where spikes may carry one.
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
    compartment_configurations: Figure[Count] | None = None
    neuron_groups_per_core: Figure[Count] | None = None
    synapse_formats: Figure[Count] | None = None
    synapse_block_size: Figure[Count] | None = None
    synapse_block_bits: Figure[Natural]
    synapse_index_bits: Figure[Widths]
    shared_kernel_indices: Figure[Flag]
    delay_slots_per_core: Figure[Count]
    cores_per_tile: Figure[Count]
    mesh_rows: Figure[Count]
    reset_interval_power_of_two: Figure[Flag]
    shared_kernels: Figure[Flag]
    graded_spikes: Figure[Flag]
    graded_spike_bits: Figure[Count] | None = None

    @model_validator(mode="after")
    def _shared_thresholds_are_counted(self) -> Chip:
        if not self.per_neuron_threshold.value and self.threshold_configurations is None:
            raise ValueError(
                "threshold_configurations is missing; neurons without thresholds of their own need it"
            )
        return self

    @model_validator(mode="after")
    def _graded_spikes_have_a_width(self) -> Chip:
        if self.graded_spikes.value != (self.graded_spike_bits is not None):
            raise ValueError("graded_spike_bits must be given where graded_spikes is true, and only there")
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
