"""Use the shipped network if the chosen model fails."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from agents.stages.captioning import Captioner, Described, Items
from agents.stages.errors import StageError
from agents.stages.stage import FallbackResult
from storage.artifacts.store import ArtifactStore
from streams.events.models import Captioned

log = structlog.get_logger()


class FallbackCaptioner:
    """Returns ``chosen``'s captions. If ``chosen`` is unavailable, refuses a photo, or gives an
    invalid answer, it returns ``local``'s caption as a `FallbackResult` that names ``local`` as its
    model."""

    def __init__(self, chosen: Captioner, local: Captioner) -> None:
        self.model_id = chosen.model_id
        self.version = chosen.version
        self._chosen = chosen
        self._local = local

    def describe(
        self, contents: Sequence[str], artifacts: ArtifactStore, items: Items = ()
    ) -> list[Described]:
        found = list(self._chosen.describe(contents, artifacts, *([items] if items else [])))
        silent = [n for n, one in enumerate(found) if isinstance(one, StageError)]
        if silent:
            log.warning(
                "captioner_fell_back",
                model=self.model_id,
                photos=len(silent),
                reasons=sorted({str(found[n]) for n in silent}),
            )
            wanted = [[items[n] for n in silent]] if items else []
            spoken = self._local.describe([contents[n] for n in silent], artifacts, *wanted)
            for n, one in zip(silent, spoken, strict=True):
                found[n] = FallbackResult(one) if isinstance(one, Captioned) else one
        return found

    def warm_up(self) -> None:
        self._chosen.warm_up()
        self._local.warm_up()
