"""What training a published system consists of: one network after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from .workspace import Workspace

Split: TypeAlias = Literal["train", "test"]


class Samples(NamedTuple):
    """What a network is trained or judged on: images or token grids, and classes for a classifier."""

    inputs: NDArray[Any]
    labels: NDArray[Any] | None = None


@dataclass(frozen=True)
class Stage:
    """One network of a system.

    Attributes
    ----------
    title : str
        What it is called in the progress of a command.
    shown : str
        Loss shown beside the progress bar.
    build : callable
        The network, untrained, from a recipe and what is known of its data set (None for videos).
    samples : callable
        Samples of a split; weights of the networks before this one are handed in by their kind.
    evaluate : callable
        Figures of a trained network over a test split.
    begin : callable
        Called before training with the network, its training samples, the workspace, and weights as ``samples`` gets them.
    renewed : callable
        From a workspace, what gives the training samples of an epoch after the first (counted from 0); None where all
        epochs see the same.
    """

    title: str
    shown: str
    build: Callable[[Any, Any], nn.Module]
    samples: Callable[[Workspace, Split, Mapping[str, Path]], Samples]
    evaluate: Callable[[Any, Samples], dict[str, float]]
    begin: Callable[[Any, Tensor, Workspace, Mapping[str, Path]], None] = lambda *_: None
    renewed: Callable[[Workspace], Callable[[int], Samples] | None] = lambda workspace: None


def images_of(workspace: Workspace, split: Split, before: Mapping[str, Path]) -> Samples:
    """The data set's images."""
    return Samples(workspace.train_images if split == "train" else workspace.test_images)


def labelled_images_of(workspace: Workspace, split: Split, before: Mapping[str, Path]) -> Samples:
    """The data set's images and their classes."""
    return Samples(images_of(workspace, split, before).inputs, workspace.labels(split))
