"""How each published system is exported, verified and reported: one program, or several with the host between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import deployment, lowering, verification
from .benchmarks.report.schema import Report
from .diffusion import drawing as diffusion_drawing
from .diffusion import reporting, system
from .diffusion import verification as diffusion_verification
from .errors import BuildError
from .generating.drawing import Drawn
from .physformer import reporting as pulse_reporting
from .physformer import system as pulse_system
from .physformer import verification as pulse_verification
from .progress import Steps
from .recipe import DiffusionRecipe, PulseRecipe, UNetRecipe
from .sddpm import drawing as sddpm_drawing
from .sddpm import reporting as sddpm_reporting
from .sddpm import system as sddpm_system
from .sddpm import verification as sddpm_verification
from .verification import Verification
from .workspace import Workspace


@dataclass(frozen=True)
class Deployment:
    """The steps of a system's deployment; what is lowered is handed from one to the next.

    Attributes
    ----------
    export : callable
        Writes every level into the build folder.
    load : callable
        Reads what ``export`` wrote.
    verify, report : callable
        The checks, and what is measured and written after them.
    parts : tuple of str
        Folders of the programs within the build folder; none where the build folder itself is the only one.
    """

    export: Callable[[Workspace, Steps], Any]
    load: Callable[[Path], Any]
    verify: Callable[..., Verification]
    report: Callable[[Workspace, Any, Verification, Steps], Report]
    parts: tuple[str, ...] = ()

    def files(self, folder: Path) -> dict[str, Path]:
        """Artefacts of an export by role."""
        levels = {"float_nir": lowering.FLOAT, "integer_nir": lowering.INTEGER, "program": lowering.PROGRAM}
        if not self.parts:
            return {role: folder / name for role, name in levels.items()}
        return {
            f"{part}_{role}": folder / part / name for part in self.parts for role, name in levels.items()
        }


ONE_PROGRAM = Deployment(
    deployment.export_recipe, lowering.load, verification.verify, deployment.report_recipe
)
DIFFUSION = Deployment(
    system.export_system, system.load_system, diffusion_verification.verify_system, reporting.report_system,
    tuple(system.PARTS),
)  # fmt: skip
SDDPM = Deployment(
    sddpm_system.export_system, sddpm_system.load_system, sddpm_verification.verify_system,
    sddpm_reporting.report_system,
)  # fmt: skip
PULSE = Deployment(
    pulse_system.export_system, pulse_system.load_system, pulse_verification.verify_system,
    pulse_reporting.report_system,
)  # fmt: skip


def deployment_of(workspace: Workspace) -> Deployment:
    """The deployment of a recipe's system."""
    if isinstance(workspace.recipe, UNetRecipe):
        return SDDPM
    if isinstance(workspace.recipe, PulseRecipe):
        return PULSE
    return DIFFUSION if isinstance(workspace.recipe, DiffusionRecipe) else ONE_PROGRAM


def drawing_of(workspace: Workspace) -> Callable[..., Drawn]:
    """Who draws images of a recipe for a user.

    Raises
    ------
    BuildError
        The system generates otherwise.
    """
    if isinstance(workspace.recipe, UNetRecipe):
        return sddpm_drawing.draw
    if isinstance(workspace.recipe, DiffusionRecipe):
        return diffusion_drawing.draw
    if isinstance(workspace.recipe, PulseRecipe):
        raise BuildError(
            f"{workspace.recipe.name}: reads a pulse and generates no images; `spikewright pulse` reads one"
        )
    raise BuildError(
        f"{workspace.recipe.name}: images are generated from spiking-diffusion and sddpm recipes; `spikewright deploy` "
        "draws those of other systems"
    )
