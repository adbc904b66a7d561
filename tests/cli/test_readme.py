"""The README's example runs as it stands and says what it promises."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "example.py").write_text(blocks[0])
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    same, lava = re.fullmatch(
        r"same class (\d+)%, Lava (\w+), SOPs [1-9]\d* a sample", done.stdout.strip()
    ).groups()
    assert int(same) > 80
    assert lava in ("True", "None")
    assert {"model.nir", "model.int8.nir", "program.npz"} <= {
        p.name for p in (tmp_path / "build/mine").iterdir()
    }


def test_every_command_it_names_exists() -> None:
    from spikewright import cli
    from spikewright.cli.main import app

    for module in pkgutil.iter_modules(cli.__path__):
        if module.name != "__main__":
            importlib.import_module(f"spikewright.cli.{module.name}")

    known = {(command.name or command.callback.__name__) for command in app.registered_commands}
    named = set(re.findall(r"^spikewright ([\w-]+)", README.read_text(), re.MULTILINE))
    assert named == known


def test_every_make_target_it_names_exists() -> None:
    makefile = (README.parent / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README.read_text())) <= targets
