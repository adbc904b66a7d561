"""Whichever costs less: a delay in every synapse, or a relay that all share."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.export.linear import Dense
from spikewright.hardware.chip import load_chip
from spikewright.hardware.program import ProgramError, SpikeSource, SynapseGroup
from spikewright.hardware.relays import DelayCosts, lay_out


def waiting(outputs: int, delay: int) -> SynapseGroup:
    return SynapseGroup("g", "in", "p", Dense(np.ones((outputs, 5), np.int8), (5,), (outputs,)), 0, delay)


@pytest.mark.parametrize(("outputs", "relays"), [(400, 0), (600, 1)])
def test_a_relay_is_taken_where_delays_fill_more_memory(outputs: int, relays: int) -> None:
    # Two bits of delay in each of 5 * outputs synapses, against five neurons of 1024 bits with a synapse each.
    costs = DelayCosts.of(load_chip("loihi1"))
    made, groups = lay_out([waiting(outputs, 2)], [SpikeSource("in", (5,))], [], costs)
    assert len(made) == relays
    assert [g.delay for g in groups] == ([0, 1] if relays else [2])
    assert lay_out([waiting(outputs, 2)], [SpikeSource("in", (5,))], [], DelayCosts())[0] == []


def test_groups_that_wait_alike_share_their_relays() -> None:
    groups = [waiting(3, 70), waiting(4, 70), waiting(2, 140)]
    relays, laid = lay_out(groups, [SpikeSource("in", (5,))], [], DelayCosts(longest=62))
    assert [p.start for p in relays] == [63, 126]
    assert [(g.source, g.delay) for g in laid[:3]] == [
        ("in_relay63", 7),
        ("in_relay63", 7),
        ("in_relay126", 14),
    ]


def test_graded_spikes_do_not_pass_relays() -> None:
    with pytest.raises(ProgramError, match="g: graded spikes of in would wait 70 steps"):
        lay_out([waiting(3, 70)], [SpikeSource("in", (5,), peak=7)], [], DelayCosts())
