"""The REST representation of a job from the job store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.views import examples
from gateway.views.jobs import job_view
from gateway.views.models import (
    JobListView,
    JobView,
    PredictionView,
    RunView,
    Shape,
    SimilarListView,
    SubmissionView,
    UploadView,
)
from storage.jobs.documents import parse_cursor
from storage.jobs.store import Job, StageError, StageState
from streams.events.embedding import SIZE, encode
from streams.stages.declaration import StageDeclaration
from streams.stages.registry import BUILT_IN

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB_ID = "01a20801-845d-768b-82dd-f448762e99cb"
SHA = "ab" * 32
BOX = {"left": 0.1, "top": 0.0, "right": 0.9, "bottom": 0.4}
STAGES = tuple(stage.name for stage in BUILT_IN)
RESULTS: Mapping[str, Mapping[str, Any]] = {
    "validation": {
        "sha256": SHA,
        "perceptual_hash": "0f",
        "original": f"originals/{SHA}",
        "working": f"working/{SHA}.jpg",
        "width": 3000,
        "height": 4000,
        "format": "JPEG",
        "bytes": 123456,
        "animated": False,
    },
    "captioning": {
        "caption": "Red floral midi dress",
        "description": "A midi dress.",
        "attributes": {"colour": {"value": "red", "confidence": 0.9}},
        "needs_review": True,
        "item": 0,
        "model": "captioner@2",
    },
    "classification": {
        "top5": [{"label": "dress", "probability": 0.6}],
        "items": [
            {
                "type": "dress",
                "colour": None,
                "box": {"left": 0, "top": 0, "right": 1, "bottom": 0.5},
                "confidence": 0.6,
            }
        ],
        "model": "classifier@1",
    },
    "pose": {
        "sha256": SHA,
        "subject": "worn",
        "keypoints": [{"name": "neck", "x": 0.5, "y": 0.1, "confidence": 0.8}],
        "box": BOX,
        "cutout": f"cutouts/{SHA}/v1.png",
        "model": "pose@3",
    },
    "shots": {
        "sha256": SHA,
        "shots": [
            {
                "label": "neck",
                "key": f"shots/{SHA}/1/n.jpg",
                "box": BOX,
                "reason": "collar",
                "confidence": 0.7,
            }
        ],
    },
    "thumbnailing": {
        "sha256": SHA,
        "thumbnails": [{"width": 96, "height": 128, "key": f"thumbnails/{SHA}/t.jpg"}],
        "thumbhash": "aGFzaA==",
    },
    "annotation": {"sha256": SHA, "key": f"annotated/{SHA}/a.jpg", "width": 1000, "height": 1333},
}


def job(**changes: Any) -> Job:
    fresh = Job(
        job_id=JOB_ID,
        run=1,
        lane="interactive",
        status="pending",
        source={"object": f"incoming/{JOB_ID}"},
        owner=None,
        group=None,
        wanted=STAGES,
        metadata={},
        idempotency_key=None,
        force=False,
        submitted_at=NOW,
        updated_at=NOW,
    )
    return replace(fresh, **changes)


def done(result: Mapping[str, Any], run: int = 1, **changes: Any) -> StageState:
    return replace(
        StageState("completed", run, 1, started_at=NOW, finished_at=NOW, result=result), **changes
    )


def shown(of: Job) -> dict[str, Any]:
    return job_view(of, lambda key, filename="": f"link:{key}").model_dump(mode="json")


FOREIGN = (
    "uploads/01a20801-0000-7000-8000-000000000001",
    f"originals/{SHA}",
    f"results/{SHA}/validation@1.json",
    f"claims/{SHA}/{JOB_ID}",
    f"thumbnails/{'cd' * 32}/128x128.jpg",
    f"shots/{SHA}/../../uploads/x",
    f"annotated/{SHA}",
    "",
)


@pytest.mark.parametrize("key", FOREIGN)
def test_only_keys_of_the_jobs_own_content_are_signed(key: str) -> None:
    """A result in the job store may come from a forged event."""
    forged: dict[str, Mapping[str, Any]] = {
        **RESULTS,
        "validation": {**RESULTS["validation"], "original": key, "working": key},
        "pose": {**RESULTS["pose"], "cutout": key},
        "shots": {**RESULTS["shots"], "shots": [{**RESULTS["shots"]["shots"][0], "key": key}]},
        "thumbnailing": {
            **RESULTS["thumbnailing"],
            "thumbnails": [{"width": 96, "height": 128, "key": key}],
        },
        "annotation": {**RESULTS["annotation"], "key": key},
    }
    signed: list[str] = []

    def link(asked: str, filename: str = "") -> str:
        signed.append(asked)
        return "link"

    stages = {name: done(result) for name, result in forged.items()}
    view = job_view(job(status="completed", stages=stages), link)
    assert signed == [f"working/{SHA}.jpg"]
    assert (view.shots, view.thumbnails, view.annotated, view.cutout) == ([], [], None, None)


def test_a_fresh_job_has_every_field_and_nothing_in_it() -> None:
    view = shown(job())
    assert view["status"] == "pending"
    assert list(view["stages"]) == list(STAGES)
    assert view["stages"]["pose"] == {
        "status": "pending",
        "run": 1,
        "attempts": 0,
        "started_at": None,
        "finished_at": None,
        "reused": False,
    }
    assert "error" not in view
    for name in ("caption", "pose", "annotated", "cutout", "original", "thumbhash"):
        assert view[name] is None
    for name in ("top5", "shots", "thumbnails"):
        assert view[name] == []
    for name in ("attributes", "models", "results"):
        assert view[name] == {}
    assert view["links"] == {"self": f"/v1/jobs/{JOB_ID}", "page": f"/#{JOB_ID}"}


def test_a_completed_job_has_every_result_and_its_links() -> None:
    stages = {name: done(result) for name, result in RESULTS.items()}
    view = shown(job(status="completed", stages=stages))
    assert view["caption"] == "Red floral midi dress"
    assert view["needs_review"] is True
    colour = {"value": "red", "confidence": 0.9, "needs_review": False}
    assert view["attributes"] == {"colour": colour}
    assert view["top5"] == [{"label": "dress", "probability": 0.6}]
    assert view["pose"]["subject"] == "worn"
    assert view["pose"]["box"] == BOX
    assert view["cutout"] == {"url": f"link:cutouts/{SHA}/v1.png"}
    assert view["shots"] == [
        {
            "url": f"link:shots/{SHA}/1/n.jpg",
            "label": "neck",
            "box": BOX,
            "reason": "collar",
            "confidence": 0.7,
        }
    ]
    assert view["thumbnails"] == [
        {"url": f"link:thumbnails/{SHA}/t.jpg", "width": 96, "height": 128}
    ]
    assert view["annotated"] == {
        "url": f"link:annotated/{SHA}/a.jpg",
        "width": 1000,
        "height": 1333,
    }
    original = {"url": f"link:working/{SHA}.jpg", "width": 3000, "height": 4000, "sha256": SHA}
    assert original.items() <= view["original"].items()
    assert view["models"] == {
        "captioning": "captioner@2",
        "classification": "classifier@1",
        "pose": "pose@3",
    }
    assert view["stages"]["shots"]["finished_at"] == "2026-01-02T03:04:05Z"
    assert view["results"] == {}


def test_no_link_leads_to_the_untouched_file() -> None:
    """Jobs of earlier versions, and photos that cannot be copied in full size, have no copy."""
    for copy_format, expected in (
        (None, f"link:working/{SHA}.jpg"),
        ("PNG", f"link:copies/{SHA}/photo.png"),
    ):
        result = {**RESULTS["validation"], "copy_format": copy_format}
        view = shown(job(stages={"validation": done(result)}))
        assert view["original"]["url"] == expected
        assert "originals/" not in str(view)


def test_a_failed_stage_leaves_the_others_results() -> None:
    error = StageError("pose", "error", "stage-failed", "it broke", "a trace that is ours alone")
    stages = {
        "validation": done(RESULTS["validation"], reused=True),
        "captioning": done(RESULTS["captioning"]),
        "pose": StageState("failed", 1, 3, finished_at=NOW, error=error),
        "shots": StageState("skipped", 1, finished_at=NOW, error=error),
    }
    view = shown(job(status="failed", stages=stages, error=error))
    failure = {"stage": "pose", "code": "stage-failed", "message": "it broke"}
    assert view["error"] == failure
    assert view["stages"]["pose"]["error"] == failure
    assert view["stages"]["pose"]["attempts"] == 3
    assert view["stages"]["shots"]["status"] == "skipped"
    assert view["stages"]["validation"]["reused"] is True
    assert view["caption"] == "Red floral midi dress"
    assert "trace" not in str(view)


def test_results_of_the_run_before_stay_until_the_new_ones_come() -> None:
    stages = {name: done(RESULTS[name]) for name in ("validation", "captioning")}
    stages["validation"] = done(RESULTS["validation"], run=2)
    view = shown(
        job(run=2, status="processing", wanted=("validation", "captioning"), stages=stages)
    )
    assert view["stages"]["validation"]["status"] == "completed"
    assert view["stages"]["captioning"]["status"] == "pending"
    assert view["caption"] == "Red floral midi dress"


def test_stages_not_wanted_this_time_keep_their_state() -> None:
    view = shown(job(run=2, wanted=("validation",), stages={"pose": done(RESULTS["pose"])}))
    assert list(view["stages"]) == ["validation", "pose"]
    assert view["stages"]["pose"]["status"] == "completed"


@pytest.mark.parametrize("declared", BUILT_IN, ids=lambda declared: declared.name)
def test_a_stage_fills_the_fields_that_its_declaration_shows(declared: StageDeclaration) -> None:
    empty = shown(job())
    view = shown(job(stages={declared.name: done(RESULTS[declared.name])}))
    filled = {name for name in empty if view[name] != empty[name]} - {"stages", "models"}
    assert filled == set(declared.shows)


def test_results_of_custom_stages_are_shown_unchanged() -> None:
    stages = {"ironing": done({"creases": 3, "model": "iron@1"})}
    view = shown(job(wanted=("ironing",), stages=stages))
    assert view["results"] == {"ironing": {"creases": 3, "model": "iron@1"}}
    assert view["models"] == {"ironing": "iron@1"}


def test_the_embedding_is_not_in_the_answer() -> None:
    said = {**RESULTS["classification"], "embedding": encode([1.0] * SIZE)}
    view = shown(job(stages={"classification": done(said)}))
    assert view == shown(job(stages={"classification": done(RESULTS["classification"])}))
    assert view["top5"] == said["top5"]


def test_a_result_of_an_unreadable_version_does_not_hide_the_job() -> None:
    stages = {"shots": done({"shots": "changed"}), "captioning": done(RESULTS["captioning"])}
    view = shown(job(stages=stages))
    assert view["shots"] == []
    assert view["caption"] == "Red floral midi dress"


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        (JobView, examples.JOB),
        (JobListView, examples.JOB_LIST),
        (SubmissionView, examples.SUBMISSION),
        (SubmissionView, examples.COMPLETED_UPLOAD),
        (RunView, examples.RUN),
        (SimilarListView, examples.SIMILAR),
        (UploadView, examples.UPLOAD),
        (PredictionView, examples.PREDICTION),
    ],
)
def test_the_documented_examples_have_the_documented_shapes(
    shape: type[Shape], example: dict[str, Any]
) -> None:
    assert shape.model_validate(example).model_dump(mode="json") == example


def test_the_documented_cursor_is_valid() -> None:
    assert parse_cursor(examples.JOB_LIST["cursor"])[1] == examples.JOB_ID


@pytest.mark.parametrize(
    ("filename", "source", "original", "shot"),
    [
        ("shirt-front.jpg", {"object": "incoming/a"}, "shirt-front.jpg", "shirt-front-neck.jpg"),
        ("scan.png", {"object": "incoming/a"}, "scan.jpg", "scan-neck.jpg"),
        (None, {"url": "https://a.example/p/red%20dress.JPG?x"}, "red dress.JPG",
         "red dress-neck.jpg"),
        (None, {"object": "incoming/a"}, "", ""),
    ],
)  # fmt: skip
def test_artifacts_are_saved_under_the_photos_name(
    filename: str | None, source: dict[str, str], original: str, shot: str
) -> None:
    names: dict[str, str] = {}

    def link(key: str, filename: str = "") -> str:
        names[key] = filename
        return key

    stages = {name: done(RESULTS[name]) for name in ("validation", "shots")}
    of = replace(job(status="completed", stages=stages), filename=filename, source=source)
    job_view(of, link)
    assert names[f"working/{SHA}.jpg"] == original
    assert [name for key, name in names.items() if key.startswith("shots/")] == [shot]
