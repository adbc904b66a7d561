"""Random networks on every backend: not one spike or state differs, and a difference would be seen.

The slow tests run thousands; ``make test-exhaustive`` runs ten times as many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.benchmarks import reliability
from spikewright.benchmarks.random_programs import draw_network
from spikewright.hardware import lava
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.recording import Recording

available, reason = lava.available()
needs_lava = pytest.mark.skipif(not available, reason=reason)


def check(tally: reliability.Tally, networks: int) -> None:
    assert tally.equal, tally.first
    assert not tally.first
    assert tally.networks == networks
    assert tally.states >= 2 * tally.neuron_steps > 0
    assert 0.02 < tally.spikes / tally.neuron_steps < 0.9


def test_networks_on_the_emulator() -> None:
    check(reliability.check_emulator(1, 150), 150)


@pytest.mark.lava
@needs_lava
def test_networks_on_lava() -> None:
    found = reliability.run(1, 0, 50)
    check(found["joined"], 5)
    check(found["folded"], 45)


@pytest.mark.slow
def test_2000_networks_on_the_emulator() -> None:
    tally = reliability.check_emulator(0, 2000)
    check(tally, 2000)
    assert min(tally.features.values()) >= 100, tally.features


@pytest.mark.slow
@pytest.mark.lava
@needs_lava
def test_200_networks_on_lava() -> None:
    found = reliability.run(0, 0, 200)
    assert found.keys() == {"joined", "folded"}
    check(found["joined"], 20)
    check(found["folded"], 180)
    assert min(found["folded"].features.values()) >= 5, found["folded"].features
    assert "reset by subtraction" not in found["folded"].features
    assert found["joined"].features["convolutions"] >= 5


class Faulty(Emulator):
    """An emulator that misses every spike of the first sample's last step."""

    def run(self, *given: Any, **settings: Any) -> Recording:
        recording = super().run(*given, **settings)
        for p in self.program.populations:
            recording.spikes[p.name][0, -1] = 0
        return recording


def test_a_difference_is_counted_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(reliability, "Emulator", Faulty)
    out = tmp_path / "table.md"
    status = reliability.main(["--reference", "30", "--lava", "0", "--seed", "5", "--out", str(out)])
    assert status == 1
    error = capsys.readouterr().err
    assert "error: emulator against reference: spikes of " in error
    assert "1 in the reference, 0 in the other (network of seed [5, 0, " in error
    text = out.read_text()
    assert "First difference, emulator against reference: spikes of " in text
    row = next(line for line in text.splitlines() if line.startswith("| emulator"))
    assert int(row.split("|")[-3].replace(",", "")) > 0


def test_the_seed_of_a_difference_draws_its_network_again() -> None:
    for frame, [(own, network)] in list(reliability._batches("emulator", 3, 4, 1)):
        again = draw_network(np.random.default_rng(own), frame)
        assert [p.shape for p in again.program.populations] == [p.shape for p in network.program.populations]


def test_the_table_is_the_same_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for name in ("a", "b"):
        assert reliability.main(["--reference", "6", "--lava", "0", "--out", str(tmp_path / name)]) == 0
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert texts[0] in capsys.readouterr().out
    assert "--reference 6 --lava 0 --seed 0" in texts[0]
    assert "| emulator against reference | 6 | 6 |" in texts[0]


def test_lava_that_does_not_run_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*given: Any, **settings: Any) -> Recording:
        raise lava.LavaUnavailable("not here")

    monkeypatch.setattr(reliability.lava, "run", refuse)
    assert reliability.main(["--reference", "0", "--lava", "1"]) == 2
    assert capsys.readouterr().err == "error: not here\n"


@pytest.mark.parametrize(
    "given", [["--reference", "-1"], ["--reference", "0", "--lava", "0"], ["--seed", "-4"]]
)
def test_counts_that_make_no_sense_are_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        reliability.main(given)
    assert "take counts from 0" in capsys.readouterr().err
