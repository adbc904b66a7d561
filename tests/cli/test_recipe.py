"""Recipes: what is shipped is valid, overrides reach their key, and weights follow what trained them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from spikewright.errors import BuildError, RecipeError
from spikewright.models.sdid import SDIDConfig
from spikewright.progress import Steps
from spikewright.recipe import load_recipe, zoo, zoo_names
from spikewright.training import ensure_weights, figures
from spikewright.workspace import Workspace


@pytest.mark.parametrize("name", zoo_names())
def test_shipped_recipes_are_valid_and_named_after_their_data(name: str) -> None:
    recipe = load_recipe(name)
    usual = {"build": "chip", "variant": "deployment", "attention": "mask"}
    other = {getattr(recipe.model, field, value) for field, value in usual.items()}
    suffix = "".join(f"-{name}" for name in other - {*usual.values()})
    assert recipe.name == name == f"{recipe.model.kind}-{recipe.data.name}{suffix}"


@pytest.mark.parametrize("name", ["esvae-digits", "esvae-mnist"])
def test_shipped_weights_load_and_carry_their_recipe_and_metrics(name: str, tmp_path: Path) -> None:
    from spikewright.models.checkpoint import load_tensors

    workspace = Workspace(load_recipe(name), tmp_path)
    for kind in workspace.stages:
        path = workspace.weights(kind)
        assert path is not None
        assert path.parent == zoo()
        workspace.network(kind)
        metadata = load_tensors(path)[1]
        assert metadata["recipe"]["name"] == name
        assert metadata["test"]["images"] == {"esvae-digits": 360, "esvae-mnist": 10000}[name]
        assert len(metadata["history"]) == getattr(workspace.recipe.train, kind).epochs


def test_the_published_size_is_what_the_authors_built(tmp_path: Path) -> None:
    workspace = Workspace(load_recipe("esvae-mnist", {"model.size": "paper"}), tmp_path)
    assert sum(p.numel() for p in workspace.fresh_network("snn").parameters()) == 855_905
    assert workspace.fresh_network("snn").config.timesteps == 16  # type: ignore[union-attr]


def test_another_number_of_steps_asks_for_other_weights(tmp_path: Path) -> None:
    plain, longer = (load_recipe("esvae-digits", {"model.timesteps": t}) for t in (None, 16))
    assert Workspace(plain, tmp_path).weights("snn") is not None
    assert Workspace(longer, tmp_path).weights("snn") is None
    assert Workspace(plain, tmp_path).training_folder("snn") != Workspace(longer, tmp_path).training_folder(
        "snn"
    )
    bits = load_recipe("esvae-digits", {"quantise.bits": 4, "seed": 9})
    assert bits.training_digest == plain.training_digest


def test_attention_of_either_kind_is_held_against_the_same_twin(tmp_path: Path) -> None:
    changes = {
        "attention": "values",
        "mlp_frames": 1,
        "ratio": 2,
        "timesteps": 2,
        "variant": "reproduction",
        "width": 16,
    }
    plain = Workspace(load_recipe("spiking-physformer-synthetic"), tmp_path)
    twin, begins = plain.weights("physformer_ann"), plain.fresh_network("physformer_ann").state_dict()
    assert twin == zoo() / "spiking-physformer-synthetic.physformer_ann.safetensors"
    for field, value in changes.items():
        other = Workspace(load_recipe("spiking-physformer-synthetic", {f"model.{field}": value}), tmp_path)
        assert other.weights("physformer") != plain.weights("physformer")
        shared = field not in ("variant", "width")
        assert (other.weights("physformer_ann") == twin) == shared
        found = other.fresh_network("physformer_ann").state_dict()
        same = all(
            value.shape == found[name].shape and bool((value == found[name]).all())
            for name, value in begins.items()
        )
        assert same == shared
    losses = Workspace(load_recipe("spiking-physformer-synthetic", {"train.loss.eta": 2.0}), tmp_path)
    assert losses.weights("physformer_ann") is None


def test_how_many_videos_test_a_network_decides_no_weights(tmp_path: Path) -> None:
    name = "spiking-physformer-synthetic"
    plain = Workspace(load_recipe(name), tmp_path)
    more = Workspace(load_recipe(name, {"data.test_videos": 1000, "deploy.videos": 500}), tmp_path)
    for kind in plain.stages:
        assert plain.weights(kind) == more.weights(kind) is not None


def test_builds_of_a_unet_share_all_weights_but_its_own(tmp_path: Path) -> None:
    found = {}
    for build in ("", "-faithful", "-lean"):
        workspace = Workspace(load_recipe(f"sddpm-digits{build}"), tmp_path / build)
        found[build] = {kind: workspace.weights(kind) for kind in workspace.stages}
        assert found[build].pop("unet") == zoo() / f"sddpm-digits{build}.unet.safetensors"
        workspace.network("unet")
    assert found[""] == found["-faithful"] == found["-lean"]
    # What is shared would come out of each recipe's own training: it begins with the same weights and sees the same.
    begins = [
        Workspace(load_recipe(f"sddpm-digits{build}"), tmp_path).fresh_network("unet_ann").state_dict()
        for build in ("", "-faithful", "-lean")
    ]
    assert all((value == other[name]).all() for other in begins for name, value in begins[0].items())
    assert all(path is not None and path.parent == zoo() for path in found[""].values())
    other = {"model.channels": 18, "train_seed": 2, "train.unet_ann.epochs": 3, "data.image": [12, 8]}
    for key, value in other.items():
        assert Workspace(load_recipe("sddpm-digits", {key: value}), tmp_path).weights("unet_ann") is None
    for key in ("model.timesteps", "model.coding_channels"):
        finer = Workspace(load_recipe("sddpm-digits", {key: 8}), tmp_path)
        assert finer.weights("unet") is None
        assert finer.weights("unet_ann") == found[""]["unet_ann"]
    velocity = Workspace(load_recipe("sddpm-digits", {"model.prediction": "velocity"}), tmp_path)
    assert velocity.weights("unet") is velocity.weights("unet_ann") is None
    assert velocity.weights("fad") == found[""]["fad"]


def test_what_trained_the_twin_decides_weights_that_start_from_it(tmp_path: Path) -> None:
    plain = load_recipe("sddpm-digits")
    assert "start" not in plain.model_dump()["train"]
    assert load_recipe("sddpm-digits", {"train.start": "random"}).training_digest == plain.training_digest
    start = {"train.start": "twin"}
    twin, other = (
        load_recipe("sddpm-digits", {**start, **more}) for more in ({}, {"train.unet_ann.epochs": 3})
    )
    assert Workspace(twin, tmp_path).weights("unet") is None
    assert Workspace(twin, tmp_path).weights("unet_ann") == zoo() / "sddpm-digits.unet_ann.safetensors"
    assert twin.decides("unet") != plain.decides("unet")
    assert twin.decides("unet") != other.decides("unet")
    assert twin.decides("fad") == other.decides("fad") == plain.decides("fad")


DIFFUSION = """
name = "spiking-diffusion-tiny"
[model]
kind = "spiking-diffusion"
size = "XS"
codes = 16
[data]
name = "digits"
image = [8, 12]
fit = "resize"
""" + "".join(
    f"[train.{kind}]\nepochs = {epochs}\n"
    for kind, epochs in (
        ("vq", 6),
        ("sdid", 2),
        ("vq_ann", 6),
        ("sdid_ann", 2),
        ("fad", 1),
        ("classifier", 1),
    )
)


def test_spiking_diffusion_trains_all_its_networks_and_takes_an_interrupted_training_up_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "tiny.toml").write_text(DIFFUSION)
    workspace = Workspace(load_recipe(str(tmp_path / "tiny.toml")), tmp_path / "build")
    console = Console(quiet=True)
    paths = ensure_weights(workspace, Steps(console), accelerator="cpu")
    assert list(paths) == ["vq", "sdid", "vq_ann", "sdid_ann", "fad", "classifier"]
    reached = figures(paths)
    assert all(found["images"] == 360 for found in reached.values())
    assert reached["vq"].keys() == {
        "mse", "mse_ci95", "perplexity", "used_codes", "images",
        "rate_e1", "rate_e2", "rate_e3", "rate_g", "rate_d1", "rate_d2",
    }  # fmt: skip
    assert reached["vq"]["used_codes"] > 8
    assert reached["sdid"]["elbo_bits"] < 4.5
    assert reached["sdid_ann"].keys() == {"elbo_bits", "unigram_bits", "masked_accuracy", "images"}
    assert reached["classifier"]["accuracy"] > 0.3
    before = {kind: path.read_bytes() for kind, path in paths.items()}
    for kind in ("vq", "sdid"):
        paths[kind].unlink()
    assert ensure_weights(workspace, Steps(console), accelerator="cpu") == paths
    assert {kind: path.read_bytes() for kind, path in paths.items()} == before


def test_networks_of_one_recipe_fit_each_other(tmp_path: Path) -> None:
    recipe = load_recipe("spiking-diffusion-cifar10", {"model.codes": 100, "model.denoiser_timesteps": 2})
    workspace = Workspace(recipe, tmp_path)
    vq, sdid = (workspace.fresh_network(kind) for kind in ("vq", "sdid"))
    assert vq.config.in_channels == 3  # type: ignore[union-attr]
    assert sdid.config == SDIDConfig(codes=100, grid=(8, 8), timesteps=2)
    with pytest.raises(BuildError, match=r"no network 'snn'; there are vq, sdid"):
        workspace.network("snn")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("codes = 16", "latent = 16", "unknown key 'model.latent'.*allowed here: channels, codes"),
        ("[train.vq]", "[train.snn]", "unknown key 'train.snn'.*key 'train.vq' is missing|train.vq.*missing"),
        (
            'spiking-diffusion"\nsize',
            'fsvae"\nsize',
            "model.kind = 'fsvae'.*'esvae', 'spiking-diffusion', 'sddpm'",
        ),
        ("[8, 12]", "[8, 10]", "8x10.*multiple of 4"),
        ("codes = 16", "codes = 1", "model.codes = 1"),
    ],
)
def test_a_mistake_in_a_recipe_of_spiking_diffusion_is_named(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    assert before in DIFFUSION
    (tmp_path / "bad.toml").write_text(DIFFUSION.replace(before, after))
    with pytest.raises(RecipeError, match=f"bad.toml: (?s:.*){message}"):
        load_recipe(str(tmp_path / "bad.toml"))


def test_a_bad_override_names_the_key() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.bits = 1: input should be greater than or equal to 2"):
        load_recipe("esvae-digits", {"quantise.bits": 1})
