"""Recipes: what is shipped is valid, overrides reach their key, and weights follow what trained them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.errors import RecipeError
from spikewright.recipe import load_recipe, zoo, zoo_names
from spikewright.workspace import Workspace


@pytest.mark.parametrize("name", zoo_names())
def test_shipped_recipes_are_valid_and_named_after_their_data(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name == f"{recipe.model.kind}-{recipe.data.name}"


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


def test_a_bad_override_names_the_key() -> None:
    with pytest.raises(RecipeError, match=r"quantise\.bits = 1: input should be greater than or equal to 2"):
        load_recipe("esvae-digits", {"quantise.bits": 1})
