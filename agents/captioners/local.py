"""The shipped network as a captioner: no service, no key, no photo leaves the machine."""

from __future__ import annotations

from collections.abc import Sequence

from agents.captioners.captioner import Described
from agents.predictions import SharedPredictions
from agents.vision import caption
from agents.vision.prediction import Prediction
from storage.artifacts import ArtifactStore
from streams.events import Attribute, Captioned


class LocalCaptioner:
    """Says in words what `SharedPredictions` see; a whole batch goes through the network at once.

    The number in the version counts the changes to `agents.vision.caption`.
    """

    def __init__(self, predictions: SharedPredictions) -> None:
        self._predictions = predictions
        self.model_id = predictions.model_id
        self.version = f"words-1-{predictions.model_id}"

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> list[Described]:
        found = self._predictions.predict(contents, artifacts)
        return [
            one if isinstance(one, Exception) else captioned(one, self.model_id) for one in found
        ]

    def warm_up(self) -> None:
        self._predictions.warm_up()


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
