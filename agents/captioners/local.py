"""The shipped network as a captioner. It needs no service and no key, and sends no photo to another
machine."""

from __future__ import annotations

from collections.abc import Sequence

from agents.stages.captioning import Described, Items
from agents.stages.predictions import SharedPredictions
from agents.vision.networks.prediction import Prediction
from agents.vision.text import caption
from agents.vision.text.naming import PRECISION
from agents.vision.text.vocabulary import PLAIN, Vocabulary
from storage.artifacts.store import ArtifactStore
from streams.events.models import Attribute, Captioned


class LocalCaptioner:
    """Writes captions from `SharedPredictions`; the network processes a whole batch in one pass.

    The number after ``words`` in ``version`` counts the changes to `agents.vision.text.caption`.
    ``precision`` must be the value with which the model was loaded; it is part of ``version``.
    """

    def __init__(
        self,
        predictions: SharedPredictions,
        own: Vocabulary = PLAIN,
        *,
        precision: float = PRECISION,
    ) -> None:
        self._predictions = predictions
        self._own = own
        self.model_id = predictions.model_id
        parts = ["words-4", f"p{precision:g}", predictions.model_id, own.version]
        self.version = "-".join(filter(None, parts))

    def describe(
        self, contents: Sequence[str], artifacts: ArtifactStore, items: Items = ()
    ) -> list[Described]:
        found = self._predictions.predict(contents, artifacts)
        wanted = items or [None] * len(contents)
        return [
            one if isinstance(one, Exception) else self._captioned(one, sha256, item, artifacts)
            for one, sha256, item in zip(found, contents, wanted, strict=True)
        ]

    def _captioned(
        self, seen: Prediction, sha256: str, item: int | None, artifacts: ArtifactStore
    ) -> Described:
        """Describe the garment with the index ``item``; the whole photo if it is None or 0.

        If the photo has fewer garments, describe the whole photo and mark the caption for review.
        """
        if not item:
            return captioned(seen, self.model_id, self._own)
        if item >= len(seen.items):
            main = captioned(seen, self.model_id, self._own)
            return main.model_copy(update={"needs_review": True})
        try:
            alone = self._predictions.predict_item(seen, item, sha256, artifacts)
        except Exception as error:  # noqa: BLE001 - this item's outcome
            return error
        return captioned(alone, self.model_id, self._own).model_copy(update={"item": item})

    def warm_up(self) -> None:
        self._predictions.warm_up()


def captioned(prediction: Prediction, model: str, own: Vocabulary = PLAIN) -> Captioned:
    """Return the caption of a prediction, in the user's words if the vocabulary has some."""
    seen = own.joined_in(prediction)
    return Captioned(
        caption=caption.caption(seen, own),
        description=caption.description(seen, own),
        attributes={
            name: Attribute.model_validate(found)
            for name, found in caption.attributes(seen, own).items()
        },
        needs_review=caption.needs_review(seen),
        model=model,
        item=None if caption.what_is_sure(seen).is_nothing else 0,
    )
