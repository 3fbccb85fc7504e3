"""Where a job document has what photos are compared by, the same for every database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from storage.jobs import JobVector

PLACES: Mapping[str, tuple[str, str]] = {
    "sha256": ("validation", "sha256"),
    "model": ("classification", "model"),
    "embedding": ("classification", "embedding"),
}
"""The stage and the field of its result, by the field of `JobVector`."""


def job_vector(
    job_id: str, written_at: str, group: str | None, found: Mapping[str, Any]
) -> JobVector:
    """Return what a row or a document tells; ``found`` is what there is at `PLACES`, and what is
    no text there is nothing."""
    texts = {name: value if isinstance(value, str) else None for name, value in found.items()}
    return JobVector(job_id, datetime.fromisoformat(written_at), group, **texts)
