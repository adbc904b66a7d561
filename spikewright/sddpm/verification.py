"""The checks of a deployed SDDPM: the program by itself, then whole images on two backends."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..generating.checking import AGREEMENT_SAMPLES, Part, check_parts, compare_images, keep
from ..models.guidance import firing_threshold
from ..progress import Steps
from ..recipe import UNetRecipe
from ..verification import Verification
from ..workspace import Workspace
from .checks import same_images
from .lowering import one_step, streams
from .system import NAME, System


def samples_of(workspace: Workspace, system: System, count: int, seed: int = 1) -> NDArray[np.float32]:
    """What the program sees of the first test images at random indices of the diffusion: (N, values)."""
    images = torch.from_numpy(workspace.test_images[:count])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        packed = system.network.pack(*system.network.corrupt(images)).numpy()
    return np.asarray(packed, np.float32)


def part_of(workspace: Workspace, system: System, count: int) -> Part:
    """The program with such samples."""
    return Part(
        NAME,
        system.denoiser,
        system.network,
        one_step(system.network),
        "direct",
        samples_of(workspace, system, count),
        workspace.folder,
    )


def verify_system(
    workspace: Workspace, system: System, steps: Steps, *, use_lava: bool = True
) -> Verification:
    """Run all checks and keep the result as ``equivalence.json``."""
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    deploy, images = recipe.deploy, recipe.deploy.lava_generations
    with firing_threshold(system.network, system.threshold), streams(system.network, system.residual):
        part = part_of(workspace, system, AGREEMENT_SAMPLES)
        checks = check_parts([part], deploy, steps, use_lava=use_lava)
    same = compare_images(
        lambda backend, limit: same_images(
            system,
            backend,
            images,
            seed=recipe.seed,
            sampling_steps=deploy.lava_sampling_steps,
            time_limit=limit,
        ),
        images,
        deploy.lava_seconds,
        steps,
        use_lava=use_lava,
        each=f"{deploy.lava_sampling_steps} steps",
    )
    return keep(workspace, checks, same, deploy, steps)
