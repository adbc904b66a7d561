"""A program as a network of Lava processes.

Import after :func:`spikewright.hardware.lava.compat.prepare`.
"""

# Lava carries no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.dense.process import Dense
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode

from ...export import formats, linear
from ...export.unroll import unroll
from ..arithmetic import synaptic_sum
from ..program import Population, Program, SynapseGroup
from . import processes
from .job import Job
from .silicon import chip_model

#: Lava's convolution counts in int8: a side (padding included) or number of channels above raises or wraps.
CONV_SIDE = 127
#: Lava's convolution, alone among its synapses, wraps its sums at 24 bits.
CONV_SUM = 1 << 23
#: Messages that a channel holds; none ever holds more than three. Lava's 64 fill a container's shared memory.
CHANNEL_MESSAGES = 8


class Network:
    """The processes of a program, ready to run.

    Parameters
    ----------
    program : Program
        A valid program.
    job : Job
        Where the files of rasters, biases and records are; all of them exist.
    """

    def __init__(self, program: Program, job: Job) -> None:
        self.program = program
        self.job = job
        # Which model computes which process. Lava's own search would execute every file beside a process.
        self.models: dict[Any, type] = {}
        self.root: Any = None
        ports: dict[str, Any] = {}
        for index, source in enumerate(program.sources):
            if program.outputs_of(source.name):
                process = processes.RasterSource(source.size, job.raster(index))
                self.models[process] = processes.RasterSourceModel
                ports[source.name] = process.s_out
        neurons = {p.name: self._neurons(index, p) for index, p in enumerate(program.populations)}
        ports |= {name: lif.s_out for name, lif in neurons.items()}
        for group in program.synapses:
            self._synapses(group, ports[group.source], neurons[group.target].a_in)

    def start(self) -> None:
        """Compile, and start every process."""
        kind = Loihi2HwCfg if self.job.chip else Loihi2SimCfg
        config = kind(select_tag="fixed_pt", exception_proc_model_map=self.models)
        self.root.create_runtime(config, compile_config={"pypy_channel_size": CHANNEL_MESSAGES})

    def run(self, steps: int) -> None:
        """Go on for a number of steps; returns only if every process got there."""
        self.root.run(RunSteps(steps))

    def _compute(self, process: Any, simulated: type) -> None:
        """Choose the model of a process of Lava's: that of its simulation, or of the chip."""
        self.models[process] = chip_model(type(process)) if self.job.chip else simulated

    def _neurons(self, index: int, p: Population) -> Any:
        mantissa, exponent = p.bias_mantissa, p.bias_exponent
        if index in self.job.written:
            mantissa, exponent = (np.load(path)[0] for path in self.job.biases(index)[:2])
        lif: Any
        if p.graded:
            lif = processes.GradedRelay(p, mantissa, exponent)
            self.models[lif] = processes.GradedRelayModel
        else:
            lif = LIFReset(
                shape=(p.size,),
                du=p.current_decay,
                dv=p.membrane_decay,
                vth=p.threshold,
                bias_mant=mantissa,
                bias_exp=exponent,
                reset_interval=self.program.period,
                reset_offset=(self.program.reset_offset(p) + self.job.lead) % self.program.period,
            )
            self._compute(lif, PyLifResetModelBitAcc)
        if index in self.job.written:
            writer = processes.BiasWriter(p.size, *self.job.biases(index))
            self.models[writer] = processes.BiasWriterModel
            writer.mantissa.connect_var(lif.bias_mant)
            writer.exponent.connect_var(lif.bias_exp)
        if self.job.recorded(index):
            self._recorder(index, p, lif)
        return lif

    def _recorder(self, index: int, p: Population, lif: Any) -> None:
        spikes, currents, membranes = self.job.record(index)
        recorder: Any
        if index in self.job.states:
            due = self.job.due(index)
            recorder = processes.StateRecorder(p.size, spikes, currents, membranes, due)
            recorder.u.connect_var(lif.u)
            recorder.v.connect_var(lif.v)
            self.models[recorder] = processes.StateRecorderModel
        else:
            recorder = processes.SpikeRecorder(p.size, spikes)
            self.models[recorder] = processes.SpikeRecorderModel
        lif.s_out.connect(recorder.s_in)
        if self.root is not None:
            self.root.after.connect(recorder.before)
        self.root = recorder

    def _synapses(self, group: SynapseGroup, spikes: Any, target: Any) -> None:
        """Connect by the Lava process that holds the group's map exactly."""
        map_, peak = group.map, (1 << self._message_bits(group)) - 1 or 1
        shared = not group.delay and not self.job.chip
        if shared and isinstance(map_, linear.Conv2d) and conv_is_exact(map_, group.exponent, peak):
            self._convolution(map_, group, spikes, target)
            return
        settings = {
            "weight_exp": group.exponent,
            "num_weight_bits": formats.WEIGHT_BITS,
            "sign_mode": SignMode.MIXED,
            "num_message_bits": self._message_bits(group),
        }
        stored: Any
        synapses: Any
        if isinstance(map_, linear.Dense) and not group.delay:
            stored = formats.MIXED_SIGN_FACTOR * map_.weight.astype(np.int32)
            synapses = Dense(weights=stored, **settings)
            self._compute(synapses, PyDenseModelBitAcc)
        else:
            stored = formats.MIXED_SIGN_FACTOR * unroll(map_).astype(np.int32)
            if group.delay:
                delays = stored.astype(np.int64)
                delays.data[:] = group.delay
                synapses = DelaySparse(weights=stored, delays=delays, max_delay=group.delay, **settings)
                self._compute(synapses, PyDelaySparseModelBitAcc)
            else:
                synapses = Sparse(weights=stored, **settings)
                self._compute(synapses, PySparseModelBitAcc)
        spikes.connect(synapses.s_in)
        synapses.a_out.connect(target)

    def _message_bits(self, group: SynapseGroup) -> int:
        """Zero turns whatever arrives into a spike; graded spikes ask for the bits of their payload."""
        peak = self.program.peaks[group.source]
        graded = any(p.graded for p in self.program.populations if p.name == group.source)
        return 0 if peak == 1 and not graded else peak.bit_length() + graded

    def _convolution(self, map_: linear.Conv2d, group: SynapseGroup, spikes: Any, target: Any) -> None:
        # Lava convolves (flipped), in (width, height, channels), and leaves the exponent to the kernel.
        flipped = map_.weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int64)
        conv = Conv(
            weight=synaptic_sum(flipped, group.exponent),
            input_shape=map_.input_shape[::-1],
            stride=map_.stride[::-1],
            padding=map_.padding[::-1],
            dilation=map_.dilation[::-1],
            groups=map_.groups,
            num_message_bits=self._message_bits(group),
        )
        self.models[conv] = PyConvModelFixed
        spikes.reshape(new_shape=map_.input_shape).transpose(axes=[2, 1, 0]).connect(conv.s_in)
        conv.a_out.transpose(axes=[2, 1, 0]).flatten().connect(target)


def conv_is_exact(map_: linear.Conv2d, exponent: int, peak: int = 1) -> bool:
    """Whether Lava's convolution process computes a map without meeting its own limits."""
    (channels, height, width), (outputs, _, kernel_height, kernel_width) = map_.input_shape, map_.weight.shape
    sides = (
        channels,
        outputs,
        height + 2 * map_.padding[0],
        width + 2 * map_.padding[1],
        map_.dilation[0] * (kernel_height - 1) + 1,
        map_.dilation[1] * (kernel_width - 1) + 1,
        *map_.stride,
    )
    magnitude = np.abs(map_.weight.astype(np.int64)).sum((1, 2, 3)).max(initial=0)
    return max(sides) <= CONV_SIDE and peak * int(synaptic_sum(magnitude, exponent)) < CONV_SUM
