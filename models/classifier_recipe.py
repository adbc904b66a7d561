"""Recipes of the event classifiers: which network, on which recordings, trained how. Read from TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationError

from .braille import BrailleConfig
from .nmnist import NMNISTConfig
from .recipe import Section, TrainRecipe

CLASSIFIERS = ("braille", "nmnist")
ZOO = Path(__file__).parent / "zoo"


class ClassifierError(Exception):
    """A recipe or classifier name that cannot be used."""


class BrailleModel(Section):
    """Braille classifier; fields as in :class:`~.braille.BrailleConfig`."""

    kind: Literal["braille"]
    hidden: PositiveInt = 38
    alpha: Annotated[float, Field(ge=0, le=1)] = BrailleConfig.alpha
    beta: Annotated[float, Field(ge=0, le=1)] = BrailleConfig.beta


class NMNISTModel(Section):
    """N-MNIST classifier; fields as in :class:`~.nmnist.NMNISTConfig`."""

    kind: Literal["nmnist"]
    channels: tuple[PositiveInt, PositiveInt] = NMNISTConfig.channels
    hidden: PositiveInt = NMNISTConfig.hidden


class EventData(Section):
    """Data set, time steps, and the classes to keep (all without it)."""

    name: Literal["braille", "nmnist"]
    steps: PositiveInt
    classes: tuple[str, ...] | None = None


class ClassifierRecipe(Section):
    """Everything that leads to the weights of one classifier.

    Attributes
    ----------
    name, train_seed, model, data, train
        As in the recipes of the zoo.
    pretrain : TrainRecipe, optional
        Trains on all classes of the set first; training then goes on from these weights, with the read-out rows of
        the chosen classes. Few recordings of few classes leave a recurrent network short of examples.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    train_seed: Annotated[int, Field(ge=0)] = 1
    model: Annotated[BrailleModel | NMNISTModel, Field(discriminator="kind")]
    data: EventData
    pretrain: TrainRecipe | None = None
    train: TrainRecipe


def load_classifier_recipe(name_or_path: str | Path) -> ClassifierRecipe:
    """Read a shipped recipe by name, or any by path.

    Raises
    ------
    ClassifierError
        No such recipe, no TOML, an unknown key or a bad value.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = ZOO / str(name_or_path) / "recipe.toml"
    try:
        recipe = ClassifierRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        known = ", ".join(CLASSIFIERS)
        raise ClassifierError(
            f"{name_or_path}: no such classifier; there are {known}, or give the path of a .toml file"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClassifierError(f"{path}: not a readable TOML file ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ClassifierError(f"{path}: {key} = {first['input']!r}: {first['msg'].lower()}") from None
    if recipe.model.kind != recipe.data.name:
        raise ClassifierError(
            f"{path}: data.name = {recipe.data.name!r} does not suit model.kind = {recipe.model.kind!r}; "
            "give both the same"
        )
    if recipe.pretrain is not None and recipe.data.classes is None:
        raise ClassifierError(
            f"{path}: pretrain is set but data.classes is not, so that all classes are trained anyway; leave one out"
        )
    return recipe
