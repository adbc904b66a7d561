"""What a sweep runs over: grids of recipes and of values of their fields, from a TOML file or from options."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import SweepError
from ..workspace import write_text

#: Axes by their names, and the recipe's field that each sets. Any other field is an axis by its dotted key.
FIELDS = {
    "bits": "quantise.bits",
    "tune": "quantise.tune",
    "steps": "model.timesteps",
    "threshold-scale": "deploy.threshold_scale",
    "chip": "deploy.chip",
    "seed": "seed",
    "train-seed": "train_seed",
}
#: Axes that name recipes: by name or path, or by system and data set.
RECIPES = ("recipe", "model", "dataset")
#: Test samples of a point unless the sweep says otherwise.
SAMPLES = 200
FILE = "sweep.json"

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Point:
    """One combination.

    Attributes
    ----------
    recipe : str
        Name of a shipped recipe, or path of a .toml file.
    values : dict of str to Any
        Value of every axis that the grid has, by the axis's name; fields without one keep the recipe's.
    """

    recipe: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, Any]:
        """Values by the recipe's dotted keys, as :func:`spikewright.recipe.load_recipe` takes them."""
        return {FIELDS.get(axis, axis): value for axis, value in self.values.items()}

    @property
    def label(self) -> str:
        """The point in words."""
        name = Path(self.recipe).stem if self.recipe.endswith(".toml") else self.recipe
        return ", ".join((name, *(in_words(axis, value) for axis, value in self.values.items())))


def in_words(axis: str, value: Any) -> str:
    """A value of an axis: ``4 bits``, ``loihi1``, ``seed 3``."""
    if axis == "bits":
        return f"{value} bits"
    if axis == "threshold-scale":
        return f"thresholds ×{value:g}" if isinstance(value, int | float) else f"{axis} {value}"
    if axis in ("chip", "recipe"):
        return Path(value).stem if str(value).endswith(".toml") else str(value)
    return f"{axis} {value:g}" if isinstance(value, float) else f"{axis} {value}"


@dataclass(frozen=True)
class Spec:
    """A whole sweep.

    Attributes
    ----------
    grids : tuple of mapping
        Each a table of axes; the sweep is all of their combinations.
    samples : int
        Test images (or videos) that a point is judged on, at most.
    """

    grids: tuple[Axes, ...]
    samples: int = SAMPLES

    def points(self) -> list[Point]:
        """All combinations, in the order of the grids, later axes fastest; each once."""
        found = [point for grid in self.grids for point in _points(grid)]
        seen = {json.dumps([p.recipe, p.values], sort_keys=True): p for p in reversed(found)}
        return list(reversed(seen.values()))

    def save(self, folder: Path) -> None:
        """Keep what was asked beside its results."""
        table = {"samples": self.samples, "grid": [dict(grid) for grid in self.grids]}
        write_text(folder / FILE, json.dumps(table, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Spec | None:
        """What was asked of a folder before; None if nothing was.

        Raises
        ------
        SweepError
            The file is damaged.
        """
        path = folder / FILE
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SweepError(
                f"{path}: damaged ({error}); delete it and name the sweep's axes again"
            ) from None
        return spec_of(table, str(path))


def read_spec(path: Path) -> Spec:
    """Read a sweep file; paths within it are relative to its folder.

    Raises
    ------
    SweepError
        No such file, no TOML, or an axis that is unknown or empty; the message names it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SweepError(f"{path}: no such file; a sweep file is TOML with [[grid]] tables") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SweepError(f"{path}: not a readable TOML file ({error})") from None
    return spec_of(table, str(path), path.parent)


def spec_of(table: Mapping[str, Any], where: str, base: Path = Path()) -> Spec:
    """The sweep that a table describes.

    Parameters
    ----------
    where : str
        Named in errors.
    base : Path
        What the paths of recipes and chips are relative to.
    """
    unknown = set(table) - {"grid", "samples"}
    if unknown:
        raise SweepError(
            f"{where}: unknown key {min(unknown)!r}; allowed here: samples, and tables [[grid]] with the axes"
        )
    samples = table.get("samples", SAMPLES)
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise SweepError(f"{where}: samples = {samples!r}: give a whole number of 1 or more")
    grids = table.get("grid", [])
    grids = [grids] if isinstance(grids, Mapping) else grids
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, Mapping) for grid in grids):
        raise SweepError(f"{where}: no [[grid]] table; give one with the axes of the sweep")
    return Spec(tuple(axes_of(grid, f"{where}: grid {n}", base) for n, grid in enumerate(grids, 1)), samples)


def axes_of(grid: Mapping[str, Any], where: str, base: Path = Path()) -> Axes:
    """The axes of a grid, checked, each with a list of values.

    Raises
    ------
    SweepError
        An axis is unknown or empty, or no recipe is named.
    """
    found: dict[str, list[Any]] = {}
    by_field = {key: axis for axis, key in FIELDS.items()}
    for given, values in _flat(grid):
        axis = by_field.get(given, given)
        if axis not in FIELDS and axis not in RECIPES and "." not in axis:
            raise SweepError(
                f"{where}: unknown axis {given!r}; known: {', '.join((*RECIPES, *FIELDS))}, or a recipe's field by its "
                "dotted key, such as quantise.calibration_images"
            )
        values = list(values) if isinstance(values, list | tuple) else [values]
        if not values:
            raise SweepError(f"{where}: axis {given!r} is empty; give it a value, or leave it out")
        if axis in found:
            raise SweepError(f"{where}: axis {axis!r} is given twice, as {given!r} too; leave one out")
        found[axis] = [_absolute(value, base) for value in values] if axis in ("recipe", "chip") else values
    if "recipe" in found and ("model" in found or "dataset" in found):
        raise SweepError(f"{where}: names recipes and models; give either recipe, or model and dataset")
    return found


def _flat(grid: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Axes of a table; ``quantise.bits = [8]`` is a nested one in TOML where the key is not quoted."""
    for key, value in grid.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _absolute(value: Any, base: Path) -> Any:
    """The path of a .toml file as it is meant wherever the sweep runs; names stay."""
    return str((base / value).resolve()) if isinstance(value, str) and value.endswith(".toml") else value


def _points(grid: Axes) -> Iterator[Point]:
    recipes = grid.get("recipe") or [
        f"{model}-{dataset}"
        for model in grid.get("model", ["esvae"])
        for dataset in grid.get("dataset", [_default_dataset(model)])
    ]
    axes = {axis: values for axis, values in grid.items() if axis not in RECIPES}
    for recipe in recipes:
        for values in product(*axes.values()):
            yield Point(str(recipe), dict(zip(axes, values, strict=True)))


def _default_dataset(model: Any) -> str:
    return "synthetic" if model == "spiking-physformer" else "digits"


def parse_values(text: str) -> list[Any]:
    """Values of an option, such as ``8,6,4`` or ``loihi1,my.toml``: numbers and booleans as in TOML, the rest as words."""
    found = []
    for word in text.split(","):
        word = word.strip()
        if not word:
            continue
        try:
            found.append(tomllib.loads(f"value = {word}")["value"])
        except tomllib.TOMLDecodeError:
            found.append(word)
    return found
