"""Fronts, tables and the picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from rich.console import Console

from spikewright.sweep.collect import rows, show, write_results
from spikewright.sweep.figures import Record
from spikewright.sweep.grid import spec_of
from spikewright.sweep.pareto import front, groups
from spikewright.sweep.picture import draw
from spikewright.sweep.plan import plan
from spikewright.sweep.run import Result

from .points import figures

SMALL = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    def beaten(a: tuple[float, float]) -> bool:
        return any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in points)

    found = front(points)
    assert sorted(found) == [i for i, point in enumerate(points) if not beaten(point)]
    assert [points[i] for i in found] == sorted(points[i] for i in found)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Of two chips; nine bits fail, one point was not measured, one has no place."""
    grid = {
        "model": "esvae",
        "bits": [8, 4, 2, 9],
        "chip": ["loihi1", "loihi2"],
        "quantise.per_channel": "auto",
    }
    found = []
    for planned in plan(spec_of({"grid": grid}, "x").points(), 10):
        bits, chip = planned.point.values["bits"], planned.point.values["chip"]
        cores = None if (bits, chip) == (8, "loihi1") else 130 if bits == 8 else bits
        done = None if planned.recipe is None or (bits, chip) == (2, "loihi1") else figures(bits, cores=cores)
        record = None if done is None else Record(key=planned.key, status="done", figures=done)
        found.append(Result(planned, record))
    return found


def test_every_point_is_in_the_table_whatever_became_of_it(results: list[Result], tmp_path: Path) -> None:
    write_results(results, 10, tmp_path)
    table = json.loads((tmp_path / "results.json").read_text())
    assert table == rows(results)
    assert [row["status"] for row in table] == ["done"] * 4 + ["missing", "done", "failed", "failed"]
    assert parquet.read_table(tmp_path / "results.parquet").to_pylist() == table
    first, last = table[1], table[-1]
    assert (first["bits"], first["chip"], first["quality"], first["cores"]) == (
        8,
        "loihi2",
        1 / 8 + 0.001,
        130,
    )
    assert first["memory_snn_joule"] == pytest.approx(8.01e-6)
    assert first["memory_ann_int8_joule"] == 2e-6
    assert json.loads(first["rates"]) == {"a": 0.2, "b": 0.3}
    assert last["quality"] is None
    assert last["error"] == "RecipeError"
    assert "quantise.bits = 9" in last["error_text"]
    on = [(row["bits"], row["chip"]) for row in table if row["front_cores"]]
    assert on == [(8, "loihi2"), (4, "loihi1"), (4, "loihi2"), (2, "loihi2")]
    page = (tmp_path / "results.md").read_text()
    assert "5 of 8 points, 2 failed, 1 missing" in page
    assert "no place, does not fit" in page
    assert "130, does not fit" in page
    assert page.count("quantise.bits = 9") == 2
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "pareto.svg").read_text()


def test_the_picture_names_the_points_of_the_front(results: list[Result]) -> None:
    (group,) = groups(results)
    assert group.varying == ("bits", "chip")
    *_, cores = draw([group], "title").axes
    assert {text.get_text() for text in cores.texts} == {"8 bits", "4 bits", "2 bits"}
    assert "does not fit one chip" in " ".join(label for label in cores.get_legend_handles_labels()[1])


def test_the_terminal_says_what_failed(results: list[Result]) -> None:
    out = io.StringIO()
    show(results, Path("build/x"), Console(file=out, width=200))
    assert out.getvalue().count("failed esvae-digits, 9 bits") == 2
    assert "5 of 8 points, 2 failed, 1 missing: build/x/results.md" in out.getvalue()


def test_a_sweep_without_a_finished_point_has_a_page_and_no_picture(
    results: list[Result], tmp_path: Path
) -> None:
    write_results(results[-2:], 10, tmp_path)
    assert not (tmp_path / "pareto.png").exists()
    assert "0 of 2 points, 2 failed" in (tmp_path / "results.md").read_text()
