"""What a recipe says of quantisation and deployment."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from .export.formats import PAYLOAD_BITS, PAYLOAD_BITS_MAX, PAYLOAD_BITS_MIN
from .models.recipe import Section

#: How the analogue stream between the blocks of a U-Net gets onto a chip; see :class:`UNetDeployRecipe`.
Residual: TypeAlias = Literal["unrolled", "graded"]


class QuantiseRecipe(Section):
    """How floats become integers.

    Attributes
    ----------
    bits : int
        Weight bits with sign, 2 to 8.
    per_channel : bool or "auto"
        A scale for each output channel; ``auto`` where the chip allows thresholds a neuron.
    calibration_images : int
        Training images that calibration sees.
    tune : int
        Iterations of fine-tuning weights for their bits; 0 for none.
    tuning_images : int
        Training images (or clips) that fine-tuning sees, at most; with few of them it learns those by heart. Where a model
        adds noise, fewer images are shown again with other noise until there are so many.
    operations_penalty : float
        What synaptic operations cost fine-tuning: all that there are to begin with as much as this error, relative to the
        variance of the outputs.
    """

    bits: Annotated[int, Field(ge=2, le=8)] = 8
    per_channel: bool | Literal["auto"] = "auto"
    calibration_images: PositiveInt = 512
    tune: NonNegativeInt = 0
    tuning_images: Annotated[int, Field(ge=8)] = 16384
    operations_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _penalty_is_of_tuning(self) -> QuantiseRecipe:
        if self.operations_penalty and not self.tune:
            raise ValueError("operations_penalty: is of fine-tuning; set tune to its iterations, such as 600")
        return self


class DeployRecipe(Section):
    """What is deployed on, and how much of it is checked.

    Attributes
    ----------
    chip : str
        A known chip or the path of a chip description.
    energy : tuple of str
        Paths of energy models of one's own; one that has the name of a shipped model replaces it.
    norse_images, reference_images, lava_images : int
        Test images that each comparison runs; for Lava at least 4 by default.
    lava_seconds : int
        Time limit of the Lava run.
    generated_images : int
        Images drawn from the prior for the quality of samples.
    threshold_scale : float
        Factor on all firing thresholds (threshold guidance); 1 is as trained.
    test_images : int, optional
        First test images that quality and counts are taken over; all of them by default.
    """

    chip: str = "loihi2"
    energy: tuple[str, ...] = ()
    threshold_scale: Annotated[float, Field(gt=0)] = 1.0
    norse_images: PositiveInt = 8
    reference_images: PositiveInt = 16
    lava_images: PositiveInt = 4
    lava_seconds: PositiveInt = 600
    generated_images: PositiveInt = 1000
    test_images: PositiveInt | None = None


class DiffusionDeployRecipe(DeployRecipe):
    """Deployment of a diffusion.

    Attributes
    ----------
    temperature : float
        Divides the logits when tokens are drawn.
    refinements : int
        How often half of a drawn grid is hidden and drawn again; 0 is the published sampler.
    lava_generations : int
        Images that are generated on Lava as well.
    lava_evaluations : int, optional
        So many of an image's first evaluations are repeated there; all by default.
    bound_grids : int
        Test grids that the variational bound is estimated on.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    refinements: NonNegativeInt = 0
    lava_generations: PositiveInt = 2
    lava_evaluations: PositiveInt | None = None
    bound_grids: PositiveInt = 2000


class UNetDeployRecipe(DeployRecipe):
    """Deployment of an SDDPM.

    Attributes
    ----------
    sampler : str
        ``ddim``, deterministic, or ``ddpm``, which visits every index of the diffusion.
    sampling_steps : int
        Evaluations of the network an image, by DDIM.
    lava_generations, lava_sampling_steps : int
        Images that are generated on Lava as well, in so many steps of DDIM.
    noise_images : int
        Test images that the error of the noise is taken over.
    residual : str
        The analogue stream between blocks: ``unrolled`` into synapses from the spikes that it is made of, or ``graded``,
        held by relays that send it on as values of spikes, on a chip that has such.
    payload_bits : int
        Bits of such a value at most, sign included.
    """

    sampler: Literal["ddim", "ddpm"] = "ddim"
    sampling_steps: PositiveInt = 50
    lava_generations: PositiveInt = 2
    lava_sampling_steps: PositiveInt = 3
    noise_images: PositiveInt = 2000
    residual: Residual = "unrolled"
    payload_bits: Annotated[int, Field(ge=PAYLOAD_BITS_MIN, le=PAYLOAD_BITS_MAX)] = PAYLOAD_BITS


class PulseDeployRecipe(DeployRecipe):
    """Deployment of a Spiking-PhysFormer; what is counted as images elsewhere are clips.

    Attributes
    ----------
    videos : int
        Test videos that heart rates are judged on.
    """

    norse_images: PositiveInt = 2
    reference_images: PositiveInt = 4
    lava_images: PositiveInt = 2
    lava_seconds: PositiveInt = 900
    videos: PositiveInt = 200
