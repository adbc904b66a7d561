"""The tables and sentences about quality: reconstructions, where a system makes any, and distances of images."""

from __future__ import annotations

from . import units
from .schema import Fidelity, Quality, QualityRow, Report
from .tables import DASH, Table, version_name
from .units import MISSING, plain


def quality(report: Report, data: Quality) -> Table:
    """Quality of the three versions, and the floor of the distance."""
    versions = (("ann", data.ann), ("float", data.float_), ("int8", data.int8))
    rebuilt = ("Reconstruction MSE", "FAD reconstructions") if data.reconstructs else ()
    rows = [
        (version_name(key, report.weight_bits), *(_reconstruction(row) if rebuilt else ()), plain(row.fad_samples))
        for key, row in versions
    ]  # fmt: skip
    floor = plain(data.fad_floor)
    rows.append(("Floor: real training images", *((DASH, floor) if rebuilt else ()), floor))
    return Table(("Version", *rebuilt, "FAD samples"), rows)


def _reconstruction(row: QualityRow) -> tuple[str, str]:
    error, half = row.reconstruction_mse, row.reconstruction_mse_ci95
    shown = plain(error) if error is None or half is None else units.with_interval(error, half)
    return shown, plain(row.fad_reconstruction)


def exceeds_limit(data: Quality) -> bool:
    """Whether the integer program's error is more than one per cent above the float network's."""
    gap = data.gap_percent
    return gap is not None and (not data.within_one_percent or gap > 1)


def quality_note(report: Report, data: Quality) -> str:
    """The gap between integer and float in a sentence; empty where nothing is reconstructed."""
    if data.gap_percent is None:
        return ""
    gap = units.signed_percent(data.gap_percent)
    chip = version_name("int8", report.weight_bits)
    limit = "beyond the limit of 1 %" if exceeds_limit(data) else "within the limit of 1 %"
    return f"Reconstruction error, {chip} against float SNN: {gap}, {limit}."


def fidelity_note(fidelity: Fidelity) -> str:
    """FID and inception score, or why they are missing."""
    if not fidelity.available:
        return f"FID and inception score: {MISSING}. {_sentence(fidelity.reason)}".strip()
    fid, score = plain(fidelity.fid), plain(fidelity.inception_score)
    return f"FID (torch-fidelity): {fid}; inception score: {score}."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
