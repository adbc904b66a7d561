"""The shipped system of the digits, exported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.diffusion.system import System, export_system
from spikewright.progress import Steps
from spikewright.recipe import load_recipe
from spikewright.workspace import Workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(load_recipe("spiking-diffusion-digits"), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def system(workspace: Workspace) -> System:
    return export_system(workspace, Steps())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"
