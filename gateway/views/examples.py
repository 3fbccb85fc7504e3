"""Example answers for the OpenAPI document. A test checks them against the models."""

from __future__ import annotations

from typing import Any

from streams.stages.registry import BUILT_IN

JOB_ID = "01a20801-845d-768b-82dd-f448762e99cb"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LINKS = {"self": f"/v1/jobs/{JOB_ID}", "page": f"/#{JOB_ID}"}
BOX = {"left": 0.31, "top": 0.08, "right": 0.69, "bottom": 0.3}

SUBMISSION: dict[str, Any] = {
    "jobs": [
        {"job_id": JOB_ID, "status": "pending", "links": LINKS},
        {
            "error": {
                "type": "urn:lookstream:problem:url-invalid",
                "title": "The address is not a URL",
                "status": 422,
                "detail": "a URL starts with http:// or https://",
                "code": "url-invalid",
                "instance": "/v1/jobs",
            }
        },
    ]
}

JOB: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "completed",
    "run": 1,
    "lane": "interactive",
    "stages": {
        stage.name: {
            "status": "completed",
            "run": 1,
            "attempts": 1,
            "started_at": "2026-01-02T03:04:05.120000Z",
            "finished_at": "2026-01-02T03:04:05.290000Z",
            "reused": False,
        }
        for stage in BUILT_IN
    },
    "caption": "Women's red floral midi dress",
    "description": "A midi dress in red with a floral print.",
    "attributes": {"colour": {"value": "red", "confidence": 0.93, "needs_review": False}},
    "needs_review": False,
    "listings": {
        "ebay": {
            "title": "Women's red floral midi dress",
            "description": "A midi dress in red with a floral print.",
        }
    },
    "item": 0,
    "top5": [
        {"label": "dress", "probability": 0.6},
        {"label": "jumpsuit", "probability": 0.2},
        {"label": "skirt", "probability": 0.1},
        {"label": "t-shirt", "probability": 0.06},
        {"label": "shirt", "probability": 0.04},
    ],
    "items": [{"type": "dress", "colour": "red", "box": BOX, "confidence": 0.93}],
    "pose": {
        "subject": "worn",
        "keypoints": [{"name": "left_shoulder", "x": 0.61, "y": 0.2, "confidence": 0.98}],
        "box": {"left": 0.2, "top": 0.1, "right": 0.8, "bottom": 0.95},
    },
    "shots": [
        {
            "url": "http://127.0.0.1:8000/v1/artifacts/shots/9f86…/neck.jpg?expires=…",
            "label": "neck",
            "box": BOX,
            "reason": "around the neck and both shoulders",
            "confidence": 0.88,
        }
    ],
    "thumbnails": [
        {
            "url": "http://127.0.0.1:8000/v1/artifacts/thumbnails/9f86…/128x128.jpg?expires=…",
            "width": 96,
            "height": 128,
        }
    ],
    "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
    "annotated": {
        "url": "http://127.0.0.1:8000/v1/artifacts/annotated/9f86….jpg?expires=…",
        "width": 1000,
        "height": 1333,
    },
    "cutout": {"url": "http://127.0.0.1:8000/v1/artifacts/cutouts/9f86….png?expires=…"},
    "original": {
        "url": f"http://127.0.0.1:8000/v1/artifacts/originals/{SHA256}?expires=…",
        "width": 3000,
        "height": 4000,
        "sha256": SHA256,
        "format": "JPEG",
        "bytes": 2_400_000,
        "animated": False,
    },
    "models": {"captioning": "garment-1", "classification": "garment-1", "pose": "blazepose-1"},
    "results": {},
    "source": {"object": f"incoming/{JOB_ID}"},
    "filename": "red-dress.jpg",
    "group": None,
    "metadata": {},
    "submitted_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:06Z",
    "links": LINKS,
}

RUN: dict[str, Any] = {"job_id": JOB_ID, "run": 2, "status": "pending", "links": LINKS}

JOB_LIST: dict[str, Any] = {
    "jobs": [JOB],
    "cursor": f"1767323045000000.{JOB_ID}",
    "counts": {
        "total": 412,
        "pending": 3,
        "processing": 8,
        "completed": 396,
        "failed": 5,
        "capped": False,
    },
}

SIMILAR: dict[str, Any] = {
    "jobs": [
        {
            "job_id": "01a20802-19c2-7f0b-9f7e-6d2a1f0c5b11",
            "similarity": 0.9127,
            "caption": "Women's red dress",
            "filename": "red-dress-back.jpg",
            "group": "spring",
            "thumbnails": JOB["thumbnails"],
            "thumbhash": JOB["thumbhash"],
            "links": {
                "self": "/v1/jobs/01a20802-19c2-7f0b-9f7e-6d2a1f0c5b11",
                "page": "/#01a20802-19c2-7f0b-9f7e-6d2a1f0c5b11",
            },
        }
    ]
}

UPLOAD: dict[str, Any] = {
    "id": JOB_ID,
    "url": f"http://127.0.0.1:8000/v1/artifacts/uploads/{JOB_ID}?expires=…&method=PUT&signature=…",
    "method": "PUT",
    "headers": {"Content-Type": "image/jpeg"},
    "object": f"uploads/{JOB_ID}",
    "expires_at": "2026-01-02T04:04:05Z",
}

COMPLETED_UPLOAD: dict[str, Any] = {
    "jobs": [{"job_id": JOB_ID, "status": "pending", "links": LINKS}]
}

PREDICTION: dict[str, Any] = {
    "imageUrl": "https://example.com/dress.jpg",
    "top5": ["dress", "jumpsuit", "skirt", "t-shirt", "shirt"],
    "prob5": [0.6, 0.2, 0.1, 0.06, 0.04],
    "job_id": JOB_ID,
}

JOB_EVENTS = f"""\
retry: 2000

event: job
id: 1.2
data: {{"job_id":"{JOB_ID}","status":"processing","run":1,"revision":2,"group":"spring",\
"updated_at":"2026-01-02T03:04:05.290000Z","stages":{{"validation":"completed"}}}}

: keep-alive

event: job
id: 1.3
data: {{"job_id":"{JOB_ID}","status":"failed","run":1,"revision":3,"group":"spring",\
"updated_at":"2026-01-02T03:04:06Z","stages":{{"validation":"completed","captioning":"failed"}},\
"error":{{"stage":"captioning","code":"stage-error","message":"the stage gave up"}}}}

"""
