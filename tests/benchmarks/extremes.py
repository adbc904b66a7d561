"""Reports that strain the views, as arguments of ``make_report``."""

from __future__ import annotations

from typing import Any

from .generation_reports import IMAGE_NOT_RUN, PARTED, accounting, program, same_image, sample_quality
from .pulse_reports import ablation, population, pulse_data, row, scores
from .reports import FIRST_DIFFERENCE, LAVA_NOT_RUN, NORSE_NOT_RUN, backend, energy_row, layer

EVIL = "<script>alert('x')</script> [a](javascript:x) | `b` $c_d$"
EXTREMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "nothing ran": {"equivalence__lava": LAVA_NOT_RUN, "equivalence__norse": NORSE_NOT_RUN},
    "mismatch": {
        "equivalence__lava": backend(
            equal=False, differing_spikes=3, differing_states=9, first=FIRST_DIFFERENCE
        )
    },
    "one layer": {"layers": [layer("x" * 150, [1], 0.0, 0)], "equivalence__quantisation": []},
    "no layers": {"layers": [], "energy": {}, "files": {}, "recipe": {}, "fit__findings": []},
    "huge": {"totals__synapses": 10**30, "totals__sops": 1e300, "baseline__macs": 10**400},
    "hostile": {
        "model": EVIL,
        "dataset": EVIL,
        "dataset_note": EVIL,
        "chip": EVIL,
        "tool": EVIL,
        "recipe": {EVIL: {EVIL: EVIL}},
        "files": {EVIL: "javascript:alert(1)"},
        "layers": [layer(EVIL, [2], 0.5, 0)],
        "fit__binding": EVIL,
        "energy": {
            EVIL: energy_row(EVIL, 1e-9, 0, 1, None, None) | {"assumptions": [EVIL], "sources": [EVIL]}
        },
        "equivalence__lava": backend(ran=False, reason=EVIL, equal=None),
        "baseline__nodes": [{EVIL: EVIL}],
        "answers__same": {"status": "unknown", "text": EVIL},
        "fidelity": {"available": False, "reason": EVIL},
        "equivalence__first_layer_below_99_percent": EVIL,
        "timing__steps": {EVIL: 1.0},
    },
}
NOT_MEASURED = sample_quality(None, None, None)
GENERATION_EXTREMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "nothing ran": {
        "equivalence__lava": LAVA_NOT_RUN,
        "equivalence__norse": NORSE_NOT_RUN,
        "generation__same_images": [IMAGE_NOT_RUN],
        "generation__published": None,
        "generation__tokens__elbo_ann": None,
        "generation__samples": {"float": NOT_MEASURED, "int8": NOT_MEASURED, "ann": NOT_MEASURED},
        "generation__floors": {"fad": None, "classifier_frechet": None},
        "generation__programs": [program("denoiser", "", 31.0, None)],
        "fit__cores_placed": None,
    },
    "mismatch": {"generation__same_images": [PARTED, same_image("reference")]},
    "nothing at all": {
        "layers": [],
        "reconstruction_layers": [],
        "energy": {},
        "generation__programs": [],
        "generation__same_images": [],
        "generation__samples": {},
        "generation__published": [],
        "generation__per_image__joule": {},
    },
    "huge": {
        "generation__programs": [program("p" * 150, "x" * 300, 1e300, 10**30, neurons=10**400)],
        "generation__same_images": [same_image("lava", neuron_steps=10**30, images=10**12, seconds=1e9)],
        "generation__exchange__spikes_written": 1e300,
        "generation__per_image__sops_mean": 1e300,
        "generation__tokens__perplexity": 1e12,
        "generation__evaluations": 1e9,
    },
    "hostile": {
        "layers": [layer(EVIL, [2], 0.5, 0) | {"program": EVIL, "runs": 2.5}],
        "reconstruction_layers": [layer(EVIL, [2], 0.5, 0)],
        "generation__programs": [program(EVIL, EVIL, 2.5, 3)],
        "generation__same_images": [same_image(EVIL, equal=False, reason=EVIL)],
        "generation__host_share_note": EVIL,
        "generation__samples": {EVIL: sample_quality(1.0, 2.0, 0.5)},
        "generation__published": [{"dataset": EVIL, "fid": 1.0, "note": EVIL}],
        "generation__paper_fid": {"available": False, "reason": EVIL},
        "generation__per_image__joule": {EVIL: {"mean": 1.0, "ci95": 0.0}},
    },
}
DENOISING_EXTREMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "nothing ran": {
        "equivalence__lava": LAVA_NOT_RUN,
        "equivalence__norse": NORSE_NOT_RUN,
        "fidelity": {"available": False, "reason": "torch-fidelity is not installed"},
        "generation__same_images": [IMAGE_NOT_RUN],
        "generation__published": None,
        "generation__noise__mse_ann": None,
        "generation__samples": {"float": NOT_MEASURED, "int8": NOT_MEASURED, "ann": NOT_MEASURED},
        "generation__programs": [program("denoiser", "", 50.0, None)],
        "generation__evaluation_energy": None,
        "fit__cores_placed": None,
    },
    "nothing at all": {
        "layers": [],
        "energy": {},
        "generation__programs": [],
        "generation__same_images": [],
        "generation__samples": {},
        "generation__published": [],
        "generation__evaluation_energy": [],
        "generation__per_image__joule": {},
    },
    "huge": {
        "generation__sampler__steps": 10**30,
        "generation__sampler__diffusion_steps": 10**30,
        "generation__sampler__threshold": 1e300,
        "generation__noise__images": 10**30,
        "generation__noise__mse_float": 1e300,
        "generation__noise__mse_int8": 1e-300,
        "generation__noise__gap_percent": 1e6,
        "generation__evaluation_energy": [accounting("t" * 150, note="n" * 300, snn_joule=1e300)],
    },
    "hostile": {
        "layers": [layer(EVIL, [2], 0.5, 0) | {"program": EVIL, "runs": 2.5}],
        "generation__programs": [program(EVIL, EVIL, 2.5, 3)],
        "generation__same_images": [same_image(EVIL, equal=False, reason=EVIL)],
        "generation__sampler__threshold": 0.5,
        "generation__sampler__threshold_note": EVIL,
        "generation__evaluation_energy": [accounting(EVIL, note=EVIL)],
        "generation__published": [{"dataset": EVIL, "fid": 1.0, "note": EVIL}],
    },
}
UNDEFINED = {"mae_interval": None, "pearson": None, "snr": None, "trusted": 0, "mae_trusted": None}
PULSE_EXTREMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "nothing ran": {
        "equivalence__lava": LAVA_NOT_RUN,
        "equivalence__norse": NORSE_NOT_RUN,
        "pulse__host": [
            {"precision": "float32", "by_video": scores(0.081), "reason": ""},
            {"precision": "int8", "by_video": None, "reason": "no quantised host; run `spikewright deploy`"},
        ],
        "fit__cores_placed": None,
    },
    "nothing at all": {
        "layers": [],
        "energy": {},
        "pulse__ablations": [],
        "pulse__ablation_whole": None,
        "pulse__rates": [],
        "pulse__host": [],
        "pulse__published": [],
        "pulse__stream": None,
        "pulse__rows": [row("float", 0.072, 2.7), row("int8", 0.081, 2.7)],
    },
    "one video": {
        "pulse__rows": [row("float", 0.072, 2.7, **UNDEFINED), row("int8", 0.081, 2.7, **UNDEFINED)],
        "pulse__videos": 1,
        "pulse__clips": 1,
        "pulse__stream__chip": EVIL,
        "pulse__stream__obstacles": [EVIL, "no room"],
        "pulse__stream__cores": None,
    },
    "huge": {
        "pulse__rows": [row("float", 1e300, 1e300), row("int8", 1e300, 1e300)],
        "pulse__gap_bpm": 0.0,
        "pulse__videos": 10**30,
        "pulse__ablation_whole": None,
        "pulse__ablations": [ablation("the " + "x" * 150, 1e300, -1.0, 1.863)],
        "pulse__rates": [population("p" * 150, 1.0)],
        "pulse__energy__block_ratio": 1e300,
        "pulse__energy__host_macs": 10**30,
        "pulse__exchange_bytes": 1e300,
        "pulse__stream__sops_per_token": 1e300,
        "pulse__stream__behind_frames": [0, 10**30],
        "pulse__stream__neuron_steps": 10**30,
        "pulse__stream__differing": 10**30,
    },
    "hostile": {
        "layers": [layer(EVIL, [2], 0.5, 0)],
        "pulse__data": EVIL,
        "pulse__ablation_whole": None,
        "pulse__ablations": [ablation(EVIL, 1.0, 0.8, 0.0)],
        "pulse__rates": [population(EVIL, 0.9)],
        "pulse__host": [{"precision": "int8", "by_video": None, "reason": EVIL}],
        "pulse__energy__other_stem": EVIL,
        "pulse__published": [
            pulse_data()["published"][0] | {"method": EVIL, "trained_on": EVIL, "tested_on": EVIL}
        ],
        "pulse__published_source": EVIL,
        "pulse__stream": None,
        "pulse__stream_reason": EVIL,
        "pulse__published_energy": EVIL,
    },
}
