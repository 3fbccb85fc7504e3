"""A stage of one's own: the mean colour of each photo."""

from __future__ import annotations

import io
from typing import ClassVar

from PIL import Image, ImageStat

from agents.stages.stage import Stage, one_by_one
from storage.artifacts.store import ArtifactStore
from streams.events.models import ImageValidated, Payload, StageResult


class MeanColour(Payload):
    """What the stage finds out; ``colour`` is ``#rrggbb``."""

    colour: str


class ColourMeasured(MeanColour, StageResult):
    """The event that carries it, on a topic of its own."""

    topic: ClassVar[str] = "colour-measured"


def measure(event: ImageValidated, artifacts: ArtifactStore) -> MeanColour:
    """Look at the working copy: upright, sRGB, at most 1024 px."""
    picture = Image.open(io.BytesIO(artifacts.get(event.working)))
    red, green, blue = (round(mean) for mean in ImageStat.Stat(picture).mean)
    return MeanColour(colour=f"#{red:02x}{green:02x}{blue:02x}")


stage = Stage(
    name="colour",
    consumes=ImageValidated,
    emits=ColourMeasured,
    payload=MeanColour,
    version="mean-1",
    handle=one_by_one(measure),
)
