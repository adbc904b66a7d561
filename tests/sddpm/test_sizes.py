"""Depth and size of untrained U-Nets: the published figures, and a page of what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.sddpm.sizes import main, measure


def test_a_small_network_is_as_deep_as_the_published_table_says() -> None:
    found = measure("smoke", "chip", "loihi2")
    assert (found.populations, found.depth, found.depth + found.timesteps) == (28, 27, 31)
    assert found.longest_wait == 26
    assert found.complete
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


def test_an_unknown_chip_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--chip", "loihi9", "--out", str(tmp_path / "page.md")]) == 1
    assert "loihi9" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


@pytest.mark.slow
def test_the_published_size_compiles_and_places_within_its_limits() -> None:
    """51 populations in series (levels 0 to 50) and the read-out at step 51; 55 steps an evaluation."""
    from spikewright.sddpm.sizes import measure_apart

    found = measure_apart("paper", "faithful", "loihi2")
    assert found.parameters > 66e6
    assert found.depth == 51
    assert found.depth + found.timesteps == 55
    assert found.complete
    assert found.memory_gb < 12
