"""The picture with its five likeliest classes drawn on it."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from agents.stages.stage import Stage, one_by_one
from agents.vision.images.drawing import draw_lines
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import Drawn, ImageAnnotated, ImageClassified, Label

NAME = "annotation"
WIDTH = 1000
_TALLEST = 4000


VERSION = "panel-1"


def annotation_stage(*, timeout_s: float = 60.0) -> Stage:
    """Build the stage. What it draws depends on the classes, so it goes by their model too: a
    replay may bring those of an older one."""

    def work(event: ImageClassified, artifacts: ArtifactStore) -> Drawn:
        with Image.open(
            io.BytesIO(artifacts.get(keys.working(event.sha256))), formats=["JPEG"]
        ) as image:
            picture = annotated(image.convert("RGB"), event.top5)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        key = keys.annotated(event.sha256, f"{VERSION}-{event.model}")
        artifacts.put(key, buffer.getvalue(), content_type="image/jpeg")
        return Drawn(key=key, width=picture.width, height=picture.height)

    return Stage(
        name=NAME,
        consumes=ImageClassified,
        emits=ImageAnnotated,
        payload=Drawn,
        version=VERSION,
        handle=one_by_one(work),
        timeout_s=timeout_s,
        given=lambda event: str(event.model),
    )


def annotated(image: Image.Image, top5: Sequence[Label]) -> Image.Image:
    """Scale ``image`` to 1000 px wide and draw a line such as "dress - 60.0%" for each class.

    A picture more than four times as tall as wide keeps its aspect within 1000 × 4000 px, on
    white; one too flat for the lines gets a white band below for them.
    """
    height = max(1, round(image.height * WIDTH / image.width))
    scaled_width = WIDTH if height <= _TALLEST else max(1, round(WIDTH * _TALLEST / height))
    scaled = image.resize((scaled_width, min(height, _TALLEST)), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (WIDTH, max(scaled.height, _room(len(top5)))), "white")
    canvas.paste(scaled, ((WIDTH - scaled.width) // 2, 0))
    return draw_lines(canvas, [f"{one.label} - {one.probability:.1%}" for one in top5])


def _room(lines: int) -> int:
    return 40 + 26 * lines
