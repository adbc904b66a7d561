"""What was counted over evaluations, as arrays that add up: parts made in several runs are counted together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..hardware.session import Exchange

Counters: TypeAlias = dict[str, NDArray[Any]]


class Counting(Protocol):
    """An evaluator that counts what it does."""

    def counters(self) -> Counters:
        """Everything counted so far."""
        ...

    def count_also(self, counters: Counters) -> None:
        """Add what another evaluator of the same programs counted."""
        ...


def since(now: Counters, before: Counters) -> Counters:
    """What was counted between two moments; names may be new."""
    return {name: value - before[name] if name in before else value for name, value in now.items()}


def under(prefix: str, values: Mapping[str, Any]) -> Counters:
    """Numbers or arrays as counters whose names begin alike."""
    return {f"{prefix}/{name}": np.asarray(value) for name, value in values.items()}


def below(prefix: str, counters: Counters) -> Counters:
    """The counters whose names begin so, by the rest of their names."""
    start = f"{prefix}/"
    return {name.removeprefix(start): value for name, value in counters.items() if name.startswith(start)}


def added(exchange: Exchange, more: Mapping[str, Any]) -> Exchange:
    """An exchange and numbers of another."""
    return Exchange(
        **{f.name: getattr(exchange, f.name) + np.asarray(more[f.name]).item() for f in fields(Exchange)}
    )
