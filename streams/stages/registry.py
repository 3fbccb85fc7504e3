"""The built-in stages. To add one: its payload and event in `streams.events.models`, its handler in
``agents/stages/<name>.py``, and one line here."""

from __future__ import annotations

from streams.events.models import (
    Captioned,
    Classified,
    DownloadPostponed,
    Drawn,
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
    Posed,
    PoseEstimated,
    ShotsCut,
    ShotsPostponed,
    ShotsTaken,
    StageFailed,
    StageResult,
    Thumbnailed,
    Validated,
    ValidationPostponed,
)
from streams.stages.declaration import StageDeclaration as Declare

VALIDATION = Declare(
    "validation",
    ImageSubmitted,
    ImageValidated,
    Validated,
    version="srgb-1024-q90-3",
    batch=4,
    timeout_s=120.0,
    also_consumes=(ImageDownloaded,),
    postpones=ValidationPostponed,
    artifacts=("copies",),
    shows=("original",),
)
CAPTIONING = Declare(
    "captioning",
    ImageValidated,
    ImageCaptioned,
    Captioned,
    version="",
    uses_network=True,
    shows=("caption", "description", "attributes", "needs_review", "listings", "item"),
)
CLASSIFICATION = Declare(
    "classification",
    ImageValidated,
    ImageClassified,
    Classified,
    version="top5-3",
    uses_network=True,
    shows=("top5", "items"),
)
POSE = Declare(
    "pose",
    ImageValidated,
    PoseEstimated,
    Posed,
    version="",
    uses_network=True,
    artifacts=("cutouts",),
    shows=("pose", "cutout"),
)
SHOTS = Declare(
    "shots",
    PoseEstimated,
    ShotsCut,
    ShotsTaken,
    version="views-1",
    timeout_s=90.0,
    postpones=ShotsPostponed,
    artifacts=("shots",),
    shows=("shots",),
)
THUMBNAILING = Declare(
    "thumbnailing",
    ImageValidated,
    ImageThumbnailed,
    Thumbnailed,
    version="lanczos-1",
    artifacts=("thumbnails",),
    shows=("thumbnails", "thumbhash"),
)
ANNOTATION = Declare(
    "annotation",
    ImageClassified,
    ImageAnnotated,
    Drawn,
    version="panel-1",
    artifacts=("annotated",),
    shows=("annotated",),
)

BUILT_IN = (VALIDATION, CAPTIONING, CLASSIFICATION, POSE, SHOTS, THUMBNAILING, ANNOTATION)
"""The stages of every installation, in the order of their work. Settings can add more."""

PIPELINE = tuple(stage.node for stage in BUILT_IN)
"""The built-in stages as nodes of the graph."""

RESULT_EVENTS: tuple[type[StageResult], ...] = tuple(stage.emits for stage in BUILT_IN)
"""The result events of the built-in stages."""

EVENTS: tuple[type[Event], ...] = (
    ImageSubmitted,
    *RESULT_EVENTS,
    StageFailed,
    JobUpdated,
    JobDeleted,
)
"""All events that change a job or report its change, in an installation without custom stages."""

INTERNAL_EVENTS: tuple[type[Event], ...] = (
    ImageDownloaded,
    DownloadPostponed,
    ValidationPostponed,
    ShotsPostponed,
)
"""Events of work in progress. Tracking does not read them."""
