"""Share each pass of the garment network among the stages of one process."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from agents.vision.text.items import narrowed
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from agents.vision.networks.prediction import Prediction


MARGIN = 0.12


class Predicts(Protocol):
    """The part of `agents.vision.networks.model.GarmentModel` that stages use."""

    @property
    def model_id(self) -> str: ...

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]: ...


class SharedPredictions:
    """A thread-safe cache of the latest ``keep`` predictions, by content.

    Several stages share one instance. A stage that asks for a photo that another stage is computing
    waits for that prediction. A failure is not cached.
    """

    def __init__(self, model: Predicts, *, keep: int = 256) -> None:
        self._model = model
        self._keep = keep
        self._lock = threading.Lock()
        self._futures: OrderedDict[str, Future[Prediction]] = OrderedDict()

    @property
    def model_id(self) -> str:
        return self._model.model_id

    def predict(
        self, contents: Sequence[str], artifacts: ArtifactStore
    ) -> list[Prediction | Exception]:
        """Return a prediction or an exception for each SHA-256 of ``contents``, in order."""
        futures: dict[str, Future[Prediction]] = {}
        ours: dict[str, Future[Prediction]] = {}
        with self._lock:
            for sha256 in dict.fromkeys(contents):
                if sha256 not in self._futures:
                    ours[sha256] = self._futures[sha256] = Future()
                self._futures.move_to_end(sha256)
                futures[sha256] = self._futures[sha256]
            while len(self._futures) > self._keep:
                self._futures.popitem(last=False)
        self._compute(ours, artifacts)  # before waiting for other threads, to avoid a deadlock
        return [_outcome(futures[sha256]) for sha256 in contents]

    def predict_item(
        self, seen: Prediction, index: int, sha256: str, artifacts: ArtifactStore
    ) -> Prediction:
        """Return the prediction for one of several garments, from the part of the photo around it.

        ``seen`` is the prediction for the whole photo, ``index`` a place in its items. The part of
        the photo has `MARGIN` of the garment's size around it. Only types of the garment's kind
        remain.
        """
        found = seen.items[index]
        image = working_copy(sha256, artifacts)
        (alone,) = self._model.predict([image.crop(around(found.box, image.width, image.height))])
        return narrowed(alone, found.part)

    def warm_up(self) -> None:
        """Run the network once, because the first pass is slow."""
        self._model.predict([Image.new("RGB", (64, 64))])

    def _compute(self, ours: dict[str, Future[Prediction]], artifacts: ArtifactStore) -> None:
        try:
            images: dict[str, Image.Image] = {}
            for sha256, future in ours.items():
                try:
                    images[sha256] = working_copy(sha256, artifacts)
                except Exception as error:  # noqa: BLE001 - this item's outcome
                    future.set_exception(error)
            for sha256, found in zip(images, self._predicted(list(images.values())), strict=True):
                if isinstance(found, Exception):
                    ours[sha256].set_exception(found)
                else:
                    ours[sha256].set_result(found)
        finally:
            self._forget_failures(ours)

    def _predicted(self, images: list[Image.Image]) -> Sequence[Prediction | Exception]:
        try:
            return self._model.predict(images) if images else []
        except Exception as error:  # noqa: BLE001 - the outcome of each item
            if len(images) == 1:
                return [error]
            return [self._predicted([image])[0] for image in images]

    def _forget_failures(self, ours: dict[str, Future[Prediction]]) -> None:
        with self._lock:
            for sha256, future in ours.items():
                if not future.done():  # after a KeyboardInterrupt or another BaseException
                    future.set_exception(RuntimeError("the prediction was interrupted"))
                if future.exception() and self._futures.get(sha256) is future:
                    del self._futures[sha256]


def around(
    box: tuple[float, float, float, float], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return a box in 0-1 with `MARGIN` of its size on each side, in pixels of the photo."""
    left, top, right, bottom = box
    across, down = (right - left) * MARGIN, (bottom - top) * MARGIN
    first = int(max(left - across, 0) * width), int(max(top - down, 0) * height)
    last = round(min(right + across, 1) * width), round(min(bottom + down, 1) * height)
    return (*first, max(last[0], first[0] + 1), max(last[1], first[1] + 1))


def working_copy(sha256: str, artifacts: ArtifactStore) -> Image.Image:
    """Load the working copy of a content as RGB. Raises `ArtifactNotFound`."""
    data = artifacts.get(keys.working(sha256))
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return image.convert("RGB")


def _outcome(future: Future[Prediction]) -> Prediction | Exception:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - this item's outcome
        return error
