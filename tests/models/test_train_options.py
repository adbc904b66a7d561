"""What a recipe asks of the optimiser: schedules, clipped gradients, averaged weights; all of it resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.models.checkpoint import CheckpointError, load_tensors, save_tensors
from spikewright.models.esvae import ESVAE
from spikewright.models.recipe import TrainRecipe
from spikewright.models.schedules import factor
from spikewright.models.train import Interrupted, reestimate_batch_norm
from tests.models.training import CONFIG, RECIPE, STEPS, fresh, images, run, same_weights, stop_at

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
