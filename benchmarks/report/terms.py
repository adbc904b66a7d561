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
