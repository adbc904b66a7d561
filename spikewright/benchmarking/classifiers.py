"""Measures an event classifier: it has no ANN twin and no report of its own, but the same three questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..answers import classifier_answers
from ..benchmarks.counting import count, totals
from ..benchmarks.equivalence.verify import (
    agreement,
    check_lava,
    check_norse,
    check_reference,
    first_below,
    not_run,
)
from ..benchmarks.overview.result import check_figure, quality_figure
from ..benchmarks.overview.schema import Activity, Budget, Command, Picture, Result, Size
from ..benchmarks.overview.words import headline
from ..benchmarks.report.checks import backend_check, norse_check
from ..benchmarks.report.markdown import PICTURE_FOLDER
from ..benchmarks.report.schema import Equivalence
from ..deployment import fit_part
from ..export.float_run import run_float
from ..generating.checking import Part
from ..hardware import host
from ..hardware.chip import load_chip
from ..hardware.emulator import Emulator
from ..hardware.fit import fit
from ..hardware.placement import place
from ..lowering import FLOAT, lower
from ..models.classifier_recipe import load_classifier_recipe
from ..models.classifiers import classifier_samples, load_classifier, load_split
from ..progress import Steps
from . import pictures
from .budget import LAVA_SECONDS, LIMITS
from .commands import anew

CHIP, BITS = "loihi2", 8
CALIBRATION = "validation"


def measure(name: str, folder: Path, full: bool, lava: bool, steps: Steps) -> Result:
    """Lower a shipped classifier, check it, and count its right answers; raises where its recordings are missing."""
    network, note = load_classifier(name), load_split(load_classifier_recipe(name), "test").note
    samples, labels = classifier_samples(name)
    inputs32 = samples.astype(np.float32)
    seen, _ = classifier_samples(name, CALIBRATION)
    folder.mkdir(parents=True, exist_ok=True)
    with steps("Export to NIR, quantise, compile"):
        lowered = lower(
            network, seen.astype(np.float32), folder, name=name, timesteps=samples.shape[1], coding="spikes",
            bits=BITS, wide=None, chip=CHIP,
        )  # fmt: skip
    program, chip = lowered.program, load_chip(CHIP)
    inputs, _ = host.encode(program, inputs32)
    with steps(f"Integer program and float network on {len(labels)} recordings"):
        ran = Emulator(program).run(inputs, detail="spikes")
        floats = run_float(lowered.float_graph, inputs32)
    last = program.populations[-1].name
    right = {
        "float": int((floats.spikes[last].sum(1).argmax(1) == labels).sum()),
        "int8": int((ran.counts[last].argmax(1) == labels).sum()),
    }
    some = {who: min(LIMITS[f"{who}_images"][0], len(labels)) for who in ("norse", "reference", "lava")}
    with steps("Checks: norse, reference interpreter, Lava"):
        norse = check_norse(
            network, "forward", lowered.float_graph, folder / FLOAT, inputs32[: some["norse"]]
        )
        reference, _ = check_reference(program, inputs.select(slice(0, some["reference"])))
        on_lava = (
            check_lava(program, inputs.select(slice(0, some["lava"])), LAVA_SECONDS)
            if lava
            else not_run("switched off by --no-lava")
        )
    rows = agreement(floats, program, ran)
    equivalence = Equivalence(
        norse=norse, reference=reference, lava=on_lava, quantisation=rows,
        first_layer_below_99_percent=first_below(rows),
    )  # fmt: skip
    placement = place(program, chip)
    fitted = fit_part(chip, fit(program, chip, placement))
    sums = totals(count(program, ran, len(labels)))
    part = Part("", lowered, network, "forward", "spikes", inputs32[: pictures.SAMPLES], folder)
    with steps("Core map and divergence"):
        pictures.draw_cores(program, chip, folder)
        pictures.draw_divergence(part, folder)
    again = anew(name, folder.parent, full=full, lava=lava)
    quality = [
        quality_figure(
            "accuracy", {key: value / len(labels) for key, value in right.items()}, len(labels), lower_is_better=False
        )
    ]  # fmt: skip
    ran_on = {
        "norse": some["norse"] * norse.ran,
        "Reference": some["reference"],
        "Lava": some["lava"] * on_lava.ran,
    }
    checks = [norse_check(norse, ran_on["norse"])] + [
        backend_check(check, ran_on[who], who, "integer program")
        for who, check in (("Reference", reference), ("Lava", on_lava))
    ]
    return Result(
        system=name,
        dataset=name,
        dataset_note=note,
        sample="recording of events",
        seed=None,
        answers=classifier_answers(right["int8"], right["float"], len(labels), equivalence, fitted),
        headline=headline([], quality),
        quality=quality,
        energy=[],
        size=Size(
            chip=fitted.chip,
            neurons=fitted.neurons,
            synapses=fitted.synapses,
            cores=fitted.cores_placed,
            cores_available=fitted.cores_available,
            binding=fitted.binding,
            weight_bits=BITS,
        ),
        activity=Activity(
            spikes=sums.spikes,
            sops=sums.sops,
            rate=sums.rate,
            ann_macs=None,
            timesteps=program.timesteps,
            latency_steps=program.depth + program.timesteps,
            chip_steps=program.period,
            samples=len(labels),
        ),
        checks=[check_figure(check, ran_on[check.name]) for check in checks],
        budget=[Budget(what="test recordings, accuracy and counts", used=len(labels), full=len(labels))],
        commands=[
            Command(what="every figure of this section, measured again", command=again),
            Command(what="accuracy at every level of this and the other classifier",
                    command="python -m spikewright.benchmarks.classifiers"),
            Command(what="cores and what binds them", command=f"spikewright fit {folder}"),
        ],
        pictures=[
            Picture(name=kind, file=f"{folder.name}/{PICTURE_FOLDER}/{kind}.png", caption=caption, command=command)
            for kind, caption, command in (
                (pictures.CORES, f"Cores of {fitted.chip} that the program takes, by the share of the limit that binds each.",
                 f"spikewright fit {folder} --picture cores.png"),
                (pictures.DIVERGENCE, f"Neurons that spike as in the float network, by layer and time step, on {pictures.SAMPLES} samples.",
                 again),
            )
        ],
        report=None,
    )  # fmt: skip
