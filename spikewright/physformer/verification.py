"""The checks of a deployed Spiking-PhysFormer: its program, every spike and membrane."""

from __future__ import annotations

from ..generating.checking import Part, check_parts, keep
from ..progress import Steps
from ..verification import Verification
from ..workspace import Workspace
from .lowering import embeddings, exportable
from .system import NAME, System, clips

AGREEMENT_CLIPS = 16  # clips that integers and floats are compared on, layer by layer


def part_of(workspace: Workspace, system: System, count: int) -> Part:
    """The program with the first test clips."""
    shown = embeddings(system.network, clips(workspace, "test", count))
    return Part(NAME, system.blocks, exportable(system.network), "step", "direct", shown, workspace.folder)


def verify_system(
    workspace: Workspace, system: System, steps: Steps, *, use_lava: bool = True
) -> Verification:
    """Run all checks and keep the result as ``equivalence.json``."""
    part = part_of(workspace, system, AGREEMENT_CLIPS)
    checks = check_parts([part], workspace.recipe.deploy, steps, use_lava=use_lava)
    return keep(workspace, checks, [], workspace.recipe.deploy, steps)
