"""Synthetic reports on generated images, of drawn tokens and of a Gaussian diffusion, as realistic as the views need."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.benchmarks.report.generation import TOKEN_FIELDS
from spikewright.benchmarks.report.pictures import Pictures
from spikewright.benchmarks.report.schema import Report

from .reports import blob_images, changed_report, energy_row, layer, report_data

EVALUATIONS = 31.17
DENOISER: list[tuple[str, list[int], float]] = [
    ("s1", [48, 7, 7], 0.214),
    ("s2", [96, 7, 7], 0.108),
    ("s3", [128, 7, 7], 0.083),
    ("s4", [96, 7, 7], 0.141),
    ("logits_skip", [64, 7, 7], 0.0),
    ("logits", [64, 7, 7], 0.0),
]
DECODER: list[tuple[str, list[int], float]] = [
    ("asg", [16, 7, 7], 0.101),
    ("d1", [128, 7, 7], 0.083),
    ("d2", [256, 7, 7], 0.031),
    ("pixels", [16, 7, 7], 0.0),
]
ENCODER: list[tuple[str, list[int], float]] = [
    ("e1", [16, 14, 14], 0.079),
    ("e2", [32, 7, 7], 0.081),
    ("e3", [16, 7, 7], 0.092),
]


UNET: list[tuple[str, list[int], float]] = [
    ("enc", [16, 28, 28], 0.271),
    ("d0.0.n1", [16, 28, 28], 0.262),
    ("d0.0.n2", [16, 28, 28], 0.248),
    ("down0", [16, 14, 14], 0.301),
    ("d1.0.n1", [32, 14, 14], 0.283),
    ("d1.0.n2", [32, 14, 14], 0.266),
    ("m0.n1", [32, 7, 7], 0.257),
    ("m0.n2", [32, 7, 7], 0.244),
    ("up1", [32, 14, 14], 0.292),
    ("u0.0.n1", [32, 28, 28], 0.278),
    ("u0.0.n2", [16, 28, 28], 0.269),
    ("noise", [1, 28, 28], 0.0),
]
STEPS = 50


def layers_of(program: str, stack: list[tuple[str, list[int], float]], runs: float) -> list[dict[str, Any]]:
    """Layers whose spikes, operations and updates are of all runs of a sample."""
    rows = []
    for index, (name, shape, rate) in enumerate(stack):
        row = layer(name, shape, rate, index)
        row |= {key: row[key] * runs for key in ("spikes", "sops")}
        row["neuron_updates"] = round(row["neuron_updates"] * runs)
        rows.append(row | {"program": program, "runs": runs})
    return rows


def program(name: str, purpose: str, runs: float, cores: int | None, **changes: Any) -> dict[str, Any]:
    numbers = {"timesteps": 4, "period": 5, "latency_steps": 9, "neurons": 21_168, "synapses": 14_963_712}
    return {"name": name, "purpose": purpose, "runs": runs, "cores_placed": cores} | numbers | changes


def same_image(backend: str, **changes: Any) -> dict[str, Any]:
    return {
        "backend": backend,
        "images": 2,
        "evaluations": 63,
        "chip_steps": 612,
        "equal": True,
        "reason": "",
        "neuron_steps": 5_334_336,
        "differing_spikes": 0,
        "seconds": 214.0,
    } | changes


IMAGE_NOT_RUN = same_image(
    "lava",
    equal=None,
    reason="lava-nc is not installed; see `spikewright doctor`",
    neuron_steps=0,
    images=0,
    evaluations=0,
    chip_steps=0,
    seconds=0.0,
)
PARTED = same_image(
    "lava",
    equal=False,
    differing_spikes=17,
    reason="first at denoiser.s3, image 1, evaluation 12, neuron 417",
)


def sample_quality(fad: float | None, distance: float | None, ssim: float | None) -> dict[str, Any]:
    return {
        "fad": fad,
        "classifier_frechet": distance,
        "ssim_reconstruction": ssim,
        "ssim_reconstruction_ci95": None if ssim is None else 0.0021,
    }


def generation_data() -> dict[str, Any]:
    """A generation: Lava and the reference made the same images."""
    return {
        "programs": [
            program(
                "encoder", "image to spikes, for reconstructions; the host looks codes up", 0.0, 6,
                timesteps=8, period=8, latency_steps=11, neurons=5_488, synapses=262_144,
            ),
            program("denoiser", "one-hot token grid to logits; the host draws tokens", EVALUATIONS, 31),
            program(
                "decoder", "codes to an image", 1.0, 12,
                timesteps=8, period=8, latency_steps=12, neurons=20_384, synapses=1_127_936,
            ),
        ],
        "temperature": 1.0,
        "seed": 7,
        "positions": 49,
        "evaluations": EVALUATIONS,
        "expected_evaluations": 31.1625,
        "tokens": {
            "codes": 64,
            "used_codes": 61,
            "perplexity": 9.13,
            "unigram_bits": 3.312,
            "elbo_float": 1.1417,
            "elbo_int8": 1.1424,
            "elbo_ann": 1.1032,
            "elbo_limit": 0.02,
            "within_limit": True,
            "masked_accuracy_float": 0.7594,
            "masked_accuracy_int8": 0.7588,
            "token_agreement": 0.9612,
            "encoder_token_agreement": 0.8723,
        },
        "samples": {
            "ann": sample_quality(7.75, 11.2, 0.874),
            "float": sample_quality(9.87, 14.1, 0.861),
            "int8": sample_quality(9.91, 14.3, 0.8607),
        },
        "floors": {"fad": 0.31, "classifier_frechet": 0.52},
        "same_images": [same_image("lava"), same_image("reference", images=1, evaluations=31, seconds=41.0)],
        "exchange": {
            "spikes_written": 6_109.3,
            "bias_words_written": 784.0,
            "spikes_read": 0.0,
            "state_words_read": 98_531.0,
            "chip_steps": 297.5,
        },
        "host_macs": 12_544,
        "host_share_note": "Softmax and drawing are not counted; codes are looked up in a table.",
        "published": [
            {"dataset": "MNIST", "fid": 37.5, "note": "1,280 images, matrix root of an unsymmetric product"},
            {"dataset": "Fashion-MNIST", "fid": 91.98, "note": "1,280 images, matrix root of an unsymmetric product"},
        ],
        "paper_fid": {"available": True, "reason": "", "as_released": 44.9, "correct": 38.1},
        "per_image": {
            "spikes_mean": 555_304.0,
            "spikes_ci95": 1_170.0,
            "sops_mean": 316_440_000.0,
            "sops_ci95": 761_000.0,
            "joule": {
                "mac45": {"mean": 1.54e-4, "ci95": 3.7e-7},
                "loihi": {"mean": 4.06e-3, "ci95": 9.7e-6},
                "memory": {"mean": 2.1e-3, "ci95": 5.0e-6},
            },
        },
    }  # fmt: skip


def generation_report_data() -> dict[str, Any]:
    """The JSON of a report on Spiking-Diffusion."""
    data = report_data()
    layers = [*layers_of("denoiser", DENOISER, EVALUATIONS), *layers_of("decoder", DECODER, 1.0)]
    keys = ("neurons", "synapses", "spikes", "sops", "neuron_updates")
    sums = {key: sum(row[key] for row in layers) for key in keys}
    agreement = [
        {"name": f"{where}: {name}", "agreement": 0.9981 - 0.0009 * i, "rate_float": rate, "rate_int8": rate * 0.99}
        for where, stack in (("encoder", ENCODER), ("denoiser", DENOISER[:4]), ("decoder", DECODER[:3]))
        for i, (name, _, rate) in enumerate(stack)
    ]  # fmt: skip
    return data | {
        "model": "Spiking-Diffusion",
        "timesteps": 4,
        "period": 5,
        "latency_steps": 9,
        "samples": data["samples"] | {"counted": 1_000, "generated": 2_000},
        "layers": layers,
        "reconstruction_layers": layers_of("encoder", ENCODER, 1.0),
        "baseline": data["baseline"] | {"name": "denoiser and decoder without spikes"},
        "totals": data["totals"] | sums | {"host_macs": 12_544},
        "equivalence": data["equivalence"]
        | {"quantisation": agreement, "first_layer_below_99_percent": None},
        "energy": {
            "mac45": energy_row("45 nm, arithmetic only", 1.5e-4, 4.1e-6, 1.07e-3, 5.3e-5, 0.17),
            "loihi": energy_row("Loihi, published per operation", 4.0e-3, 6.0e-5, 1.07e-3, 5.3e-5, None),
            "memory": energy_row("45 nm with memory traffic", 2.0e-3, 1.0e-4, 9.4e-3, 2.4e-3, 0.14),
        },
        "fit": data["fit"] | {"neurons": sums["neurons"], "synapses": sums["synapses"], "cores_placed": 43},
        "generation": generation_data(),
    }


def accounting(title: str, **changes: Any) -> dict[str, Any]:
    note = "First convolution as MACs, every other one as accumulates of its input's spikes."
    figures = {"snn_joule": 4.5e-5, "ann_joule": 2.14e-4, "ratio": 0.21}
    return {"title": title, "note": note} | figures | changes


def denoising_data() -> dict[str, Any]:
    """A generation out of a Gaussian diffusion: fifty DDIM steps of one program."""
    purpose = "noisy image and index to the noise in it; the host takes the step"
    unet = program(
        "denoiser",
        purpose,
        float(STEPS),
        104,
        period=4,
        latency_steps=31,
        neurons=101_136,
        synapses=10_619_280,
    )
    shared = {key: value for key, value in generation_data().items() if key not in TOKEN_FIELDS}
    return shared | {
        "programs": [unet],
        "evaluations": float(STEPS),
        "sampler": {
            "rule": "ddim",
            "steps": STEPS,
            "diffusion_steps": 1_000,
            "threshold": 1.0,
            "threshold_note": "",
        },
        "noise": {
            "images": 10_000,
            "mse_float": 0.06421,
            "mse_int8": 0.064345,
            "mse_ann": 0.0389,
            "gap_percent": 0.21,
            "limit_percent": 1.0,
            "within_limit": True,
        },
        "evaluation_energy": [
            accounting("As in the paper"),
            accounting(
                "Analogue shortcuts as MACs",
                note="As in the paper, and convolutions that no spike drives at the price of MACs.",
                snn_joule=8.45e-5,
                ratio=0.395,
            ),
        ],
        "samples": {
            "ann": sample_quality(5.91, 8.7, None),
            "float": sample_quality(8.12, 12.6, None),
            "int8": sample_quality(8.2, 12.8, None),
        },
        "same_images": [
            same_image("lava", images=1, evaluations=STEPS, chip_steps=1_550),
            same_image("reference", images=1, evaluations=STEPS, chip_steps=1_550),
        ],
        "exchange": {
            "spikes_written": 0.0,
            "bias_words_written": 642_400.0,
            "spikes_read": 0.0,
            "state_words_read": 39_200.0,
            "chip_steps": 204.5,
        },
        "host_macs": 5_750_000,
        "host_share_note": "The sampler's own arithmetic is not counted.",
        "published": [
            {"dataset": "MNIST", "fid": 29.48, "note": "32 x 32, 1,000 DDPM steps, 66.7 M parameters"}
        ],
    }


def denoising_report_data() -> dict[str, Any]:
    """The JSON of a report on SDDPM."""
    data = generation_report_data()
    layers = layers_of("denoiser", UNET, float(STEPS))
    keys = ("neurons", "synapses", "spikes", "sops", "neuron_updates")
    sums = {key: sum(row[key] for row in layers) for key in keys}
    rows = {
        key: {
            "reconstruction_mse": None,
            "reconstruction_mse_ci95": None,
            "fad_reconstruction": None,
            "fad_samples": distance,
        }
        for key, distance in (("ann", 5.91), ("float", 8.12), ("int8", 8.2))
    }
    return data | {
        "model": "SDDPM",
        "period": 4,
        "latency_steps": 31,
        "layers": layers,
        "reconstruction_layers": [],
        "quality": data["quality"] | rows | {"gap_percent": None, "within_one_percent": None},
        "fidelity": {"available": True, "reason": "", "fid": 41.7, "inception_score": 2.31},
        "baseline": data["baseline"]
        | {"name": "U-Net without spikes", "nodes": [{"name": "/d0.0/Conv", "operator": "Conv", "macs": 1_806_336}]},
        "recipe": {"model": {"kind": "SDDPM", "timesteps": 4}, "deploy": {"steps": STEPS}},
        "files": {"report": "report.json", "program": "denoiser/program.npz"},
        "totals": data["totals"] | sums | {"host_macs": 5_750_000},
        "equivalence": data["equivalence"]
        | {
            "quantisation": [
                {"name": f"denoiser: {name}", "agreement": 0.9987 - 0.0004 * i, "rate_float": rate, "rate_int8": rate}
                for i, (name, _, rate) in enumerate(UNET[:-1])
            ],
        },
        "fit": data["fit"]
        | {"neurons": sums["neurons"], "synapses": sums["synapses"], "cores_placed": 104, "findings": []},
        "dataset": "MNIST",
        "generation": denoising_data(),
    }  # fmt: skip


def make_denoising_report(**changes: Any) -> Report:
    """A report on a Gaussian diffusion with fields changed: ``generation__noise__mse_int8=...``."""
    return changed_report(denoising_report_data(), changes)


def make_generation_report(**changes: Any) -> Report:
    """A report on images of drawn tokens with fields changed: ``generation__tokens__elbo_int8=...``."""
    return changed_report(generation_report_data(), changes)


def generation_pictures() -> Pictures:
    """Sixteen generated images a version, eight reconstructed, rasters of two programs."""

    rng = np.random.default_rng(3)
    rasters = {
        f"{where}: {name}": (rng.random((steps, int(np.prod(shape)))) < rate).astype(np.uint8)
        for where, stack, steps in (("denoiser", DENOISER[:4], 4), ("decoder", DECODER[:3], 8))
        for name, shape, rate in stack
    }
    return Pictures(blob_images(8, 1, 28, 28), _versions(0, 8), _versions(20, 16), rasters)


def denoising_pictures() -> Pictures:
    """Sixteen generated images a version, and rasters of one evaluation; nothing is reconstructed."""
    rng = np.random.default_rng(3)
    rasters = {
        f"denoiser: {name}": (rng.random((4, int(np.prod(shape)))) < rate).astype(np.uint8)
        for name, shape, rate in UNET[:-1]
    }
    return Pictures(np.zeros((0, 1, 28, 28), np.float32), {}, _versions(20, 16), rasters)


def _versions(seed: int, count: int) -> dict[str, Any]:
    noise = {"ann": 0.05, "float": 0.1, "int8": 0.12}
    return {key: blob_images(count, 1, 28, 28, level, seed) for key, level in noise.items()}
