"""A recipe's system ready to run: what is in the build folder if it fits, else weights, export and twins anew."""

from __future__ import annotations

from ..errors import BuildError
from ..progress import Steps
from ..training import ensure_weights
from ..workspace import Workspace
from .baseline import FILES, export_twins
from .system import PARTS, System, export_system, load_system


def prepared(workspace: Workspace, steps: Steps) -> System:
    """The system of a recipe."""
    if _exported(workspace):
        return load_system(workspace.folder)
    ensure_weights(workspace, steps)
    system = export_system(workspace, steps)
    export_twins(workspace)
    return system


def _exported(workspace: Workspace) -> bool:
    """Whether the folder holds a whole export of the same recipe, sampling aside."""
    files = [workspace.folder / part / "program.npz" for part in PARTS]
    if not all(path.exists() for path in (*files, *(workspace.folder / name for name in FILES.values()))):
        return False
    try:
        there = Workspace.open(workspace.folder).recipe
    except BuildError:
        return False
    alike = {"model", "data", "train", "train_seed", "quantise"}
    same = there.model_dump(include=alike) == workspace.recipe.model_dump(include=alike)
    return same and there.deploy.chip == workspace.recipe.deploy.chip
