"""Threads that outlive a run: parts stay in order, torch keeps its threads, a forked process starts its own."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import torch

from spikewright.hardware.emulation.workers import side_by_side
from spikewright.hardware.emulator import Emulator
from tests.sessions import PROGRAM, draw_inputs


def test_parts_come_in_order_from_the_same_threads() -> None:
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(3)
    try:
        for _ in range(3):
            met = threading.Barrier(2, timeout=30)

            def work(part: int, met: threading.Barrier = met) -> tuple[int, int]:
                seen.add(threading.current_thread())  # kept, so that no later thread takes its number
                met.wait()  # both threads at once
                return part, torch.get_num_threads()

            assert list(side_by_side(2, work, [0, 1, 2, 3])) == [(part, 1) for part in range(4)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 2


def test_a_forked_process_runs_on_threads_of_its_own() -> None:
    inputs = draw_inputs(PROGRAM, np.random.default_rng(1), 4)
    emulator = Emulator(PROGRAM, threads=2)
    wanted = emulator.run(inputs).counts
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()

    def again() -> None:
        found = emulator.run(inputs).counts
        told.put(all(np.array_equal(found[name], counts) for name, counts in wanted.items()))

    child = context.Process(target=again)
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
    assert told.get()
