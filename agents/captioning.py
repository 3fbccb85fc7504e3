"""A marketplace caption of the garment, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from agents.predictions import SharedPredictions
from agents.stage import Outcome, Stage
from agents.vision import caption
from agents.vision.prediction import Prediction
from storage.artifacts import ArtifactStore
from streams.events import Attribute, Captioned, ImageCaptioned, ImageValidated

NAME = "captioning"


def captioning_stage(
    *, predictions: SharedPredictions, batch: int = 8, timeout_s: float = 60.0
) -> Stage:
    """Build the stage; a whole batch goes through the network at once.

    The number in the version counts the changes to `agents.vision.caption`.
    """

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> list[Outcome]:
        found = predictions.predict([event.sha256 for event in events], artifacts)
        return [
            one if isinstance(one, Exception) else captioned(one, predictions.model_id)
            for one in found
        ]

    return Stage(
        name=NAME,
        consumes=ImageValidated,
        emits=ImageCaptioned,
        payload=Captioned,
        version=f"words-1-{predictions.model_id}",
        handle=handle,
        batch=batch,
        timeout_s=timeout_s,
        warm_up=predictions.warm_up,
    )


def captioned(prediction: Prediction, model: str) -> Captioned:
    """Say in words what the network saw."""
    return Captioned(
        caption=caption.caption(prediction),
        description=caption.description(prediction),
        attributes={
            name: Attribute.model_validate(found)
            for name, found in caption.attributes(prediction).items()
        },
        needs_review=caption.needs_review(prediction),
        model=model,
    )
