"""Which models there are to measure, and what decides the result of each."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from ..errors import BuildError
from ..models.classifier_recipe import CLASSIFIERS, ZOO
from ..recipe import zoo, zoo_names
from ..workspace import Workspace
from .budget import budgeted
from .runs import Unit

_ROOMS = ("", "models", "export", "hardware", "benchmarks")
_SOURCES = (".py", ".toml", ".json", ".j2")
#: Views of results: they decide how a page looks, not what was measured.
_VIEWS = (
    "benchmarks/overview/page.py", "benchmarks/overview/page.html.j2", "benchmarks/overview/figure.py",
    "benchmarks/overview/markdown.py", "benchmarks/overview/schema.json",
)  # fmt: skip
#: Libraries whose arithmetic is in the figures, or whose presence is.
_LIBRARIES = (
    "torch", "snntorch", "nir", "numpy", "scipy", "numba", "norse", "lava-nc", "onnx", "onnxruntime",
)  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model of the zoo.

    Attributes
    ----------
    unit : Unit or None
        How it is measured; None where no weights are shipped.
    missing : str
        Which weights are not shipped.
    """

    name: str
    unit: Unit | None
    missing: str = ""


def models(full: bool, lava: bool, folder: Path) -> list[Model]:
    """Every model, and how it is measured into a subfolder."""
    systems = [_system(name, full, lava, folder) for name in zoo_names()]
    return systems + [_classifier(name, lava, folder) for name in CLASSIFIERS]


def chosen(every: list[Model], wanted: list[str]) -> list[Model]:
    """Those of the models that a user names; all without names.

    Raises
    ------
    BuildError
        A name that no model has.
    """
    known = [model.name for model in every]
    for name in wanted:
        if name not in known:
            raise BuildError(f"{name}: no model of the zoo; there are {', '.join(known)}")
    return [model for model in every if not wanted or model.name in wanted]


def _system(name: str, full: bool, lava: bool, folder: Path) -> Model:
    recipe = budgeted(name, full)
    place = Workspace(recipe, folder / name)
    found = {kind: place.weights(kind) for kind in place.stages}
    # Weights that a build trained are another's than those of the zoo.
    missing = [kind for kind, path in found.items() if path is None or path.parent != zoo()]
    if missing:
        return Model(name, None, ", ".join(missing))
    weights = [path for path in found.values() if path is not None]
    return Model(name, _unit(name, recipe.model_dump_json(), weights, full, lava, folder))


def _classifier(name: str, lava: bool, folder: Path) -> Model:
    recipe, weights = ZOO / name / "recipe.toml", ZOO / name / "weights.safetensors"
    if not weights.exists():
        return Model(name, None, weights.name)
    text, reader = recipe.read_text("utf-8"), "tonic"
    return Model(name, _unit(name, text, [weights], False, lava, folder, reader))


def _unit(
    name: str, recipe: str, weights: list[Path], full: bool, lava: bool, folder: Path, *libraries: str
) -> Unit:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}
    decisive = json.dumps([recipe, digests, lava, code(), _versions(*_LIBRARIES, *libraries)], sort_keys=True)
    key = hashlib.sha256(decisive.encode()).hexdigest()[:16]
    options = [*(["--full"] if full else []), *([] if lava else ["--no-lava"])]
    command = (sys.executable, "-m", f"{__package__}.measure", name, str(folder / name), key, *options)
    return Unit(name, key, command)


@cache
def code() -> str:
    """Digest of the package's sources, without the views of results."""
    digest = hashlib.sha256()
    for name, path in sorted(sources().items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sources() -> dict[str, Path]:
    """Files that decide results, by room and path."""
    found: dict[str, Path] = {}
    for room in _ROOMS:
        package = import_module(".".join(filter(None, ("spikewright", room))))
        for place in package.__path__:
            for folder, _, files in os.walk(place, followlinks=True):
                for path in (Path(folder, name) for name in files):
                    name = str(Path(room, path.relative_to(place)))
                    if path.suffix in _SOURCES and name not in _VIEWS:
                        found[name] = path
    return found


def _versions(*libraries: str) -> dict[str, str]:
    found = {}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found
