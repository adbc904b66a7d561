"""Threads of the emulator, kept from run to run: starting them anew costs small runs a tenth of their time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "emulator", torch.set_num_threads, (1,))


if hasattr(os, "register_at_fork"):  # threads do not come along
    os.register_at_fork(after_in_child=_pool.cache_clear)


def side_by_side(threads: int, work: Callable[..., Result], *parts: list[Any]) -> Iterator[Result]:
    """Results of ``work`` on parts, in order, by so many threads of which each computes alone.

    Torch's own threads beside them would wait for each other. Parts not yet begun when the iterator is closed are dropped.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _pool(threads).map(work, *parts)
    finally:
        torch.set_num_threads(before)
