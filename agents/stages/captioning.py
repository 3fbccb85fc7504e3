"""A marketplace caption of the garment, and what it rests on, by whichever captioner is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.stages.stage import FallbackResult, Outcome, Stage
from storage.artifacts.store import ArtifactStore
from streams.events.models import Captioned, ImageCaptioned, ImageValidated

# What the captioning stage needs of whoever looks at the photos.
Described = Captioned | FallbackResult | Exception


class Captioner(Protocol):
    """Describes garments. Blocking and thread-safe.

    ``model_id`` is what its captions name as their model; ``version`` changes whenever the same
    photo would be described in another way.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> Sequence[Described]:
        """Return a caption or an exception for each SHA-256 of ``contents``, in order."""
        ...

    def warm_up(self) -> None:
        """Do now what would make the first photo wait."""
        ...


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
