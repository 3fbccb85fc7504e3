"""The five likeliest classes of the garment."""

from __future__ import annotations

from collections.abc import Sequence

from agents.predictions import SharedPredictions
from agents.stage import Outcome, Stage
from agents.vision.prediction import Prediction
from storage.artifacts import ArtifactStore
from streams.events import Classified, ImageClassified, ImageValidated, Label

NAME = "classification"


def classification_stage(
    *, predictions: SharedPredictions, batch: int = 8, timeout_s: float = 60.0
) -> Stage:
    """Build the stage; a whole batch goes through the network at once."""

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> list[Outcome]:
        found = predictions.predict([event.sha256 for event in events], artifacts)
        return [
            one if isinstance(one, Exception) else classified(one, predictions.model_id)
            for one in found
        ]

    return Stage(
        name=NAME,
        consumes=ImageValidated,
        emits=ImageClassified,
        payload=Classified,
        version=f"top5-1-{predictions.model_id}",
        handle=handle,
        batch=batch,
        timeout_s=timeout_s,
        warm_up=predictions.warm_up,
    )


def classified(prediction: Prediction, model: str) -> Classified:
    """Take the five likeliest types of garment, best first."""
    top5 = tuple(Label(label=label, probability=p) for label, p in prediction.types[:5])
    return Classified(top5=top5, model=model)
