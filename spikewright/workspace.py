"""A build folder: where each artefact lies, and the data and networks that a recipe names."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from . import diffusion_stages, esvae_stages, physformer_stages, unet_stages
from .errors import BuildError, RecipeError
from .export.whole_file import whole_file
from .models.checkpoint import load_weights
from .models.data import DATASETS, load_images, prepare
from .models.guidance import scale_thresholds
from .models.recipe import DataRecipe
from .recipe import Recipe, UNetRecipe, load_recipe, recipe_type, zoo, zoo_names
from .stage import Split, Stage

#: Networks of each published system by kind, in order of training.
SYSTEMS: dict[str, dict[str, Stage]] = {
    "esvae": esvae_stages.STAGES,
    "spiking-diffusion": diffusion_stages.STAGES,
    "sddpm": unet_stages.STAGES,
    "spiking-physformer": physformer_stages.STAGES,
}


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class Workspace:
    """A recipe and its build folder.

    Parameters
    ----------
    folder : Path
        ``build/<model>-<dataset>`` by convention; made when something is written.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.folder = folder
        self.float_nir = folder / "model.nir"
        self.integer_nir = folder / "model.int8.nir"
        self.program = folder / "program.npz"
        self.equivalence = folder / "equivalence.json"
        self.report = folder / "report.json"
        self.under_way = folder / "under-way"
        self.onnx = folder / "ann.onnx"
        self._recipe_file = folder / "recipe.json"

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The workspace of a folder that ``spikewright export`` made.

        Raises
        ------
        BuildError
            The folder holds no recipe.
        """
        try:
            table = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
            return cls(recipe_type(table).model_validate(table), folder)
        except FileNotFoundError:
            raise BuildError(
                f"{folder}: holds no build (recipe.json is missing); run `spikewright export` first"
            ) from None
        except (OSError, ValueError, ValidationError, RecipeError) as error:
            raise BuildError(
                f"{folder}/recipe.json: damaged ({error}); run `spikewright export` again"
            ) from None

    def save_recipe(self) -> None:
        """Keep the recipe beside its artefacts."""
        write_text(self._recipe_file, self.recipe.model_dump_json(indent=2) + "\n")

    def require(self, path: Path, command: str) -> Path:
        """The path of an artefact that must exist.

        Raises
        ------
        BuildError
            It does not; names the command that writes it.
        """
        if not path.exists():
            raise BuildError(f"{path}: missing; run `spikewright {command}` first")
        return path

    @property
    def stages(self) -> dict[str, Stage]:
        """Networks of the recipe's system by kind, in order of training."""
        return SYSTEMS[self.recipe.model.kind]

    @cached_property
    def train_images(self) -> NDArray[np.float32]:
        """Training images (N, C, H, W) in [-1, 1]."""
        return self._images("train")

    @cached_property
    def test_images(self) -> NDArray[np.float32]:
        """Test images, same layout; as many as the recipe's deployment is to see."""
        return self._images("test")[: self.recipe.deploy.test_images]

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Classes of a split's images."""
        return load_images(self.recipe.data.name, split).labels

    def _images(self, split: Split) -> NDArray[np.float32]:
        data = self.recipe.data
        if not isinstance(data, DataRecipe):
            raise BuildError(f"{self.recipe.name}: {data.name} holds videos, no images")
        loaded = load_images(data.name, split)
        self.dataset_note = loaded.note
        return prepare(loaded, data.image, data.fit)

    dataset_note: str = ""

    def training_folder(self, kind: str) -> Path:
        """Where a network is trained when no shipped weights fit; another training recipe has another folder."""
        return self._training / kind

    @property
    def metrics(self) -> Path:
        """What the networks trained here reach on the test split."""
        return self._training / "metrics.json"

    @property
    def _training(self) -> Path:
        return self.folder / "train" / self.recipe.training_digest

    def weights(self, kind: str) -> Path | None:
        """Weights of a network: shipped where a recipe trains it alike, else trained here, else None."""
        for name in zoo_names():
            path = zoo() / f"{name}.{kind}.safetensors"
            if path.exists() and self._fits(name, kind):
                return path
        own = self.training_folder(kind) / "weights.safetensors"
        return own if own.exists() else None

    def _fits(self, name: str, kind: str) -> bool:
        try:
            other = load_recipe(name)
        except RecipeError:
            return False
        return other.model.kind == self.recipe.model.kind and other.decides(kind) == self.recipe.decides(kind)

    def network(self, kind: str) -> nn.Module:
        """A network with its weights, ready for inference, its thresholds times the recipe's factor.

        Raises
        ------
        BuildError
            There are no weights yet, or the recipe's system has no such network.
        """
        self._stage(kind)
        path = self.weights(kind)
        if path is None:
            raise BuildError(
                f"{self.recipe.name}: the {kind} network is not trained; run `spikewright train` first"
            )
        network = self.load_network(kind, path)
        if not isinstance(self.recipe, UNetRecipe):  # which samples, and counts, at either threshold
            scale_thresholds(network, self.recipe.deploy.threshold_scale)
        return network

    def load_network(self, kind: str, path: Path) -> nn.Module:
        """A network with the weights of a file, ready for inference."""
        network = self._build(kind)
        load_weights(network, path)
        return network.eval()

    def fresh_network(self, kind: str) -> nn.Module:
        """An untrained network, its weights drawn from the recipe's training seed."""
        torch.manual_seed(self.recipe.train_seed)
        return self._build(kind)

    def _build(self, kind: str) -> nn.Module:
        return self._stage(kind).build(self.recipe, DATASETS.get(self.recipe.data.name))

    def _stage(self, kind: str) -> Stage:
        if kind not in self.stages:
            known = ", ".join(self.stages)
            raise BuildError(
                f"{self.recipe.name}: {self.recipe.model.kind} has no network {kind!r}; there are {known}"
            )
        return self.stages[kind]
