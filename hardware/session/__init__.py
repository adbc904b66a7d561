"""The host's side of a chip: one program on one backend, evaluation after evaluation.

Host code writes, steps and reads, and never knows whether the emulator, the reference or Lava answers; all give the same
integers. ::

    with open_session(program, "lava") as session:
        for _ in range(31):
            session.write(Inputs(spikes={"tokens": raster}))
            session.step()
            tokens = revise(session.read().readouts["logits"])

What the operations mean:

*Evaluation.* The samples that are written run back to back, in a stream of one ``period`` each, from a state of zero in
every window. ``step()`` runs an evaluation to its end, when every population has finished its last window; ``step(n)``
goes on by n steps of the chip. The step after an end begins the next evaluation.

*Writing.* What is written holds, like a register, until it is written anew or the session is reset: an evaluation for
which nothing is written sees what the one before saw. What is written for one sample holds for every sample of the
evaluation. Spikes are written in whole windows (``write``), or one local step at a time (``write_step``) up to the step
before they are played, which closes a loop through the host. A bias is latched for a window: a population takes it over
one step before its window begins, since registers are written in the management phase that ends a step; what begins with
the evaluation takes it over before the first step. A bias written later holds from the next window on.

*Reading.* ``read`` hands back populations in their own local time, as every backend's
:class:`~spikewright.hardware.recording.Recording`, of the last evaluation until the next begins. Only populations that the
session was opened to record can be read. Nothing of an earlier evaluation is kept.

*Loops.* Spikes that lag would reach the next sample. Samples of an isolated program therefore start so far apart that
nothing is in flight any more, each at a multiple of the period; between their windows populations are kept silent.

*Streams.* Frames of a streamed program follow each other without end: :func:`open_stream` takes them one by one.

*The border.* ``session.exchange`` counts what crossed it. Steps of the chip are counted alike on every backend, those that
pass in waiting for the next period included.

A session whose backend fails or is interrupted is over, and leaves nothing behind; it says so from then on.
"""

from ..errors import SessionError
from .exchange import Exchange
from .opening import BACKENDS, TIMED, open_session
from .session import Session
from .stream import Stream, open_stream

__all__ = [
    "BACKENDS",
    "TIMED",
    "Exchange",
    "Session",
    "SessionError",
    "Stream",
    "open_session",
    "open_stream",
]
