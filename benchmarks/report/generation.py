"""What a report says of images that programs make in many runs, the host working between them.

Two ways are known: the host draws tokens, which a last program turns into an image, or it walks down a Gaussian
diffusion, whose noise one program predicts. A generated image is what the counts speak of: all runs of all programs
that it takes. Means over images are floats.
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from .part import Amount, Count, Part

#: Fields of a generation that go with drawn tokens, and those that go with a diffusion's sampler.
TOKEN_FIELDS: Final = ("temperature", "positions", "expected_evaluations", "tokens", "paper_fid")
SAMPLER_FIELDS: Final = ("sampler", "noise")


class Program(Part):
    """One program on the chip: what it is for, and how often an image needs it."""

    name: str
    purpose: str = Field(description="What goes in and what comes out, in a few words.")
    runs: Amount = Field(description="Runs of it a generated image; 0 where it serves reconstructions only.")
    timesteps: Count = Field(description="Time steps of a run.")
    period: Count = Field(description="Steps from one run's begin to the next one's.")
    latency_steps: Count = Field(description="Steps from the first input of a run to its read-out.")
    neurons: Count
    synapses: Count
    cores_placed: Count | None = Field(description="Cores that a placement takes; None where not placed.")


class TokenQuality(Part):
    """How well tokens are chosen and predicted, over the test images."""

    codes: Count = Field(description="Entries of the codebook.")
    used_codes: Count = Field(description="Entries that the float encoder uses on the test images.")
    perplexity: Amount = Field(description="How many equally frequent codes would be as hard to guess.")
    unigram_bits: Amount = Field(description="Entropy of the codes' own frequencies, bits a token.")
    elbo_float: Amount = Field(description="Exact bound, bits a token; the float denoiser.")
    elbo_int8: Amount = Field(description="The same of the integer program, whatever its bit width.")
    elbo_ann: Amount | None = Field(description="The same of the ANN twin, on the tokens of its own encoder.")
    elbo_limit: Amount = Field(
        default=0.02, description="Bits a token by which the integer program's bound may exceed float's."
    )
    within_limit: bool
    masked_accuracy_float: Amount = Field(
        description="Share of hidden positions where the largest logit is the right token."
    )
    masked_accuracy_int8: Amount
    token_agreement: Amount = Field(
        description="Share of hidden positions where the largest logit of integers and floats is the same token."
    )
    encoder_token_agreement: Amount = Field(
        description="Share of positions where the integer encoder chooses the float encoder's code."
    )


class Sampler(Part):
    """How the host walks from Gaussian noise to an image."""

    rule: Literal["ddim", "ddpm"]
    steps: Count = Field(description="Evaluations of the denoiser an image.")
    diffusion_steps: Count = Field(description="Indices of the diffusion that the network was trained on.")
    threshold: Amount = Field(
        description="Factor on all firing thresholds (threshold guidance); 1 is as trained."
    )
    threshold_note: str = Field(description="What the factor means in integer thresholds; may be empty.")
    prediction: Literal["noise", "velocity"] = Field(
        default="noise",
        description="What the network tells of an image: the noise in it, or the velocity that the host forms it from.",
    )


class NoiseQuality(Part):
    """How well noise is predicted: mean squared errors over held-out images."""

    images: Count = Field(description="Test images, each seen at one index of the diffusion.")
    mse_float: Amount
    mse_int8: Amount = Field(description="The same of the integer program, whatever its bit width.")
    mse_ann: Amount | None = Field(description="The same of the ANN twin.")
    gap_percent: float = Field(description="Integer error over float's, minus one, in per cent.")
    limit_percent: Amount = Field(
        default=1.0, description="Per cent by which the integer program's error may exceed float's."
    )
    within_limit: bool


class EvaluationEnergy(Part):
    """What one evaluation of the denoiser costs by one accounting."""

    title: str
    snn_joule: Amount
    ann_joule: Amount
    ratio: float = Field(description="snn_joule / ann_joule.")
    note: str = Field(description="What is charged; may be empty.")


class SampleQuality(Part):
    """Quality of one version's generated images, and of its reconstructions, where it makes any, as SSIM."""

    fad: float | None = Field(description="Frechet autoencoder distance, generated images to test images.")
    classifier_frechet: float | None = Field(
        description="Frechet distance in the features of a classifier, generated images to test images."
    )
    ssim_reconstruction: float | None = Field(
        description="Structural similarity of reconstructions to test images, mean over images; 1 is equal."
    )
    ssim_reconstruction_ci95: Amount | None = Field(
        description="Half width of the 95 % interval over images."
    )


class SampleFloors(Part):
    """What as many real training images as were generated would score."""

    fad: float | None
    classifier_frechet: float | None


class SameImage(Part):
    """The same images generated again by another backend: every spike and every value that the host makes of them held against."""

    backend: str = Field(description="Against what the emulator was held: ``lava`` or ``reference``.")
    images: Count
    evaluations: Count = Field(description="Runs of the denoiser, over all images.")
    chip_steps: Count
    equal: bool | None = Field(description="None when it did not run: not run is not passed.")
    reason: str = Field(
        description="Why it did not run, or where the two first part; empty when they are equal."
    )
    neuron_steps: Count
    differing_spikes: Count
    seconds: Amount
    whole: bool = Field(
        default=True, description="False where only the first evaluations of each image were repeated."
    )


class Exchange(Part):
    """What crosses the border between host and chip for a generated image."""

    spikes_written: Amount
    bias_words_written: Amount
    spikes_read: Amount
    state_words_read: Amount = Field(description="Membranes of read-outs that the host fetches.")
    chip_steps: Amount = Field(description="With steps in which the chip only waits for its next period.")


class PublishedFigure(Part):
    """What the system's authors report for a data set."""

    dataset: str
    fid: Amount
    note: str = Field(description="What must be said with the figure; often how it was computed.")


class PaperFid(Part):
    """FID by the protocol of the system's paper, where Inception and enough images are there."""

    available: bool
    reason: str = Field(description="Why not, and the remedy; empty when available.")
    as_released: float | None = Field(
        default=None,
        description="With the released code's matrix root, which is wrong: to compare with the paper.",
    )
    correct: float | None = Field(default=None, description="The same images with a true matrix root.")


class JouleMean(Part):
    """One energy model's joules of a generated image, over images."""

    mean: Amount
    ci95: Amount = Field(description="Half width of the 95 % interval over images.")


class PerImage(Part):
    """How much generated images differ in what they cost."""

    spikes_mean: Amount
    spikes_ci95: Amount = Field(description="Half width of the 95 % interval over images.")
    sops_mean: Amount
    sops_ci95: Amount
    joule: dict[str, JouleMean] = Field(description="By energy model, as in ``energy``.")


class Generation(Part):
    """Images from nothing: the denoiser runs until every token is drawn, or until no noise is left.

    Exactly one of ``tokens`` and ``sampler`` is given, with the fields that go with it; a file leaves out the others'.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": list(way)} for way in (TOKEN_FIELDS, SAMPLER_FIELDS)]},
    )

    programs: list[Program] = Field(description="In order of data flow.")
    temperature: Amount | None = Field(
        default=None, description="Divides the logits before a token is drawn; with tokens."
    )
    seed: int
    refinements: Count | None = Field(
        default=None,
        description="How often half of all tokens are hidden and drawn again; the published sampler never does.",
    )
    positions: Count | None = Field(default=None, description="Tokens of an image; with tokens.")
    evaluations: Amount = Field(description="Runs of the denoiser a generated image, mean over images.")
    expected_evaluations: Amount | None = Field(
        default=None, description="Their expectation; with tokens, whose drawing leaves some of them out."
    )
    tokens: TokenQuality | None = None
    sampler: Sampler | None = None
    noise: NoiseQuality | None = Field(default=None, description="With a sampler.")
    evaluation_energy: list[EvaluationEnergy] | None = Field(
        default=None, description="One evaluation of the denoiser, by each accounting that was applied to it."
    )
    samples: dict[str, SampleQuality] = Field(description="By version: ann, float, int8.")
    floors: SampleFloors
    same_images: list[SameImage]
    exchange: Exchange
    host_macs: Count = Field(description="Multiply-accumulates that the host computes for a generated image.")
    host_share_note: str = Field(description="What the host computes and what is left out; may be empty.")
    published: list[PublishedFigure] | None = Field(description="None where nothing was published.")
    paper_fid: PaperFid | None = Field(default=None, description="With tokens.")
    per_image: PerImage

    @property
    def has_ssim(self) -> bool:
        """Whether reconstructions of any version were held against their test images by SSIM."""
        return any(row.ssim_reconstruction is not None for row in self.samples.values())

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.tokens is None) == (self.sampler is None):
            raise ValueError("exactly one of `tokens` and `sampler` has to be given")
        ways = {"tokens": TOKEN_FIELDS, "sampler": SAMPLER_FIELDS}
        given, other = ("tokens", "sampler") if self.sampler is None else ("sampler", "tokens")
        for field in ways[given]:
            if getattr(self, field) is None:
                raise ValueError(f"`{field}` goes with `{given}` and is not given")
        for field in ways[other]:
            if getattr(self, field) is not None:
                raise ValueError(f"`{field}` goes with `{other}`, not with `{given}`")
        return self
