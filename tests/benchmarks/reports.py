"""Synthetic reports and pictures, as realistic as the views need."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.benchmarks.report.pictures import Pictures
from spikewright.benchmarks.report.schema import Report

STACK: list[tuple[str, list[int], float]] = [
    ("encoder.0", [8, 16, 16], 0.181),
    ("encoder.1", [16, 8, 8], 0.142),
    ("encoder.2", [32, 4, 4], 0.117),
    ("encoder.3", [64, 2, 2], 0.094),
    ("latent", [32], 0.213),
    ("decoder.expand", [64, 2, 2], 0.128),
    ("decoder.0", [32, 4, 4], 0.104),
    ("decoder.1", [16, 8, 8], 0.121),
    ("decoder.2", [8, 16, 16], 0.097),
    ("decoder.3", [8, 32, 32], 0.083),
    ("readout", [1, 32, 32], 0.0),
]
TIMESTEPS = 8


def scale(quantity: str, value: float, integer: int, back: float, error: float) -> dict[str, Any]:
    numbers = {"float_value": value, "integer_value": integer, "back": back, "error_percent": error}
    return {"quantity": quantity} | numbers


def layer(name: str, shape: list[int], rate: float, index: int) -> dict[str, Any]:
    neurons = int(np.prod(shape))
    synapses = neurons * 9 * max(shape[0] // 2, 1)
    return {
        "name": name,
        "shape": shape,
        "neurons": neurons,
        "synapses": synapses,
        "stored_weights": 9 * shape[0] * max(shape[0] // 2, 1),
        "spikes": rate * neurons * TIMESTEPS,
        "sops": 0.12 * synapses * TIMESTEPS,
        "rate": rate,
        "neuron_updates": neurons * TIMESTEPS,
        "start": index + 1,
        "overhead_spikes": 3 * index,
        "arriving": 0.12 * TIMESTEPS,
        "break_even": {"memory": 0.31, "table": None},
        "scales": [
            scale("weight scale", 0.00713, 7, 0.00709, -0.56),
            scale("threshold", 0.2, 1795, 0.20001, 0.005),
            scale("decay", 0.25, 3072, 0.25, 0.0),
        ],
    }


def backend(**changes: Any) -> dict[str, Any]:
    return {
        "ran": True,
        "reason": "",
        "equal": True,
        "neuron_steps": 1_245_184,
        "differing_spikes": 0,
        "compared_states": 2_490_368,
        "differing_states": 0,
        "first": None,
        "seconds": 12.4,
    } | changes


LAVA_NOT_RUN = backend(
    ran=False,
    reason="lava-nc is not installed; see `spikewright doctor`",
    equal=None,
    neuron_steps=0,
    compared_states=0,
    seconds=0.0,
)
NORSE_NOT_RUN: dict[str, Any] = {
    "ran": False,
    "reason": "norse is not installed; pip install spikewright[norse]",
    "neuron_steps": 0,
    "spike_mismatches": 0,
    "explained_by_rounding": 0,
    "smallest_margin": None,
    "largest_margin_at_mismatch": None,
    "readout_max_error": None,
}
FIRST_DIFFERENCE = {
    "quantity": "spikes",
    "population": "decoder.1",
    "sample": 3,
    "timestep": 5,
    "neuron": 417,
    "left": 1,
    "right": 0,
}


def energy_row(
    title: str, chip: float, host: float, ann: float, int8: float | None, even: float | None
) -> dict[str, Any]:
    return {
        "title": title,
        "snn_joule": chip + host,
        "host_joule": host,
        "ann_joule": ann,
        "ann_int8_joule": int8,
        "ratio": (chip + host) / ann,
        "break_even_rate": even,
        "parts": {"synaptic operations": 0.7 * chip, "neuron updates": 0.3 * chip, "host": host},
        "assumptions": ["First layer counted as multiply-accumulates.", "No static power."],
        "sources": [
            "M. Horowitz, ISSCC 2014, doi:10.1109/ISSCC.2014.6757323",
            "https://example.org/loihi-figures",
        ],
    }


def report_data() -> dict[str, Any]:
    """A report's JSON: int8 on a Loihi 2, Lava and norse both run and equal."""
    layers = [layer(name, shape, rate, index) for index, (name, shape, rate) in enumerate(STACK)]
    sums = {
        key: sum(row[key] for row in layers)
        for key in ("neurons", "synapses", "spikes", "sops", "neuron_updates")
    }
    quality = {
        "reconstruction_mse": 0.0312,
        "reconstruction_mse_ci95": 0.0007,
        "fad_reconstruction": 4.21,
        "fad_samples": 9.87,
    }
    return {
        "format": "spikewright-report",
        "version": 1,
        "tool": "spikewright 0.1.0",
        "created": "2026-05-04T10:15:00Z",
        "model": "ESVAE-S",
        "dataset": "Fashion-MNIST",
        "dataset_note": "",
        "seed": 7,
        "chip": "Loihi 2",
        "weight_bits": 8,
        "per_channel_scales": False,
        "timesteps": TIMESTEPS,
        "period": 8,
        "latency_steps": 19,
        "recipe": {
            "model": {"size": "S", "latent": 32, "timesteps": TIMESTEPS},
            "train": {"epochs": 30, "learning_rate": 1e-3, "batch": 128, "loss_weights": [1.0, 1e-3]},
            "quantise": {"bits": 8, "calibration": "256 training images"},
        },
        "answers": {
            "same": {"status": "yes", "text": "All 1,245,184 neuron steps agree with Lava; error +0.42 %."},
            "fits": {"status": "yes", "text": "5 of 128 cores at least; synapse memory binds."},
            "cost": {
                "status": "no",
                "text": "0.6 to 28 times the int8 ANN's energy, depending on the model.",
            },
        },
        "samples": {
            "quality": 10_000,
            "generated": 10_000,
            "counted": 1_000,
            "norse": 64,
            "reference": 16,
            "lava": 4,
        },
        "quality": {
            "ann": quality | {"reconstruction_mse": 0.0268, "fad_reconstruction": 3.02, "fad_samples": 7.75},
            "float": quality,
            "int8": quality
            | {"reconstruction_mse": 0.03133, "fad_reconstruction": 4.28, "fad_samples": 9.91},
            "gap_percent": 0.42,
            "within_one_percent": True,
            "fad_floor": 0.31,
            "fad_trace": 52.7,
        },
        "fidelity": {
            "available": False,
            "reason": "torch-fidelity is not installed; pip install spikewright[fidelity]",
        },
        "equivalence": {
            "norse": {
                "ran": True,
                "reason": "",
                "neuron_steps": 4_980_736,
                "spike_mismatches": 2,
                "explained_by_rounding": 2,
                "smallest_margin": 3.1e-9,
                "largest_margin_at_mismatch": 2.9e-8,
                "readout_max_error": 4.1e-7,
            },
            "reference": backend(seconds=41.0),
            "lava": backend(seconds=96.2),
            "quantisation": [
                {
                    "name": name,
                    "agreement": 0.9991 - 0.0011 * i,
                    "rate_float": rate,
                    "rate_int8": rate * (1 - 0.004 * i),
                }
                for i, (name, _, rate) in enumerate(STACK[:-1])
            ],
            "first_layer_below_99_percent": "decoder.3",
        },
        "layers": layers,
        "totals": sums
        | {"parameters": 59_393, "host_macs": 2_048, "overhead_spikes": 165, "sops_per_mac": 0.87},
        "baseline": {
            "name": "ESVAE-S twin",
            "macs": 1_392_640,
            "parameters": 59_393,
            "nodes": [
                {"name": "/encoder.0/Conv", "operator": "Conv", "macs": 18_432},
                {"name": "/decoder.0/ConvTranspose", "operator": "ConvTranspose", "macs": 294_912},
            ],
        },
        "energy": {
            "mac45": energy_row("45 nm, arithmetic only", 1.9e-7, 9.4e-9, 6.4e-6, 3.2e-7, 0.17),
            "loihi": energy_row("Loihi, published per operation", 8.8e-6, 2.5e-7, 6.4e-6, 3.2e-7, None),
            "memory": energy_row("45 nm with memory traffic", 5.1e-6, 6.0e-7, 2.4e-5, 6.1e-6, 0.14),
        },
        "fit": {
            "chip": "Loihi 2",
            "neurons": sums["neurons"],
            "synapses": sums["synapses"],
            "cores_lower_bound": 5,
            "cores_placed": 7,
            "cores_available": 128,
            "binding": "synapse memory",
            "findings": [
                {
                    "severity": "warning",
                    "node": "decoder.3",
                    "rule": "fan-in",
                    "detail": "1,152 inputs a neuron; 1,024 can be addressed from a core.",
                    "remedy": "Halve the channels of decoder.2, or cut the layer in two.",
                },
                {
                    "severity": "note",
                    "node": "readout",
                    "rule": "graded output",
                    "detail": "Read as membrane.",
                    "remedy": "",
                },
            ],
        },
        "timing": {
            "steps": {"export": 2.1, "quantise": 11.4, "quality": 214.0, "equivalence": 150.2},
            "emulator_seconds_per_sample": 0.0031,
            "lava_seconds_per_sample": 24.05,
        },
        "files": {"report": "report.json", "program": "esvae_s.program.npz", "graph": "esvae_s.int8.nir"},
    }


def make_report(**changes: Any) -> Report:
    """A report on images of one program with fields changed."""
    return changed_report(report_data(), changes)


def changed_report(data: dict[str, Any], changes: dict[str, Any]) -> Report:
    """A report with fields changed, nested ones by double underscores: ``equivalence__lava=...``."""
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for key in parents:
            place = place[key]
        place[last] = value
    return Report.model_validate(data)


def blob_images(count: int, channels: int, height: int, width: int, noise: float = 0.0, seed: int = 0) -> Any:
    """Soft blobs in [-1, 1], one an image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    images = np.empty((count, channels, height, width), np.float32)
    for k in range(count):
        for c in range(channels):
            cy, cx = height * rng.uniform(0.3, 0.7), width * rng.uniform(0.3, 0.7)
            spread = 0.04 * height * width
            images[k, c] = 2 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / spread) - 1
    return np.clip(images + noise * np.random.default_rng(seed + 1).normal(size=images.shape), -1, 1).astype(
        np.float32
    )


def make_pictures(count: int = 8, channels: int = 1, height: int = 32, width: int = 32) -> Pictures:
    """Pictures whose versions differ by noise only."""

    def versions(seed: int) -> dict[str, Any]:
        noise = {"ann": 0.05, "float": 0.1, "int8": 0.12}
        return {key: blob_images(count, channels, height, width, level, seed) for key, level in noise.items()}

    rng = np.random.default_rng(3)
    rasters = {
        name: (rng.random((TIMESTEPS, int(np.prod(shape)))) < rate).astype(np.uint8)
        for name, shape, rate in STACK[:-1]
    }
    return Pictures(blob_images(count, channels, height, width), versions(0), versions(20), rasters)
