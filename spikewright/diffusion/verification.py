"""The checks of a deployed Spiking-Diffusion: each program by itself, then whole images on two backends."""

from __future__ import annotations

from ..benchmarks.report.units import plural
from ..diffusion_stages import extract_tokens
from ..generating.checking import AGREEMENT_SAMPLES, Part, check_parts, compare_images, keep
from ..hardware import tokens
from ..models.sdid import SDID
from ..models.vq_svae import VQSVAE
from ..progress import Steps
from ..recipe import DiffusionRecipe
from ..verification import Verification
from ..workspace import Workspace
from .checks import same_images
from .system import System, hidden_spikes


def parts_of(workspace: Workspace, system: System, count: int) -> list[Part]:
    """The three programs with samples made from the first test images."""
    vq, sdid = workspace.network("vq"), workspace.network("sdid")
    assert isinstance(vq, VQSVAE)
    assert isinstance(sdid, SDID)
    images, folder = workspace.test_images[:count], workspace.folder
    grids = extract_tokens(vq, images)
    vectors, hidden = tokens.look_up(system.decoder.program, grids), hidden_spikes(sdid, grids, seed=1)
    return [
        Part("encoder", system.encoder, vq, "encode_step", "direct", images, folder / "encoder"),
        Part("denoiser", system.denoiser, sdid, "step", "spikes", hidden, folder / "denoiser"),
        Part("decoder", system.decoder, vq, "decode_step", "direct", vectors, folder / "decoder"),
    ]


def verify_system(
    workspace: Workspace, system: System, steps: Steps, *, use_lava: bool = True
) -> Verification:
    """Run all checks and keep the result as ``equivalence.json``."""
    recipe = workspace.recipe
    assert isinstance(recipe, DiffusionRecipe)
    deploy, images = recipe.deploy, recipe.deploy.lava_generations
    evaluations = deploy.lava_evaluations
    checks = check_parts(parts_of(workspace, system, AGREEMENT_SAMPLES), deploy, steps, use_lava=use_lava)
    same = compare_images(
        lambda backend, limit: same_images(
            system,
            backend,
            images,
            seed=recipe.seed,
            temperature=deploy.temperature,
            refinements=deploy.refinements,
            evaluations=evaluations,
            time_limit=limit,
        ),
        images,
        deploy.lava_seconds,
        steps,
        use_lava=use_lava,
        each="all evaluations" if evaluations is None else plural(evaluations, "evaluation"),
    )
    return keep(workspace, checks, same, deploy, steps)
