"""What travels to a worker; kept apart from what makes it, so that a worker loads no more than it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from .. import __version__

#: Networks that measuring a point needs, by system; what only Frechet distances need is not among them.
NETWORKS = {
    "esvae": ("snn", "ann"),
    "spiking-diffusion": ("vq", "sdid", "vq_ann", "sdid_ann"),
    "sddpm": ("unet", "unet_ann"),
    "spiking-physformer": ("physformer", "physformer_ann"),
}


@dataclass(frozen=True)
class Job:
    """All that a worker needs to measure a point, no file but the data set's.

    Attributes
    ----------
    recipe : dict
        As JSON.
    chip : str
        The chip's TOML file.
    weights : dict of str to bytes
        Files of the networks by kind.
    version : str
        Of the package that made the job.
    """

    key: str
    recipe: dict[str, Any]
    chip: str
    samples: int
    weights: dict[str, bytes]
    version: str = __version__


@dataclass(frozen=True)
class TrainJob:
    """Networks to be trained.

    Attributes
    ----------
    recipe : dict
        As JSON.
    weights : dict of str to bytes
        Files of the networks that are there, by kind.
    kinds : tuple of str
        Those that are not, in the order of training.
    folder : str or None
        Build folder that the worker shares with the sweep; None where it shares none.
    """

    recipe: dict[str, Any]
    weights: dict[str, bytes]
    kinds: tuple[str, ...]
    folder: str | None


#: Files of trained networks by kind; empty where they lie in a shared folder already.
TrainResult: TypeAlias = dict[str, bytes]
