"""What is known of a point once it has run."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

#: Of the records; another one means that points are measured anew.
SCHEMA: Final = 1


class Part(BaseModel):
    """A table of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Joules(Part):
    """One energy model's figures for a sample; see :class:`spikewright.benchmarks.energy.Energy`."""

    snn_joule: float
    host_joule: float
    ann_joule: float
    ann_int8_joule: float | None
    ratio: float
    break_even_rate: float | None


class Quality(Part):
    """One measure of quality, lower is better, by the chip, the float network and the ANN twin.

    Attributes
    ----------
    measure : str
        What it is, with its unit.
    chip_ci95 : float or None
        Half width of its 95 % interval over samples, where they are judged one by one.
    change_ci95 : float or None
        The same of the chip's less the float network's, sample by sample.
    """

    measure: str
    chip: float
    chip_ci95: float | None
    change_ci95: float | None = None
    float_network: float
    ann: float


class Figures(Part):
    """What a point measured; counts are means for a sample: an image made or reconstructed, or a clip.

    Attributes
    ----------
    quality : list of Quality
        The system's own measure first.
    samples : int
        Test samples that were run.
    evaluations : float
        Runs of the first program for a sample.
    spikes, sops : float
    neuron_updates, host_macs, ann_macs : int
    energy : dict of str to Joules
        By energy model.
    neurons, synapses : int
    cores : int or None
        Cores of the placement; None where some neurons have no place.
    cores_available : int
        Of one chip.
    chips : int or None
        Chips that so many cores fill.
    fits : bool
        On one chip, by all of its rules.
    errors : list of str
        The rules that it breaks.
    binding : str
        The limit that binds most cores.
    timesteps, period, latency_steps : int
        Time steps of a run; steps between samples that stream; steps of the chip for a sample by itself.
    rate : float
        Spikes a neuron and time step.
    rates : dict of str to float
        By population.
    clipped : int
        Input currents beyond the largest bias.
    """

    quality: list[Quality]
    samples: int
    evaluations: float
    spikes: float
    sops: float
    neuron_updates: int
    host_macs: int
    ann_macs: int
    energy: dict[str, Joules]
    neurons: int
    synapses: int
    cores: int | None
    cores_available: int
    chips: int | None
    fits: bool
    errors: list[str]
    binding: str
    timesteps: int
    period: int
    latency_steps: int
    rate: float
    rates: dict[str, float]
    clipped: int


class Failure(Part):
    """Why a point has no figures.

    Attributes
    ----------
    kind : str
        Class of the error.
    text : str
        Its message.
    trace : str
        Where a defect arose; empty for errors that a user can mend.
    """

    kind: str
    text: str
    trace: str = ""


class Record(Part):
    """What a result file holds.

    Attributes
    ----------
    version : int
        Of this layout.
    key : str
        Of what was measured; also the file's name.
    status : str
    figures, failure
        Either, by the status.
    seconds : float
        Wall time of the point.
    worker : str
        Where it ran.
    content : dict
        What the key is the hash of.
    """

    version: Literal[1] = SCHEMA
    key: str
    status: Literal["done", "failed"]
    figures: Figures | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    worker: str = ""
    content: dict[str, object] = {}
