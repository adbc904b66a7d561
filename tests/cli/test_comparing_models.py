"""The comparison of builds from their folders to the page, with untrained feature networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.benchmarks.generated_file import NAME, VERSIONS, GeneratedFile, write_generated
from spikewright.benchmarks.quality import Images
from spikewright.comparing_models import main
from spikewright.models.checkpoint import save_tensors
from spikewright.models.data import load_images, prepare
from spikewright.recipe import load_recipe
from spikewright.workspace import Workspace


def build(folder: Path, model: str, size: list[int], fit: str, networks: tuple[str, ...]) -> Workspace:
    """A build of a recipe on padded digits, with images of no network and weights as they are drawn."""
    overrides = {"data.image": size, "data.fit": fit}
    workspace = Workspace(load_recipe(f"{model}-digits", overrides), folder)
    workspace.save_recipe()
    for kind in networks:
        path = workspace.training_folder(kind) / "weights.safetensors"
        save_tensors(path, workspace.fresh_network(kind).state_dict(), {})
    real = prepare(load_images("digits", "test"), (size[0], size[1]), "pad")
    rng = np.random.default_rng(0)

    def noisy(images: Images, level: float) -> Images:
        dots = rng.uniform(0, level, images.shape)
        made: Images = np.where(images > -1, np.clip(images - dots, -1, 1), -1).astype(np.float32)
        return made

    levels = dict(zip(VERSIONS, (0.1, 0.2, 0.25), strict=True))
    content = GeneratedFile(
        samples={version: noisy(real[:150], level) for version, level in levels.items()},
        reconstructions={version: noisy(real[:90], level) for version, level in levels.items()},
        seed=1,
        figures={"float": {"elbo_bits": 1.5}} if networks else {},
    )
    write_generated(folder / NAME, content)
    return workspace


@pytest.fixture
def builds(tmp_path: Path) -> list[Path]:
    torch.manual_seed(0)
    build(tmp_path / "esvae", "esvae", [32, 32], "pad", ())
    build(tmp_path / "diffusion", "spiking-diffusion", [16, 16], "pad", ("fad", "classifier"))
    return [tmp_path / "esvae", tmp_path / "diffusion"]


def run(builds: list[Path], count: int, out: Path) -> int:
    return main([*map(str, builds), "--count", str(count), "--out", str(out)])


def test_two_builds_on_one_page(
    builds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "docs" / "generative.md"
    assert run(builds, 150, out) == 0
    page = out.read_text(encoding="utf-8")
    assert page in capsys.readouterr().out
    assert (
        "150 samples of each model, the first 90 test images reconstructed by each, 360 test images" in page
    )
    assert "compared at 16 x 16 pixels" in page
    assert "| model | version | FAD | classifier distance | MSE | SSIM | bits a token |" in page
    for model in ("ESVAE", "Spiking-Diffusion"):
        for version in ("ANN", "float SNN", "chip"):
            assert f"| {model} | {version} |" in page
    assert "Change against the same version of ESVAE" in page
    assert (out.parent / "generative-digits-samples.png").exists()


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("no file", "generated.npz: no such file; run `spikewright deploy` first"),
        ("no build", "holds no build"),
        ("no networks", "none has trained fad and classifier networks"),
        ("too few", "150 samples of ESVAE, ann, but 151 are compared"),
        ("resized", "its images are resized"),
    ],
)
def test_what_is_missing_is_named(
    case: str, wanted: str, builds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 151 if case == "too few" else 150
    if case == "no file":
        (builds[1] / NAME).unlink()
    elif case == "no build":
        builds[0] = tmp_path / "nothing"
    elif case == "no networks":
        builds = builds[:1]
    elif case == "resized":
        build(builds[0], "esvae", [32, 32], "resize", ())
    assert run(builds, count, tmp_path / "page.md") == 1
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
