"""Texts and masks of photos, from the networks in this process or through a running gateway."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lookstream_client import Client, Job
from numpy.typing import NDArray
from PIL import Image

from agents.vision.networks.model import GarmentModel
from agents.vision.networks.prediction import Prediction
from agents.vision.text.caption import attributes, caption, description, needs_review
from training.scoring.score_real import Told

Area = NDArray[np.bool_]
WAIT_S = 600.0


@dataclass(frozen=True)
class Answer:
    """What the product says of one photo.

    ``mask(width, height)`` returns the area of garment and wearer, (height, width). ``failed``
    tells that the photo has no result; its texts are empty then.
    """

    told: Told
    mask: Callable[[int, int], Area]
    failed: bool = False


Answers = Callable[[Sequence[bytes]], list[Answer]]
"""Returns one answer for each image file, in order."""


def from_networks(model: GarmentModel) -> Answers:
    """Return a function that answers with the networks in this process."""

    def answers(files: Sequence[bytes]) -> list[Answer]:
        images = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
        return [_of_prediction(seen) for seen in model.predict(images)]

    return answers


def from_gateway(client: Client) -> Answers:
    """Return a function that submits each photo as a new job and reads the finished job."""

    def answers(files: Sequence[bytes]) -> list[Answer]:
        accepted = [client.submit(file) for file in files]
        jobs = [client.wait(each.job_id, timeout_s=WAIT_S) for each in accepted]
        return [_of_job(client, job) for job in jobs]

    return answers


def _of_prediction(seen: Prediction) -> Answer:
    words = {name: str(found["value"]) for name, found in attributes(seen).items()}
    told = Told(caption(seen), _beside(description(seen), words), bool(needs_review(seen)))

    def mask(width: int, height: int) -> Area:
        if seen.mask is None:
            return np.zeros((height, width), np.bool_)
        return seen.mask.to(width, height) > 0.5

    return Answer(told, mask)


def _of_job(client: Client, job: Job) -> Answer:
    words = {name: found.value for name, found in job.attributes.items()}
    beside = _beside(job.description or "", words)
    told = Told(job.caption or "", beside, bool(job.needs_review))

    def mask(width: int, height: int) -> Area:
        area = np.zeros((height, width), np.bool_)
        if job.cutout is None or job.pose is None or job.pose.box is None:
            return area
        with tempfile.TemporaryDirectory() as folder:
            files = client.download(job.job_id, folder)
            cutout = next(file for file in files if file.name.endswith("cutout.png"))
            with Image.open(cutout) as image:
                alpha = image.convert("RGBA").getchannel("A")
        box = job.pose.box
        left, top = int(box.left * width), int(box.top * height)
        right = max(round(box.right * width), left + 1)
        bottom = max(round(box.bottom * height), top + 1)
        shares = np.asarray(alpha.resize((right - left, bottom - top)))
        area[top:bottom, left:right] = (shares > 127)[: height - top, : width - left]
        return area

    return Answer(told, mask, failed=job.caption is None)


def _beside(text: str, words: Mapping[str, str]) -> str:
    """Return the description, and sleeve and neckline with their names."""
    named = [f"{words[name]} {name}" for name in ("sleeve", "neckline") if name in words]
    return " ".join([text, *named])
