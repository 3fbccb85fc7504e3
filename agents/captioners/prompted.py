"""A captioner that asks a vision model about one photo at a time."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from PIL import Image

from agents.captioners.exchange import NAME, Stumbled
from agents.stages.captioning import Described, Items
from agents.stages.errors import BadAnswer, StageError, Unavailable
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import Captioned

LONGEST_REST_S = 300.0
STUMBLES = 5
"""After this many failures of the server with the same photo, a plain picture is tried."""


class VisionModel(Protocol):
    """Describes one photo. Blocking and thread-safe; respects its own time limit.

    ``ask`` gets the working copy: a JPEG without metadata, its long side at most 1024 px.
    Raises `Unavailable`, `BadAnswer`, `Rejected` (``caption-refused``).
    """

    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def ask(self, picture: bytes) -> Captioned: ...


class PromptedCaptioner:
    """Asks a model about each photo, up to ``tries`` times if the answer is invalid.

    If the server sends ``Retry-After``, no thread asks again before that time; every photo is
    `Unavailable` until then. After any other failure to reach the server, this pause is ``rest_s``
    seconds.

    A photo that always makes the server fail would block all other photos. So after `STUMBLES`
    failures with one photo, the captioner sends a plain picture. If the server answers this
    request, the photo is the cause, and it fails with `BadAnswer`.
    """

    def __init__(
        self,
        model: VisionModel,
        *,
        tries: int = 1,
        rest_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model_id = model.model_id
        self.version = model.version
        self._model = model
        self._tries = tries
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._until = clock()
        self._stumbles: Counter[str] = Counter()

    def describe(
        self, contents: Sequence[str], artifacts: ArtifactStore, _items: Items = ()
    ) -> list[Described]:
        """Return the captions. The model gets the whole photo, so it describes the main garment."""
        return [self._outcome(sha256, artifacts) for sha256 in contents]

    def warm_up(self) -> None:
        """Do nothing, because a request costs money."""

    def _outcome(self, sha256: str, artifacts: ArtifactStore) -> Described:
        try:
            found = self._ask(artifacts.get(keys.working(sha256)))
        except Stumbled as error:
            return self._whose_fault(sha256, error)
        except Exception as error:  # noqa: BLE001 - this item's outcome
            return error
        with self._lock:
            self._stumbles.pop(sha256, None)
        return found

    def _ask(self, picture: bytes) -> Captioned:
        for _ in range(self._tries - 1):
            try:
                return self._ask_once(picture)
            except BadAnswer:
                continue  # a model rarely gives the same answer twice
        return self._ask_once(picture)

    def _ask_once(self, picture: bytes) -> Captioned:
        left_s = self._until - self._clock()
        if left_s > 0:
            raise Unavailable(NAME, f"{self.model_id} is paused", retry_after_s=left_s)
        try:
            return self._model.ask(picture)
        except Unavailable as error:
            rest_s = min(error.retry_after_s or self._rest_s, LONGEST_REST_S)
            with self._lock:
                self._until = max(self._until, self._clock() + rest_s)
            raise

    def _whose_fault(self, sha256: str, error: Stumbled) -> StageError:
        with self._lock:
            self._stumbles[sha256] += 1
            if self._stumbles[sha256] < STUMBLES or error.retry_after_s:
                return error
        try:
            self._model.ask(_plain_picture())
        except Unavailable:
            return error
        except StageError:
            pass  # an answer, even if it is no caption
        return BadAnswer("caption-request-refused", "The model's server cannot process this photo.")


def _plain_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), "grey").save(file, "JPEG")
    return file.getvalue()
