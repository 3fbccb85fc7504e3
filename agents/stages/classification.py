"""The five likeliest classes of the garment."""

from __future__ import annotations

from collections.abc import Sequence

from agents.stages.predictions import SharedPredictions
from agents.stages.stage import Outcome, Stage
from agents.vision.networks.prediction import Prediction
from agents.vision.text.vocabulary import PLAIN, Vocabulary
from storage.artifacts.store import ArtifactStore
from streams.events.models import Classified, ImageClassified, ImageValidated, Label, encode

NAME = "classification"


def classification_stage(
    *,
    predictions: SharedPredictions,
    own: Vocabulary = PLAIN,
    batch: int = 8,
    timeout_s: float = 60.0,
) -> Stage:
    """Build the stage; a whole batch goes through the network at once."""

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> list[Outcome]:
        found = predictions.predict([event.sha256 for event in events], artifacts)
        return [
            one if isinstance(one, Exception) else classified(one, predictions.model_id, own)
            for one in found
        ]

    return Stage(
        name=NAME,
        consumes=ImageValidated,
        emits=ImageClassified,
        payload=Classified,
        version="-".join(filter(None, ["top5-2", predictions.model_id, own.version])),
        handle=handle,
        batch=batch,
        timeout_s=timeout_s,
        warm_up=predictions.warm_up,
    )


def classified(prediction: Prediction, model: str, own: Vocabulary = PLAIN) -> Classified:
    """Take the five likeliest types of garment, best first, in the user's words."""
    joined = own.joined_in(prediction)
    top5 = tuple(
        Label(label=own.word("types", label), probability=p) for label, p in joined.types[:5]
    )
    vector = encode(prediction.embedding) if prediction.embedding else None
    return Classified(top5=top5, model=model, embedding=vector)
