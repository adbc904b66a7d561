"""Units and terms, one line each, by the section that uses them first."""

from __future__ import annotations

QUESTIONS = {
    "same": "Is it still the same answer?",
    "fits": "Does it fit the chip?",
    "cost": "Does it cost less than the ANN?",
}

VERSIONS = {"ann": "ANN", "float": "float SNN", "int8": "chip"}

TERMS: dict[str, list[tuple[str, str]]] = {
    "quality": [
        ("ANN, float, chip", "the conventional twin, the trained spiking network, and its integer program."),
        (
            "MSE",
            "mean squared error over pixels in [−1, 1]; ± half the width of the 95 % interval over images.",
        ),
        ("FAD", "Fréchet autoencoder distance between two image sets' features; lower is better."),
        (
            "Floor",
            "FAD of real training images, as many as were generated: what perfect samples would score.",
        ),
    ],
    "equivalence": [
        ("Neuron step", "one neuron in one time step; spikes are compared one neuron step at a time."),
        ("State", "a current, membrane or read-out value, compared as an integer."),
        ("Agreement", "share of neuron steps in which integer program and float network spike alike."),
    ],
    "layers": [
        ("SOP", "synaptic operation: one spike arriving at one synapse, which adds one weight."),
        ("Rate", "spikes a neuron and time step."),
        ("Start step", "time steps after which a sample reaches the layer."),
        ("Synapses", "into the layer; borders and zero weights excluded."),
    ],
    "scales": [
        ("Scale chain", "how a float constant became an integer, and what the integer is worth as a float."),
    ],
    "totals": [
        ("MAC", "multiply-accumulate: the operation that an ANN spends most of its energy on."),
        ("Host", "the conventional processor beside the chip, which computes what the chip cannot."),
    ],
    "energy": [
        ("SNN", "the spiking network, chip and host together, for one sample."),
        ("Break-even rate", "mean spike rate at which the SNN would cost what the int8 ANN costs."),
    ],
    "fit": [
        (
            "Core",
            "the chip's unit of neuron and synapse memory; the least number counts full cores, the placement all limits.",
        ),
    ],
}

#: Terms of a report on images that several programs generate: where it says otherwise, and its own section's.
GENERATION_TERMS: dict[str, list[tuple[str, str]]] = {
    "generation": [
        ("Token", "the number that stands for one small patch of an image; an image is a grid of them."),
        (
            "Codebook",
            "the learned list that says what each token stands for; a code is an entry of it.",
        ),
        (
            "Perplexity",
            "how many codes are really in play: as hard to guess as that many codes that are all equally frequent.",
        ),
        (
            "ELBO, bits a token",
            "the most bits that storing a token of a test image would take with the denoiser as a guide; lower is better.",
        ),
        (
            "Hidden position",
            "a place of the grid whose token is not drawn yet; the denoiser says how likely each code is there.",
        ),
        (
            "Evaluation",
            "one run of the denoiser, after which the host draws some hidden tokens and keeps them for good.",
        ),
        ("Exchange", "what host and chip tell each other, over a link that is slow next to either."),
        (
            "Classifier distance",
            "Fréchet distance in the features of a classifier that was trained on this data set; lower is better.",
        ),
        ("SSIM", "structural similarity of a reconstruction to its test image; 1 is equal."),
    ],
    "energy": [
        ("SNN", "the spiking networks, chip and host together, for one generated image."),
        *TERMS["energy"][1:],
    ],
}


def terms_of(generation: bool) -> dict[str, list[tuple[str, str]]]:
    """Terms by section, of a report with or without a generation."""
    return {**TERMS, **GENERATION_TERMS} if generation else TERMS
