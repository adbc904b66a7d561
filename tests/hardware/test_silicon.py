"""A chip is asked for by name: what is missing is said, and with an extension in Lava's place the whole way is taken."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikewright.hardware import lava, reference
from spikewright.hardware.errors import SessionError
from spikewright.hardware.lava import silicon
from spikewright.hardware.session import open_session
from tests.hardware.test_session import names, opened
from tests.sessions import PROGRAM, assert_same, draw_inputs

AVAILABLE, REASON = lava.available()
NEEDS_LAVA = pytest.mark.skipif(not AVAILABLE, reason=REASON)

#: An extension whose models compute on this processor what Lava's own do.
MODELS = """
from lava.magma.core.decorator import implements, requires
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.{module}.models import {model} as Simulated
from lava.proc.{module}.process import {process}

@implements(proc={process}, protocol=LoihiProtocol)
@requires(CPU)
class OnChip(Simulated):
    pass
"""
PROCESSES = {
    "lif": ("LIFReset", "PyLifResetModelBitAcc"),
    "dense": ("Dense", "PyDenseModelBitAcc"),
    "sparse": ("Sparse", "PySparseModelBitAcc"),
}


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lava-loihi's modules, found by this process and its children."""
    (tmp_path / "lava" / "utils").mkdir(parents=True)
    (tmp_path / "lava" / "utils" / "loihi2_profiler.py").touch()
    for module, (process, model) in PROCESSES.items():
        folder = tmp_path / "lava" / "proc" / module
        folder.mkdir(parents=True)
        (folder / "ncmodels.py").write_text(MODELS.format(module=module, process=process, model=model))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NXSDKHOST", "10.0.0.1")


@pytest.fixture(autouse=True)
def _no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in silicon.BOARDS:
        monkeypatch.delenv(name, raising=False)


@NEEDS_LAVA
def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(SessionError, match=r"no Loihi 2 can be reached.*lava-loihi.*no board is chosen"):
        open_session(PROGRAM, "loihi2")


@NEEDS_LAVA
def test_what_is_there_is_not_asked_for(extension: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lacking,) = silicon.missing()
    assert "board" in lacking
    monkeypatch.setenv("SLURM", "1")
    assert silicon.missing() == []


@NEEDS_LAVA
@pytest.mark.lava
@pytest.mark.usefixtures("extension", "board")
def test_a_session_takes_the_extensions_models() -> None:
    rng = np.random.default_rng(2)
    with opened(PROGRAM, "loihi2") as session:
        for samples in (2, 1):
            inputs = draw_inputs(PROGRAM, rng, samples)
            found, wanted = session.run(inputs, detail="states"), reference.run(PROGRAM, inputs)
            assert found.backend == "loihi2"
            assert_same(found, wanted, names(PROGRAM))


@NEEDS_LAVA
@pytest.mark.lava
@pytest.mark.usefixtures("board")
def test_a_process_without_a_model_is_named(extension: Path) -> None:
    (extension / "lava" / "proc" / "lif" / "ncmodels.py").write_text("")
    with pytest.raises(
        SessionError, match=r"^lava-loihi has no model of LIFReset in lava\.proc\.lif\.ncmodels; take [^\n]*$"
    ):
        open_session(PROGRAM, "loihi2")


@NEEDS_LAVA
@pytest.mark.usefixtures("extension", "board")
def test_a_relay_has_no_microcode() -> None:
    first = PROGRAM.populations[0]
    off, kept = np.zeros(first.size, np.int64), np.full(first.size, 4095)
    relay = replace(
        first,
        payload_bits=8,
        payload_shift=0,
        current_decay=kept,
        membrane_decay=kept + 1,
        threshold=off,
        reset="zero",
    )
    program = replace(PROGRAM, populations=(relay, *PROGRAM.populations[1:]))
    with pytest.raises(SessionError, match=f"{first.name}: is a graded relay"):
        open_session(program, "loihi2")
