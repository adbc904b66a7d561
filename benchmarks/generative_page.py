"""The comparison of generative models as a Markdown page with its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from ..export.whole_file import whole_file
from .generative import Comparison, Generated, Reduction, reductions
from .image_size import TOLERANCE, to_size
from .published_fid import Published
from .quality import Images
from .report.figures import DPI
from .report.image_figures import MOST_IMAGES, grid
from .report.terms import VERSIONS
from .report.units import plain, share, signed_percent, significant, with_interval

#: Headings of the further figures that a deployment may bring; others are called what they are called there.
EXTRA = {
    "elbo_bits": "bits a token",
    "unigram_bits": "by frequency alone",
    "perplexity": "perplexity",
    "used_codes": "codes used",
}
_LABEL_WIDTH = 2.1  # inches
_NONE = "–"


@dataclass(frozen=True, eq=False)
class Section:
    """One data set.

    Attributes
    ----------
    title : str
        The data set's name for readers.
    dataset : str
        Its key, by which published figures are found.
    baseline : str
        The model that the others are held against.
    originals : ndarray
        The first test images (K, C, H, W) in [-1, 1], for the pictures; their size is that of the comparison.
    note : str
        What must be said of the data with every figure; empty when nothing must.
    """

    title: str
    dataset: str
    comparison: Comparison
    models: Sequence[Generated]
    baseline: str
    originals: Images
    note: str = ""


def write_page(
    path: Path, sections: Sequence[Section], command: str, published: Mapping[str, Published]
) -> None:
    """Write the page, and its pictures beside it, each file whole or not at all.

    Parameters
    ----------
    command : str
        What wrote the page, for its readers to repeat.
    published : mapping of str to Published
        By model; see :func:`load_published`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, dict[str, str]] = {}
    for section in sections:
        names = pictures[section.dataset] = {}
        for kind, figure in draw(section).items():
            names[kind] = f"{path.stem}-{section.dataset}-{kind}.png"
            _write(path.with_name(names[kind]), _png(figure))
    _write(path, markdown(sections, command, published, pictures).encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    # Without the software's name in it, the same figure is the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def draw(section: Section) -> dict[str, Figure]:
    """Pictures by kind: ``samples``, and ``reconstructions`` where there are any."""
    size = section.comparison.size

    def row(model: Generated, images: Images) -> tuple[str, Images]:
        return f"{model.model}, {_version(model.version)}", to_size(images[:MOST_IMAGES], size, most_cut=1)

    originals = ("test images", section.originals[:MOST_IMAGES])
    samples = [originals, *(row(m, m.samples) for m in section.models)]
    drawn = {
        "samples": grid(
            f"{section.title}: the first test images, and the first that each model drew",
            samples,
            _LABEL_WIDTH,
        )
    }
    made = [row(m, m.reconstructions) for m in section.models if m.reconstructions is not None]
    if made:
        title = f"{section.title}: the first test images and their reconstructions"
        drawn["reconstructions"] = grid(title, [originals, *made], _LABEL_WIDTH)
    return drawn


def markdown(
    sections: Sequence[Section],
    command: str,
    published: Mapping[str, Published],
    pictures: Mapping[str, Mapping[str, str]],
) -> str:
    """The page.

    Parameters
    ----------
    pictures : mapping of str to mapping of str to str
        By data set and kind: file names beside the page.
    """
    lines = ["# Generative models beside each other", "", "Written by", "", f"    {command}", "", *_TERMS]
    for section in sections:
        lines += ["", f"## {section.title}", "", _counts(section), "", *_figures(section.comparison)]
        lower = reductions(section.comparison, section.baseline)
        if lower:
            lines += ["", *_reductions(lower, section.baseline)]
        for kind, name in pictures.get(section.dataset, {}).items():
            lines += ["", f"![{section.title}: {kind}]({name})"]
        lines += _published(section, published)
    return "\n".join(lines) + "\n"


_TERMS = [
    "- ANN, float SNN, chip: the conventional twin, the trained spiking network, and its integer program.",
    "- Frechet distances are taken between samples and all test images, in features of networks trained on the same "
    "data set; lower is better. They compare the models on this page with each other, not with published FIDs.",
    "- Floor: the distance of as many real training images, what perfect samples would score.",
    "- MSE: of reconstructions, over pixels in [-1, 1]. SSIM: of reconstructions, brightness in [0, 1], Gaussian "
    "window of 11 pixels, sigma 1.5; 1 is best. ± half the width of the 95 % interval over images.",
    "- No value is the best of several draws; pictures show the first images drawn.",
]


def _counts(section: Section) -> str:
    c = section.comparison
    made = f", the first {c.reconstructed:,} test images reconstructed by each" if c.reconstructed else ""
    return (
        f"{c.samples:,} samples of each model{made}, {c.real:,} test images; all compared at {c.size[0]} x {c.size[1]} "
        f"pixels, where black borders were added or cut off.{_cut(c)}"
        + (f" {section.note}." if section.note else "")
    )


def _cut(comparison: Comparison) -> str:
    cut = [f"{share(r.cut)} of {r.model}'s ({_version(r.version)})" for r in comparison.rows if r.cut]
    if not cut:
        return ""
    return f" More than {significant(TOLERANCE)} above black was cut off at the border of some samples: {', '.join(cut)}."


def _figures(comparison: Comparison) -> list[str]:
    spaces = list(comparison.floor)
    extra = [name for name in EXTRA if any(name in row.extra for row in comparison.rows)]
    extra += sorted({name for row in comparison.rows for name in row.extra} - EXTRA.keys())
    head = ["model", "version", *spaces, "MSE", "SSIM", *(EXTRA.get(name, name) for name in extra)]
    rows = [
        [
            row.model,
            _version(row.version),
            *(plain(row.distances[space]) for space in spaces),
            _NONE if row.mse is None else with_interval(*row.mse),
            _NONE if row.ssim is None else with_interval(*row.ssim),
            *(plain(row.extra[name]) if name in row.extra else _NONE for name in extra),
        ]
        for row in comparison.rows
    ]
    floor = [plain(comparison.floor[space]) for space in spaces]
    rows.append(["floor: training images", _NONE, *floor, *[_NONE] * (2 + len(extra))])
    return _table(head, rows, text=2)


def _reductions(lower: Sequence[Reduction], baseline: str) -> list[str]:
    spaces = list(lower[0].distances)
    head = ["model", "version", *spaces, "MSE", "1 − SSIM"]
    rows = [
        [
            row.model,
            _version(row.version),
            *(_change(row.distances[space]) for space in spaces),
            _change(row.mse),
            _change(row.dissimilarity),
        ]
        for row in lower
    ]
    return [f"Change against the same version of {baseline}:", "", *_table(head, rows, text=2)]


def _change(reduction: float | None) -> str:
    return _NONE if reduction is None else signed_percent(-reduction)


def _published(section: Section, published: Mapping[str, Published]) -> list[str]:
    lines = []
    for model in published.values():
        if section.dataset not in model.fid:
            continue
        text = f"Published for {model.title}: FID {model.fid[section.dataset]:g}"
        if section.dataset in model.reduction_percent:
            lower = f"{model.reduction_percent[section.dataset]:.2f}"
            text += f", {lower} % below {model.reduction_against}"
        lines += ["", f"{text} ({model.protocol}; {model.source})."]
    return lines


def _version(key: str) -> str:
    return VERSIONS.get(key, key)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text: int) -> list[str]:
    """A table whose first ``text`` columns are words and the others numbers."""
    rule = ["---"] * text + ["---:"] * (len(head) - text)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
