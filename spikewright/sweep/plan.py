"""From points to jobs: each point's recipe, weights and chip are read, and the hash of all that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import __version__
from ..errors import RecipeError, SweepError
from ..hardware.chip import FOLDER as CHIPS
from ..hardware.chip import ChipError, load_chip
from ..hardware.figures import find
from ..recipe import DiffusionRecipe, ESVAERecipe, PulseRecipe, Recipe, UNetRecipe, load_recipe
from ..workspace import Workspace
from .figures import SCHEMA, Failure
from .grid import Point
from .job import NETWORKS, Job

#: Fields of ``[deploy]`` that only a report's checks and pictures read.
_UNREAD = {
    "norse_images", "reference_images", "lava_images", "lava_seconds", "generated_images", "lava_generations",
    "lava_evaluations", "lava_sampling_steps", "bound_grids", "noise_images", "videos",
}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A point with what it takes, or why it cannot run.

    Attributes
    ----------
    key : str
        Hash of ``content``; of the point itself where it cannot run.
    recipe : Recipe or None
        With the point's values.
    weights : dict of str to Path
        Files of the networks.
    untrained : tuple of str
        Kinds of networks without weights.
    """

    point: Point
    key: str
    content: dict[str, object] = field(default_factory=dict)
    recipe: Recipe | None = None
    chip: str = ""
    samples: int = 0
    weights: Mapping[str, Path] = field(default_factory=dict)
    untrained: tuple[str, ...] = ()
    failure: Failure | None = None

    def job(self) -> Job:
        """What a worker gets; reads the weights."""
        assert self.recipe is not None
        weights = {kind: path.read_bytes() for kind, path in self.weights.items()}
        return Job(self.key, self.recipe.model_dump(mode="json"), self.chip, self.samples, weights)


def plan(points: Iterable[Point], samples: int) -> list[Planned]:
    """What each point takes; points that share a key are measured once.

    Raises
    ------
    RecipeError
        A recipe cannot be read even without the point's values.
    SweepError
        Not one point can run; says why the first cannot.
    """
    weights = _Weights()
    recipes: set[str] = set()
    found = []
    for point in points:
        if point.recipe not in recipes:
            load_recipe(point.recipe)
            recipes.add(point.recipe)
        found.append(_planned(point, samples, weights))
    wrong = [planned.failure for planned in found if planned.recipe is None and planned.failure is not None]
    if len(wrong) == len(found):
        raise SweepError(f"no point of the sweep can run; the first: {wrong[0].text}")
    return found


def _planned(point: Point, samples: int, weights: _Weights) -> Planned:
    try:
        recipe = _recipe(point)
        load_chip(recipe.deploy.chip)
    except (RecipeError, ChipError) as error:
        text = str(error)
        return Planned(point, _hash([point.recipe, point.values]), failure=Failure(kind=type(error).__name__, text=text))  # fmt: skip
    chip = find(recipe.deploy.chip, CHIPS, "chip").read_text(encoding="utf-8")
    files = {kind: weights.of(recipe, kind) for kind in NETWORKS[recipe.model.kind]}
    own = {kind: path for kind, path in files.items() if path is not None}
    # What is left at its default is left out, so that points stay known when recipes gain a field. SCHEMA stands for the
    # defaults: a test holds it to them.
    deploy = recipe.deploy.model_dump(mode="json", exclude={"chip", *_UNREAD}, exclude_defaults=True)
    decisive = {"seed", "train_seed", "model", "data", "quantise"}
    content: dict[str, object] = {
        "spikewright": __version__,
        "schema": SCHEMA,
        "samples": samples,
        "system": recipe.model.kind,
        "recipe": {
            **recipe.model_dump(mode="json", include=decisive, exclude_defaults=True),
            "deploy": deploy,
        },
        "chip": _hash(chip),
        "weights": {kind: weights.digest(path) for kind, path in own.items()},
    }
    untrained = tuple(kind for kind in files if kind not in own)
    return Planned(
        point, _hash(content), content, recipe, chip, samples, own, untrained,
        _not_trained(point, recipe, untrained) if untrained else None,
    )  # fmt: skip


def _recipe(point: Point) -> Recipe:
    """The point's recipe; time steps that it has anyway, by the size of its model, are not written into it."""
    overrides = point.overrides
    asked = overrides.pop("model.timesteps", None)
    recipe = load_recipe(point.recipe, overrides)
    return recipe if asked in (None, _timesteps(recipe)) else load_recipe(point.recipe, point.overrides)


def _timesteps(recipe: Recipe) -> int:
    if isinstance(recipe, DiffusionRecipe):
        return recipe.vq_config(1).timesteps
    if isinstance(recipe, PulseRecipe):
        return recipe.config().timesteps
    assert isinstance(recipe, ESVAERecipe | UNetRecipe)
    return recipe.config(1).timesteps


def _not_trained(point: Point, recipe: Recipe, kinds: tuple[str, ...]) -> Failure:
    what = f"the {kinds[0]} network is" if len(kinds) == 1 else f"the networks {', '.join(kinds)} are"
    decisive = {key for key in point.overrides if key.startswith(("model.", "data.", "train"))}
    steps = f" --steps {point.values['steps']}" if "steps" in point.values else ""
    alone = f", or run `spikewright train {point.recipe}{steps}`" if decisive <= {"model.timesteps"} else ""
    text = f"{recipe.name}: {what} not trained for these values; train in the sweep with --train{alone}"
    return Failure(kind="Untrained", text=text)


class _Weights:
    """Weights files and their digests, each looked up once."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str, str], Path | None] = {}
        self._digests: dict[Path, str] = {}

    def of(self, recipe: Recipe, kind: str) -> Path | None:
        """Shipped weights, those trained in the recipe's build folder, or None."""
        key = (recipe.name, recipe.training_digest, kind)
        if key not in self._files:
            self._files[key] = home(recipe).weights(kind)
        return self._files[key]

    def digest(self, path: Path) -> str:
        """Hash of a file."""
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[path]


def home(recipe: Recipe) -> Workspace:
    """The build folder where ``spikewright train`` keeps a recipe's weights."""
    return Workspace(recipe, Path("build") / recipe.name)


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]
