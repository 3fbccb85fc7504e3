"""What is remembered of a source (a URL, an uploaded object): which content it gave."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import Sha256, Source


class SourceRecord(BaseModel):
    """The content that a source gave when it was last asked, and its validators (RFC 9110)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Sha256
    etag: str | None = None
    last_modified: str | None = None


def load_source(source: Source, artifacts: ArtifactStore) -> SourceRecord | None:
    """Return what is remembered of ``source``, or None."""
    try:
        return SourceRecord.model_validate_json(artifacts.get(_key(source)))
    except (ArtifactNotFound, ValidationError):
        return None


def save_source(source: Source, known: SourceRecord, artifacts: ArtifactStore) -> None:
    """Remember what ``source`` gave."""
    data = known.model_dump_json().encode()
    artifacts.put(_key(source), data, content_type="application/json")


def _key(source: Source) -> str:
    return keys.source_memory(source.url or source.object or "")
