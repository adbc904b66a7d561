"""Generative models of several builds beside each other: ``python -m spikewright.comparing_models BUILD...``.

Each build folder holds the images that its networks made (``generated.npz``); the feature networks are those of one
build of the data set that has both. One section a data set; writes ``docs/generative.md`` and its pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .benchmarks.generated_file import NAME, read_generated
from .benchmarks.generative import MOST_CUT, Generated, compare
from .benchmarks.generative_page import Section, write_page
from .benchmarks.published_fid import load_published
from .benchmarks.quality import Features, Images
from .benchmarks.report.image_figures import MOST_IMAGES
from .errors import USER_ERRORS, BuildError
from .models.ann_vae import Autoencoder
from .models.data import DATASETS
from .models.feature_classifier import FeatureClassifier
from .models.recipe import DataRecipe
from .workspace import Workspace

#: Feature spaces by their name on the page, and the networks that span them.
SPACES = {"FAD": "fad", "classifier distance": "classifier"}
TITLES = {"esvae": "ESVAE", "spiking-diffusion": "Spiking-Diffusion", "sddpm": "SDDPM"}
BASELINE = "esvae"
OUT = Path("docs/generative.md")
FeatureNetwork: TypeAlias = Autoencoder | FeatureClassifier
_BATCH = 500  # images that a feature network sees at a time


def feature_spaces(workspace: Workspace) -> dict[str, Features]:
    """Features by the name of their space, from the networks of a build."""
    found = {}
    for name, kind in SPACES.items():
        network = workspace.network(kind)
        assert isinstance(network, FeatureNetwork)
        found[name] = _features(network)
    return found


def _features(network: FeatureNetwork) -> Features:
    def features(images: Images) -> NDArray[np.float64]:
        with torch.no_grad():
            parts = [network.features(batch) for batch in torch.from_numpy(images).split(_BATCH)]
        return torch.cat(parts).numpy().astype(np.float64)

    return features


def generated_of(workspace: Workspace) -> list[Generated]:
    """Every version's images of a build, from its file."""
    content = read_generated(workspace.folder / NAME)
    kind = workspace.recipe.model.kind
    return [
        Generated(
            TITLES.get(kind, kind),
            version,
            samples,
            content.reconstructions.get(version),
            content.figures.get(version, {}),
        )
        for version, samples in content.samples.items()
    ]


def compare_builds(workspaces: Sequence[Workspace], count: int, most_cut: float = MOST_CUT) -> Section:
    """Compare builds of one data set.

    Raises
    ------
    BuildError
        No build has both feature networks, or the builds do not show the same images.
    QualityError
        A build's images are missing or do not fit.
    """
    judge = _judge(workspaces)
    dataset = judge.recipe.data.name
    for workspace in workspaces:
        data, judging = workspace.recipe.data, judge.recipe.data
        if not isinstance(data, DataRecipe) or not isinstance(judging, DataRecipe):
            raise BuildError(f"{workspace.folder}: generates no images; compare builds of image models")
        if data.image != judging.image and "resize" in (data.fit, judging.fit):
            raise BuildError(
                f"{workspace.folder}: its images are resized, those of {judge.folder} are not of their size; "
                "compare builds whose images are padded"
            )
    models = [model for workspace in workspaces for model in generated_of(workspace)]
    real, unseen = judge.test_images, judge.train_images
    comparison = compare(models, real, unseen, feature_spaces(judge), count, most_cut)
    return Section(
        DATASETS[dataset].title,
        dataset,
        comparison,
        models,
        TITLES[BASELINE],
        real[:MOST_IMAGES],
        judge.dataset_note,
    )


def _judge(workspaces: Sequence[Workspace]) -> Workspace:
    """The build whose feature networks all are judged by: the first that has both."""
    for workspace in workspaces:
        kinds = SPACES.values()
        if all(kind in workspace.stages and workspace.weights(kind) for kind in kinds):
            return workspace
    folders = ", ".join(str(workspace.folder) for workspace in workspaces)
    raise BuildError(
        f"{folders}: none has trained {' and '.join(SPACES.values())} networks; "
        "run `spikewright train --model spiking-diffusion` on the data set first"
    )


def main(given: Sequence[str] | None = None) -> int:
    """Compare and write the page; the exit status is 1 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.comparing_models", description="Generative models beside each other."
    )
    parser.add_argument("builds", nargs="+", type=Path, metavar="BUILD", help="folders with generated.npz")
    parser.add_argument("--count", type=int, default=5000, help="samples of each version (default: 5000)")
    parser.add_argument(
        "--most-cut",
        type=float,
        default=MOST_CUT,
        help="share of a model's images that may lose content where a border is cut off",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(given)
    if options.count < 1:
        parser.error("--count takes a number from 1")
    by_dataset: dict[str, list[Workspace]] = {}
    try:
        for folder in options.builds:
            workspace = Workspace.open(folder)
            by_dataset.setdefault(workspace.recipe.data.name, []).append(workspace)
        sections = [compare_builds(group, options.count, options.most_cut) for group in by_dataset.values()]
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    builds = " ".join(str(folder) for folder in options.builds)
    command = f"python -m spikewright.comparing_models {builds} --count {options.count}"
    if options.most_cut != MOST_CUT:
        command += f" --most-cut {options.most_cut:g}"
    if options.out != OUT:
        command += f" --out {options.out}"
    write_page(options.out, sections, command, load_published())
    print(options.out.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
