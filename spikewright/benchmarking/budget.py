"""How many samples the page over all models spends on each of them, for all to fit into half an hour on two cores.

The limits are those of a recipe's own sizes (`[deploy]`), never more than the recipe says.
"""

from __future__ import annotations

from math import prod
from typing import Final

from ..benchmarks.overview.schema import Budget
from ..models.recipe import DataRecipe
from ..models.sampler import expected_evaluations
from ..recipe import DiffusionRecipe, Recipe, load_recipe

#: Sizes of a recipe's deployment, the limit of each, and what is counted.
LIMITS: Final = {
    "test_images": (1000, "test images, quality and counts"),
    "generated_images": (200, "generated images, quality, counts and energy"),
    "bound_grids": (200, "test grids, bound of the tokens"),
    "noise_images": (500, "test images, error of the noise"),
    "videos": (20, "test videos, heart rates"),
    "norse_images": (4, "samples, norse"),
    "reference_images": (4, "samples, reference interpreter"),
    "lava_images": (2, "samples, Lava"),
    "lava_generations": (1, "whole images, Lava and reference"),
    "lava_evaluations": (8, "evaluations of such an image"),
    "lava_sampling_steps": (2, "sampling steps of such an image"),
}
#: Not a size of the result: how long Lava may take before the page says that it did not run.
LAVA_SECONDS: Final = 240
WORDS: Final = (
    "Models are measured on fewer samples than their own recipes take, so that all of them are meant to fit into half an "
    "hour on two cores; each table says on how many. With --full the command takes them all."
)
FULL_WORDS: Final = "Every model is measured on all samples that its recipe takes."


def budgeted(name: str, full: bool) -> Recipe:
    """A shipped recipe, its deployment's sizes limited unless all of it is to be measured."""
    recipe = load_recipe(name)
    if full:
        return recipe
    sizes = {key: _limited(recipe, key, most) for key, (most, _) in LIMITS.items() if _has(recipe, key)}
    seconds = min(recipe.deploy.lava_seconds, LAVA_SECONDS)
    return load_recipe(
        name, {f"deploy.{key}": size for key, size in {**sizes, "lava_seconds": seconds}.items()}
    )


def _has(recipe: Recipe, key: str) -> bool:
    """Whether a size means anything to a recipe's system: videos are no images."""
    images = isinstance(recipe.data, DataRecipe)
    return hasattr(recipe.deploy, key) and (images or key not in ("test_images", "generated_images"))


def _limited(recipe: Recipe, key: str, most: int) -> int:
    own: int | None = getattr(recipe.deploy, key)
    return most if own is None else min(own, most)


def rows(name: str, recipe: Recipe, test_images: int) -> list[Budget]:
    """What is used of each size.

    Parameters
    ----------
    test_images : int
        How many the data set has; 0 for videos.
    """
    own = load_recipe(name)
    found = []
    for key, (_, what) in LIMITS.items():
        if not _has(recipe, key):
            continue
        used, full = getattr(recipe.deploy, key), getattr(own.deploy, key)
        if key in ("test_images", "noise_images", "bound_grids"):
            used, full = (min(size or test_images, test_images) for size in (used, full))
        if key == "lava_evaluations":
            used, full = (size or _evaluations(own) for size in (used, full))
        found.append(Budget(what=what, used=used, full=full))
    return found


def _evaluations(recipe: Recipe) -> int:
    """Of an image of Spiking-Diffusion, in the mean."""
    assert isinstance(recipe, DiffusionRecipe)
    return round(expected_evaluations(prod(recipe.vq_config(1).grid), recipe.deploy.refinements))
