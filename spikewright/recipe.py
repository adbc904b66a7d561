"""Recipes: one TOML file for model, data, training, quantisation and deployment."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from .deploy_recipe import (
    DeployRecipe,
    DiffusionDeployRecipe,
    PulseDeployRecipe,
    QuantiseRecipe,
    UNetDeployRecipe,
)
from .errors import RecipeError
from .models.esvae import ESVAEConfig
from .models.physformer_layout import PhysFormerConfig
from .models.recipe import (
    DataRecipe,
    DiffusionModel,
    DiffusionTraining,
    ModelRecipe,
    PhysFormerModel,
    PhysFormerTraining,
    PulseData,
    Section,
    Training,
    UNetModel,
    UNetTraining,
    fad_config,
    model_config,
    physformer_config,
    sdid_config,
    unet_config,
    vq_config,
)
from .models.sdid import SDIDConfig
from .models.unet_layout import UNetConfig
from .models.vector_quantised import VQConfig


class Recipe(Section):
    """Everything that leads to one deployment; each published system has a recipe of its own.

    Attributes
    ----------
    name : str
        ``<model>-<dataset>``; also the name of the build folder.
    seed : int
        Seeds sampling and verification; training has the seed in ``train_seed``.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    seed: Annotated[int, Field(ge=0)] = 1
    train_seed: Annotated[int, Field(ge=0)] = 1
    model: ModelRecipe | DiffusionModel | UNetModel | PhysFormerModel
    data: DataRecipe | PulseData
    train: Training | DiffusionTraining | UNetTraining | PhysFormerTraining
    quantise: QuantiseRecipe = QuantiseRecipe()
    deploy: DeployRecipe = DeployRecipe()

    @property
    def training_digest(self) -> str:
        """Short name of everything that decides the weights: recipes that train alike share it."""
        decisive = self.model_dump_json(include={"model", "data", "train", "train_seed"})
        return hashlib.sha256(decisive.encode()).hexdigest()[:8]

    def decides(self, kind: str) -> dict[str, Any]:
        """Everything that decides the weights of one network: recipes that train it alike share them."""
        return self.model_dump(include={"model", "data", "train", "train_seed"})


class ESVAERecipe(Recipe):
    """Recipe of an ESVAE."""

    model: ModelRecipe
    data: DataRecipe
    train: Training

    @model_validator(mode="after")
    def _image_fits_network(self) -> ESVAERecipe:
        self.config(1)
        return self

    def config(self, channels: int) -> ESVAEConfig:
        """Size of the network for images of so many channels."""
        return model_config(self.model, self.data, channels)


class DiffusionRecipe(Recipe):
    """Recipe of a Spiking-Diffusion."""

    model: DiffusionModel
    data: DataRecipe
    train: DiffusionTraining
    deploy: DiffusionDeployRecipe = DiffusionDeployRecipe()

    @model_validator(mode="after")
    def _image_fits_network(self) -> DiffusionRecipe:
        self.vq_config(1)
        return self

    def vq_config(self, channels: int) -> VQConfig:
        """Size of the autoencoder for images of so many channels."""
        return vq_config(self.model, self.data, self.train.codebook, channels)

    def sdid_config(self, channels: int) -> SDIDConfig:
        """Size of the denoiser of its tokens."""
        return sdid_config(self.model, self.vq_config(channels))

    def fad_config(self, channels: int) -> ESVAEConfig:
        """Size of the autoencoder behind FAD."""
        return fad_config(self.data.image, channels, len(self.vq_config(channels).channels))


class UNetRecipe(Recipe):
    """Recipe of an SDDPM."""

    model: UNetModel
    data: DataRecipe
    train: UNetTraining
    deploy: UNetDeployRecipe = UNetDeployRecipe()

    @model_validator(mode="after")
    def _sizes_fit(self) -> UNetRecipe:
        self.config(1)
        for name in ("sampling_steps", "lava_sampling_steps"):
            steps = getattr(self.deploy, name)
            if steps > self.model.diffusion_steps:
                raise ValueError(
                    f"deploy.{name} = {steps}: the diffusion has {self.model.diffusion_steps} steps"
                )
        if self.train.start == "twin" and self.model.build == "lean":
            raise ValueError(
                "train.start = 'twin': shortcuts of the lean build read spikes, those of the twin the stream; leave it out, "
                "or take model.build = 'chip'"
            )
        if self.deploy.residual == "graded":
            if self.model.build == "lean":
                raise ValueError(
                    "deploy.residual = 'graded': shortcuts of the lean build read spikes, there is no stream to relay; "
                    "leave it out, or take model.build = 'chip'"
                )
            if self.quantise.tune:
                raise ValueError(
                    "deploy.residual = 'graded': weights around relays are not fine-tuned; set quantise.tune = 0"
                )
        return self

    def config(self, channels: int) -> UNetConfig:
        """Size of the network for images of so many channels."""
        return unet_config(self.model, self.data, channels)

    def decides(self, kind: str) -> dict[str, Any]:
        """As :meth:`Recipe.decides`; the twin and the feature networks are those of every build."""
        found = super().decides(kind)
        training = found["train"]
        found["train"] = training[kind]
        if kind == "unet" and self.train.start == "twin":
            found["start"] = training["unet_ann"]
        if kind != "unet":
            for key in ("build", "timesteps", "coding_channels"):
                del found["model"][key]
        if kind not in ("unet", "unet_ann"):
            del found["model"]["prediction"]
        return found

    def fad_config(self, channels: int) -> ESVAEConfig:
        """Size of the autoencoder behind FAD."""
        return fad_config(self.data.image, channels, max(len(self.config(channels).multipliers) - 1, 1))


class PulseRecipe(Recipe):
    """Recipe of a Spiking-PhysFormer."""

    model: PhysFormerModel
    data: PulseData
    train: PhysFormerTraining
    deploy: PulseDeployRecipe = PulseDeployRecipe()

    @model_validator(mode="after")
    def _sizes_fit(self) -> PulseRecipe:
        self.config()
        if self.data.video_frames < self.data.frames:
            raise ValueError(
                f"data.video_frames = {self.data.video_frames}: shorter than a clip of {self.data.frames} frames"
            )
        if self.data.name == "synthetic" and self.deploy.videos > self.data.test_videos:
            raise ValueError(
                f"deploy.videos = {self.deploy.videos}: there are {self.data.test_videos} test videos"
            )
        return self

    def decides(self, kind: str) -> dict[str, Any]:
        """As :meth:`Recipe.decides`; the twin is that of every recipe with its stem; test videos decide nothing."""
        found = super().decides(kind)
        found["train"] = {key: found["train"][key] for key in (kind, "loss")}
        del found["data"]["test_videos"]
        if kind == "physformer_ann":
            for key in ("attention", "mlp_frames", "ratio", "timesteps"):
                del found["model"][key]
        return found

    def config(self) -> PhysFormerConfig:
        """Size of the network."""
        return physformer_config(self.model, self.data)


#: Recipes by the published system that they name.
RECIPES: dict[str, type[Recipe]] = {
    "esvae": ESVAERecipe,
    "spiking-diffusion": DiffusionRecipe,
    "sddpm": UNetRecipe,
    "spiking-physformer": PulseRecipe,
}


def recipe_type(table: Mapping[str, Any]) -> type[Recipe]:
    """Which recipe a table holds, by its ``model.kind``; ESVAE's without one."""
    model = table.get("model")
    kind = model.get("kind", "esvae") if isinstance(model, Mapping) else "esvae"
    if not isinstance(kind, str) or kind not in RECIPES:
        known = ", ".join(map(repr, RECIPES))
        raise RecipeError(f"model.kind = {kind!r}: input should be one of {known}")
    return RECIPES[kind]


def zoo() -> Path:
    """Folder of the shipped recipes and weights."""
    return Path(str(resources.files("spikewright.models") / "zoo"))


def zoo_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in zoo().glob("*.toml"))


def load_recipe(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a shipped recipe by name, or any by path.

    Parameters
    ----------
    overrides : mapping
        Values by dotted key (``quantise.bits``); None values are left out.

    Raises
    ------
    RecipeError
        No such recipe, no TOML, an unknown key or a bad value; the message names the key, the value and what is
        allowed.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = zoo() / f"{name_or_path}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(zoo_names())
        raise RecipeError(
            f"{name_or_path}: no such recipe; shipped recipes: {known}, or give the path of a .toml file"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: not a readable TOML file ({error})") from None
    for key, value in (overrides or {}).items():
        if value is not None:
            _set(table, key.split("."), value)
    try:
        kind = recipe_type(table)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{path}: " + "; ".join(_explain(kind, e) for e in error.errors())) from None


def _set(table: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
    table[keys[-1]] = value


def _explain(kind: type[Recipe], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "extra_forbidden":
        known = ", ".join(_keys(kind, error["loc"][:-1]))
        return f"unknown key {key!r} (value {error['input']!r}); allowed here: {known}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    if error["type"] == "value_error":
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    return f"{key} = {error['input']!r}: {error['msg'].lower()}"


def _keys(kind: type[Recipe], location: tuple[Any, ...]) -> list[str]:
    """Keys that the section at a location allows."""
    section: Any = kind
    for part in location:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field is not None else None
    return sorted(section.model_fields) if hasattr(section, "model_fields") else []
