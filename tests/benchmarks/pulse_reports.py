"""Synthetic reports on heart rates from face video, as realistic as the views need."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.benchmarks.pulse.published import load_energy_claims, load_published
from spikewright.benchmarks.report.pictures import Pictures
from spikewright.benchmarks.report.schema import Report

from .reports import changed_report, energy_row, layer, report_data

FPS = 30.0
BLOCKS: list[tuple[str, list[int], float]] = [
    ("block0.s", [32, 40, 2, 2], 0.173),
    ("block0.q", [32, 40, 2, 2], 0.121),
    ("block0.k", [32, 40, 2, 2], 0.146),
    ("block0.and", [32, 40, 2, 2], 0.024),
    ("block0.g", [32], 0.487),
    ("block0.mask", [32, 40, 2, 2], 0.097),
    ("block0.hidden", [128, 40, 2, 2], 0.062),
    ("block1.s", [32, 40, 2, 2], 0.164),
    ("block1.hidden", [128, 40, 2, 2], 0.013),
    ("out", [32, 40, 2, 2], 0.155),
]


def scores(mae: float, count: int = 40, **changes: Any) -> dict[str, Any]:
    return {
        "mae": mae,
        "mae_interval": [0.6 * mae, 1.45 * mae],
        "rmse": 1.9 * mae,
        "mape": 1.17 * mae,
        "pearson": 1 - mae / 60,
        "snr": 6.31 - mae / 3,
        "wave_correlation": 0.863 - mae / 90,
        "flat": 0,
        "trusted": count * 7 // 8,
        "mae_trusted": mae / 20,
        "count": count,
    } | changes


def row(name: str, video: float, clip: float, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "by_video": scores(video, **changes),
        "by_clip": scores(clip, 240, **changes),
        "from_changes": scores(video / 3, **changes),
    }


def ablation(title: str, mae: float, correlation: float, cost: float) -> dict[str, Any]:
    judged = scores(mae, 24, wave_correlation=correlation)
    return {"title": title, "by_video": judged, "cost": cost, "decorative": cost < 0.01}


def population(name: str, rate: float) -> dict[str, Any]:
    return {"name": name, "rate": rate, "within": 0.02 <= rate <= 0.4}


def _published() -> list[dict[str, Any]]:
    return [
        {
            "method": method.title,
            "trained_on": result.train or "",
            "tested_on": result.test,
            "mae": result.mae,
            "mape": result.mape,
            "pearson": result.pearson,
            "rmse": result.rmse,
        }
        for method in load_published().values()
        for result in method.results
        if result.test == "PURE"
    ]


def _claims() -> str:
    unit = {"times": " times", "percent": " %"}
    return "; ".join(
        f"{claim.what} than {claim.against}: {claim.value:g}{unit[claim.unit]} ({claim.source}; {claim.note})"
        for claim in load_energy_claims()
    )


def pulse_data() -> dict[str, Any]:
    """A pulse: the chip as good as the float network, the attention decorative, one population silent, one too busy."""
    return {
        "variant": "deployment",
        "attention": "mask",
        "data": "synthetic faces with in-band motion, subjects apart from those trained on",
        "videos": 40,
        "clips": 240,
        "fps": FPS,
        "clip_frames": 160,
        "rows": [
            row("ann", 0.061, 2.413),
            row("float", 0.072, 2.702),
            row("int8", 0.081, 2.731),
            row("GREEN", 33.314, 35.271, wave_correlation=0.112, pearson=0.082, snr=-6.42, flat=1),
            row("CHROM", 9.531, 14.622, wave_correlation=0.514, pearson=0.617, snr=-1.18),
            row("POS", 14.645, 18.013, wave_correlation=0.443, pearson=0.481, snr=-2.07),
        ],
        "gap_bpm": 0.081 - 0.072,
        "ablation_videos": 24,
        "ablation_whole": scores(0.07, 24, wave_correlation=0.863),
        "ablations": [
            ablation("all spiking blocks", 3.272, 0.756, 0.107),
            ablation("the attention", 0.074, 0.8621, 0.0009),
            ablation("the attention's mask", 0.071, 0.8634, -0.0004),
            ablation("the MLP", 2.218, 0.803, 0.06),
        ],
        "rates": [population(name, rate) for name, _, rate in BLOCKS],
        "host": [
            {"precision": "float32", "by_video": scores(0.081), "reason": ""},
            {"precision": "int8", "by_video": scores(0.094), "reason": ""},
        ],
        "energy": {
            "host": 9.06e-4,
            "spiking_blocks": 5.83e-6,
            "twin_blocks": 1.09e-4,
            "block_ratio": 18.7,
            "whole_saving_percent": 10.17,
            "host_macs": 197_018_624,
            "other_stem_host_macs": 386_072_576,
            "other_stem": "kernels over time too",
        },
        "published": _published(),
        "published_source": load_published()["spiking-physformer"].source,
        "published_energy": _claims(),
        "exchange_bytes": 153_600.0,
        "stream": {
            "period": 4,
            "token_frames": 4,
            "neurons": 2_496,
            "synapses": 390_241,
            "chip": "Loihi 2",
            "obstacles": [],
            "cores": 4,
            "longest_delay": 24,
            "latency_steps": 32,
            "latency_tokens": 7,
            "behind_frames": [31, 34],
            "sops_per_token": 417_284.3,
            "outside": 0.123,
            "clips": 2,
            "neuron_steps": 798_720,
            "differing": 0,
        },
    }


def pulse_report_data() -> dict[str, Any]:
    """A report on a pulse as JSON: one program, Lava and norse both run and equal."""
    data = report_data()
    layers = [layer(name, shape, rate, index) for index, (name, shape, rate) in enumerate(BLOCKS)]
    sums = {
        key: sum(row[key] for row in layers)
        for key in ("neurons", "synapses", "spikes", "sops", "neuron_updates")
    }
    del data["quality"], data["fidelity"]
    return data | {
        "model": "Spiking-PhysFormer",
        "dataset": "Synthetic faces (hard)",
        "timesteps": 4,
        "period": 4,
        "latency_steps": 15,
        "recipe": {"model": {"kind": "Spiking-PhysFormer", "blocks": 2, "timesteps": 4}, "quantise": {"bits": 8}},
        "samples": data["samples"] | {"quality": 0, "generated": 0, "counted": 240},
        "equivalence": data["equivalence"]
        | {
            "quantisation": [
                {"name": name, "agreement": 0.9994 - 0.0006 * i, "rate_float": rate, "rate_int8": rate}
                for i, (name, _, rate) in enumerate(BLOCKS)
            ],
            "first_layer_below_99_percent": None,
        },
        "layers": layers,
        "totals": data["totals"] | sums | {"host_macs": 197_018_624},
        "baseline": data["baseline"]
        | {"name": "PhysFormer", "nodes": [{"name": "/stem/Conv", "operator": "Conv", "macs": 98_304_000}]},
        "energy": {
            "mac45": energy_row("45 nm, arithmetic only", 5.83e-6, 9.06e-4, 1.02e-3, 5.1e-5, None),
            "loihi": energy_row("Loihi, published per operation", 2.7e-4, 9.06e-4, 1.02e-3, 5.1e-5, None),
        },
        "fit": data["fit"] | {"neurons": sums["neurons"], "synapses": sums["synapses"], "cores_placed": 97, "findings": []},
        "files": {"report": "report.json", "program": "program.npz"},
        "pulse": pulse_data(),
    }  # fmt: skip


def make_pulse_report(**changes: Any) -> Report:
    """A report on a pulse with fields changed: ``pulse__gap_limit_bpm=...``."""
    return changed_report(pulse_report_data(), changes)


def with_chip_error(mae: float) -> dict[str, Any]:
    """Changes that give the integer program this mean absolute error."""
    rows = pulse_data()["rows"]
    for found in rows:
        if found["name"] == "int8":
            found["by_video"]["mae"] = mae
    return {"pulse__rows": rows, "pulse__gap_bpm": mae - 0.072}


def wave(seconds: float, noise: float, seed: int) -> Any:
    """A pulse at 72 beats a minute with its second harmonic, and noise."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * 1.2 * np.arange(round(seconds * FPS)) / FPS
    return np.sin(phase) + 0.4 * np.sin(2 * phase + 0.9) + noise * rng.normal(size=len(phase))


def pulse_pictures() -> Pictures:
    """Waves of twelve seconds, heart rates of forty videos with two octave errors of POS, and rasters of a clip."""
    rng = np.random.default_rng(5)
    rasters = {
        name: (rng.random((4, int(np.prod(shape)))) < rate).astype(np.uint8) for name, shape, rate in BLOCKS
    }
    truth = rng.uniform(48, 140, 40)
    pos = truth + rng.normal(scale=6, size=40)
    pos[:2] = truth[:2] / 2
    return Pictures(
        rasters=rasters,
        waves={
            "reference": wave(12, 0.0, 1),
            "float": 3 * wave(12, 0.3, 2),
            "int8": 3 * wave(12, 0.32, 2),
            "ann": wave(12, 0.2, 4),
        },
        wave_fps=FPS,
        heart_rates={"reference": truth, "int8": truth + rng.normal(scale=0.1, size=40), "POS": pos},
    )
