"""What a report says, as data: the JSON is the product, pages and pictures are views of it.

Counts and energies are means per sample over ``samples.counted`` samples unless a description says otherwise. Where a
report has a ``generation``, a sample is a generated image: counts are those of all runs of all programs that it takes.
Where it has a ``pulse``, a sample is a clip of video.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from .generation import SAMPLER_FIELDS, TOKEN_FIELDS, Generation
from .part import Amount, Count, Part
from .pulse import Pulse

FORMAT: Final = "spikewright-report"
VERSION: Final = 1
#: Fields that are written only where images are generated in many runs, and of the generation's only what applies.
GENERATION_FIELDS: Final = {
    "Report": ("generation", "reconstruction_layers"),
    "Layer": ("program", "runs"),
    "Generation": (*TOKEN_FIELDS, *SAMPLER_FIELDS, "evaluation_energy", "refinements"),
}
#: Fields of a report that only some systems have: those of images, and that of a pulse.
IMAGE_FIELDS: Final = ("quality", "fidelity")
SYSTEM_FIELDS: Final = (*IMAGE_FIELDS, "pulse")


class Verdict(Part):
    """One of the three answers."""

    status: Literal["yes", "no", "depends", "unknown"]
    text: str = Field(description="One sentence with the figures behind it.")


class Answers(Part):
    """The three questions."""

    same: Verdict = Field(description="Is it still the same answer, and if not, where does it part?")
    fits: Verdict = Field(description="Does it fit, and if not, why?")
    cost: Verdict = Field(
        description="What does it cost? Yes: less than the ANN by every energy model; depends: by some."
    )


class Samples(Part):
    """How many samples stand behind each figure."""

    quality: Count = Field(description="Test images behind the quality figures; 0 where there is a pulse.")
    generated: Count = Field(
        description="Generated images behind the Frechet distance of samples; 0 where there is a pulse."
    )
    counted: Count = Field(
        description="Test images behind spike and operation counts; generated images where there is a generation, clips where there is a pulse."
    )
    norse: Count
    reference: Count
    lava: Count


class QualityRow(Part):
    """Quality of one version of the network."""

    reconstruction_mse: Amount | None = Field(
        description="Mean over pixels in [-1, 1] and test images; None where the system reconstructs nothing.",
    )
    reconstruction_mse_ci95: Amount | None = Field(description="Half width of the 95 % interval over images.")
    fad_reconstruction: float | None = Field(
        description="Frechet autoencoder distance, reconstructions to test images."
    )
    fad_samples: float | None = Field(
        description="Frechet autoencoder distance, generated images to test images."
    )


class Quality(Part):
    """Quality of the ANN twin, the float network, and the integer program (whatever its bit width)."""

    ann: QualityRow
    float_: QualityRow = Field(alias="float")
    int8: QualityRow
    gap_percent: float | None = Field(
        description="Integer reconstruction error over float's, minus one, in per cent; None without reconstructions.",
    )
    within_one_percent: bool | None
    fad_floor: float | None = Field(
        description="Distance of as many real training images as were generated to the test images."
    )
    fad_trace: float | None = Field(
        description="Trace of the real images' feature covariance, to normalise by."
    )
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        rows = (self.ann, self.float_, self.int8)
        figures = [self.gap_percent, self.within_one_percent]
        figures += [
            figure for row in rows for figure in (row.reconstruction_mse, row.reconstruction_mse_ci95)
        ]
        if any(figure is None for figure in figures) and any(figure is not None for figure in figures):
            raise ValueError(
                "reconstruction errors of all versions, their intervals and their gap go together: give all or none"
            )
        return self

    @property
    def reconstructs(self) -> bool:
        """Whether the system reconstructs images at all."""
        return self.gap_percent is not None


class Fidelity(Part):
    """Inception score and FID through torch-fidelity, where it and its weights are installed."""

    available: bool
    reason: str = Field(description="Why not, and the remedy; empty when available.")
    fid: float | None = None
    inception_score: float | None = None


class FirstDifference(Part):
    """Where two runs first part."""

    quantity: str
    population: str
    sample: int
    timestep: int
    neuron: int
    left: int
    right: int


class NorseCheck(Part):
    """Float NIR in norse against snnTorch."""

    ran: bool
    reason: str
    neuron_steps: Count
    spike_mismatches: Count
    explained_by_rounding: Count = Field(
        description="Mismatches whose membrane lies within float rounding of the threshold, and what follows from them."
    )
    smallest_margin: float | None = Field(
        description="Smallest distance of a float membrane from its threshold."
    )
    largest_margin_at_mismatch: float | None
    readout_max_error: float | None


class BackendCheck(Part):
    """The emulator against another backend, on the same integer program."""

    ran: bool
    reason: str = Field(description="Why it did not run; empty when it ran.")
    equal: bool | None = Field(description="None when it did not run: not run is not passed.")
    neuron_steps: Count
    differing_spikes: Count
    compared_states: Count
    differing_states: Count
    first: FirstDifference | None
    seconds: Amount


class LayerAgreement(Part):
    """Integer program against the float network, layer by layer."""

    name: str
    agreement: float = Field(description="Share of neuron steps with the same spike.")
    rate_float: float
    rate_int8: float


class Equivalence(Part):
    """Is it still the same answer?"""

    norse: NorseCheck
    reference: BackendCheck
    lava: BackendCheck
    quantisation: list[LayerAgreement]
    first_layer_below_99_percent: str | None


class ScaleChain(Part):
    """From a float to its integer: one layer's constants."""

    quantity: str
    float_value: float
    integer_value: int
    back: float = Field(description="The integer in float units.")
    error_percent: float


class Layer(Part):
    """One population and the synapses into it; counts per sample, inside its window."""

    name: str
    shape: list[int]
    neurons: Count
    synapses: Count = Field(description="Synapses into the layer: borders and zero weights excluded.")
    stored_weights: Count = Field(description="Distinct weight cells, convolution kernels counted once.")
    spikes: Amount = Field(description="Spikes the layer emits.")
    sops: Amount = Field(description="Synaptic operations in the synapses into the layer.")
    rate: float = Field(description="Spikes a neuron and time step.")
    neuron_updates: Count
    start: Count = Field(description="Steps after which a sample reaches the layer.")
    overhead_spikes: Count | None = Field(
        description="Spikes outside the sample windows, over the whole checked run."
    )
    scales: list[ScaleChain]
    program: str | None = Field(default=None, description="Program that the layer is part of, by its name.")
    runs: Amount = Field(
        default=1.0, description="Runs of that program a sample; spikes, SOPs and updates are of all of them."
    )
    arriving: Amount | None = Field(
        default=None,
        description="Spikes that an input sends in a run, mean over the synapses; None without any.",
    )
    break_even: dict[str, Amount | None] = Field(
        default={},
        description="Spikes arriving at which the layer costs what its connections cost an int8 ANN, by energy model; "
        "None where even silence costs more, nothing arrives, or no int8 ANN is priced.",
    )


class Totals(Part):
    """Sums over layers."""

    neurons: Count
    synapses: Count
    parameters: Count
    spikes: Amount
    sops: Amount
    neuron_updates: Count
    host_macs: Count = Field(description="Multiply-accumulates the host computes for a sample.")
    overhead_spikes: Count | None
    sops_per_mac: float = Field(
        description="Synaptic operations over the ANN baseline's multiply-accumulates."
    )
    graded_sops: Amount = Field(
        default=0.0,
        description="Those of the synaptic operations that multiply a weight by the value of a graded spike.",
    )
    payload_bits: Amount = Field(default=0.0, description="Bits of such values delivered to populations.")


class TwinRun(Part):
    """One figure of the ANN's quality as ONNX Runtime runs it."""

    precision: Literal["float32", "int8"]
    measure: str = Field(description="What is measured; empty where nothing could be.")
    value: float | None
    samples: Count = Field(description="Test samples judged.")
    reason: str = Field(default="", description="Why there is no value.")


class Baseline(Part):
    """The ANN a user would otherwise ship, counted from its ONNX graph."""

    name: str
    macs: Count
    parameters: Count
    nodes: list[dict[str, Any]] = Field(
        description="Name, operator and multiply-accumulates of each counted node."
    )
    runs: list[TwinRun] = Field(
        default=[],
        description="Its quality as ONNX Runtime runs it, in either precision, on the same test samples.",
    )


class Swing(Part):
    """What the SNN costs, as a multiple of the ANN, with one figure of an energy model halved and doubled."""

    figure: str
    smaller: Amount
    larger: Amount


class EnergyRow(Part):
    """One energy model's figures for a sample, in joules."""

    title: str
    snn_joule: Amount = Field(description="Chip and host together.")
    host_joule: Amount
    ann_joule: Amount
    ann_int8_joule: Amount | None = Field(
        description="The same ANN in 8-bit integers, where the model prices it."
    )
    ratio: float = Field(description="snn_joule / ann_joule.")
    break_even_rate: float | None = Field(
        description="Mean spike rate at which the chip would cost what the int8 ANN costs; None if it never does."
    )
    parts: dict[str, float] = Field(description="Joules by contribution; they sum to snn_joule.")
    swings: list[Swing] = Field(
        default=[],
        description="SNN / ANN (in int8 where it is priced) with each figure halved and doubled, largest change first.",
    )
    assumptions: list[str]
    sources: list[str]


class Finding(Part):
    """Something that a check found."""

    severity: Literal["error", "warning", "note"]
    node: str
    rule: str
    detail: str
    remedy: str


class Fit(Part):
    """Does it fit?"""

    chip: str
    neurons: Count
    synapses: Count
    cores_lower_bound: Count = Field(description="Cores that all neurons, or all weights, fill at least.")
    cores_placed: Count | None = Field(default=None, description="Cores that a placement takes.")
    cores_available: Count
    binding: str
    findings: list[Finding]


class Timing(Part):
    """Wall time of this run in seconds, by step, and speeds derived from it."""

    steps: dict[str, float]
    emulator_seconds_per_sample: float
    lava_seconds_per_sample: float | None


class Report(Part):
    """A whole report: of images, made in one run or by a ``generation``, or of a ``pulse``.

    ``quality`` and ``fidelity`` are given exactly where there is no pulse; a file leaves out what does not apply.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {
                    "required": list(IMAGE_FIELDS),
                    "properties": {**{field: {"type": "object"} for field in IMAGE_FIELDS}, "pulse": False},
                },
                {
                    "required": ["pulse"],
                    "properties": {
                        **dict.fromkeys((*IMAGE_FIELDS, "generation"), False),
                        "pulse": {"type": "object"},
                    },
                },
            ]
        },
    )

    format: Literal["spikewright-report"] = FORMAT
    version: Literal[1] = VERSION
    tool: str = Field(description="Name and version of what wrote it.")
    created: str = Field(description="ISO 8601, UTC.")
    model: str
    dataset: str
    dataset_note: str = Field(description="What must be said with every figure; often empty.")
    seed: int
    chip: str
    weight_bits: int
    per_channel_scales: bool
    timesteps: int = Field(description="Of several programs, those of the one that runs most often.")
    period: int
    latency_steps: int = Field(description="Steps from the first input of a sample to its read-out.")
    recipe: dict[str, Any]
    answers: Answers
    samples: Samples
    quality: Quality | None = Field(default=None, description="Of images; absent where there is a pulse.")
    fidelity: Fidelity | None = Field(default=None, description="Of images; absent where there is a pulse.")
    equivalence: Equivalence
    layers: list[Layer]
    totals: Totals
    baseline: Baseline
    energy: dict[str, EnergyRow]
    fit: Fit
    timing: Timing
    files: dict[str, str] = Field(description="Artefacts beside this file, by role.")
    generation: Generation | None = None
    reconstruction_layers: list[Layer] = Field(
        default=[],
        description="Layers that no generated image needs, counted a reconstruction; totals and energy leave them out.",
    )
    pulse: Pulse | None = None

    @model_validator(mode="after")
    def _images_or_pulse(self) -> Self:
        if self.pulse is not None and self.generation is not None:
            raise ValueError("`generation` and `pulse` exclude each other: leave one out")
        for field in IMAGE_FIELDS:
            given = getattr(self, field) is not None
            if given == (self.pulse is not None):
                found = "is given" if given else "is missing"
                raise ValueError(f"`{field}` {found}; it goes with every report but one that has a `pulse`")
        return self
