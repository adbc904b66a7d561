"""The tables and sentences about generated images: the HTML page, the Markdown page and the terminal show the same."""

from __future__ import annotations

from . import units
from .checks import Check, same_image
from .generation import Exchange, Generation, PaperFid, PublishedFigure, TokenQuality
from .schema import Report
from .tables import DASH, Table, version_name
from .units import MISSING, amount, amount_interval, count, joule_interval, plain, share

ORDER = ("float", "int8", "ann")


def opening(generation: Generation) -> str:
    """How an image comes about, in figures."""
    return (
        f"The host starts from {count(generation.positions)} hidden positions and draws their tokens with the denoiser, "
        f"in {amount(generation.evaluations)} evaluations on the mean ({amount(generation.expected_evaluations)} expected; "
        "those that would draw nothing are left out); the decoder then makes the image. "
        f"Temperature {units.significant(generation.temperature)}, seed {generation.seed}."
    )


def samples(report: Report, generation: Generation) -> Table:
    """Quality of each version's generated images, and what real images would score."""
    rows = []
    for key in (*ORDER, *(key for key in generation.samples if key not in ORDER)):
        if key not in generation.samples:
            continue
        row = generation.samples[key]
        value, half = row.ssim_reconstruction, row.ssim_reconstruction_ci95
        ssim = plain(value) if value is None or half is None else units.with_interval(value, half)
        name = version_name(key, report.weight_bits)
        rows.append((name, plain(row.fad), plain(row.classifier_frechet), ssim))
    floors = generation.floors
    rows.append(("Floor: real training images", plain(floors.fad), plain(floors.classifier_frechet), DASH))
    return Table(("Version", "FAD", "Classifier distance", "SSIM reconstructions"), rows)


def tokens(report: Report, quality: TokenQuality) -> Table:
    """How well each version predicts tokens, and how alike float and chip choose them."""
    head = ("Tokens", *(version_name(key, report.weight_bits) for key in ORDER))
    bounds = (quality.elbo_float, quality.elbo_int8, quality.elbo_ann)
    bits = [plain(value) if value is None else f"{value:.4f}" for value in bounds]  # as fine as their gap
    accuracies = (share(quality.masked_accuracy_float), share(quality.masked_accuracy_int8))
    rows = [
        ("ELBO, bits a token", *bits),
        ("Hidden positions guessed right", *accuracies, DASH),
        ("Hidden positions guessed like float", DASH, share(quality.token_agreement), DASH),
        ("Encoder chooses float's token", DASH, share(quality.encoder_token_agreement), DASH),
    ]
    return Table(head, rows)


def codebook_note(quality: TokenQuality) -> str:
    """How much of the codebook is used, and what guessing by frequency would reach."""
    return (
        f"{count(quality.used_codes)} of {count(quality.codes)} codes are used, perplexity "
        f"{units.significant(quality.perplexity)}; guessing by frequency alone takes "
        f"{units.significant(quality.unigram_bits)} bits a token. Several codes may stand for much the same patch, so "
        "the encoder is judged by its reconstructions, not by its tokens."
    )


def elbo_gap(quality: TokenQuality) -> float:
    """Bits a token that the integer program needs more than the float network."""
    return quality.elbo_int8 - quality.elbo_float


def exceeds_limit(quality: TokenQuality) -> bool:
    """Whether the integer program's bound is more than the limit above the float network's."""
    return not quality.within_limit or elbo_gap(quality) > quality.elbo_limit


def tokens_note(report: Report, quality: TokenQuality) -> str:
    """The gap of the bounds in a sentence."""
    gap = f"{elbo_gap(quality):+.4f}".replace("-", "−")
    side = "beyond" if exceeds_limit(quality) else "within"
    chip = version_name("int8", report.weight_bits)
    limit = units.significant(quality.elbo_limit)
    return f"ELBO, {chip} against float SNN: {gap} bits a token, {side} the limit of {limit}."


def same_images(generation: Generation) -> Table:
    """The same images again on other backends."""
    rows = []
    for row in generation.same_images:
        check = same_image(row)
        counts: tuple[str, ...] = (DASH,) * 6
        if check.outcome != "not run":
            numbers = (row.images, row.evaluations, row.chip_steps, row.neuron_steps, row.differing_spikes)
            counts = (*map(count, numbers), units.seconds(row.seconds))
        rows.append((check.name, check.headline, *counts))
    numbers_head = ("Images", "Evaluations", "Chip steps", "Neuron steps", "Differing spikes", "Time")
    return Table(("Emulator against", "Result", *numbers_head), rows, labels=2)


def parted(generation: Generation) -> list[Check]:
    """Checks of the same images that found a difference."""
    found = map(same_image, generation.same_images)
    return [check for check in found if check.outcome == "differs"]


def programs(generation: Generation) -> Table:
    """What runs how often, and how large it is."""
    rows = [
        (
            program.name,
            program.purpose,
            amount(program.runs),
            count(program.timesteps),
            count(program.period),
            count(program.latency_steps),
            count(program.neurons),
            count(program.synapses),
            "not placed" if program.cores_placed is None else count(program.cores_placed),
        )
        for program in generation.programs
    ]
    numbers = ("Runs an image", "Time steps", "Period", "Latency", "Neurons", "Synapses", "Cores")
    return Table(("Program", "Purpose", *numbers), rows, labels=2)


def exchange(exchange: Exchange) -> Table:
    """What crosses the border between host and chip."""
    rows = [
        ("Spikes written to the chip", amount(exchange.spikes_written)),
        ("Bias words written to the chip", amount(exchange.bias_words_written)),
        ("Spikes read from the chip", amount(exchange.spikes_read)),
        ("State words read from the chip", amount(exchange.state_words_read)),
        ("Steps of the chip", amount(exchange.chip_steps)),
    ]
    return Table(("Exchange of a generated image", "Mean"), rows)


def host_note(generation: Generation) -> str:
    """The host's own work."""
    macs = f"The host computes {count(generation.host_macs)} multiply-accumulates a generated image."
    return f"{macs} {generation.host_share_note.strip()}".rstrip()


def per_image(report: Report, generation: Generation) -> Table:
    """Means over images and the intervals around them."""
    data = generation.per_image
    rows = [
        ("Spikes", amount_interval(data.spikes_mean, data.spikes_ci95)),
        ("Synaptic operations (SOPs)", amount_interval(data.sops_mean, data.sops_ci95)),
    ]
    for key, row in data.joule.items():
        title = report.energy[key].title if key in report.energy else key
        rows.append((f"Energy: {title}", joule_interval(row.mean, row.ci95)))
    return Table(("A generated image", "Mean ± half the 95 % interval"), rows)


def published(report: Report, rows: list[PublishedFigure]) -> Table:
    """The authors' figures beside this run's, where it is of the same data set."""
    assert report.generation is not None
    paper = report.generation.paper_fid
    own = report.fidelity.fid if report.fidelity.available else None
    figures = (plain(paper.as_released), plain(paper.correct), plain(own))
    return Table(
        (
            "Data set",
            "On the published figure",
            "Published FID",
            "This run: its protocol",
            "true root",
            "FID, all images",
        ),
        [
            (
                row.dataset,
                row.note or DASH,
                units.significant(row.fid),
                *(figures if _letters(row.dataset) == _letters(report.dataset) else ["another data set"] * 3),
            )
            for row in rows
        ],
        labels=2,
    )


def paper_note(paper: PaperFid) -> str:
    """Why the paper's protocol was not repeated; empty where it was."""
    return "" if paper.available else f"By the paper's protocol: {MISSING}. {paper.reason}"


PUBLISHED_NOTE = (
    "FID depends on the feature network, on how many images are compared and on how the matrix root is taken: figures of "
    "different programs are not comparable. FAD and classifier distance use features learned from this data set and lie on "
    "scales of their own."
)
NOT_REPEATED = "No image was generated a second time."
NOT_PUBLISHED = "No published figure was recorded for this system."


def _letters(name: str) -> str:
    """A data set's name as its letters and digits: ``EMNIST Letters`` is ``emnist-letters``."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
