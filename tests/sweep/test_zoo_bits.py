"""The table of weight bits: every model's measures, changes against float, what failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.models.classifier_recipe import CLASSIFIERS
from spikewright.recipe import zoo_names
from spikewright.sweep.figures import Failure, Record
from spikewright.sweep.grid import Spec
from spikewright.sweep.plan import plan
from spikewright.sweep.run import Result
from spikewright.sweep.zoo_bits import LONGER, TUNE, main, page, planned, shipped

from .points import figures

NAMES = ["esvae-digits", "sddpm-digits"]


def results(errors: dict[tuple[int, int], float]) -> list[Result]:
    """Of two models; of the second nothing but a failure at four bits is known."""
    grids = {"recipe": NAMES, "bits": [8], "tune": [0]}, {"recipe": NAMES, "bits": [4], "tune": [0, TUNE]}
    found = []
    for point in plan(Spec(grids, 10).points(), 10):
        values = point.point.values
        way, record = (values["bits"], values["tune"]), None
        if point.point.recipe == NAMES[0] and way in errors:
            first = figures(8).quality[0]
            told = first.model_copy(update={"chip": errors[way], "change_ci95": None if way[1] else 0.002})
            record = Record(
                key=point.key, status="done", figures=figures(8).model_copy(update={"quality": [told]})
            )
        elif way == (4, TUNE):
            record = Record(
                key=point.key, status="failed", failure=Failure(kind="ProgramError", text="no room")
            )
        found.append(Result(point, record))
    return found


@pytest.mark.parametrize(
    ("rounded", "whole", "tuned", "mark"),
    [
        (0.1009, "+0.9 % (± 2.0) ✓", 0.105, "+5.0 % ✓"),
        (0.1012, "+1.2 % (± 2.0) ?", 0.1051, "+5.1 % ✗"),
        (0.1031, "+3.1 % (± 2.0) ✗", 0.09, "−10.0 % ✓"),
    ],
)
def test_changes_are_against_float_and_held_against_their_limits(
    rounded: float, whole: str, tuned: float, mark: str
) -> None:
    text = page(results({(8, 0): rounded, (4, 0): 0.13, (4, TUNE): tuned}), 10, "the command")
    (row,) = (line for line in text.splitlines() if line.startswith("| esvae-digits, error"))
    assert row == f"| esvae-digits, error (MSE) | 0.1 | {whole} | +30.0 % (± 2.0) | {mark} |"
    assert "    the command" in text
    assert "- sddpm-digits, 4 bits: no room" in text


def test_what_was_not_measured_is_a_dash() -> None:
    text = page(results({(4, 0): 0.1}), 10, "c")
    assert "| esvae-digits, error (MSE) | 0.1 | – | +0.0 % (± 2.0) | – |" in text


def test_some_are_tuned_for_longer() -> None:
    tuned = {p.point.recipe: p.point.values["tune"] for p in planned(["sddpm-mnist", NAMES[0]], 10)}
    assert tuned == {**LONGER, NAMES[0]: TUNE}
    longer = [Result(point, None) for point in planned(["sddpm-mnist"], 10)]
    assert "fine-tuned (300 iterations; sddpm-mnist: 900)" in page(longer, 10, "c")


def test_models_with_weights_are_taken() -> None:
    names = shipped()
    assert set(NAMES) < set(names) < set(zoo_names())
    assert not set(names) & set(CLASSIFIERS)
    assert "esvae-cifar10" not in names


def test_what_runs_in_no_time_is_judged_by_more_samples() -> None:
    assert [(p.point.recipe, p.samples) for p in planned(NAMES)] == [(NAMES[0], 10_000)] * 3 + [
        (NAMES[1], 500)
    ] * 3
    assert {p.samples for p in planned(NAMES, 7)} == {7}
    assert "over at most 500 (esvae: 10,000) test images" in page(results({}), None, "c")
    assert "over at most 7 test images" in page(results({}), 7, "c")


def test_energies_stand_beside_the_twins() -> None:
    text = page(results({(8, 0): 0.1, (4, 0): 0.1}), 10, "c")
    assert (
        "| esvae-digits, energy of a sample (its int8 ANN twin: 2.00 µJ) |  | 8.01 µJ | 8.01 µJ | – |" in text
    )


def test_what_is_known_is_written_without_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["esvae-digits", "--collect", "--out", "page.md"]) == 0
    assert "--collect" not in Path("page.md").read_text(encoding="utf-8")
    assert "esvae-digits, " not in capsys.readouterr().out


@pytest.mark.parametrize("given", [["--samples", "0"], ["--workers", "0"]])
def test_numbers_below_one_are_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(given)
    assert "numbers from 1" in capsys.readouterr().err


def test_an_unknown_recipe_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["no-such-recipe"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "no-such-recipe" in said
    assert not list(tmp_path.rglob("*.md"))


@pytest.mark.parametrize("again", [False, True])
def test_what_failed_is_measured_again_on_demand(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep's own tests see to it that it is; here the failure stays in the exit status."""
    asked = []

    def kept(
        points: object, store: object, where: object, steps: object, *, retry_failed: bool
    ) -> list[Result]:
        asked.append(retry_failed)
        return results({(8, 0): 0.1})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spikewright.sweep.zoo_bits.run", kept)
    assert main(["esvae-digits", "--out", "page.md", *(["--retry-failed"] if again else [])]) == 1
    assert asked == [again]
