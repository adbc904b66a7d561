"""Images of a Spiking-Diffusion for a user."""

from __future__ import annotations

from pathlib import Path

from ..benchmarks.energy import load_models
from ..generating.drawing import Drawn
from ..progress import Steps
from ..recipe import DiffusionRecipe
from ..workspace import Workspace
from .baseline import load_twins
from .generation import generate_in_parts
from .preparation import prepared
from .pricing import image_joules


def draw(
    workspace: Workspace,
    backend: str,
    count: int,
    folder: Path,
    steps: Steps,
    time_limit: float | None = None,
) -> Drawn:
    """Images of a recipe, and what each costs where its spikes were counted; ``folder`` keeps what is made."""
    recipe = workspace.recipe
    assert isinstance(recipe, DiffusionRecipe)
    deploy, system = recipe.deploy, prepared(workspace, steps)
    with steps(f"{count} images on {backend}") as step:
        made = generate_in_parts(
            system, backend, count, folder, seed=recipe.seed, temperature=deploy.temperature,
            refinements=deploy.refinements, time_limit=time_limit, report=step.update,
        )  # fmt: skip
    joules = (
        {}
        if backend == "float"
        else image_joules(system, made, load_twins(workspace.folder), load_models(deploy.energy))
    )
    return Drawn(made, joules, {"temperature": deploy.temperature, "refinements": deploy.refinements})
