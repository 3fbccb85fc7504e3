"""Classification: the five most likely classes, the garments of the photo, and its embedding."""

from __future__ import annotations

from collections.abc import Sequence

from agents.stages.predictions import SharedPredictions
from agents.stages.resources import Resources
from agents.stages.stage import Outcome, Stage
from agents.vision.networks.prediction import Prediction
from agents.vision.text.garments import NOTHING
from agents.vision.text.items import described_items
from agents.vision.text.naming import is_nothing
from agents.vision.text.vocabulary import PLAIN, Vocabulary
from storage.artifacts.store import ArtifactStore
from streams.events.embedding import encode
from streams.events.models import Box, Classified, ImageValidated, Item, Label
from streams.stages.registry import CLASSIFICATION


def classification_stage(
    *,
    predictions: SharedPredictions,
    own: Vocabulary = PLAIN,
) -> Stage:
    """Build the stage; the network processes a whole batch in one pass."""

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> list[Outcome]:
        found = predictions.predict([event.sha256 for event in events], artifacts)
        return [
            one if isinstance(one, Exception) else classified(one, predictions.model_id, own)
            for one in found
        ]

    return Stage.of(
        CLASSIFICATION,
        version="-".join(filter(None, [CLASSIFICATION.version, predictions.model_id, own.version])),
        handle=handle,
        warm_up=predictions.warm_up,
    )


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    return classification_stage(predictions=resources.predictions, own=resources.vocabulary)


def classified(prediction: Prediction, model: str, own: Vocabulary = PLAIN) -> Classified:
    """Return the five most likely types of garment, best first, in the user's vocabulary.

    A photo without a garment has no types.
    """
    joined = own.joined_in(prediction)
    nothing = is_nothing(dict(prediction.types), prediction.thresholds)
    types = [] if nothing else [pair for pair in joined.types if pair[0] != NOTHING][:5]
    top5 = tuple(Label(label=own.word("types", label), probability=p) for label, p in types)
    vector = encode(prediction.embedding) if prediction.embedding else None
    return Classified(top5=top5, model=model, embedding=vector, items=items_of(prediction, own))


def items_of(prediction: Prediction, own: Vocabulary = PLAIN) -> tuple[Item, ...]:
    """Return the garments of the photo in the user's vocabulary, the main one first."""
    return tuple(
        Item(
            type=one.type,
            colour=one.colour,
            box=Box.model_validate(dict(zip(Box.model_fields, one.box, strict=True))),
            confidence=one.confidence,
        )
        for one in described_items(prediction, own)
    )
