"""Released events stay readable.

``tests/golden/<topic>.v1.json`` are the released records. Never edit them. If a test here fails,
the change breaks producers or consumers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from streams.events import models as events
from streams.events.codec import Decoder
from streams.events.models import (
    Attribute,
    Box,
    DownloadPostponed,
    Event,
    ImageAnnotated,
    ImageCaptioned,
    ImageClassified,
    ImageDownloaded,
    ImageSubmitted,
    ImageThumbnailed,
    ImageValidated,
    JobDeleted,
    JobUpdated,
    Keypoint,
    Label,
    PoseEstimated,
    Shot,
    ShotsCut,
    ShotsPostponed,
    Source,
    StageFailed,
    Thumbnail,
    ValidationPostponed,
)
from tests.golden_records import GOLDEN, golden_record

JOB = "01941f29-7c00-7000-8000-000000000001"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STAGES = (
    "validation",
    "captioning",
    "classification",
    "pose",
    "shots",
    "thumbnailing",
    "annotation",
)
BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TOLD = datetime(2026, 1, 2, 3, 4, 6, 123456, tzinfo=UTC)
RUN = {"job_id": JOB, "run": 2, "lane": "bulk"}
RESULT = {**RUN, "sha256": SHA, "stages": STAGES, "started_at": BEGAN}
LABELS = (("dress", 0.6), ("skirt", 0.2), ("blouse", 0.1), ("coat", 0.06), ("shirt", 0.04))

SUBMITTED = ImageSubmitted(
    **RUN,
    source=Source(url="https://shop.example/dress.jpg"),
    owner="ann",
    group="spring",
    stages=("captioning", "shots"),
    metadata={"sku": "D-7", "sizes": [36, 38], "price": {"eur": 59.9}},
    idempotency_key="upload-17",
    force=True,
)

DOWNLOADED = ImageDownloaded(
    **RUN,
    source=SUBMITTED.source,
    stages=SUBMITTED.stages,
    force=True,
    sha256="ab" * 32,
    etag='"33a64df5"',
    last_modified="Mon, 01 Jan 2024 00:00:00 GMT",
)

POSED = PoseEstimated(
    **RESULT,
    subject="worn",
    keypoints=(
        Keypoint(name="neck", x=0.5, y=0.18, confidence=0.9),
        Keypoint(name="left_shoulder", x=0.62, y=0.22, confidence=0.88),
    ),
    box=Box(left=0.2, top=0.15, right=0.8, bottom=0.9),
    cutout=f"cutouts/{SHA}/blazepose-1.png",
    model="blazepose-1",
)

EXPECTED: tuple[Event, ...] = (
    SUBMITTED,
    DOWNLOADED,
    ValidationPostponed.model_validate(DOWNLOADED.model_dump()),
    DownloadPostponed(
        **{name: getattr(SUBMITTED, name) for name in ImageSubmitted.model_fields},
        due=datetime(2026, 1, 2, 3, 4, 36, 500000, tzinfo=UTC),
        tries=3,
        busy_since=datetime(2026, 1, 2, 3, 4, 6, 500000, tzinfo=UTC),
    ),
    ImageValidated(
        **RESULT,
        perceptual_hash="c3d2e1f0a5b49687",
        original=f"originals/{SHA}",
        working=f"working/{SHA}.jpg",
        width=3000,
        height=4000,
        format="JPEG",
        bytes=2_345_678,
    ),
    ImageCaptioned(
        **RESULT,
        caption="Red cotton dress with short sleeves",
        description="A knee-long red dress, photographed on a wearer.",
        attributes={
            "colour": Attribute(value="red", confidence=0.93),
            "sleeves": Attribute(value="short", confidence=0.71),
        },
        model="garment-net-1",
    ),
    ImageClassified(
        **RESULT,
        top5=tuple(Label(label=label, probability=chance) for label, chance in LABELS),
        model="garment-net-1",
    ),
    POSED,
    ShotsPostponed.model_validate(POSED.model_dump()),
    ShotsCut(
        **RESULT,
        shots=(
            Shot(
                label="neck",
                key=f"shots/{SHA}/1/neck.jpg",
                box=Box(left=0.35, top=0.1, right=0.65, bottom=0.3),
                reason="around the neckline",
                confidence=0.9,
            ),
        ),
    ),
    ImageThumbnailed(
        **RESULT,
        thumbnails=(Thumbnail(width=96, height=128, key=f"thumbnails/{SHA}/128x128.jpg"),),
        thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
    ),
    ImageAnnotated(**RESULT, key=f"annotated/{SHA}/garment-net-1.jpg", width=1000, height=1333),
    StageFailed(
        **RUN,
        stage="validation",
        kind="rejected",
        code="not-an-image",
        message="This is not an image.",
        detail="plain text",
        started_at=BEGAN,
        stages=STAGES,
    ),
    JobDeleted(**RUN),
    JobUpdated(
        **RUN,
        status="failed",
        revision=9,
        updated_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
        group="spring",
        owner="ann",
        stages={"validation": "failed", "captioning": "skipped"},
        error={
            "stage": "validation",
            "code": "not-an-image",
            "message": "This is not an image.",
        },
    ),
)


def released(base: type[Event] = Event) -> Iterator[type[Event]]:
    for model in base.__subclasses__():
        if model.__module__ == events.__name__ and "topic" in vars(model):
            yield model
        yield from released(model)


@pytest.mark.parametrize("event", EXPECTED, ids=lambda event: event.topic)
def test_a_released_record_decodes_to_the_same_event(event: Event) -> None:
    envelope = Decoder([type(event)]).decode(golden_record(event.topic))
    assert envelope.event == event
    assert (envelope.time, envelope.traceparent) == (TOLD, TRACE)


def test_every_event_has_a_golden_record_and_every_record_its_event() -> None:
    topics = {model.topic for model in released()}
    assert topics == {event.topic for event in EXPECTED}
    assert {file.name for file in GOLDEN.glob("*.v*.json")} == {
        f"{name}.v1.json" for name in topics
    }


@pytest.mark.parametrize("model", list(released()), ids=lambda model: model.topic)
def test_only_what_was_required_at_first_is_required_now(model: type[Event]) -> None:
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    golden = next(event for event in EXPECTED if type(event) is model)
    assert required <= golden.model_fields_set


def test_events_are_values() -> None:
    event = EXPECTED[0]
    with pytest.raises(ValidationError, match="frozen"):
        event.run = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["01941F29-7C00-7000-8000-000000000001", "{01941f297c0070008000000000000001}"]
)
def test_a_job_id_has_one_spelling(text: str) -> None:
    assert ImageSubmitted(job_id=text, source=Source(url="u")).job_id == JOB
