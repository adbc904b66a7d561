"""Depth and size of untrained U-Nets: the published figures, and a page of what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.sddpm.sizes import Size, main, measure, page


def test_a_small_network_is_as_deep_as_the_published_table_says() -> None:
    found = measure("smoke", "chip", "loihi2")
    assert (found.populations, found.depth, found.depth + found.timesteps) == (28, 27, 31)
    assert found.longest_wait == 26
    assert not found.obstacle
    assert found.cores > 1
    assert found.neurons > 16_000


def test_the_page_has_a_row_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "docs" / "page.md"
    assert main(["--sizes", "smoke", "--builds", "lean", "--out", str(out)]) == 0
    text = out.read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| smoke"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:8] == ["smoke", "lean", "67,121", "28", "1", "27", "25", "31"]
    assert "--sizes smoke --builds lean --chip loihi2" in text
    assert "Intel Loihi 2" in text


def test_what_has_no_place_is_said_below_the_table() -> None:
    size = Size(
        1, 2, 3, 4, 5, 6, 7, 4, 8, 1, "n1: neuron 3 alone takes 9; choose another chip", 1.0, 2.0, 3.0
    )
    text = page([("S", "lean", size)], "Intel Loihi 2", "the command")
    assert "| more than 8 |" in text
    assert text.endswith("\n\nSize S, lean: n1: neuron 3 alone takes 9; choose another chip.\n")


def test_an_unknown_chip_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--chip", "loihi9", "--out", str(tmp_path / "page.md")]) == 1
    assert "loihi9" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


@pytest.mark.slow
def test_the_published_size_compiles_in_little_memory_and_is_as_deep_as_published() -> None:
    """51 populations in series (levels 0 to 50) and the read-out at step 51; 55 steps an evaluation."""
    from spikewright.sddpm.sizes import measure_apart

    found = measure_apart("paper", "faithful", "loihi2")
    assert found.parameters > 66e6
    assert found.depth == 51
    assert found.depth + found.timesteps == 55
    assert found.cores > 1
    assert found.memory_gb < 12
