"""Recipes: what to train, on which data, how. Read from TOML, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from .esvae import SIZES, ESVAEConfig


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRecipe(Section):
    """The network.

    Attributes
    ----------
    kind : str
        Published system.
    size : str
        Named size; single fields below override it.
    channels, latent, timesteps
        As in :class:`~spikewright.models.esvae.ESVAEConfig`.
    """

    kind: Literal["esvae"] = "esvae"
    size: Literal["XS", "S", "paper"] = "S"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    latent: PositiveInt | None = None
    timesteps: PositiveInt | None = None


class DataRecipe(Section):
    """The data set and how its images reach the network's size.

    Attributes
    ----------
    name : str
        One of the known data sets.
    image : tuple of int
        Height and width in pixels that the network sees.
    fit : str
        ``pad`` with black, ``resize`` bilinearly, or ``none``.
    """

    name: Literal["digits", "mnist", "fashion-mnist", "kmnist", "emnist-letters", "cifar10"]
    image: tuple[PositiveInt, PositiveInt] = (32, 32)
    fit: Literal["pad", "resize", "none"] = "pad"


class TrainRecipe(Section):
    """How one network is trained.

    Attributes
    ----------
    epochs, batch : int
        Passes over the training split; images a step (over all devices together).
    lr, weight_decay : float
        AdamW's.
    schedule : str
        Learning rate over training: constant as published, or a cosine to zero.
    rate_penalty : float
        Weight of the mean firing rate in the loss; 0 is the published loss.
    """

    epochs: PositiveInt
    batch: PositiveInt = 64
    lr: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    rate_penalty: Annotated[float, Field(ge=0)] = 0.0


class Training(Section):
    """Training of the spiking network, of its ANN twin, and of the autoencoder behind FAD."""

    snn: TrainRecipe
    ann: TrainRecipe
    fad: TrainRecipe


def model_config(model: ModelRecipe, data: DataRecipe, in_channels: int) -> ESVAEConfig:
    """Network size that a recipe asks for."""
    base = SIZES[model.size]
    return ESVAEConfig(
        image=data.image,
        in_channels=in_channels,
        channels=model.channels or base.channels,
        latent=model.latent or base.latent,
        timesteps=model.timesteps or base.timesteps,
    )
