"""A small SDDPM on non-square images, trained for a moment, and exported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.progress import Steps
from spikewright.recipe import load_recipe
from spikewright.sddpm.system import System, export_system
from spikewright.training import ensure_weights
from spikewright.workspace import Workspace

RECIPE = """
name = "sddpm-tiny"
[model]
kind = "sddpm"
size = "S"
build = "chip"
channels = 8
multipliers = [1, 2]
[data]
name = "digits"
image = [8, 12]
fit = "resize"
[train.unet]
epochs = 3
lr = 1e-2
[train.unet_ann]
epochs = 3
lr = 1e-2
[train.fad]
epochs = 1
[train.classifier]
epochs = 1
[quantise]
calibration_images = 64
[deploy]
norse_images = 2
reference_images = 2
lava_images = 1
generated_images = 6
sampling_steps = 4
noise_images = 40
"""


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "sddpm-tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def workspace(recipe: Path) -> Workspace:
    made = Workspace(load_recipe(str(recipe)), recipe.parent / "build")
    ensure_weights(made, Steps())
    return made


@pytest.fixture(scope="session")
def system(workspace: Workspace) -> System:
    return export_system(workspace, Steps())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"
