"""Models beside each other: the same counts for all, changes against the baseline, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from spikewright.benchmarks.errors import QualityError
from spikewright.benchmarks.frechet import distances
from spikewright.benchmarks.generative import Comparison, Generated, Row, compare, reductions
from spikewright.benchmarks.generative_page import Section, draw, markdown, write_page
from spikewright.benchmarks.image_size import to_size
from spikewright.benchmarks.published_fid import load_published
from spikewright.benchmarks.quality import Features, Images

from .reports import blob_images
from .test_report_figures import drawn_texts, words

COUNT = 60


def quarters(images: Images) -> np.ndarray:
    n, c, h, w = images.shape
    tiles = images.reshape(n, c, 2, h // 2, 2, w // 2)
    return tiles.mean((3, 5)).reshape(n, -1).astype(np.float64)


SPACES: dict[str, Features] = {
    "FAD": quarters,
    "classifier distance": lambda images: 2 * quarters(images)[:, :3],
}
REAL = blob_images(100, 1, 28, 28, seed=50)
UNSEEN = blob_images(90, 1, 28, 28, seed=51)


def model(name: str, version: str, noise: float, seed: int, size: int = 28, **changed: Any) -> Generated:
    samples = blob_images(70, 1, 28, 28, noise, seed)
    made = np.clip(REAL[:80] + noise * np.random.default_rng(seed).normal(size=(80, 1, 28, 28)), -1, 1)
    given = Generated(
        name,
        version,
        to_size(samples, (size, size)),
        to_size(made.astype(np.float32), (size, size)),
        {},
    )
    return replace(given, **changed)


def models() -> list[Generated]:
    return [
        model("ESVAE", "float", 0.3, 1, size=32),
        model("ESVAE", "int8", 0.32, 2, size=32),
        model("Spiking-Diffusion", "float", 0.1, 3, extra={"elbo_bits": 1.14, "used_codes": 63.0}),
        model("Spiking-Diffusion", "int8", 0.12, 4, extra={"elbo_bits": 1.15}, reconstructions=None),
    ]


def compared() -> Comparison:
    return compare(models(), REAL, UNSEEN, SPACES, COUNT)


def test_every_row_is_taken_over_the_same_counts() -> None:
    found = compared()
    assert (found.samples, found.reconstructed, found.real, found.size) == (60, 80, 100, (28, 28))
    for row, given in zip(found.rows, models(), strict=True):
        assert row.distances == distances(to_size(given.samples, (28, 28))[:COUNT], REAL, SPACES)
    assert found.floor == distances(UNSEEN[:COUNT], REAL, SPACES)
    vae, _, diffusion, last = found.rows
    assert vae.mse is not None
    assert diffusion.mse is not None
    assert diffusion.mse[0] < vae.mse[0]
    assert diffusion.ssim is not None
    assert vae.ssim is not None
    assert diffusion.ssim[0] > vae.ssim[0]
    assert last.mse is None
    assert last.ssim is None


def test_reconstructions_are_as_many_as_every_model_has() -> None:
    few = model("A", "float", 0.1, 1)
    assert few.reconstructions is not None
    found = compare(
        [replace(few, reconstructions=few.reconstructions[:20]), *models()], REAL, UNSEEN, SPACES, COUNT
    )
    assert found.reconstructed == 20
    assert compare([models()[3]], REAL, UNSEEN, SPACES, COUNT).reconstructed == 0


@pytest.mark.parametrize(
    ("changed", "count", "wanted"),
    [
        ({}, 71, r"70 samples of ESVAE, float, but 71 are compared; give more, or compare 70 of each"),
        ({}, 91, r"90 training images for the floor, but 91"),
        ({}, 4, r"FAD: 4 images in the first set for 4 features"),
        (
            {"samples": blob_images(70, 3, 28, 28)},
            60,
            r"ESVAE, float: images of 3 channels, the test images have 1",
        ),
        (
            {"samples": blob_images(70, 1, 30, 28, 1.0)},
            60,
            r"ESVAE, float, samples: cutting images of 30 x 28",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], count: int, wanted: str) -> None:
    first = replace(model("ESVAE", "float", 0.3, 1), **changed)
    with pytest.raises(QualityError, match=wanted):
        compare([first], REAL, UNSEEN, SPACES, count)


def test_no_model_and_more_reconstructions_than_originals_are_refused() -> None:
    with pytest.raises(QualityError, match="no model"):
        compare([], REAL, UNSEEN, SPACES, COUNT)
    with pytest.raises(QualityError, match=r"80 reconstructions of 70 test images"):
        compare([models()[0]], REAL[:70], UNSEEN, SPACES, COUNT)


def row(name: str, version: str, distance: float, mse: float | None, ssim: float | None) -> Row:
    return Row(
        name,
        version,
        {"FAD": distance},
        None if mse is None else (mse, 0.001),
        None if ssim is None else (ssim, 0.01),
        {},
    )


def made_up(*rows: Row) -> Comparison:
    return Comparison(rows, {"FAD": 0.5}, 5000, 10_000, 10_000, (28, 28))


def test_changes_are_against_the_same_version_of_the_baseline() -> None:
    found = reductions(
        made_up(
            row("ESVAE", "float", 90.58, 0.04, 0.6),
            row("ESVAE", "int8", 100.0, 0.04, None),
            row("B", "float", 37.5, 0.02, 0.9),
            row("B", "int8", 110.0, None, 0.9),
            row("B", "ann", 1.0, 0.01, 0.99),
        ),
        "ESVAE",
    )
    assert [(r.model, r.version) for r in found] == [("B", "float"), ("B", "int8")]
    assert found[0].distances["FAD"] == pytest.approx(58.60, abs=0.005)  # as Spiking-Diffusion's paper counts
    assert found[0].mse == pytest.approx(50)
    assert found[0].dissimilarity == pytest.approx(75)
    assert found[1].distances["FAD"] == pytest.approx(-10)
    assert found[1].mse is None
    assert found[1].dissimilarity is None


def section(**changed: Any) -> Section:
    given: dict[str, Any] = {
        "title": "MNIST", "dataset": "mnist", "comparison": compared(), "models": models(), "baseline": "ESVAE",
        "originals": REAL[:16],
    }  # fmt: skip
    return Section(**{**given, **changed})


def test_the_page_in_full() -> None:
    rows = (
        row("ESVAE", "float", 90.58, 0.04, 0.6),
        replace(
            row("B", "float", 37.5, 0.02, 0.9), extra={"used_codes": 61.0, "elbo_bits": 1.14, "zeta": 3.0}
        ),
        replace(row("B", "int8", 45.29, None, None), cut=0.0125),
    )
    page = markdown(
        [section(comparison=made_up(*rows), note="KMNIST: only a part")],
        "python -m something",
        load_published(),
        {"mnist": {"samples": "page-mnist-samples.png"}},
    )
    for line in (
        "    python -m something",
        "5,000 samples of each model, the first 10,000 test images reconstructed by each, 10,000 test images; all compared "
        "at 28 x 28 pixels, where black borders were added or cut off. More than 0.25 above black was cut off at the border of some "
        "samples: 1.25 % of B's (chip). KMNIST: only a part.",
        "| model | version | FAD | MSE | SSIM | bits a token | codes used | zeta |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| ESVAE | float SNN | 90.58 | 0.0400 ± 0.0010 | 0.600 ± 0.010 | – | – | – |",
        "| B | float SNN | 37.5 | 0.0200 ± 0.0010 | 0.900 ± 0.010 | 1.14 | 61 | 3 |",
        "| B | chip | 45.29 | – | – | – | – | – |",
        "| floor: training images | – | 0.5 | – | – | – | – | – |",
        "Change against the same version of ESVAE:",
        "| B | float SNN | −58.60 % | −50.00 % | −75.00 % |",
        "![MNIST: samples](page-mnist-samples.png)",
        "Published for Spiking-Diffusion: FID 37.5, 58.60 % below the authors' own re-implementation of FSVAE (1,280 "
        "generated against the first 1,280 test images, torchvision's Inception, root from an SVD of the product; arXiv "
        "2308.10187 v4, abstract; protocol from the authors' released code).",
    ):
        assert line in page.split("\n"), line


def test_a_page_without_baseline_or_publication_says_less() -> None:
    page = markdown([section(baseline="C", dataset="digits")], "c", load_published(), {})
    assert "Change against" not in page
    assert "Published for" not in page
    assert "![" not in page


def test_pictures_show_every_model_and_nothing_is_cut_off() -> None:
    drawn = draw(section())
    assert list(drawn) == ["samples", "reconstructions"]
    assert words(drawn["samples"])[1:] == [
        "test images", "ESVAE, float SNN", "ESVAE, chip", "Spiking-Diffusion, float SNN", "Spiking-Diffusion, chip"
    ]  # fmt: skip
    assert words(drawn["reconstructions"])[1:] == [
        "test images", "ESVAE, float SNN", "ESVAE, chip", "Spiking-Diffusion, float SNN"
    ]  # fmt: skip
    for figure in drawn.values():
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        width, height = figure.bbox.size
        first_column = min(axes.bbox.x0 for axes in figure.axes)
        for text, box in drawn_texts(figure):
            assert box.x0 >= 0, text
            assert box.y1 <= height, text
            assert box.x1 <= (width if box.y0 > figure.axes[0].bbox.y1 else first_column), text
    assert list(draw(section(models=[models()[3]]))) == ["samples"]


def test_the_page_and_its_pictures_are_written(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "generative.md"
    write_page(page, [section(), section(dataset="kmnist", title="KMNIST")], "c", load_published())
    names = sorted(path.name for path in page.parent.iterdir())
    kinds = [f"generative-{d}-{k}.png" for d in ("kmnist", "mnist") for k in ("reconstructions", "samples")]
    assert names == [*kinds, "generative.md"]
    text = page.read_text(encoding="utf-8")
    for name in kinds:
        assert f"]({name})" in text
        with Image.open(page.parent / name) as image:
            assert image.size[0] > 1000


def test_samples_that_lose_content_are_counted() -> None:
    wide = model("ESVAE", "float", 0.3, 1, size=32)
    samples = wide.samples.copy()
    samples[[3, 7, 65], 0, 0, 5] = 0.5
    samples[8, 0, 31, 5] = -0.8  # what a network makes of black
    found = compare([replace(wide, samples=samples)], REAL, UNSEEN, SPACES, COUNT)
    assert found.rows[0].cut == pytest.approx(2 / COUNT)
    with pytest.raises(QualityError, match="would lose content of 2 of 60"):
        compare([replace(wide, samples=samples)], REAL, UNSEEN, SPACES, COUNT, most_cut=0.03)
