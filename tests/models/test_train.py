"""Training that may be stopped anywhere: what is resumed ends where the uninterrupted run does."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikewright.models.ann_vae import ANNVAE, Autoencoder
from spikewright.models.checkpoint import CheckpointError, load_tensors, save_tensors
from spikewright.models.esvae import ESVAE, SIZES, ESVAEConfig
from spikewright.models.recipe import TrainRecipe
from spikewright.models.train import Interrupted, Progress, reestimate_batch_norm
from tests.models.training import CONFIG, RECIPE, STEPS, fresh, images, run, same_weights, stop_at


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return (*run(folder), folder)


def metrics(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_training_learns_and_leaves_the_network_ready(whole: tuple[Any, Any, Path]) -> None:
    network, rows, folder = whole
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [3, 6, 9]
    assert rows[-1]["mse"] < rows[0]["mse"]
    assert not network.training
    assert not same_weights(network, fresh())
    assert {p.name.split(".")[0] for p in folder.iterdir()} == {"checkpoint", "metrics", "events"}


class Watching(ESVAE):
    """Keeps the batches that it is trained on."""

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        self.__dict__.setdefault("seen", []).append(images)
        return super().losses(images, rate_penalty)


def test_an_epoch_sees_each_image_at_most_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(7)
    network, _ = run(tmp_path, Watching(CONFIG))
    index = {image.numpy().tobytes(): i for i, image in enumerate(images())}
    batches = [[index[image.numpy().tobytes()] for image in batch] for batch in network.seen]
    epochs = [[i for batch in batches[first : first + 3] for i in batch] for first in (0, 3, 6)]
    assert [len(batch) for batch in batches] == [20] * STEPS
    assert all(len(set(epoch)) == 60 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert set(epochs[0]) != set(epochs[1])  # the four left over are others each time


def test_rows_are_the_means_of_the_steps(tmp_path: Path) -> None:
    steps: list[Progress] = []
    _, rows = run(tmp_path, report=steps.append)
    for epoch, row in enumerate(rows):
        own = [p.losses for p in steps if p.epoch == epoch + 1]
        assert len(own) == 3
        assert row == {"epoch": epoch + 1, "step": 3 * epoch + 3} | {
            name: pytest.approx(sum(losses[name] for losses in own) / 3) for name in own[0]
        }


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    whole: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    assert same_weights(whole[0], run(tmp_path / "a")[0])
    assert not same_weights(whole[0], run(tmp_path / "b", seed=4)[0])


@pytest.mark.parametrize("step", [1, 2, 5, 6, 8, 9])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("killed")])
def test_a_run_stopped_between_steps_ends_with_the_same_weights(
    step: int, error: BaseException, whole: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    expected = Interrupted if isinstance(error, KeyboardInterrupt) else RuntimeError
    with pytest.raises(expected) as caught:
        run(tmp_path, report=stop_at(step, error))
    if expected is Interrupted:
        assert f"stopped at step {step} of 9" in str(caught.value)
    seen: list[int] = []
    resumed, rows = run(tmp_path, report=lambda progress: seen.append(progress.step))
    assert same_weights(resumed, whole[0])
    assert rows == whole[1]
    saved = step if expected is Interrupted or step == STEPS else step - step % 2
    assert seen == list(range(saved + 1, STEPS + 1))


def test_metrics_of_a_run_stopped_twice_are_complete_and_without_duplicates(
    whole: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    for step in (4, 7):
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path, report=stop_at(step, RuntimeError("killed")))
    run(tmp_path)
    assert metrics(tmp_path) == metrics(whole[2])
    assert [row["epoch"] for row in metrics(tmp_path)] == ["1", "2", "3"]
    assert {k: float(v) for k, v in metrics(tmp_path)[1].items()} == pytest.approx(whole[1][1])


def test_resuming_a_finished_run_changes_nothing(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    run(tmp_path)
    seen: list[int] = []
    again, rows = run(tmp_path, report=lambda progress: seen.append(progress.step))
    assert same_weights(again, whole[0])
    assert rows == whole[1]
    assert seen == []


class Stumbling(ESVAE):
    """Acts in the middle of its n-th step, after random numbers were drawn and statistics updated."""

    def __init__(self, config: ESVAEConfig, act: Callable[[], None], at: int) -> None:
        super().__init__(config)
        self.act, self.left = act, at

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        losses = super().losses(images, rate_penalty)
        self.left -= 1
        if self.left == 0:
            self.act()
        return losses


def stumbling(act: Callable[[], None], at: int) -> Stumbling:
    torch.manual_seed(7)
    return Stumbling(CONFIG, act, at)


def interrupt() -> None:
    raise KeyboardInterrupt


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_half_a_step_is_never_saved(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="stopped within step 6 of 9"):
        run(tmp_path, stumbling(interrupt, 6))
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 4
    assert same_weights(run(tmp_path)[0], whole[0])


def test_half_the_first_step_leaves_no_checkpoint(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, stumbling(interrupt, 1))
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert same_weights(run(tmp_path)[0], whole[0])


def test_ctrl_c_lets_the_step_finish_and_saves_it(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped at step 5 of 9"):
        run(tmp_path, stumbling(ctrl_c, 5))
    assert signal.getsignal(signal.SIGINT) is before
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 5
    assert same_weights(run(tmp_path)[0], whole[0])


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    def twice() -> None:
        ctrl_c()
        ctrl_c()

    with pytest.raises(Interrupted, match="stopped within step 5"):
        run(tmp_path, stumbling(twice, 5))


def test_without_resume_training_starts_anew(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, report=stop_at(4, KeyboardInterrupt()))
    seen: list[int] = []
    again, _ = run(tmp_path, resume=False, report=lambda progress: seen.append(progress.step))
    assert seen[0] == 1
    assert same_weights(again, whole[0])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"recipe": RECIPE.model_copy(update={"epochs": 4})}, "another recipe or seed"),
        ({"recipe": RECIPE.model_copy(update={"lr": 1e-3})}, "another recipe or seed"),
        ({"seed": 4}, "another recipe or seed"),
        ({"network": ESVAE(SIZES["XS"])}, "does not fit this network"),
        ({"network": Autoencoder(CONFIG)}, "does not fit this network"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_and_kept(
    changes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, report=stop_at(2, KeyboardInterrupt()))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match=f"checkpoint.safetensors.*{word}.*--no-resume"):
        run(tmp_path, **changes)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "bare", "moments"])
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, report=stop_at(2, KeyboardInterrupt()))
    path = tmp_path / "checkpoint.safetensors"
    tensors, metadata = load_tensors(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "bare":
        save_tensors(path, tensors, {})
    else:
        save_tensors(path, {k: v for k, v in tensors.items() if not k.startswith("rng")}, metadata)
    with pytest.raises(CheckpointError, match=str(path)):
        run(tmp_path)


@pytest.mark.parametrize("lr", [1e20, 1e30])
def test_a_diverging_run_names_the_learning_rate_and_saves_no_weights_of_it(
    lr: float, tmp_path: Path
) -> None:
    recipe = TrainRecipe(epochs=3, batch=20, lr=lr, schedule="constant")
    with pytest.raises(FloatingPointError) as caught:
        run(tmp_path, fresh(Autoencoder), recipe, checkpoint_every=1)
    assert f"lower [train] lr (now {lr})" in str(caught.value)
    path = tmp_path / "checkpoint.safetensors"
    if path.exists():
        tensors, _ = load_tensors(path)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


@pytest.mark.parametrize("kind", [Autoencoder, ANNVAE])
def test_the_ann_networks_train_and_resume_too(kind: type[nn.Module], tmp_path: Path) -> None:
    straight, _ = run(tmp_path / "a", fresh(kind))
    with pytest.raises(Interrupted):
        run(tmp_path / "b", fresh(kind), report=stop_at(5, KeyboardInterrupt()))
    resumed, _ = run(tmp_path / "b", fresh(kind))
    assert same_weights(straight, resumed)


def test_normalisations_are_estimated_anew_whatever_they_held() -> None:
    networks = [fresh(), fresh()]
    for module in networks[1].modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
    state = torch.get_rng_state()
    for network in networks:
        reestimate_batch_norm(network, images(), 20)
    assert same_weights(*networks)
    assert torch.equal(torch.get_rng_state(), state)


class Seeing(ESVAE):
    """Keeps every batch."""

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        self.__dict__.setdefault("seen", []).append(images)
        return super().losses(images, rate_penalty)


def renewed(epoch: int) -> tuple[Tensor, None]:
    return images().roll(epoch, 2), None


def test_renewed_samples_are_those_of_their_epoch(tmp_path: Path) -> None:
    network, _ = run(tmp_path, fresh(Seeing), renew=renewed)
    for epoch in range(3):
        known = [image.flatten() for image in images().roll(epoch, 2)]
        for batch in network.seen[3 * epoch : 3 * epoch + 3]:
            assert all(any(torch.equal(one.flatten(), image) for image in known) for one in batch)


@pytest.mark.parametrize("step", [3, 5, 9])
def test_training_on_renewed_samples_resumes_to_the_same_weights(step: int, tmp_path: Path) -> None:
    straight, rows = run(tmp_path / "a", renew=renewed)
    with pytest.raises(Interrupted):
        run(tmp_path / "b", renew=renewed, report=stop_at(step, KeyboardInterrupt()))
    resumed, again = run(tmp_path / "b", renew=renewed)
    assert same_weights(resumed, straight)
    assert again == rows
    plain, _ = run(tmp_path / "c")
    assert not same_weights(plain, straight)
