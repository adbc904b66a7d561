"""What crosses between host and chip, and how it is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikewright.hardware.session import Session, SessionError, open_session
from tests.sessions import ALL, PROGRAM, draw_inputs, inputs


@pytest.fixture(params=["emulator", "reference"])
def session(request: pytest.FixtureRequest) -> Session:
    return open_session(PROGRAM, request.param, record=ALL, states=ALL)


def test_the_border_is_counted(session: Session) -> None:
    given_ = inputs(2)
    reading = session.run(given_, ["hidden", "out"])
    exchange = session.exchange
    spikes = int(np.count_nonzero(given_.spikes["in"]))
    read = int(reading.counts["hidden"].sum())
    assert read > 0
    assert (exchange.evaluations, exchange.samples, exchange.spikes_written) == (1, 2, spikes)
    assert (exchange.bias_words_written, exchange.spikes_read, exchange.state_words_read) == (4, read, 4)
    assert exchange.chip_steps == 5 + 2 + 4  # one period, the depth, the last window
    session.read(["hidden", "out"], "spikes")  # crossed already
    assert (exchange.spikes_read, exchange.state_words_read) == (read, 4)
    session.read(["hidden"], "states")
    assert exchange.state_words_read == 4 + 2 * 2 * 4 * 2
    session.step()  # again, after what is left of the period
    assert exchange.chip_steps == 2 * 11 + 4
    assert (exchange.spikes_written, exchange.bias_words_written) == (2 * spikes, 4)
    assert exchange.seconds > 0


def test_reading_on_the_way_counts_each_spike_once(session: Session) -> None:
    session.write(inputs(3))
    while session.step(1):
        session.read(detail="states")
    reading = session.read(detail="states")
    assert session.exchange.spikes_read == sum(int(c.sum()) for c in reading.counts.values())
    assert session.exchange.state_words_read == 3 * 2 + 3 * 4 * 2 * 2 * 3


def test_only_the_membranes_that_are_wanted_cross() -> None:
    with open_session(PROGRAM, record=ALL) as session:
        whole = session.run(draw_inputs(PROGRAM, np.random.default_rng(4), 3), ["out"]).readouts["out"]
        crossed = session.exchange.state_words_read
        session.step()  # the same registers once more
        only = np.array([[True, False], [False, False], [True, True]])
        some = session.read(["out"], only={"out": only})
        assert (some.readouts["out"] == np.where(only, whole, 0)).all()
        assert session.exchange.state_words_read == crossed + 3
        # What crossed already does not cross again, and a probe crosses nothing.
        session.read(["out"], only={"out": only[:, ::-1]})
        assert session.exchange.state_words_read == crossed + 4
        before = replace(session.exchange)
        probed = session.read(probe=True)
        assert (probed.readouts["out"] == whole).all()
        assert replace(session.exchange, seconds=before.seconds) == before
        session.read(["out"])
        assert session.exchange.state_words_read == crossed + 6
        for wrong in (only[:2], only.astype(int)):
            with pytest.raises(SessionError, match=r"only 'out': .* give bool of shape \(3, 2\)"):
                session.read(["out"], only={"out": wrong})
