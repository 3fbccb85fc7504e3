"""A model that is shown one photo at a time, as a captioner."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from PIL import Image

from agents.captioners.exchange import NAME, Stumbled
from agents.stages.captioning import Described
from agents.stages.errors import BadAnswer, StageError, Unavailable
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import Captioned

LONGEST_REST_S = 300.0
STUMBLES = 5
"""How often a server may stumble over one photo before it is asked about another."""


class VisionModel(Protocol):
    """Describes one photo. Blocking and thread-safe; ends by itself within its time limit.

    ``ask`` is shown the working copy: a JPEG without metadata, its long side at most 1024 px.
    Raises `Unavailable`, `BadAnswer`, `Rejected` (``caption-refused``).
    """

    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def ask(self, picture: bytes) -> Captioned: ...


class PromptedCaptioner:
    """Asks a model about each photo, up to ``tries`` times where its answer is of no use.

    Where the model's server asks to be left alone it is, by all threads: until then every photo is
    `Unavailable` at once. So it is for ``rest_s`` after any other failure to reach it.

    A photo that its server breaks down over, or never comes to an end with, would hold all others
    for ever: so after some tries it is asked about a plain picture, and where it answers, it is the
    photo that fails.
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

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> list[Described]:
        return [self._outcome(sha256, artifacts) for sha256 in contents]

    def warm_up(self) -> None:
        """Nothing: a question costs money."""

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
                continue  # models seldom say the same thing twice
        return self._ask_once(picture)

    def _ask_once(self, picture: bytes) -> Captioned:
        left_s = self._until - self._clock()
        if left_s > 0:
            raise Unavailable(NAME, f"{self.model_id} is left alone for now", retry_after_s=left_s)
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
            pass  # no caption, but an answer
        return BadAnswer("caption-request-refused", "The model's server comes to no end with it.")


def _plain_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), "grey").save(file, "JPEG")
    return file.getvalue()
