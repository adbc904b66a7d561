"""The overflow proof with what calibration samples showed."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from spikewright.hardware.overflow import Proof, calibrate, findings, prove, require_no_overflow
from spikewright.hardware.program import Inputs, Program, ProgramError
from tests.hardware.test_overflow import LIMIT, dense, program


def wide(rate: float, timesteps: int = 40) -> tuple[Program, Inputs]:
    """Many inhibitory lines into a neuron without a leak: far outside by weights, near home on real spikes."""
    of = program(dense([-127] * 100 + [127] * 100), 0, timesteps=timesteps, threshold=3000)
    rng = np.random.default_rng(3)
    raster = (rng.random((20, timesteps, 200)) < rate).astype(np.uint8)
    return of, Inputs({"in": raster})


def test_calibrated_spikes_stay_inside_with_a_measured_margin() -> None:
    of, inputs = wide(0.05)
    assert prove(of)["p"].by_weights_verdict == "may saturate"
    with pytest.raises(
        ProgramError, match=r"p: the membrane may saturate: neuron 0 .* scale 8 times smaller"
    ):
        require_no_overflow(of)
    proof: Proof = require_no_overflow(of, calibrate(of, inputs))
    p = proof["p"]
    assert p.verdict == "cannot overflow on calibrated spikes"
    assert p.by_weights_verdict == "may saturate"
    assert proof.holds
    assert not proof.by_weights
    assert p.observed is not None
    assert p.observed_bits == pytest.approx(log2((LIMIT - 1) / -int(p.observed.membrane.low.min())))
    (finding,) = findings(proof, strict=True)
    assert finding.severity == "note"
    assert f"on 20 calibration samples within with {p.observed_bits:.1f}" not in finding.detail
    assert (
        f"on 20 calibration samples within 24 bits with {p.observed_bits:.1f} bits to spare" in finding.detail
    )
    assert f"{p.observed_bits:.1f} bits to spare" in str(p)


def test_a_margin_too_large_or_samples_too_loud_leave_the_verdict() -> None:
    of, inputs = wide(0.05)
    lavish = calibrate(of, inputs, margin=1000)
    assert prove(of, lavish)["p"].verdict == "may saturate"
    loud = Inputs({"in": np.concatenate([np.ones((3, 40, 100)), np.zeros((3, 40, 100))], 2).astype(np.uint8)})
    proof = prove(of, calibrate(of, loud))
    assert proof["p"].verdict == "may saturate"
    assert proof["p"].observed_bits is not None
    assert proof["p"].observed_bits < 0
    (finding,) = findings(proof, strict=True)
    assert finding.severity == "error"
    assert "beyond 24 bits" in finding.detail


def test_a_sum_seen_once_may_be_sustained_or_not() -> None:
    of, inputs = wide(0.002, timesteps=4)
    assert prove(of, calibrate(of, inputs))["p"].sustained
    of, inputs = wide(0.3, timesteps=400)
    assert prove(of, calibrate(of, inputs))["p"].sustained is False


def test_calibration_does_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    of, inputs = wide(0.1)
    whole = calibrate(of, inputs).populations["p"]
    monkeypatch.setattr("spikewright.hardware.observed.BATCH_BYTES", 1)
    parts = calibrate(of, inputs).populations["p"]
    for quantity in ("synaptic_sum", "current", "membrane"):
        assert getattr(whole, quantity).same(getattr(parts, quantity))


def test_calibration_is_refused_where_it_makes_no_sense() -> None:
    of, inputs = wide(0.1)
    with pytest.raises(ProgramError, match="margin: -1 is negative"):
        calibrate(of, inputs, margin=-1)
    with pytest.raises(ProgramError, match="no samples"):
        calibrate(of, Inputs())
    other = program(dense([1], [2]))
    with pytest.raises(ProgramError, match="calibration is of other populations"):
        prove(other, calibrate(of, inputs))
