"""Runs lava-dl's own netx on the files of a folder: ``python netx_child.py FOLDER``.

Each ``N.net`` comes with ``N.npz`` (``raster`` of global steps, or ``bias`` of an input with neurons; ``steps``;
``arguments`` for ``netx.hdf5.Network`` as JSON) and gets ``N.out.npz``: spikes of each layer (steps, neurons) in C order
of (channels, height, width), or the ``error`` with which netx refused the file.
"""

# Lava carries no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from spikewright.hardware.lava import child, compat

# lava-dl imports object detection and its drawing along with netx, which needs neither.
sys.modules.update({name: MagicMock() for name in ("cv2", "torchvision", "torchvision.ops")})
child._name_segments()  # so that the parent can sweep up shared memory after a kill
compat.prepare()

from lava.lib.dl import netx  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402


def run(path: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Spikes of each layer."""
    steps = int(job["steps"])
    try:
        network = netx.hdf5.Network(net_config=str(path), **json.loads(str(job["arguments"])))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if "bias" in job:
        layer = network.in_layer
        layer.neuron.bias_mant.init = job["bias"].reshape(layer.shape[::-1]).T.astype(np.int32)
    else:
        raster = job["raster"].reshape(steps, *network.inp.shape[::-1]).T.astype(np.int32)
        source = Source(data=raster)
        source.s_out.connect(network.inp)
    sinks = []
    for layer in network.layers:
        sinks.append(Sink(shape=layer.out.shape, buffer=steps))
        layer.out.connect(sinks[-1].a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    spikes = {f"layer{i}": sink.data.get().T.reshape(steps, -1) for i, sink in enumerate(sinks)}
    network.stop()
    return spikes


def main(folder: Path) -> None:
    """Run every file."""
    for path in sorted(folder.glob("*.net")):
        with np.load(path.with_suffix(".npz")) as archive:
            job = dict(archive)
        np.savez(path.with_suffix(".out.npz"), **run(path, job))


if __name__ == "__main__":
    status = 1
    try:
        main(Path(sys.argv[1]))
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Lava's processes are not waited for: they may never end
