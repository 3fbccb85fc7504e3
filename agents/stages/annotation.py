"""Annotation: the picture with its five most likely classes drawn on it."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from agents.stages.resources import Resources
from agents.stages.stage import Stage, one_by_one, payload_digest
from agents.vision.images.drawing import draw_lines
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import Drawn, ImageClassified, Label
from streams.stages.registry import ANNOTATION

WIDTH = 1000
_TALLEST = 4000


def annotation_stage() -> Stage:
    """Build the stage. The picture depends on the classes, so its key includes a digest of them: a
    replay may bring the classes of an older model."""

    def work(event: ImageClassified, artifacts: ArtifactStore) -> Drawn:
        with Image.open(
            io.BytesIO(artifacts.get(keys.working(event.sha256))), formats=["JPEG"]
        ) as image:
            picture = annotated(image.convert("RGB"), event.top5)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        key = keys.annotated(event.sha256, f"{ANNOTATION.version}-{payload_digest(event)}")
        artifacts.put(key, buffer.getvalue(), content_type="image/jpeg")
        return Drawn(key=key, width=picture.width, height=picture.height)

    return Stage.of(ANNOTATION, handle=one_by_one(work))


def build(_resources: Resources) -> Stage:
    """Build the stage; annotation needs no shared resources."""
    return annotation_stage()


def annotated(image: Image.Image, top5: Sequence[Label]) -> Image.Image:
    """Scale ``image`` to 1000 px wide and draw a line such as "dress - 60.0%" for each class.

    A picture more than four times as tall as wide is scaled to 4000 px high, on a white background
    1000 px wide. A picture too flat for the lines gets a white band below.
    """
    height = max(1, round(image.height * WIDTH / image.width))
    scaled_width = WIDTH if height <= _TALLEST else max(1, round(WIDTH * _TALLEST / height))
    scaled = image.resize((scaled_width, min(height, _TALLEST)), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (WIDTH, max(scaled.height, _room(len(top5)))), "white")
    canvas.paste(scaled, ((WIDTH - scaled.width) // 2, 0))
    return draw_lines(canvas, [f"{one.label} - {one.probability:.1%}" for one in top5])


def _room(lines: int) -> int:
    return 40 + 26 * lines
