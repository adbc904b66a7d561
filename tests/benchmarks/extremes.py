"""Reports that strain the views, as arguments of ``make_report``."""

from __future__ import annotations

from typing import Any

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
