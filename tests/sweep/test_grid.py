"""From files and options to points, and from points to keys."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.errors import RecipeError, SweepError
from spikewright.recipe import RECIPES
from spikewright.sweep.figures import SCHEMA
from spikewright.sweep.grid import FIELDS, Spec, axes_of, parse_values, read_spec, spec_of
from spikewright.sweep.plan import plan

AXES = {
    "bits": st.integers(2, 8),
    "seed": st.integers(0, 99),
    "chip": st.sampled_from(["loihi1", "loihi2"]),
    "threshold-scale": st.floats(0.5, 2),
    "quantise.calibration_images": st.integers(1, 500),
}


@given(st.fixed_dictionaries({}, optional={k: st.lists(v, min_size=1, max_size=4, unique=True) for k, v in AXES.items()}))  # fmt: skip
def test_a_grid_is_every_combination_once(axes: dict) -> None:
    points = Spec((axes_of({"recipe": ["esvae-digits", "b"], **axes}, "x"),)).points()
    assert len(points) == 2 * prod(len(v) for v in axes.values())
    assert len({json.dumps([p.recipe, p.overrides], sort_keys=True) for p in points}) == len(points)
    for point in points:
        assert set(point.overrides) == {FIELDS.get(axis, axis) for axis in axes}
        assert all(point.values[axis] in values for axis, values in axes.items())


def test_grids_are_joined_and_repetition_is_dropped() -> None:
    grids = ({"recipe": ["a"], "bits": [8, 8, 4]}, {"recipe": ["a"], "bits": [4, 2]})
    points = Spec(tuple(axes_of(grid, "x") for grid in grids)).points()
    assert [p.values["bits"] for p in points] == [8, 4, 2]


def test_a_file_with_nested_and_quoted_fields_and_paths_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a" / "s.toml"
    file.parent.mkdir()
    file.write_text(
        'samples = 7\n[[grid]]\nrecipe = ["own.toml", "esvae-digits"]\n"quantise.bits" = [8, 4]\nseed = 3\n'
        'data.fit = ["pad", "resize"]\n[[grid]]\nmodel = "sddpm"\nthreshold-scale = [0.9, 1]\n'
    )
    spec = read_spec(file)
    points = spec.points()
    assert spec.samples == 7
    assert len(points) == 2 * 2 * 2 + 2
    assert points[0].recipe == str(tmp_path / "a" / "own.toml")
    assert points[0].overrides == {"quantise.bits": 8, "seed": 3, "data.fit": "pad"}
    assert points[0].label == "own, 8 bits, seed 3, data.fit pad"
    assert points[-1].recipe == "sddpm-digits"
    assert points[-1].overrides == {"deploy.threshold_scale": 1}
    spec.save(tmp_path)
    assert Spec.load(tmp_path).points() == points
    assert Spec.load(file.parent) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "[[grid]]\nbit = [8]",
            "grid 1: unknown axis 'bit'; known: recipe, .*bits.*quantise.calibration_images",
        ),
        ("[[grid]]\nbits = [8]\n[[grid]]\nbits = []", "grid 2: axis 'bits' is empty"),
        ("[[grid]]\nbits = [8]\n'quantise.bits' = [4]", "grid 1: axis 'bits' is given twice"),
        ("[[grid]]\nrecipe = ['a']\nmodel = ['b']", "grid 1: .* give either recipe, or model and dataset"),
        ("grids = 3", "unknown key 'grids'; allowed here: samples"),
        ("samples = 0\n[[grid]]\nbits = 8", "samples = 0: give a whole number"),
        ("samples = true\n[[grid]]\nbits = 8", "samples = True"),
        ("samples = 3", r"no \[\[grid\]\] table"),
        ("grid = []", r"no \[\[grid\]\] table"),
        ("[[grid", "not a readable TOML file"),
    ],
)
def test_a_sweep_file_with_a_mistake(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "s.toml").write_text(content)
    with pytest.raises(SweepError, match=f"s.toml: {expected}"):
        read_spec(tmp_path / "s.toml")


def test_a_sweep_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"no\.toml: no such file"):
        read_spec(tmp_path / "no.toml")
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(SweepError, match=r"sweep\.json: damaged"):
        Spec.load(tmp_path)


def test_values_of_options() -> None:
    assert parse_values("8,6, 4") == [8, 6, 4]
    assert parse_values("0.9,1,my.toml,ddim,true,") == [0.9, 1, "my.toml", "ddim", True]
    assert parse_values("") == []


def keys(samples: int = 10, **axes: object) -> list[str]:
    return [p.key for p in plan(spec_of({"grid": {"model": "esvae", **axes}}, "x").points(), samples)]


def test_a_key_is_of_all_that_decides_a_result_and_of_nothing_else(tmp_path: Path) -> None:
    (base,) = keys()
    for other in (
        {"bits": 7},
        {"seed": 2},
        {"chip": "loihi1"},
        {"threshold-scale": 0.9},
        {"quantise.per_channel": False},
    ):
        assert keys(**other) != [base], other
    assert keys(samples=11) != [base]
    assert keys(bits=8, seed=1, chip="loihi2") == [base]  # whoever says so, the recipe or the sweep
    assert keys(**{"deploy.lava_images": 5, "deploy.generated_images": 3}) == [base]
    # Nothing that a recipe leaves at its default is in it: recipes may gain fields.
    (plain,) = plan(spec_of({"grid": {"model": "esvae"}}, "x").points(), 10)
    recipe = plain.content["recipe"]
    assert isinstance(recipe, dict)
    assert plain.content["system"] == "esvae"
    assert "timesteps" not in recipe["model"]
    assert "threshold_scale" not in recipe["deploy"]
    shipped = Path(__file__).parents[2] / "models/zoo/esvae-digits.toml"
    (tmp_path / "copy.toml").write_text(shipped.read_text().replace("esvae-digits", "copy"))
    (point,) = plan(spec_of({"grid": {"recipe": str(tmp_path / "copy.toml")}}, "x").points(), 10)
    assert point.key == base  # trained alike, so the weights are the same
    chip = Path(__file__).parents[2] / "hardware/chips/loihi2.toml"
    (tmp_path / "own.toml").write_text(chip.read_text())
    assert keys(chip=str(tmp_path / "own.toml")) == [base]
    (tmp_path / "own.toml").write_text(chip.read_text() + "\n# another\n")
    assert keys(chip=str(tmp_path / "own.toml")) != [base]


def defaults() -> dict[str, dict[str, Any]]:
    """Of every section of the recipes that are swept, by its name and field."""
    sections: dict[str, Any] = {}
    for recipe in RECIPES.values():
        schema = recipe.model_json_schema()
        sections |= {recipe.__name__: schema, **schema["$defs"]}
    return {
        name: {key: field["default"] for key, field in section["properties"].items() if "default" in field}
        for name, section in sections.items()
    }


def test_keys_leave_out_defaults_which_are_those_of_their_schema() -> None:
    """Where a default changes, raise SCHEMA, or points measured with the old one are taken for those of the new one.

    Afterwards, and where a section gains a field, write what ``defaults()`` returns into the file.
    """
    known = json.loads((Path(__file__).parent / "recipe_defaults.json").read_text())
    assert known == {"schema": SCHEMA, "defaults": defaults()}


def test_a_combination_that_a_recipe_cannot_take_is_a_failed_point(tmp_path: Path) -> None:
    points = plan(spec_of({"grid": {"model": "esvae", "bits": [8, 9], "steps": [8, 5]}}, "x").points(), 10)
    said = [p.failure and (p.failure.kind, p.failure.text) for p in points]
    assert said[0] is None
    assert said[1][0] == "Untrained"
    assert "--train" in said[1][1]
    assert "spikewright train esvae-digits --steps 5" in said[1][1]
    assert said[2][0] == said[3][0] == "RecipeError"
    assert "quantise.bits = 9" in said[2][1]
    assert len({p.key for p in points}) == 4


def test_a_sweep_that_cannot_run_at_all_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"esvae-imagenet: no such recipe; shipped recipes: .*esvae-digits"):
        plan(spec_of({"grid": {"model": ["esvae"], "dataset": ["digits", "imagenet"]}}, "x").points(), 10)
    with pytest.raises(SweepError, match=r"no point .* quantise.bits = 9"):
        plan(spec_of({"grid": {"model": "esvae", "bits": [9, 10]}}, "x").points(), 10)
    with pytest.raises(SweepError, match=r"chip 'loihi3' is unknown"):
        plan(spec_of({"grid": {"model": "esvae", "chip": "loihi3"}}, "x").points(), 10)
