"""The compute floor: the stage functions in a loop, without a broker and a job store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uuid_utils

from agents.stages.stage import CachedResult, FallbackResult, Stage
from lookstream.settings import Settings
from lookstream.wiring.stages import StageBuilder
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from streams.events.models import Event, ImageSubmitted, Source, StageResult
from streams.stages.registry import PIPELINE


class Floor:
    """All seven stages, called one after another for each photo."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        names = [node.name for node in PIPELINE]
        self._stages = StageBuilder(settings).build(names)
        self._artifacts: ArtifactStore = DirectoryArtifacts(folder, LinkSigner(b"-" * 32, ""))
        for stage in self._stages:
            if stage.warm_up:
                stage.warm_up()

    def throughput(self, photos: Sequence[bytes], threads: int) -> float:
        """Return photos/s with ``threads`` threads."""
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self.one, photos))
        return len(photos) / (time.perf_counter() - began)

    def one(self, photo: bytes) -> float:
        """Run every stage on a photo; return the duration in seconds."""
        began = time.perf_counter()
        job_id = str(uuid_utils.uuid7())
        self._artifacts.put(keys.incoming(job_id), photo)
        events: dict[str, Event] = {
            "image-submitted": ImageSubmitted(
                job_id=job_id, source=Source(object=keys.incoming(job_id))
            )
        }
        digest = hashlib.sha256(photo).hexdigest()
        for stage in self._stages:
            events[stage.emits.topic] = self._run(stage, events[stage.consumes.topic], digest)
        return time.perf_counter() - began

    def _run(self, stage: Stage, event: Event, digest: str) -> StageResult:
        outcome = stage.handle([event], self._artifacts)[0]
        if isinstance(outcome, Exception):
            raise outcome
        payload = outcome.payload if isinstance(outcome, CachedResult | FallbackResult) else outcome
        return stage.emits.model_validate(
            {"job_id": event.job_id, "sha256": digest, **payload.model_dump()}
        )
