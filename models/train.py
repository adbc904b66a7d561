"""One training loop for every network: resumable, seeded, on one processor or several GPUs."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from .allocator import keep_freed_memory
from .averaging import WeightAverage
from .checkpoint import CheckpointError, load_tensors, save_tensors
from .interrupt import whole_steps
from .recipe import TrainRecipe
from .schedules import factor

BN_IMAGES = 4096  # images that re-estimate batch normalisation before export


class Trainable(Protocol):
    """What the loop asks of a network, beside being an ``nn.Module``."""

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Losses of a batch by name; ``total`` is minimised. A classifier also takes ``labels``."""
        ...

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """Optimiser parameter groups."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands, for a progress bar."""

    step: int
    steps: int
    epoch: int
    losses: dict[str, float]


class Interrupted(Exception):
    """Training was stopped; the checkpoint holds everything up to the named step."""


@dataclass
class _State:
    step: int
    rows: list[dict[str, float]]
    sums: dict[str, float]


def train(
    network: nn.Module,
    images: Tensor,
    recipe: TrainRecipe,
    *,
    folder: Path,
    seed: int,
    labels: Tensor | None = None,
    renew: Callable[[int], tuple[Tensor, Tensor | None]] | None = None,
    accelerator: str = "auto",
    devices: int | str = 1,
    precision: Any = "32-true",
    resume: bool = True,
    checkpoint_every: int = 200,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[dict[str, float]]:
    """Train ``network`` in place.

    The order of images and every random draw follow from ``seed`` and the step, and the checkpoint holds the
    generator's state, so that a run killed midway continues to the same weights.

    Parameters
    ----------
    network : nn.Module
        Also :class:`Trainable`.
    images : Tensor
        Training samples: images, float (N, C, H, W) in [-1, 1], or spikes 0/1, (N, T, ...), or token grids, int64
        (N, h, w).
    folder : Path
        Takes ``checkpoint.safetensors``, ``metrics.csv`` and TensorBoard events.
    labels : Tensor, optional
        Class of each sample (N,), handed to ``losses`` where given.
    renew : callable, optional
        Samples and labels of an epoch after the first, counted from 0, as many as ``images``; by default those again.
    accelerator, devices, precision
        As Lightning Fabric takes them.
    resume : bool
        Continue from the folder's checkpoint where there is one.
    checkpoint_every : int
        Steps between checkpoints.

    Returns
    -------
    list of dict
        One row an epoch: mean losses.

    Raises
    ------
    Interrupted
        On Ctrl-C, once the step under way is done and saved.
    CheckpointError
        The folder's checkpoint is of another recipe, seed or network.
    FloatingPointError
        The loss is no longer finite.
    """
    from lightning_fabric import Fabric  # seconds to load, and of use in training alone

    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)
    fabric.launch()
    keep_freed_memory()
    torch.manual_seed(seed + fabric.global_rank)
    optimiser = torch.optim.AdamW(network.parameter_groups(recipe.lr), weight_decay=recipe.weight_decay)  # type: ignore[operator]
    model, wrapped = fabric.setup(network, optimiser)
    model.mark_forward_method("losses")
    images = images.to(fabric.device)
    labels = None if labels is None else labels.to(fabric.device)

    count = images.shape[0]
    batch = min(recipe.batch, count)
    per_epoch = count // batch  # a short last batch would weigh its images more
    total = per_epoch * recipe.epochs
    base = [float(group["lr"]) for group in optimiser.param_groups]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint{f'-{fabric.global_rank}' if fabric.global_rank else ''}.safetensors"
    state = _State(0, [], {})
    average = None if recipe.ema is None else WeightAverage(network, recipe.ema)
    if resume and path.exists():
        state = _load(path, network, optimiser, average, recipe, seed)

    model.train()
    order = torch.empty(0)
    shown, targets = images, labels
    board = _Metrics(folder) if fabric.is_global_zero else None
    whole = True  # no step is half done: what is in memory may be saved
    try:
        with whole_steps() as release:
            while state.step < total:
                whole = False
                epoch, position = divmod(state.step, per_epoch)
                if position == 0 or not len(order):
                    order = torch.randperm(
                        count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)
                    )
                    if renew is not None and epoch:
                        shown, targets = images, labels  # lets go of the epoch before, ahead of the next
                        shown, targets = renew(epoch)
                chosen = order[position * batch : (position + 1) * batch][
                    fabric.global_rank :: fabric.world_size
                ]
                for group, lr in zip(optimiser.param_groups, base, strict=True):
                    group["lr"] = lr * factor(recipe.schedule, state.step, total)
                chosen = chosen.to(shown.device)
                if hasattr(network, "progress"):  # its losses change while it is trained
                    changing: Any = network
                    changing.progress = state.step / total
                target = {} if targets is None else {"labels": targets[chosen].to(fabric.device)}
                losses = model.losses(shown[chosen].to(fabric.device), recipe.rate_penalty, **target)
                wrapped.zero_grad()
                fabric.backward(losses["total"])
                if recipe.clip is not None:
                    fabric.clip_gradients(model, wrapped, max_norm=recipe.clip, error_if_nonfinite=False)
                wrapped.step()
                state.step += 1
                if average is not None:
                    average.update(network, state.step)
                values = {name: float(loss.detach()) for name, loss in losses.items()}
                if not math.isfinite(values["total"]):
                    raise FloatingPointError(
                        f"the loss is {values['total']} at step {state.step}; lower [train] lr (now {recipe.lr})"
                    )
                for name, value in values.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                if state.step % per_epoch == 0:
                    means = {name: value / per_epoch for name, value in state.sums.items()}
                    state.rows.append({"epoch": epoch + 1, "step": state.step, **means})
                    state.sums = {}
                    if board is not None:
                        board.write(state.rows)
                whole = True
                if state.step % checkpoint_every == 0 or state.step == total:
                    _save(path, network, optimiser, average, state, recipe, seed)
                if board is not None:
                    report(Progress(state.step, total, epoch + 1, values))
                release()
    except KeyboardInterrupt:
        if not whole:
            raise Interrupted(
                f"stopped within step {state.step + 1} of {total}; the same command continues from the last checkpoint"
            ) from None
        _save(path, network, optimiser, average, state, recipe, seed)
        raise Interrupted(
            f"stopped at step {state.step} of {total}; the same command continues from there"
        ) from None
    finally:
        if board is not None:
            board.close()
    if average is not None:
        network.load_state_dict(average.tensors)
    reestimate_batch_norm(network, images, batch)
    network.eval()
    return state.rows


def reestimate_batch_norm(network: nn.Module, images: Tensor, batch: int) -> None:
    """Replace the running statistics, which lag behind the weights, by averages over training images.

    The images are the first 4,096 of the training split, without resampling noise carried from training. A network
    that is trained on corrupted samples sees them corrupted here as well: by its own ``corrupt``, where it has one, which
    may return all that ``forward`` takes.
    """
    corrupt: Callable[[Tensor], Any] = getattr(network, "corrupt", lambda samples: samples)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        # One item, since torch hands on the first of several alone.
        update_bn(([corrupt(part)] for part in images[:BN_IMAGES].split(batch)), _Spread(network))


class _Spread(nn.Module):
    """A network whose arguments come as one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Any) -> Any:
        return self.network(*given) if isinstance(given, tuple) else self.network(given)


def _save(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage | None,
    state: _State,
    recipe: TrainRecipe,
    seed: int,
) -> None:
    tensors = {f"model.{k}": v for k, v in network.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in values.items()}
    if average is not None:
        tensors |= {f"average.{k}": v for k, v in average.tensors.items()}
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    metadata = {
        "step": state.step,
        "rows": state.rows,
        "sums": state.sums,
        "recipe": recipe.model_dump(),
        "seed": seed,
    }
    save_tensors(path, tensors, metadata)


def _load(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage | None,
    recipe: TrainRecipe,
    seed: int,
) -> _State:
    tensors, metadata = load_tensors(path)
    if metadata.get("recipe") != recipe.model_dump() or metadata.get("seed") != seed:
        raise CheckpointError(
            f"{path} belongs to another recipe or seed; choose another folder, delete it, or train with --no-resume"
        )
    try:
        network.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        full = optimiser.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, name = key.split(".")
                moments.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": moments, "param_groups": full["param_groups"]})
        if average is not None:
            average.load(
                {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
            )
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        return _State(metadata["step"], metadata["rows"], metadata["sums"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} does not fit this network ({first}); choose another folder, or train with --no-resume"
        ) from error


class _Metrics:
    """Rows of an epoch as CSV, rewritten whole, and as TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.csv"
        self.board: Any = None

    def write(self, rows: list[dict[str, float]]) -> None:
        """Write all rows to the CSV file and the newest one to TensorBoard."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        temporary.write_text(text.getvalue())
        os.replace(temporary, self.path)
        step = int(rows[-1]["step"])
        if self.board is None:
            from torch.utils.tensorboard import SummaryWriter  # heavy, and of use in training alone

            self.board = SummaryWriter(str(self.path.parent), purge_step=step)
        for name, value in rows[-1].items():
            if name not in ("epoch", "step"):
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the event file."""
        if self.board is not None:
            self.board.close()
