"""Captioning: a marketplace title, a description and attributes, from the chosen captioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.stages.resources import Resources
from agents.stages.stage import FallbackResult, Outcome, Stage
from storage.artifacts.store import ArtifactStore
from streams.events.models import Captioned, ImageValidated
from streams.stages.registry import CAPTIONING

Items = Sequence[int | None]
Described = Captioned | FallbackResult | Exception


class Captioner(Protocol):
    """Describes garments. Blocking and thread-safe.

    Captions name ``model_id`` as their model. ``version`` is part of the key under which captions
    are cached: an implementation must change it when its model, prompt or rules change. It does not
    change when a server replaces a model under the same name.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def describe(
        self, contents: Sequence[str], artifacts: ArtifactStore, items: Items = ()
    ) -> Sequence[Described]:
        """Return a caption or an exception for each SHA-256 of ``contents``, in order.

        ``items`` has the index of the garment to describe for each photo, None for the main one;
        without ``items``, each caption describes the main one.
        """
        ...

    def warm_up(self) -> None:
        """Load what the first photo needs."""
        ...


def captioning_stage(
    captioner: Captioner, *, batch: int = 8, timeout_s: float = 60.0, threads: int = 0
) -> Stage:
    """Build the stage; ``threads`` is for a captioner that waits for another machine."""

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> Sequence[Outcome]:
        contents = [event.sha256 for event in events]
        items = [event.wanted_item for event in events]
        if all(item is None for item in items):
            return captioner.describe(contents, artifacts)
        return captioner.describe(contents, artifacts, items)

    def given(event: ImageValidated) -> str:
        return "" if event.wanted_item is None else f"item{event.wanted_item}"

    return Stage.of(
        CAPTIONING,
        version=captioner.version,
        handle=handle,
        given=given,
        batch=batch,
        timeout_s=timeout_s,
        threads=threads,
        warm_up=captioner.warm_up,
    )


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    chosen = resources.captions
    return captioning_stage(
        chosen.captioner,
        batch=chosen.batch,
        timeout_s=chosen.timeout_s,
        threads=chosen.threads,
    )
