"""Units and terms, one line each, by the section that uses them first."""

from __future__ import annotations

from .schema import Report

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

_EXCHANGE = ("Exchange", "what host and chip tell each other, over a link that is slow next to either.")
_CLASSIFIER = (
    "Classifier distance",
    "Fréchet distance in the features of a classifier that was trained on this data set; lower is better.",
)
_SSIM = ("SSIM", "structural similarity of a reconstruction to its test image; 1 is equal.")

#: Terms of a report on images of drawn tokens: where it says otherwise, and its own section's.
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
        _EXCHANGE,
        _CLASSIFIER,
        _SSIM,
    ],
    "energy": [
        ("SNN", "the spiking networks, chip and host together, for one generated image."),
        *TERMS["energy"][1:],
    ],
}
#: The same of a report on images out of a Gaussian diffusion.
SAMPLER_TERMS: dict[str, list[tuple[str, str]]] = {
    "generation": [
        (
            "Diffusion",
            "a chain that mixes an image with more and more Gaussian noise; the index says how far, and generating walks it back.",
        ),
        ("DDIM", "a way back that may skip indices and adds no noise on the way."),
        ("DDPM", "a way back that adds fresh noise after each evaluation but the last."),
        (
            "Evaluation",
            "one run of the denoiser, which predicts the noise in an image; the host then takes a step towards less of it.",
        ),
        (
            "Error of the noise",
            "mean squared error between the noise that was added to an image and the prediction; lower is better.",
        ),
        (
            "Velocity",
            "the noise less the image, each times the other's share in what is seen; what the network tells here.",
        ),
        (
            "Threshold guidance",
            "all firing thresholds multiplied by one factor when images are generated, without further training.",
        ),
        _EXCHANGE,
        ("Accounting", "which operations of an evaluation are charged, and at what price."),
        _CLASSIFIER,
        _SSIM,
    ],
    "energy": [
        ("SNN", "the spiking network, chip and host together, for one generated image."),
        *TERMS["energy"][1:],
    ],
}
_CLASSICAL = "GREEN, CHROM, POS"
#: The same of a report on a pulse.
PULSE_TERMS: dict[str, list[tuple[str, str]]] = {
    "pulse": [
        ("Clip", "the frames that one run of the program sees; a video is several of them in a row."),
        ("bpm", "beats a minute."),
        (
            "MAE, RMSE",
            "mean absolute and root mean square error of heart rates; the interval holds 95 % of resamplings of whole videos.",
        ),
        ("MAPE", "mean absolute error in per cent of the reference rate."),
        ("Pearson", "correlation of predicted and reference heart rates."),
        ("SNR", "power at the reference rate and its double over the rest of the band."),
        (
            "Wave correlation",
            "of the predicted with the reference pulse wave, mean over videos or clips; 1 is equal.",
        ),
        ("Flat", "predictions without any pulse, whose rate is read as the lowest of the band."),
        (
            "Trusted",
            "predictions with one clear heart rate from beginning to end, by themselves and without a reference: "
            "spikewright pulse says of the others that they are not to be trusted.",
        ),
        (_CLASSICAL, "methods without training, from the mean colour of the skin."),
        ("Decorative", "a part without which the network does as well."),
        ("Twin", "PhysFormer, the same network with conventional transformer layers."),
    ],
    "energy": [
        ("SNN", "the spiking network, chip and host together, for one clip."),
        *TERMS["energy"][1:],
    ],
}


def terms_of(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Terms by section, without those of what the report does not speak of."""
    generation = report.generation
    if report.pulse is not None:
        terms = {**TERMS, **PULSE_TERMS}
    elif generation is None:
        terms = TERMS
    else:
        terms = {**TERMS, **(GENERATION_TERMS if generation.sampler is None else SAMPLER_TERMS)}
    absent = _absent(report)
    return {section: [row for row in rows if row[0] not in absent] for section, rows in terms.items()}


def _absent(report: Report) -> set[str]:
    absent = set() if report.quality is None or report.quality.reconstructs else {"MSE"}
    if report.pulse is not None and {row.name for row in report.pulse.rows} <= set(VERSIONS):
        absent.add(_CLASSICAL)
    generation = report.generation
    if generation is None:
        return absent
    if not generation.has_ssim:
        absent.add("SSIM")
    if not generation.evaluation_energy:
        absent.add("Accounting")
    if generation.sampler is not None:
        absent.add("DDPM" if generation.sampler.rule == "ddim" else "DDIM")
        if generation.sampler.prediction == "noise":
            absent.add("Velocity")
        if generation.sampler.threshold == 1:
            absent.add("Threshold guidance")
    return absent
