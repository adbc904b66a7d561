"""The limits of a core, and how many words of its memory a list of synapses fills."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..chip import Chip

NEURONS = "neurons"
MEMORY = "synaptic memory"
INPUT_AXONS = "input axons"
OUTPUT_AXONS = "output axons"
THRESHOLDS = "thresholds"
SETTINGS = "compartment settings"
GROUPS = "neuron groups"
FORMATS = "synapse formats"
DELAYS = "delay slots"

#: What helps against each limit when a single neuron already exceeds it.
REMEDIES = {
    NEURONS: "choose a chip whose cores hold neurons",
    MEMORY: "give it fewer inputs, or sum them in a layer in between",
    INPUT_AXONS: "give it fewer inputs, or sum them in a layer in between",
    OUTPUT_AXONS: "give it fewer targets, or relay it through more neurons",
    THRESHOLDS: "choose a chip with thresholds",
    SETTINGS: "choose a chip with more compartment settings",
    GROUPS: "choose a chip with more neuron groups",
    FORMATS: "quantise its inputs with one exponent",
    DELAYS: "shorten the longer branch, or relay the shorter one through a layer",
}


def amount(limit: str, number: int) -> str:
    """A number of something limited, in words."""
    return f"{number:,} words of {limit}" if limit == MEMORY else f"{number:,} {limit}"


def capacities(chip: Chip) -> dict[str, int]:
    """How much of each limit a core has; what a chip does not limit is left out."""
    figures = {
        NEURONS: chip.neurons_per_core,
        MEMORY: chip.synapse_words_per_core,
        INPUT_AXONS: chip.input_axons_per_core,
        OUTPUT_AXONS: chip.output_axons_per_core,
        THRESHOLDS: None if chip.per_neuron_threshold.value else chip.threshold_configurations,
        SETTINGS: chip.compartment_configurations,
        GROUPS: chip.neuron_groups_per_core,
        FORMATS: chip.synapse_formats,
        DELAYS: chip.delay_slots_per_core,
    }
    return {name: figure.value for name, figure in figures.items() if figure is not None}


def signed_width(weight: NDArray[Any]) -> int:
    """Bits that hold every weight with its sign, in two's complement."""
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    return max(high, -low - 1).bit_length() + 1


def stored_width(weight: NDArray[Any], chip: Chip, most: int | None = None) -> int:
    """Bits in which the chip stores each weight: the narrowest format that is wide enough.

    Parameters
    ----------
    most : int, optional
        Weights are taken to need no more bits than this, as if they had been quantised to them.
    """
    needed = signed_width(weight)
    if most is not None:
        needed = min(needed, most)
    return narrowest(needed, chip.weight_bits.value)


def narrowest(needed: int, widths: tuple[int, ...]) -> int:
    """The narrowest of some widths that is wide enough, or what is needed where none is."""
    return min((width for width in widths if width >= needed), default=needed)


def list_words(synapses: Ints, bits: int, chip: Chip) -> Ints:
    """Words that lists of synapses fill, one list an input axon; any shape.

    A list is stored in blocks of at most b synapses, each with a header and rounded up to whole words (nengo-loihi,
    ``bits_per_axon``): ``ceil((n bits + header) / word)`` words for a block of n. Without a block size a list is one
    block.
    """
    word, header = chip.synapse_word_bits.value, chip.synapse_block_bits.value
    if chip.synapse_block_size is None:
        return np.where(synapses > 0, -(-(synapses * bits + header) // word), 0)
    block = chip.synapse_block_size.value
    whole, rest = np.divmod(synapses, block)
    last = np.where(rest > 0, -(-(rest * bits + header) // word), 0)
    words: Ints = whole * -(-(block * bits + header) // word) + last
    return words
