"""The report's pictures: what stands in them, and that nothing is cut off."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from spikewright.benchmarks.report import figures
from spikewright.benchmarks.report.pictures import Images, Pictures
from spikewright.benchmarks.report.schema import EnergyRow, Layer, LayerAgreement

from .generation_reports import denoising_pictures, generation_pictures, make_generation_report
from .pulse_reports import pulse_pictures
from .reports import blob_images, energy_row, layer, make_pictures, make_report

LONG = "encoder.stage_number_three.residual.second_convolution.$population_with_a_name$_beyond_reason"
VERSIONS = ("ann", "float", "int8")


def versions(count: int, channels: int, height: int, width: int) -> dict[str, Images]:
    return {key: blob_images(count, channels, height, width, noise=0.1) for key in VERSIONS}


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def agreement_rows(*values: float, name: str = "layer") -> list[LayerAgreement]:
    rates = {"rate_float": 0.2, "rate_int8": 0.1}
    return [LayerAgreement(name=f"{name}.{i}", agreement=value, **rates) for i, value in enumerate(values)]


def layers(*sops: float, name: str = "layer") -> list[Layer]:
    data = [layer(f"{name}.{i}", [4, 2], 0.1, i) | {"sops": value} for i, value in enumerate(sops)]
    return [Layer.model_validate(row) for row in data]


def energy(*rows: dict[str, object]) -> dict[str, EnergyRow]:
    return {str(i): EnergyRow.model_validate(row) for i, row in enumerate(rows)}


FIGURES: dict[str, Callable[[], Figure]] = {
    "one image": lambda: figures.reconstructions(blob_images(1, 1, 28, 28), versions(1, 1, 28, 28)),
    "sixteen wide colour images": lambda: figures.reconstructions(
        blob_images(16, 3, 16, 40), versions(16, 3, 16, 40)
    ),
    "tall images": lambda: figures.generated(versions(3, 1, 64, 16)),
    "one raster": lambda: figures.rasters({LONG: np.zeros((8, 1), np.uint8)}),
    "rasters": lambda: figures.rasters(make_pictures(1, 1, 4, 4).rasters),
    "long raster": lambda: figures.rasters(
        {"a": np.eye(1000, 5000, dtype=np.uint8), "b": np.zeros((1000, 3), np.uint8)}
    ),
    "layers": lambda: figures.layer_activity(make_report().layers),
    "one silent layer": lambda: figures.layer_activity(layers(0.0, name=LONG)),
    "huge layers": lambda: figures.layer_activity(layers(1e308, 1.0, 0.0)),
    "forty layers": lambda: figures.layer_activity(layers(*range(40), name=LONG)),
    "images of several programs": lambda: figures.generated(
        generation_pictures().generated, shared="random numbers"
    ),
    "images out of noise": lambda: figures.generated(denoising_pictures().generated, shared="noise"),
    "rasters of an evaluation": lambda: figures.rasters(denoising_pictures().rasters, "one evaluation"),
    "layers of several programs": lambda: figures.layer_activity(
        make_generation_report().layers, "generated image"
    ),
    "rasters of several programs": lambda: figures.rasters(
        generation_pictures().rasters, "one run of each program"
    ),
    "energy of a generated image": lambda: figures.energies(
        make_generation_report().energy, "generated image"
    ),
    "pulse waves": lambda: figures.pulse_waves(pulse_pictures().waves, 30.0),
    "one heart rate": lambda: figures.heart_rates({"reference": np.array([60.0]), "int8": np.array([150.0])}),
    "heart rates": lambda: figures.heart_rates(pulse_pictures().heart_rates),
    "heart rates of four methods": lambda: figures.heart_rates(
        {key: np.arange(40.0, 150.0) for key in ("reference", "int8", "POS", "CHROM", "GREEN")}
    ),
    "agreement": lambda: figures.layer_agreement(make_report().equivalence.quantisation),
    "one agreement": lambda: figures.layer_agreement(agreement_rows(1.0, name=LONG)),
    "poor agreement": lambda: figures.layer_agreement(agreement_rows(0.0, 0.42, 0.99999)),
    "energy": lambda: figures.energies(make_report().energy),
    "energy over many decades": lambda: figures.energies(
        energy(energy_row(LONG * 3, 0.0, 1e-15, 1e6, None, None), energy_row("b", 1e-3, 0.0, 1e6, 1e5, None))
    ),
    "no energy at all": lambda: figures.energies(
        energy(energy_row("zero", 0.0, 0.0, 1.0, 0.0, None) | {"ann_joule": 0.0, "ratio": 0.0})
    ),
}


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Texts that appear, with their places: tick labels outside an axis' limits do not."""
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [*axes.texts, *(axes.title, axes._left_title), axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            place = 0 if axis is axes.xaxis else 1
            labels = axis.get_ticklabels() if axes.axison else []
            texts += [label for label in labels if low <= label.get_position()[place] <= high]
    return [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if text.get_text() and text.get_visible()
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_overlaps(name: str) -> None:
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    width, height = figure.bbox.size
    texts = drawn_texts(figure)
    for index, (text, box) in enumerate(texts):
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
        for other, place in texts[:index]:
            overlap = Bbox.intersection(box, place)
            assert overlap is None or overlap.width < 1 or overlap.height < 1, (text, other)
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert width / figure.dpi <= 9.61


def test_pictures_keep_no_state() -> None:
    before = "matplotlib.pyplot" in sys.modules
    first, second = BytesIO(), BytesIO()
    for buffer in (first, second):
        figures.layer_activity(make_report().layers).savefig(
            buffer, format="png", metadata={"Software": None}
        )
    assert first.getvalue() == second.getvalue()
    assert ("matplotlib.pyplot" in sys.modules) is before


def test_rows_of_images() -> None:
    figure = figures.reconstructions(blob_images(3, 1, 8, 8), versions(3, 1, 8, 8), weight_bits=6)
    assert words(figure)[1:] == ["original", "ANN", "float SNN", "chip (int6)"]
    assert len(figure.axes) == 12
    figure = figures.generated(versions(2, 3, 8, 8))
    assert words(figure)[1:] == ["ANN", "float SNN", "chip (int8)"]
    partial = figures.generated({"int8": blob_images(2, 3, 8, 8)})
    assert words(partial)[1:] == ["chip (int8)"]


@pytest.mark.parametrize(("count", "height", "width"), [(1, 28, 28), (16, 16, 40), (5, 64, 16)])
def test_cells_keep_the_images_shape(count: int, height: int, width: int) -> None:
    figure = figures.reconstructions(blob_images(count, 3, height, width), {})
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(height / width, rel=0.01)
    assert len(figure.axes) == count


def test_more_than_sixteen_images_are_said() -> None:
    figure = figures.reconstructions(blob_images(20, 1, 4, 4), {})
    assert "16 of 20 shown" in words(figure)[0]
    assert len(figure.axes) == 16


def test_pixels_span_black_to_white_and_flag_nan() -> None:
    image = np.array([[[[-1.0, 1.0, 7.0, np.nan]]]], np.float32)
    shown = np.asarray(figures.reconstructions(image, {}).axes[0].images[0].get_array())
    assert shown[0].tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 0, 1]]
    two = figures.reconstructions(np.zeros((1, 2, 4, 4), np.float32), {})
    assert "mean of 2 channels" in words(two)[0]


def test_rasters_say_rate_and_selection() -> None:
    spikes = np.zeros((10, 400), np.uint8)
    spikes[:, :100] = 1
    figure = figures.rasters({"first": spikes, "second": spikes[:, 100:103]})
    text = words(figure)
    assert "rate 0.250 · 100 of 400 neurons shown" in text
    assert "rate 0 · all 3 neurons" in text
    assert text.index("first") < text.index("second")
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    assert drawn.shape == (100, 10)
    assert drawn.mean() == pytest.approx(0.25, abs=0.01)  # the selection is even
    assert figure.axes[0].get_ylim() == (399.5, -0.5)
    assert "399" in text


def test_empty_raster_is_said() -> None:
    assert any(
        "nothing recorded" in text for text in words(figures.rasters({"a": np.zeros((0, 5), np.uint8)}))
    )


def test_layer_bars_are_aligned_and_labelled() -> None:
    figure = figures.layer_activity(layers(2000.0, 1000.0, 0.0))
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert [bar.get_width() for bar in right.patches] == [1.0, 0.5, 0.0]
    assert {"2 k", "1 k", "0", "layer.0", "Spikes emitted"} <= set(words(figure))


def test_agreement_never_rounds_up_to_all() -> None:
    text = words(figures.layer_agreement(agreement_rows(0.99999, 1.0, 0.9)))
    assert {"> 99.99 %", "100.00 %", "90.00 %"} <= set(text)


def test_energy_bars_end_at_their_values() -> None:
    row = energy_row("model", 3e-7, 1e-7, 6.4e-6, 3.2e-8, 0.1)
    figure = figures.energies(energy(row, energy_row("other", 1e-6, 0.0, 1e-6, None, None)))
    axes = figure.axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches[:4]]
    assert ends == pytest.approx([4e-7, 3e-7, 6.4e-6, 3.2e-8])
    text = [line.strip() for line in words(figure)]
    assert "400 nJ  SNN, host 25.00 %" in text
    assert "6.40 µJ  ANN fp32" in text
    assert "ANN int8: not priced by this model" in text
    assert axes.get_xscale() == "log"
    assert {"SNN: chip", "SNN: host, on top"} <= set(text)


@pytest.mark.parametrize("draw", [
    lambda: figures.reconstructions(np.zeros((0, 1, 4, 4), np.float32), {}),
    lambda: figures.generated({}),
    lambda: figures.rasters({}),
    lambda: figures.layer_activity([]),
    lambda: figures.layer_agreement([]),
    lambda: figures.energies({}),
])  # fmt: skip
def test_nothing_to_draw_is_an_error(draw: Callable[[], Figure]) -> None:
    with pytest.raises(ValueError, match="there are no"):
        draw()


def test_draw_makes_what_there_is() -> None:
    drawings = figures.draw(make_report(), make_pictures(2, 1, 8, 8))
    assert list(drawings) == ["reconstructions", "generated", "rasters", "agreement", "layers", "energy"]
    assert all(drawing.png.startswith(b"\x89PNG") for drawing in drawings.values())
    bare = make_report(layers=[], energy={}, equivalence__quantisation=[])
    assert figures.draw(bare, Pictures(np.zeros((0, 1, 4, 4), np.float32), {}, {})) == {}
