"""What the tables of a report have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A table of the report."""

    model_config = ConfigDict(extra="forbid")
