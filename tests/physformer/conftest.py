"""A small Spiking-PhysFormer on non-square videos, trained for a moment; exported once a variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.models.physformer_layout import Attention, Variant
from spikewright.physformer.system import System, export_system
from spikewright.progress import Steps
from spikewright.recipe import load_recipe
from spikewright.training import ensure_weights
from spikewright.workspace import Workspace

RECIPE = """
name = "pulse-tiny-{variant}"
[model]
kind = "spiking-physformer"
size = "micro"
variant = "{variant}"
attention = "{attention}"
mlp_frames = {mlp_frames}
[data]
level = "easy"
image = [16, 32]
frames = 160
video_frames = 330
train_videos = 4
test_videos = 3
[train.physformer]
epochs = 2
batch = 4
lr = 3e-3
[train.physformer_ann]
epochs = 1
batch = 4
lr = 1e-3
[quantise]
calibration_images = 6
[deploy]
norse_images = 2
reference_images = 3
lava_images = 1
videos = 3
"""


def built(folder: Path, variant: Variant, attention: Attention = "mask") -> Workspace:
    """A workspace with trained networks."""
    path = folder / f"{variant}.toml"
    frames = 5 if variant == "deployment" else 1
    path.write_text(RECIPE.format(variant=variant, attention=attention, mlp_frames=frames))
    made = Workspace(load_recipe(str(path)), folder / variant)
    ensure_weights(made, Steps())
    return made


@pytest.fixture(
    scope="session",
    params=[("deployment", "mask"), ("reproduction", "mask"), ("deployment", "values")],
    ids="-".join,
)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return built(tmp_path_factory.mktemp("pulse"), *request.param)


@pytest.fixture(scope="session")
def system(workspace: Workspace) -> System:
    return export_system(workspace, Steps())
