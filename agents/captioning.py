"""A marketplace caption of the garment, and what it rests on, by whichever captioner is set."""

from __future__ import annotations

from collections.abc import Sequence

from agents.captioners.captioner import Captioner
from agents.stage import Outcome, Stage
from storage.artifacts import ArtifactStore
from streams.events import Captioned, ImageCaptioned, ImageValidated

NAME = "captioning"


def captioning_stage(
    captioner: Captioner, *, batch: int = 8, timeout_s: float = 60.0, threads: int = 0
) -> Stage:
    """Build the stage. ``threads``: see `Stage`; for a captioner that waits for another machine."""

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> Sequence[Outcome]:
        return captioner.describe([event.sha256 for event in events], artifacts)

    return Stage(
        name=NAME,
        consumes=ImageValidated,
        emits=ImageCaptioned,
        payload=Captioned,
        version=captioner.version,
        handle=handle,
        batch=batch,
        timeout_s=timeout_s,
        threads=threads,
        warm_up=captioner.warm_up,
    )
