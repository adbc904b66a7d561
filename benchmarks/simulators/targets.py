"""What the emulator is meant to reach, and what this run measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .results import CaseResult, Row, Target
from .rivals import LAVA, OURS, RIVALS
from .scaling import Fit

LAVA_STEP, LAVA_SAMPLE = 300, 2000
LAVA_NETWORK = "cnn"
FLOAT_BATCHES = (16, 64)
SNNTORCH_RATIO = 2.0
DENSE_SHARE = 0.6
EVENT_RATE = 1e9
#: Slope of logarithms up to which growth counts as linear.
LINEAR_POWER = 1.1
MEMORY = 2e9
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Extra:
    """What is measured apart from the rows; empty or None where it was left out.

    Attributes
    ----------
    matrix : dict of str to float
        Multiply-accumulates a second of matrix products.
    dense, chosen : float, optional
        Multiply-accumulates of the dense product a second, for convolutions by dense kernels and by those that the emulator
        chooses.
    """

    matrix: Mapping[str, float] = field(default_factory=dict)
    dense: float | None = None
    chosen: float | None = None
    event: float | None = None
    fits: Sequence[Fit] = ()
    memory: float | None = None
    images: int = 0


def targets(cases: Sequence[CaseResult], extra: Extra) -> tuple[Target, ...]:
    """All targets, in order."""
    return (
        *_lava(cases),
        _floats(cases),
        _snntorch(cases),
        _dense(extra),
        _event(extra),
        _linear(extra),
        _memory(extra),
    )


def _where(row: Row) -> str:
    return f"{row.network}, {row.label}, batch {row.batch}"


def _lava(cases: Sequence[CaseResult]) -> list[Target]:
    steps, samples = [], []
    for case in cases:
        if case.network != LAVA_NETWORK:
            continue
        theirs = next((r for r in case.rows if r.simulator == LAVA and r.seconds), None)
        if theirs is None or theirs.seconds is None:
            continue
        for row in case.rows:
            if row.simulator == OURS and row.seconds is not None:
                found = (theirs.seconds.median / row.seconds.median, row)
                if row.batch == 1:
                    steps.append(found)
                elif row.batch == 64:
                    samples.append(found)
    out = []
    for name, found_rows, wanted in (
        (f"{LAVA_STEP} times as fast as Lava a step at batch 1, CNN", steps, LAVA_STEP),
        (f"{LAVA_SAMPLE:,} times as fast as Lava a sample at batch 64, CNN", samples, LAVA_SAMPLE),
    ):
        if not found_rows:
            out.append(Target(name, NOT_MEASURED, None))
            continue
        least, row = min(found_rows, key=lambda pair: pair[0])
        out.append(Target(name, f"{least:,.0f} times at least ({row.label})", least >= wanted))
    return out


def _float_rows(cases: Sequence[CaseResult]) -> list[tuple[float, Row]]:
    return [
        (row.ratio.median, row)
        for case in cases
        for row in case.rows
        if row.ratio is not None and row.batch in FLOAT_BATCHES and RIVALS[row.simulator].floats
    ]


def _floats(cases: Sequence[CaseResult]) -> Target:
    name = "faster than every float simulator on every row at batch 16 and 64"
    rows = _float_rows(cases)
    if not rows:
        return Target(name, NOT_MEASURED, None)
    least, row = min(rows, key=lambda pair: pair[0])
    slower = sum(ratio <= 1 for ratio, _ in rows)
    measured = f"{least:.2f} times at least ({RIVALS[row.simulator].title}, {_where(row)})"
    if slower:
        measured += f"; not faster in {slower} of {len(rows)} rows"
    return Target(name, measured, not slower)


def _snntorch(cases: Sequence[CaseResult]) -> Target:
    name = f"{SNNTORCH_RATIO:g} times as fast as snnTorch's float forward on every row at batch 16 and 64"
    rows = [pair for pair in _float_rows(cases) if pair[1].simulator == "snntorch"]
    if not rows:
        return Target(name, NOT_MEASURED, None)
    least, row = min(rows, key=lambda pair: pair[0])
    below = sum(ratio < SNNTORCH_RATIO for ratio, _ in rows)
    measured = f"{least:.2f} times at least ({_where(row)})"
    if below:
        measured += f"; less in {below} of {len(rows)} rows"
    return Target(name, measured, not below)


def _dense(extra: Extra) -> Target:
    name = (
        f"dense kernels at {100 * DENSE_SHARE:.0f} % of this machine's int8 matrix rate, ESVAE convolutions"
    )
    best = max(extra.matrix.items(), key=lambda pair: pair[1], default=None)
    eight = next((rate for kind, rate in extra.matrix.items() if kind.startswith("int8")), None)
    if best is None or eight is None or extra.dense is None:
        return Target(name, NOT_MEASURED, None)
    measured = (
        f"{extra.dense / 1e9:.1f} GMAC/s: {_share(extra.dense, eight)} int8's {eight / 1e9:.1f}, "
        f"{_share(extra.dense, best[1])} the best exact rate, {best[1] / 1e9:.1f} ({best[0]})"
    )
    if extra.chosen is not None:
        measured += f"; by the kernels that the emulator chooses, {extra.chosen / 1e9:.1f} GMAC/s of the dense product"
    return Target(name, measured, extra.dense >= DENSE_SHARE * eight)


def _share(rate: float, of: float) -> str:
    return f"{100 * rate / of:.0f} % of" if rate < 2 * of else f"{rate / of:.0f} times"


def _event(extra: Extra) -> Target:
    name = "event-driven kernel at 1 GSOP/s a core"
    if extra.event is None:
        return Target(name, NOT_MEASURED, None)
    return Target(name, f"{extra.event / 1e9:.2f} GSOP/s", extra.event >= EVENT_RATE)


def _linear(extra: Extra) -> Target:
    name = "cost linear in batch, steps and spikes"
    if not extra.fits:
        return Target(name, NOT_MEASURED, None)
    parts = [
        f"{fit.name}: power {fit.power:.2f}, a line explains {100 * fit.straight:.1f} %" for fit in extra.fits
    ]
    return Target(name, "; ".join(parts), all(fit.power <= LINEAR_POWER for fit in extra.fits))


def _memory(extra: Extra) -> Target:
    name = f"peak memory of evaluating 10,000 images (ESVAE-S) below {MEMORY / 1e9:.0f} GB"
    if extra.memory is None:
        return Target(name, NOT_MEASURED, None)
    measured = f"{extra.memory / 1e9:.2f} GB for {extra.images:,} images"
    return Target(name, measured, extra.memory < MEMORY if extra.images >= 10_000 else None)
