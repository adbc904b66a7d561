"""A build folder: where each artefact lies, and the data and networks that a recipe names."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from .errors import BuildError, RecipeError
from .export.whole_file import whole_file
from .models.ann_vae import ANNVAE, Autoencoder
from .models.checkpoint import load_weights
from .models.data import DATASETS, load_images, prepare
from .models.esvae import ESVAE, ESVAEConfig
from .recipe import Recipe, load_recipe, zoo, zoo_names

Kind: TypeAlias = Literal["snn", "ann", "fad"]
KINDS: tuple[Kind, ...] = ("snn", "ann", "fad")
NETWORKS: dict[Kind, Callable[[ESVAEConfig], nn.Module]] = {"snn": ESVAE, "ann": ANNVAE, "fad": Autoencoder}


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
            return cls(Recipe.model_validate(table), folder)
        except FileNotFoundError:
            raise BuildError(
                f"{folder}: holds no build (recipe.json is missing); run `spikewright export` first"
            ) from None
        except (OSError, ValueError, ValidationError) as error:
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
    def config(self) -> ESVAEConfig:
        """Size of the network."""
        return self.recipe.config(DATASETS[self.recipe.data.name].channels)

    @cached_property
    def train_images(self) -> NDArray[np.float32]:
        """Training images (N, C, H, W) in [-1, 1]."""
        return self._images("train")

    @cached_property
    def test_images(self) -> NDArray[np.float32]:
        """Test images, same layout."""
        return self._images("test")

    def _images(self, split: Literal["train", "test"]) -> NDArray[np.float32]:
        loaded = load_images(self.recipe.data.name, split)
        self.dataset_note = loaded.note
        return prepare(loaded, self.recipe.data.image, self.recipe.data.fit)

    dataset_note: str = ""

    def training_folder(self, kind: Kind) -> Path:
        """Where a network is trained when no shipped weights fit; another training recipe has another folder."""
        return self.folder / "train" / self.recipe.training_digest / kind

    def weights(self, kind: Kind) -> Path | None:
        """Weights of a network: shipped where they were trained by the same recipe, else trained here, else None."""
        for name in zoo_names():
            path = zoo() / f"{name}.{kind}.safetensors"
            if path.exists() and self._fits(name):
                return path
        own = self.training_folder(kind) / "weights.safetensors"
        return own if own.exists() else None

    def _fits(self, name: str) -> bool:
        try:
            return self.recipe.training_digest == load_recipe(name).training_digest
        except RecipeError:
            return False

    def network(self, kind: Kind) -> nn.Module:
        """A network with its weights, ready for inference.

        Raises
        ------
        BuildError
            There are no weights yet.
        """
        path = self.weights(kind)
        if path is None:
            raise BuildError(
                f"{self.recipe.name}: the {kind} network is not trained; run `spikewright train` first"
            )
        network = NETWORKS[kind](self.config)
        load_weights(network, path)
        return network.eval()

    def fresh_network(self, kind: Kind) -> nn.Module:
        """An untrained network, its weights drawn from the recipe's training seed."""
        torch.manual_seed(self.recipe.train_seed)
        return NETWORKS[kind](self.config)
