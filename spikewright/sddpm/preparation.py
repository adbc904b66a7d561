"""An SDDPM ready to run: what is in the build folder if it fits, else weights, export and twin anew."""

from __future__ import annotations

from ..errors import BuildError
from ..lowering import FLOAT, INTEGER, PROGRAM
from ..progress import Steps
from ..recipe import UNetRecipe
from ..training import ensure_weights
from ..workspace import Workspace
from .baseline import FILE, export_twin
from .system import System, export_system, load_system


def prepared(workspace: Workspace, steps: Steps) -> System:
    """The system of a recipe."""
    if _exported(workspace):
        return load_system(workspace.folder)
    ensure_weights(workspace, steps)
    system = export_system(workspace, steps)
    export_twin(workspace)
    return system


def _exported(workspace: Workspace) -> bool:
    """Whether the folder holds a whole export of the same recipe, sampling aside."""
    if not all((workspace.folder / name).exists() for name in (FLOAT, INTEGER, PROGRAM, FILE)):
        return False
    try:
        there, here = Workspace.open(workspace.folder).recipe, workspace.recipe
    except BuildError:
        return False
    assert isinstance(here, UNetRecipe)
    if not isinstance(there, UNetRecipe):
        return False
    alike = {"model", "data", "train", "train_seed", "quantise"}
    same = there.model_dump(include=alike) == here.model_dump(include=alike)
    deciding = {"chip", "threshold_scale", "residual", "payload_bits"}
    deployed = [r.deploy.model_dump(include=deciding) for r in (there, here)]
    return same and deployed[0] == deployed[1]
