"""Images of an SDDPM for a user."""

from __future__ import annotations

from pathlib import Path

from ..benchmarks.energy import load_models
from ..generating.drawing import Drawn
from ..progress import Steps
from ..recipe import UNetRecipe
from ..workspace import Workspace
from .baseline import load_twin
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
    assert isinstance(recipe, UNetRecipe)
    deploy = recipe.deploy
    sampling_steps = deploy.sampling_steps if deploy.sampler == "ddim" else None
    system = prepared(workspace, steps)
    with steps(f"{count} images on {backend}") as step:
        made = generate_in_parts(
            system, backend, count, folder, seed=recipe.seed, sampling_steps=sampling_steps,
            time_limit=time_limit, report=step.update,
        )  # fmt: skip
    joules = (
        {}
        if backend == "float"
        else image_joules(system, made, load_twin(workspace.folder), load_models(deploy.energy))
    )
    settings: dict[str, float | str] = {
        "sampler": deploy.sampler,
        "threshold_scale": deploy.threshold_scale,
    }
    if deploy.residual != "unrolled":
        settings["residual"] = deploy.residual
    return Drawn(made, joules, settings)
