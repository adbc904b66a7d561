"""Write tiny recordings in each of the four layouts."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image
from scipy.io import savemat

from spikewright.models.pulse_data import Recording
from spikewright.models.pulse_data.avi import write_video


def recording(rng, count=12, height=10, width=14, fps=30.0, name="noise", times=None):
    frames = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    pulse = rng.standard_normal(count).astype(np.float32)
    return Recording(name, name, frames, pulse, np.arange(count) / fps if times is None else times)


def dataset_2(folder, made, samples=None):
    write_video(folder / "vid.avi", made.frames, made.fps)
    count = samples or len(made.frames)
    times = made.times if samples is None else np.linspace(made.times[0], made.times[-1], count)
    pulse = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(made.pulse)), made.pulse)
    lines = (pulse, np.full(count, 72.0), times)
    (folder / "ground_truth.txt").write_text(
        "".join("   ".join(f"{v:.7e}" for v in line) + "\n" for line in lines)
    )


def dataset_1(folder, made):
    write_video(folder / "vid.avi", made.frames, made.fps)
    stamps = np.arange(0, 1000 * made.times[-1] + 20, 16)
    rows = [f"{int(ms)},72,98,{2 * ms:g}" for ms in stamps]
    (folder / "gtdump.xmp").write_text("\n".join(rows) + "\n")


def pure(root, name, made, start=1_392_643_993_642_815_000, beside=False, nested=True):
    pictures = root / name / name if nested else root / name
    pictures.mkdir(parents=True)
    stamps = [start + round(time * 1e9) for time in made.times]
    for stamp, frame in zip(stamps, made.frames, strict=True):
        Image.fromarray(frame).save(pictures / f"Image{stamp}.png")
    # The oximeter's stamps lie between the pictures', its wave is a straight line over time.
    oximeter = range(stamps[0] - 7_000_000, stamps[-1] + 20_000_000, 16_000_000)
    package = [
        {"Timestamp": at, "Value": {"waveform": (at - start) / 1e6, "pulseRate": 70}} for at in oximeter
    ]
    content = {"/FullPackage": package, "/Image": [{"Timestamp": at, "Value": {}} for at in stamps]}
    label = root / f"{name}.json" if beside else root / name / f"{name}.json"
    label.write_text(json.dumps(content))
    return label


def ubfc_phys(root, subject, task, made, hz=64):
    write_video(root / subject / f"vid_{subject}_{task}.avi", made.frames, made.fps)
    count = round(hz * len(made.frames) / made.fps)
    values = np.linspace(0, 1, count)
    (root / subject / f"bvp_{subject}_{task}.csv").write_text("".join(f"{value}\n" for value in values))


def mmpd(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"video": made.frames / 255, "GT_ppg": made.pulse[None], "light": "LED-low"})
