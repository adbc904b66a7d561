"""The tables and sentences about generated images: the HTML page, the Markdown page and the terminal show the same."""

from __future__ import annotations

from . import denoising_tables, token_tables, units
from .checks import Check, same_image
from .generation import Exchange, Generation, PublishedFigure, SameImage, SampleQuality
from .prediction import ORDER, Prediction
from .schema import Report
from .tables import DASH, Table, version_name
from .units import MISSING, amount, amount_interval, count, joule_interval, plain, plural


def opening(generation: Generation) -> str:
    """How an image comes about, in figures."""
    if generation.sampler is None:
        return token_tables.opening(generation)
    return denoising_tables.opening(generation.sampler, generation.seed)


def prediction(report: Report, generation: Generation) -> Prediction:
    """How well each version predicts what the host goes by, tokens or noise."""
    if generation.tokens is not None:
        return token_tables.prediction(report, generation.tokens)
    assert generation.noise is not None  # the schema demands one of the two
    return denoising_tables.prediction(report, generation.noise)


def samples(report: Report, generation: Generation) -> Table:
    """Quality of each version's generated images, and what real images would score."""
    rows: list[tuple[str, ...]] = []
    ssim = generation.has_ssim
    for key in (*ORDER, *(key for key in generation.samples if key not in ORDER)):
        if key not in generation.samples:
            continue
        row = generation.samples[key]
        name = version_name(key, report.weight_bits)
        similarity = (_similarity(row),) if ssim else ()
        rows.append((name, plain(row.fad), plain(row.classifier_frechet), *similarity))
    floors = generation.floors
    none = (DASH,) if ssim else ()
    rows.append(("Floor: real training images", plain(floors.fad), plain(floors.classifier_frechet), *none))
    column = ("SSIM reconstructions",) if ssim else ()
    return Table(("Version", "FAD", "Classifier distance", *column), rows)


def _similarity(row: SampleQuality) -> str:
    value, half = row.ssim_reconstruction, row.ssim_reconstruction_ci95
    return plain(value) if value is None or half is None else units.with_interval(value, half)


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


def shorter(row: SameImage, generation: Generation) -> str:
    """How many steps or evaluations of each image were repeated, where those of the report have more; else empty."""
    if not row.images:
        return ""
    each = row.evaluations // row.images
    if generation.sampler is None:
        return "" if row.whole else plural(each, "evaluation")
    return "" if each == generation.sampler.steps else plural(each, "step")


def same_images_note(generation: Generation) -> str:
    """That the images compared took other numbers of steps than those of the report; empty where they did not."""
    found = sorted({words for row in generation.same_images if (words := shorter(row, generation))})
    if not found:
        return ""
    if generation.sampler is None:
        return f"Of each image {' and '.join(found)} were repeated, the first ones."
    return f"The images compared were made in {' and '.join(found)} each, those above in {count(generation.sampler.steps)}."


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
    fidelity = report.fidelity
    assert fidelity is not None  # the schema demands it of generated images
    own = plain(fidelity.fid if fidelity.available else None)
    head, figures = ["This run: FID, all images"], [own]
    if paper is not None:
        head = ["This run: its protocol", "true root", "FID, all images"]
        figures = [plain(paper.as_released), plain(paper.correct), own]
    here = _letters(report.dataset)
    return Table(
        ("Data set", "On the published figure", "Published FID", *head),
        [
            (
                row.dataset,
                row.note or DASH,
                units.significant(row.fid),
                *(figures if _letters(row.dataset) == here else ["another data set"] * len(figures)),
            )
            for row in rows
        ],
        labels=2,
    )


def paper_note(generation: Generation) -> str:
    """Why the paper's protocol was not repeated; empty where it was, or where there is none."""
    paper = generation.paper_fid
    return "" if paper is None or paper.available else f"By the paper's protocol: {MISSING}. {paper.reason}"


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
