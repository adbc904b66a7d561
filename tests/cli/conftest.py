"""One small build that the command tests share: XS on the embedded digits, trained for one epoch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
name = "esvae-tiny"
[model]
size = "XS"
[data]
name = "digits"
image = [16, 32]
fit = "resize"
[train.snn]
epochs = 2
[train.ann]
epochs = 1
[train.fad]
epochs = 1
[quantise]
calibration_images = 64
[deploy]
norse_images = 2
reference_images = 2
generated_images = 40
"""


def spikewright(*arguments: str | Path, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "spikewright.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe on non-square images."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def build(recipe: Path) -> Path:
    """A whole deployment of it."""
    done = spikewright("deploy", recipe, cwd=recipe.parent, timeout=600)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return recipe.parent / "build" / "esvae-tiny"
