"""The map of the cores: legible with one core and with thousands, and true to the placement."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from spikewright.benchmarks.report.placement_figure import MOST_CHIPS, utilisation
from spikewright.export.linear import Conv2d
from spikewright.hardware.chip import load_chip
from spikewright.hardware.placement import Placement, place
from tests.hardware.placement.nets import chain, chip_with, dense


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def large() -> Placement:
    conv = Conv2d(np.ones((8, 3, 3, 3), np.int8), (3, 400, 300), (1, 1), (1, 1))
    return place(chain(conv), load_chip("loihi1"))


PLACEMENTS = {
    "one core": lambda: place(chain(dense(10, 10)), load_chip("loihi2")),
    "nothing placed": lambda: place(chain(dense(1, 9000)), load_chip("loihi1")),
    "many populations in a core": lambda: place(chain(*(dense(2, 2) for _ in range(60))), load_chip("loihi1")),
    "1,000 cores": large,
    "more chips than panels": lambda: place(chain(dense(600, 2)), chip_with(neurons_per_core=5, cores=2)),
    "an odd mesh": lambda: place(chain(dense(60, 2)), chip_with(neurons_per_core=5, cores=7, cores_per_tile=3, mesh_rows=2)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACEMENTS)
def test_nothing_is_cut_off(name: str) -> None:
    figure = utilisation(PLACEMENTS[name]())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox
    named = [text for legend in figure.legends for text in legend.get_texts()]
    for text in (*figure.texts, *named, *(axes.title for axes in figure.axes)):
        if text.get_text():
            box = text.get_window_extent()
            assert page.x0 - 2 <= box.x0, text.get_text()
            assert box.x1 <= page.x1 + 2, text.get_text()
            assert page.y0 - 2 <= box.y0, text.get_text()
            assert box.y1 <= page.y1 + 2, text.get_text()
    assert figure.get_size_inches().max() < 25


def test_every_core_and_population_is_there() -> None:
    placement = large()
    figure = utilisation(placement)
    assert placement.chips == 8
    assert len([t for t in words(figure) if t.startswith("chip ")]) == 8
    drawn = [c for axes in figure.axes for c in axes.collections if isinstance(c, PatchCollection)]
    spots, boxes, bands = (sum(len(c.get_paths()) for c in drawn[k::3]) for k in range(3))
    assert (spots, boxes, bands) == (8 * 128, len(placement.cores), len(placement.cores))
    assert any(t.startswith(f"p0: {len(placement.cores):,} cores, neurons") for t in words(figure))


def test_the_words_in_a_core() -> None:
    figure = utilisation(PLACEMENTS["one core"]())
    assert "12%\ngroups" in words(figure)
    assert "p0: 1 core, neuron groups" in words(figure)


def test_what_is_left_out_is_said() -> None:
    chips = words(utilisation(PLACEMENTS["more chips than panels"]()))
    assert f"the first {MOST_CHIPS} of 60 chips" in chips
    assert "and 24 more populations" in words(utilisation(PLACEMENTS["many populations in a core"]()))
    assert "p0: not placed" in words(utilisation(PLACEMENTS["nothing placed"]()))
