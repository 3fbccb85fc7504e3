"""Convert stored jobs to their REST models. Pure functions."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar, cast

from pydantic import ValidationError

from gateway.views.marketplaces import listings
from gateway.views.models import (
    Failure,
    JobView,
    Links,
    Original,
    Picture,
    Pose,
    ShotView,
    SimilarView,
    SizedPicture,
    StageView,
    Status,
)
from storage.artifacts import keys, media_types
from storage.artifacts.erasure import content_hash
from storage.jobs.store import Job, StageError, StageState
from streams.events.filenames import stem_of, url_filename
from streams.events.models import (
    Captioned,
    Classified,
    Drawn,
    Payload,
    Posed,
    ShotsTaken,
    Thumbnailed,
    Validated,
)
from streams.stages.registry import BUILT_IN

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "HEIF": (".heic", ".heif", ".hif"),
}
"""The suffixes of files of a format; the first is the usual one."""


class Link(Protocol):
    """Turns a key into a URL, under which browsers save the artifact as ``filename``."""

    def __call__(self, key: str, filename: str = "") -> str: ...


P = TypeVar("P", bound=Payload)

SHOWN = frozenset(stage.name for stage in BUILT_IN if stage.shows)
"""Stages whose payloads fill fields of a job. Payloads of other stages appear under ``results``."""

_KINDS = {stage.name: stage.artifacts for stage in BUILT_IN}


def links(job_id: str) -> Links:
    """Return the links to a job and to its page."""
    return Links(self=f"/v1/jobs/{job_id}", page=f"/#{job_id}")


def job_view(job: Job, link: Link) -> JobView:
    """Return the REST model of a job that is not deleted; ``link`` turns a key into a URL."""
    return JobView(
        job_id=job.job_id,
        status=cast(Status, job.status),
        run=job.run,
        lane=job.lane,
        stages=_stages(job),
        error=_failure(job.error),
        **_texts(job),
        **_pictures(job, link),
        models=_models(job),
        results=_other_results(job),
        source=dict(job.source),
        filename=filename(job),
        group=job.group,
        metadata=dict(job.metadata),
        submitted_at=job.submitted_at,
        updated_at=job.updated_at,
        links=links(job.job_id),
    )


def similar_view(job: Job, similarity: float, link: Link) -> SimilarView:
    """Return the REST model of a job with a similar photo; ``similarity`` is a cosine."""
    captioned = payload(job, "captioning", Captioned)
    return SimilarView(
        job_id=job.job_id,
        similarity=round(similarity, 4),
        caption=captioned.caption if captioned else None,
        filename=filename(job),
        group=job.group,
        **_thumbnails(job, link),
        links=links(job.job_id),
    )


def filename(job: Job) -> str | None:
    """Return the name that the client gave to the photo, or the name in the photo's URL."""
    return job.filename or url_filename(job.source.get("url", ""))


def _derived_name(job: Job, kind: str, key: str) -> str:
    """Return the file name of an artifact, such as ``shirt-front-neck.jpg``; empty without one."""
    name = filename(job)
    return f"{stem_of(name)}-{kind}{PurePosixPath(key).suffix or '.jpg'}" if name else ""


def original_name(job: Job, format_: str) -> str:
    """Return the file name of the original, with a suffix that fits its content."""
    name = filename(job) or ""
    suffixes = SUFFIXES.get(format_, (media_types.extension(format_),))
    return name if not name or name.lower().endswith(suffixes) else stem_of(name) + suffixes[0]


def _stages(job: Job) -> dict[str, StageView]:
    names = dict.fromkeys([*job.wanted, *job.stages])
    return {name: _stage(job, name, job.stages.get(name)) for name in names}


def _stage(job: Job, name: str, state: StageState | None) -> StageView:
    # A wanted stage with the state of an earlier run has not run in this run. REST shows the old
    # result until the new result arrives.
    if state is None or (name in job.wanted and state.run < job.run):
        return StageView(
            status="pending",
            run=job.run,
            attempts=0,
            started_at=None,
            finished_at=None,
            reused=False,
        )
    return StageView(
        status=state.status,
        run=state.run,
        attempts=state.attempts,
        started_at=state.started_at,
        finished_at=state.finished_at,
        reused=state.reused,
        error=_failure(state.error),
    )


def _failure(error: StageError | None) -> Failure | None:
    if error is None:
        return None
    return Failure(stage=error.stage, code=error.code, message=error.message)


def _texts(job: Job) -> dict[str, Any]:
    captioned = payload(job, "captioning", Captioned)
    classified = payload(job, "classification", Classified)
    posed = payload(job, "pose", Posed)
    return {
        "caption": captioned and captioned.caption,
        "description": captioned and captioned.description,
        "attributes": captioned.attributes if captioned else {},
        "needs_review": captioned and captioned.needs_review,
        "listings": listings(captioned) if captioned else {},
        "item": captioned and captioned.item,
        "top5": list(classified.top5) if classified else [],
        "items": list(classified.items) if classified else [],
        "pose": posed
        and Pose(subject=posed.subject, keypoints=list(posed.keypoints), box=posed.box),
    }


def _pictures(job: Job, link: Link) -> dict[str, Any]:
    posed = payload(job, "pose", Posed)
    taken = payload(job, "shots", ShotsTaken)
    drawn = payload(job, "annotation", Drawn)
    return {
        "shots": [
            ShotView(
                url=link(shot.key, _derived_name(job, shot.label, shot.key)),
                **shot.model_dump(exclude={"key"}),
            )
            for shot in (taken.shots if taken else ())
            if _is_own(job, "shots", shot.key)
        ],
        **_thumbnails(job, link),
        "annotated": SizedPicture(
            url=link(drawn.key, _derived_name(job, "annotated", drawn.key)),
            width=drawn.width,
            height=drawn.height,
        )
        if drawn and _is_own(job, "annotation", drawn.key)
        else None,
        "cutout": Picture(url=link(posed.cutout, _derived_name(job, "cutout", posed.cutout)))
        if posed and posed.cutout and _is_own(job, "pose", posed.cutout)
        else None,
        "original": _original(job, payload(job, "validation", Validated), link),
    }


def _is_own(job: Job, stage: str, key: str) -> bool:
    """Tell whether ``key`` is an artifact of the stage, of the content in the stage's result.

    Only such a key is signed. A result of another program, or of an older version without this
    check, may name any object.
    """
    result = job.stages[stage].result or {}
    sha256 = result.get("sha256") or content_hash(job)
    return isinstance(sha256, str) and keys.belongs(key, sha256, _KINDS[stage])


def _thumbnails(job: Job, link: Link) -> dict[str, Any]:
    thumbnailed = payload(job, "thumbnailing", Thumbnailed)
    return {
        "thumbnails": [
            SizedPicture(
                url=link(each.key, _derived_name(job, f"{each.width}x{each.height}", each.key)),
                width=each.width,
                height=each.height,
            )
            for each in (thumbnailed.thumbnails if thumbnailed else ())
            if _is_own(job, "thumbnailing", each.key)
        ],
        "thumbhash": thumbnailed and thumbnailed.thumbhash,
    }


def _original(job: Job, validated: Validated | None, link: Link) -> Original | None:
    """Link the copy in full size; without one, the working copy. Both have no metadata."""
    if validated is None:
        return None
    key = keys.working(validated.sha256)
    if validated.copy_format:
        key = keys.copy(validated.sha256, validated.copy_format)
    return Original(
        url=link(key, original_name(job, validated.copy_format or "JPEG")),
        width=validated.width,
        height=validated.height,
        sha256=validated.sha256,
        format=validated.format,
        bytes=validated.bytes,
        animated=validated.animated,
    )


def _models(job: Job) -> dict[str, str]:
    return {
        name: str(state.result["model"])
        for name, state in job.stages.items()
        if state.result is not None and "model" in state.result
    }


def _other_results(job: Job) -> dict[str, Any]:
    return {
        name: dict(state.result)
        for name, state in job.stages.items()
        if state.result is not None and name not in SHOWN
    }


def payload(job: Job, stage: str, kind: type[P]) -> P | None:
    """Return a stage's payload; None if the payload is missing or unreadable."""
    state = job.stages.get(stage)
    if state is None or state.result is None:
        return None
    try:
        return kind.model_validate(state.result)
    except ValidationError:
        # Another version wrote the payload. The rest of the job must stay readable.
        return None
