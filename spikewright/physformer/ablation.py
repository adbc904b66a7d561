"""What a trained network loses without one of its spiking parts: whether the spikes matter.

The embedding reaches the predictor past the spiking blocks in the published variant, so that a network may read a pulse
well and owe none of it to them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from ..models.physformer import SpikingPhysFormer
from ..models.spiking_attention import Change

Ablation: TypeAlias = Literal["blocks", "attention", "mask", "mlp"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
TITLES: dict[Ablation, str] = {
    "blocks": "the stack of blocks",
    "attention": "the attention",
    "mask": "the mask of the attention",
    "mlp": "the MLP",
}
#: Whose spikes change, and to what.
_CHANGES: dict[str, tuple[str, float]] = {
    "attention": ("masked_n", 0.0),
    "mask": ("gate_n", 1.0),
    "mlp": ("hidden_n", 0.0),
}


def ablated(network: SpikingPhysFormer, embedding: Tensor, ablation: Ablation) -> Tensor:
    """Waves (N, frames) for embeddings (N, width, ...) without a part."""
    seen = network.bypass(embedding) if ablation == "blocks" else network.see(embedding, _change(ablation))[0]
    waves: Tensor = network.predictor(seen)
    return waves


def _change(ablation: Ablation) -> Change:
    part, value = _CHANGES[ablation]
    return lambda name, spikes: torch.full_like(spikes, value) if name.endswith(f".{part}") else spikes
