"""What a report says of a pulse on a stream: the blocks of one token frame, through which a video goes without clips."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .part import Amount, Count, Part

Frames = Annotated[list[Count], Field(min_length=2, max_length=2)]


class PulseStream(Part):
    """The integers of the clip program, with neurons for one token frame and delays for taps in time."""

    period: Annotated[int, Field(ge=1)] = Field(description="Chip steps from one token frame to the next.")
    token_frames: Annotated[int, Field(ge=1)] = Field(description="Frames of the camera a token frame.")
    neurons: Count
    synapses: Count
    chip: str
    obstacles: list[str] = Field(description="Why it does not fit that chip, in words; empty where it does.")
    cores: Count | None = Field(description="Cores of that chip; None where it has no place.")
    longest_delay: Count = Field(description="Steps.")
    latency_steps: Count = Field(description="From a token frame's first step to the last one of its result.")
    latency_tokens: Count = Field(description="Token frames that the chip takes in meanwhile.")
    behind_frames: Frames = Field(
        description="Least and most frames by which values of the wave are behind the camera."
    )
    sops_per_token: Amount = Field(description="Synaptic operations of a token frame, within windows.")
    outside: Amount = Field(description="Spikes outside of windows over those inside.")
    clips: Annotated[int, Field(ge=1)] = Field(description="Clips streamed between silence and compared.")
    neuron_steps: Count
    differing: Count = Field(description="Neuron steps whose spike is not the clip program's.")

    @model_validator(mode="after")
    def _figures_agree(self) -> Self:
        if self.differing > self.neuron_steps:
            raise ValueError(
                f"`differing` is {self.differing} of {self.neuron_steps} `neuron_steps`; it is a part of them"
            )
        if self.behind_frames[0] > self.behind_frames[1]:
            raise ValueError(f"`behind_frames` are {self.behind_frames}; give the least first")
        if not self.obstacles and self.cores is None:
            raise ValueError("`cores` is missing without `obstacles`; what fits has its place")
        return self
