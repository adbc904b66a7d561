"""Recipes: what to train, on which data, how. Read from TOML, checked by pydantic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_serializer,
    model_validator,
)

from . import esvae, physformer_layout, sdid, unet_layout, vector_quantised
from .codebook import Start
from .esvae import ESVAEConfig
from .physformer_layout import Attention, PhysFormerConfig, Variant
from .schedules import Schedule
from .sdid import SDIDConfig
from .unet_layout import Build, Prediction, UNetConfig
from .vector_quantised import VQConfig

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRecipe(Section):
    """An ESVAE.

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
    channels: Widths | None = None
    latent: PositiveInt | None = None
    timesteps: PositiveInt | None = None


class DiffusionModel(Section):
    """A Spiking-Diffusion: autoencoder and denoiser.

    Attributes
    ----------
    kind : str
        Published system.
    size : str
        Named size of both; single fields below override it.
    channels, dim, codes, timesteps
        As in :class:`~spikewright.models.vector_quantised.VQConfig`.
    denoiser_channels, denoiser_timesteps
        As in :class:`~spikewright.models.sdid.SDIDConfig`, which has its codes and grid from the autoencoder.
    """

    kind: Literal["spiking-diffusion"]
    size: Literal["XS", "S", "M", "paper"] = "S"
    channels: Widths | None = None
    dim: PositiveInt | None = None
    codes: Annotated[int, Field(ge=2)] | None = None
    timesteps: PositiveInt | None = None
    denoiser_channels: Widths | None = None
    denoiser_timesteps: PositiveInt | None = None


class UNetModel(Section):
    """An SDDPM: a spiking U-Net that tells the noise in an image.

    Attributes
    ----------
    kind : str
        Published system.
    size : str
        Named size; single fields below override it.
    build, prediction, channels, coding_channels, multipliers, blocks, timesteps, diffusion_steps
        As in :class:`~spikewright.models.unet_layout.UNetConfig`.
    """

    kind: Literal["sddpm"]
    size: Literal["S", "M", "M+", "L", "paper"] = "S"
    build: Build = "chip"
    prediction: Prediction = "noise"
    channels: PositiveInt | None = None
    coding_channels: PositiveInt | None = None
    multipliers: Widths | None = None
    blocks: PositiveInt | None = None
    timesteps: PositiveInt | None = None
    diffusion_steps: Annotated[int, Field(ge=2)] = 1000


class PhysFormerModel(Section):
    """A Spiking-PhysFormer: the pulse wave of a face video.

    Attributes
    ----------
    kind : str
        Published system.
    size : str
        Named size; single fields below override it.
    variant, attention, width, blocks, ratio, mlp_frames, patch, timesteps
        As in :class:`~spikewright.models.physformer_layout.PhysFormerConfig`.
    """

    kind: Literal["spiking-physformer"]
    size: Literal["micro", "S", "paper"] = "S"
    variant: Variant = "deployment"
    attention: Attention = "mask"
    width: PositiveInt | None = None
    blocks: PositiveInt | None = None
    ratio: PositiveInt | None = None
    mlp_frames: PositiveInt | None = None
    patch: tuple[PositiveInt, PositiveInt] | None = None
    timesteps: PositiveInt | None = None


class PulseData(Section):
    """Face videos with a pulse, cut into clips.

    Attributes
    ----------
    name : str
        ``synthetic``: videos that are computed; others are data sets that one asks their authors for.
    level : str
        How hard computed videos are.
    image : tuple of int
        Height and width in pixels that faces are brought to.
    frames : int
        Frames of a clip.
    video_frames : int
        Frames of a computed video.
    train_videos, test_videos : int
        Computed videos of either split, each of a subject of its own.
    train_share : float
        Share of a data set's subjects, the first ones, that is trained on.
    renewed : bool
        Every epoch sees computed videos of subjects of its own, ``train_videos`` of them: a network cannot learn by
        heart what it sees once. Those of the first epoch and of the one under way lie on disk.
    """

    name: Literal["synthetic", "ubfc-rppg", "pure", "ubfc-phys", "mmpd"] = "synthetic"
    level: Literal["easy", "hard"] = "hard"
    image: tuple[PositiveInt, PositiveInt] = (32, 32)
    frames: PositiveInt = 160
    video_frames: PositiveInt = 960
    train_videos: PositiveInt = 80
    test_videos: PositiveInt = 200
    train_share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    renewed: bool = False

    @model_validator(mode="after")
    def _only_what_is_computed_is_renewed(self) -> PulseData:
        if self.renewed and self.name != "synthetic":
            raise ValueError(
                f"renewed: the videos of {self.name} are as many as there are; leave it out, or take name = 'synthetic'"
            )
        return self


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
        Learning rate over training: constant as published, a cosine to zero, or one cycle: a short rise ahead of it.
    rate_penalty : float
        Weight of the mean firing rate in the loss; 0 is the published loss.
    clip : float, optional
        Largest norm of all gradients together; longer ones are scaled down to it.
    ema : float, optional
        Decay of a running average of the weights, which are those of the trained network then.
    """

    epochs: PositiveInt
    batch: PositiveInt = 64
    lr: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    schedule: Schedule = "cosine"
    rate_penalty: Annotated[float, Field(ge=0)] = 0.0
    clip: PositiveFloat | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, dump: Callable[[TrainRecipe], dict[str, Any]]) -> dict[str, Any]:
        """Options that came later are written where they are used: what was trained before keeps its digest."""
        return {key: value for key, value in dump(self).items() if key not in ("clip", "ema") or value}


class Training(Section):
    """Training of the spiking network, of its ANN twin, and of the autoencoder behind FAD."""

    snn: TrainRecipe
    ann: TrainRecipe
    fad: TrainRecipe


class CodebookRecipe(Section):
    """How the codes of a vector-quantised autoencoder come into use.

    Attributes
    ----------
    warmup, reseed_every, reseed_until
        Iterations, as in :class:`~spikewright.models.codebook.Start`.
    """

    warmup: NonNegativeInt = Start.warmup
    reseed_every: PositiveInt = Start.reseed_every
    reseed_until: NonNegativeInt = Start.reseed_until


class DiffusionTraining(Section):
    """Training of autoencoder and denoiser, of their ANN twins, and of the two networks behind Frechet distances."""

    codebook: CodebookRecipe = CodebookRecipe()
    vq: TrainRecipe
    sdid: TrainRecipe
    vq_ann: TrainRecipe
    sdid_ann: TrainRecipe
    fad: TrainRecipe
    classifier: TrainRecipe


class UNetTraining(Section):
    """Training of the spiking U-Net, of its ANN twin, and of the two networks behind Frechet distances.

    Attributes
    ----------
    start : str
        Initial weights of the spiking network: ``random`` as published, or those of its trained ``twin`` in terms of spikes
        (:func:`~spikewright.models.unet_start.start_from_twin`).
    """

    unet: TrainRecipe
    unet_ann: TrainRecipe
    fad: TrainRecipe
    classifier: TrainRecipe
    start: Literal["random", "twin"] = "random"

    @model_serializer(mode="wrap")
    def _without_default(self, dump: Callable[[UNetTraining], dict[str, Any]]) -> dict[str, Any]:
        """As :class:`TrainRecipe` leaves out what is off."""
        return {key: value for key, value in dump(self).items() if key != "start" or value != "random"}


class PulseLossRecipe(Section):
    """Weights of the losses of a pulse wave.

    Attributes
    ----------
    alpha, beta0, eta, integral
        As in :class:`~spikewright.models.pulse_losses.PulseLoss`.
    """

    alpha: Annotated[float, Field(ge=0)] = 0.1
    beta0: Annotated[float, Field(ge=0)] = 1.0
    eta: PositiveFloat = 5.0
    integral: Annotated[float, Field(ge=0)] = 0.0


class PhysFormerTraining(Section):
    """Training of the spiking network and of its ANN twin."""

    loss: PulseLossRecipe = PulseLossRecipe()
    physformer: TrainRecipe
    physformer_ann: TrainRecipe


def model_config(model: ModelRecipe, data: DataRecipe, in_channels: int) -> ESVAEConfig:
    """Network size that a recipe of ESVAE asks for."""
    base = esvae.SIZES[model.size]
    return ESVAEConfig(
        image=data.image,
        in_channels=in_channels,
        channels=model.channels or base.channels,
        latent=model.latent or base.latent,
        timesteps=model.timesteps or base.timesteps,
    )


def vq_config(
    model: DiffusionModel, data: DataRecipe, codebook: CodebookRecipe, in_channels: int
) -> VQConfig:
    """Size of the autoencoder that a recipe of Spiking-Diffusion asks for, and how its codes start."""
    base = vector_quantised.SIZES[model.size]
    return VQConfig(
        image=data.image,
        in_channels=in_channels,
        channels=model.channels or base.channels,
        dim=model.dim or base.dim,
        codes=model.codes or base.codes,
        timesteps=model.timesteps or base.timesteps,
        start=Start(**codebook.model_dump()),
    )


def sdid_config(model: DiffusionModel, vq: VQConfig) -> SDIDConfig:
    """Size of the denoiser for the tokens of an autoencoder."""
    base = sdid.SIZES[model.size]
    return SDIDConfig(
        codes=vq.codes,
        grid=vq.grid,
        channels=model.denoiser_channels or base.channels,
        timesteps=model.denoiser_timesteps or base.timesteps,
    )


def unet_config(model: UNetModel, data: DataRecipe, in_channels: int) -> UNetConfig:
    """Size of the U-Net that a recipe of SDDPM asks for."""
    base = unet_layout.SIZES[model.size]
    return UNetConfig(
        image=data.image,
        in_channels=in_channels,
        channels=model.channels or base.channels,
        multipliers=model.multipliers or base.multipliers,
        blocks=model.blocks or base.blocks,
        timesteps=model.timesteps or base.timesteps,
        diffusion_steps=model.diffusion_steps,
        build=model.build,
        coding_channels=model.coding_channels,
        prediction=model.prediction,
    )


def physformer_config(model: PhysFormerModel, data: PulseData) -> PhysFormerConfig:
    """Size of the network that a recipe of Spiking-PhysFormer asks for."""
    base = physformer_layout.SIZES[model.size]
    return PhysFormerConfig(
        image=data.image,
        frames=data.frames,
        width=model.width or base.width,
        blocks=model.blocks or base.blocks,
        ratio=model.ratio or base.ratio,
        mlp_frames=model.mlp_frames or base.mlp_frames,
        patch=model.patch or base.patch,
        timesteps=model.timesteps or base.timesteps,
        variant=model.variant,
        attention=model.attention,
    )


def fad_config(image: tuple[int, int], in_channels: int, halvings: int) -> ESVAEConfig:
    """Size of the autoencoder behind FAD beside a network that halves images so often: 32 features."""
    channels = tuple(16 * 2**stage for stage in range(halvings))
    return ESVAEConfig(image, in_channels, channels, latent=32, timesteps=1)
