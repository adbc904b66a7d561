"""The shipped event classifiers: their recipes, weights, training and accuracy.

``python -m spikewright.models.classifiers braille build/braille`` trains a recipe anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .braille import BrailleConfig, BrailleNet
from .checkpoint import CheckpointError, load_tensors, load_weights, save_tensors
from .classifier_recipe import (
    CLASSIFIERS,
    ZOO,
    BrailleModel,
    ClassifierError,
    ClassifierRecipe,
    load_classifier_recipe,
)
from .data import DataError, SpikeFrames, load_events
from .data.braille import LETTERS
from .nmnist import NMNISTConfig, NMNISTNet
from .train import Interrupted, Progress, train

_BATCH = 100  # samples evaluated together


def fresh_classifier(recipe: ClassifierRecipe) -> BrailleNet | NMNISTNet:
    """An untrained network, its weights drawn from the recipe's training seed."""
    torch.manual_seed(recipe.train_seed)
    if isinstance(recipe.model, BrailleModel):
        classes = len(LETTERS if recipe.data.classes is None else recipe.data.classes)
        constants = recipe.model.model_dump(exclude={"kind"})
        return BrailleNet(BrailleConfig(classes=classes, timesteps=recipe.data.steps, **constants))
    return NMNISTNet(NMNISTConfig(timesteps=recipe.data.steps, **recipe.model.model_dump(exclude={"kind"})))


def load_classifier(name: str) -> BrailleNet | NMNISTNet:
    """A shipped classifier with its weights, at rest and in eval mode.

    Parameters
    ----------
    name : str
        ``braille`` or ``nmnist``.

    Raises
    ------
    ClassifierError, CheckpointError
        No such classifier, or its weights file is missing or damaged.
    """
    recipe = load_classifier_recipe(name)
    with torch.random.fork_rng(devices=[]):  # loading draws nothing from the caller's generator
        network = fresh_classifier(recipe)
    load_weights(network, ZOO / name / "weights.safetensors")
    return network.eval()


def load_split(recipe: ClassifierRecipe, split: str, *, root: str | Path | None = None) -> SpikeFrames:
    """One split of the data that a recipe names."""
    data = recipe.data
    return load_events(data.name, split, steps=data.steps, classes=data.classes, root=root)


def classifier_samples(
    name: str, split: str = "test", *, root: str | Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Samples that a shipped classifier is fed, with their classes.

    Parameters
    ----------
    name : str
        ``braille`` or ``nmnist``.
    split : str
        ``train``, ``validation`` or ``test``.
    root : str or Path, optional
        Data folder; without it, the one named by ``SPIKEWRIGHT_DATA``.

    Returns
    -------
    samples : ndarray of uint8, shape (samples, timesteps, ...)
        Spikes 0/1.
    labels : ndarray of int64, shape (samples,)
    """
    frames = load_split(load_classifier_recipe(name), split, root=root)
    return frames.spikes, frames.labels


def predict(network: BrailleNet | NMNISTNet, samples: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Class of each sample, stepped from rest: the output neuron with most spikes, the first one of several."""
    with torch.no_grad():
        counts = [network.counts(batch) for batch in torch.from_numpy(samples).split(_BATCH)]
    return torch.cat(counts).argmax(1).numpy()


def weight_tails(network: nn.Module, threshold: float) -> dict[str, float]:
    """Largest weight of each layer over the threshold; the larger, the coarser an 8-bit grid that holds it."""
    return {name: float(p.detach().abs().max()) / threshold for name, p in network.named_parameters()}


def train_classifier(
    recipe: ClassifierRecipe,
    folder: Path,
    *,
    root: str | Path | None = None,
    report: Any = lambda progress: None,
) -> Path:
    """Train a recipe and write ``weights.safetensors`` with recipe, history and accuracies in its metadata.

    Parameters
    ----------
    folder : Path
        Also takes the trainer's checkpoint; an interrupted run continues from it.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ClassifierError
        The folder holds the training of another recipe.
    """
    _claim(folder, recipe)
    network = fresh_classifier(recipe)
    history: dict[str, Any] = {}
    if recipe.pretrain is not None:
        history["pretrain"] = _pretrain(network, recipe, folder / "pretrain", root, report)
    frames = load_split(recipe, "train", root=root)
    samples, labels = torch.from_numpy(frames.spikes), torch.from_numpy(frames.labels)
    rows = train(
        network,
        samples,
        recipe.train,
        folder=folder,
        seed=recipe.train_seed,
        labels=labels,
        report=report,
    )
    network = network.cpu()
    figures: dict[str, Any] = {"note": frames.note}
    for split in ("train", "validation", "test"):
        frames = load_split(recipe, split, root=root)
        figures[split] = float(np.mean(predict(network, frames.spikes) == frames.labels))
        figures[f"{split}_samples"] = len(frames.labels)
    metadata = {
        "recipe": recipe.model_dump(mode="json"),
        "history": rows,
        **history,
        "accuracy": figures,
        "weight_over_threshold": weight_tails(network, network.config.threshold),
    }
    path = folder / "weights.safetensors"
    save_tensors(path, network.state_dict(), metadata)
    return path


def _claim(folder: Path, recipe: ClassifierRecipe) -> None:
    """Keep the recipe beside its checkpoints, which know of the training alone and not of network or data."""
    path, text = folder / "recipe.json", recipe.model_dump_json(indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ClassifierError(f"{path} is another recipe; choose another folder, or delete this one")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _pretrain(
    network: BrailleNet | NMNISTNet,
    recipe: ClassifierRecipe,
    folder: Path,
    root: str | Path | None,
    report: Any,
) -> list[dict[str, float]]:
    """Train a network of all classes and hand its weights on; the rows of its history."""
    assert recipe.pretrain is not None
    whole = recipe.model_copy(update={"data": recipe.data.model_copy(update={"classes": None})})
    teacher = fresh_classifier(whole)
    frames = load_split(whole, "train", root=root)
    rows = train(
        teacher,
        torch.from_numpy(frames.spikes),
        recipe.pretrain,
        folder=folder,
        seed=recipe.train_seed,
        labels=torch.from_numpy(frames.labels),
        report=report,
    )
    rows_kept = [frames.classes.index(name) for name in recipe.data.classes or ()]
    weights = teacher.cpu().state_dict()
    network.load_state_dict(
        {key: value[rows_kept] if key.startswith("readout.") else value for key, value in weights.items()}
    )
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Train one classifier from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.models.classifiers", description=main.__doc__
    )
    parser.add_argument("recipe", help=f"{' or '.join(CLASSIFIERS)}, or the path of a .toml file")
    parser.add_argument("folder", type=Path, help="where checkpoint and weights go")
    options = parser.parse_args(arguments)

    tenth = 0

    def show(progress: Progress) -> None:
        nonlocal tenth
        if progress.step * 10 // progress.steps != tenth:
            tenth = progress.step * 10 // progress.steps
            figures = ", ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            print(f"epoch {progress.epoch}: {figures}", flush=True)

    try:
        path = train_classifier(load_classifier_recipe(options.recipe), options.folder, report=show)
    except (ClassifierError, CheckpointError, DataError, Interrupted, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _, metadata = load_tensors(path)
    for split in ("train", "validation", "test"):
        count = metadata["accuracy"][f"{split}_samples"]
        print(f"{split} accuracy {metadata['accuracy'][split]:.4f} of {count} samples")
    for name, value in metadata["weight_over_threshold"].items():
        print(f"{name}: largest weight {value:.2f} thresholds")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
