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
from spikewright.models.schedules import factor
from spikewright.models.train import Interrupted, Progress, reestimate_batch_norm, train

CONFIG = ESVAEConfig(image=(16, 8), channels=(4, 6), latent=8, timesteps=3)
RECIPE = TrainRecipe(epochs=3, batch=20, lr=5e-3)  # 64 images: three batches of 20, four left over
STEPS = 9
Report = Callable[[Progress], None]


def images(count: int = 64) -> Tensor:
    return torch.rand(count, 1, 16, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def fresh(kind: type[nn.Module] = ESVAE) -> Any:
    torch.manual_seed(7)
    return kind(CONFIG)


def run(
    folder: Path, network: Any = None, recipe: TrainRecipe = RECIPE, seed: int = 3, **settings: Any
) -> tuple[Any, Any]:
    network = network or fresh()
    options: dict[str, Any] = {"accelerator": "cpu", "checkpoint_every": 2, **settings}
    return network, train(network, images(), recipe, folder=folder, seed=seed, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return (*run(folder), folder)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


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


def stop_at(step: int, error: BaseException) -> Report:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise error

    return report


ALL = RECIPE.model_copy(update={"clip": 0.05, "ema": 0.6, "schedule": "onecycle"})


@pytest.mark.parametrize("step", [1, 4, 9])
def test_averaged_and_clipped_training_resumes_to_the_same_weights(step: int, tmp_path: Path) -> None:
    straight, rows = run(tmp_path / "a", recipe=ALL)
    with pytest.raises(Interrupted):
        run(tmp_path / "b", recipe=ALL, report=stop_at(step, KeyboardInterrupt()))
    resumed, again = run(tmp_path / "b", recipe=ALL)
    assert same_weights(resumed, straight)
    assert again == rows


def test_a_checkpoint_without_the_average_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, recipe=ALL, report=stop_at(2, KeyboardInterrupt()))
    path = tmp_path / "checkpoint.safetensors"
    tensors, metadata = load_tensors(path)
    kept = {k: v for k, v in tensors.items() if not k.startswith("average.")}
    assert len(kept) < len(tensors)
    save_tensors(path, kept, metadata)
    with pytest.raises(CheckpointError, match=str(path)):
        run(tmp_path, recipe=ALL)


class Remembering(ESVAE):
    """Keeps what it saves, ahead of each step."""

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        state = {name: tensor.detach().clone() for name, tensor in self.state_dict().items()}
        self.__dict__.setdefault("states", []).append(state)
        return super().losses(images, rate_penalty)


def test_the_average_of_the_weights_is_the_network_that_is_left(tmp_path: Path) -> None:
    torch.manual_seed(7)
    network, _ = run(tmp_path, Remembering(CONFIG), RECIPE.model_copy(update={"ema": 0.3}))
    saved, _ = load_tensors(tmp_path / "checkpoint.safetensors")
    states = [*network.states, {k[6:]: v for k, v in saved.items() if k.startswith("model.")}]
    assert len(states) == STEPS + 1
    wanted = dict(states[0])
    for i, state in enumerate(states[1:], 1):
        decay = min(0.3, (1 + i) / (10 + i))
        wanted = {
            k: wanted[k] * decay + v * (1 - decay) if v.is_floating_point() else v for k, v in state.items()
        }
    trained = dict(network.named_parameters())
    for name, tensor in wanted.items():
        average = saved[f"average.{name}"]
        assert torch.allclose(average, tensor, atol=1e-6) if tensor.is_floating_point() else average == tensor
        if name in trained:
            assert torch.equal(trained[name], average)
    assert any(not torch.equal(trained[name], states[-1][name]) for name in trained)
    # The normalisations know the averaged weights, not the average of what they knew.
    again = fresh()
    again.load_state_dict({name: saved[f"average.{name}"] for name in wanted})
    reestimate_batch_norm(again, images(), 20)
    assert same_weights(again, network)


def test_gradients_are_scaled_down_to_the_longest_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def watched(self: Any, *args: Any, **settings: Any) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))
        return step(self, *args, **settings)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    run(tmp_path / "free")
    free, low = norms.copy(), 0.5 * min(norms)
    norms.clear()
    run(tmp_path / "short", recipe=RECIPE.model_copy(update={"clip": low}))
    assert norms == pytest.approx([low] * STEPS, rel=1e-4)
    norms.clear()
    run(tmp_path / "long", recipe=RECIPE.model_copy(update={"clip": 2 * max(free)}))
    assert norms == pytest.approx(free)


def test_what_was_trained_before_an_option_came_keeps_its_recipe() -> None:
    """Digests of folders and checkpoints are made from it."""
    assert set(RECIPE.model_dump()) == {"epochs", "batch", "lr", "weight_decay", "schedule", "rate_penalty"}
    assert ALL.model_dump() == RECIPE.model_dump() | {"clip": 0.05, "ema": 0.6, "schedule": "onecycle"}
    assert TrainRecipe(**ALL.model_dump()) == ALL


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


@pytest.mark.parametrize(
    ("schedule", "last"), [("constant", 5e-3), ("cosine", 5e-3 * 0.5 * (1 + -0.9396926))]
)
def test_the_learning_rate_follows_its_schedule(
    schedule: str, last: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[float]] = []
    step = torch.optim.AdamW.step

    def watched(self: Any, *args: Any, **settings: Any) -> Any:
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, *args, **settings)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    run(tmp_path, recipe=RECIPE.model_copy(update={"schedule": schedule}))
    assert rates[0] == pytest.approx([5e-3, 5e-2])
    assert rates[-1] == pytest.approx([last, 10 * last], rel=1e-4)
    assert len(rates) == STEPS


def test_one_cycle_rises_for_a_twentieth_and_falls_to_nothing() -> None:
    rates = [factor("onecycle", step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[25] == pytest.approx((1 + 1 / 25) / 2)
    assert rates[50] == 1
    assert rates[525] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-5
    assert rates[:51] == sorted(rates[:51])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert [factor("onecycle", step, 4) for step in range(4)] == [factor("cosine", s, 4) for s in range(4)]


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
