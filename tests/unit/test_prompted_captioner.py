"""The prompted captioner: repeated requests, requested pauses, and the fallback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agents.captioners.exchange import Stumbled
from agents.captioners.fallback import FallbackCaptioner
from agents.captioners.prompted import LONGEST_REST_S, STUMBLES, PromptedCaptioner
from agents.stages.captioning import Described
from agents.stages.errors import BadAnswer, Rejected, Unavailable
from agents.stages.stage import FallbackResult
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import Captioned

PHOTOS = [f"{number:064}" for number in range(4)]
RED = Captioned(caption="Red Dress", model="chosen")
PLAIN = Captioned(caption="Dress", model="shipped")
AWAY = Unavailable("captions", "away")
NONSENSE = BadAnswer("caption-nonsense", "What?")
REFUSED = Rejected("caption-refused", "No.")


class Scripted:
    """A model that gives the answers of a script, then those of ``now``."""

    model_id = "chosen"
    version = "chosen-1"

    def __init__(self, *script: Captioned | Exception) -> None:
        self.script = list(script)
        self.shown: list[bytes] = []
        self.now: Callable[[bytes], Captioned | Exception] = lambda _: RED

    def ask(self, picture: bytes) -> Captioned:
        self.shown.append(picture)
        answer = self.script.pop(0) if self.script else self.now(picture)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Shipped:
    """A captioner with the same caption for every photo."""

    model_id = "shipped"
    version = "shipped-1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> list[Described]:
        self.asked += contents
        return [PLAIN for _ in contents]

    def warm_up(self) -> None:
        """Do nothing."""


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    store = DirectoryArtifacts(tmp_path, LinkSigner(b"0123456789abcdef", ""))
    for photo in PHOTOS:
        store.put(keys.working(photo), photo.encode())
    return store


def test_the_working_copy_is_shown_and_one_bad_item_fails_alone(store: DirectoryArtifacts) -> None:
    model = Scripted(RED, NONSENSE, RED)
    lost = "f" * 64
    found = PromptedCaptioner(model).describe([*PHOTOS[:3], lost], store)
    assert found[:3] == [RED, NONSENSE, RED]
    assert isinstance(found[3], ArtifactNotFound)
    assert model.shown == [photo.encode() for photo in PHOTOS[:3]]


@pytest.mark.parametrize(
    ("tries", "script", "found"),
    [
        (1, [NONSENSE], NONSENSE),
        (2, [NONSENSE], RED),
        (2, [NONSENSE, NONSENSE], NONSENSE),
        (2, [REFUSED], REFUSED),
        (2, [AWAY], AWAY),
        (2, [NONSENSE, REFUSED], REFUSED),
    ],
)
def test_only_nonsense_is_asked_again(
    store: DirectoryArtifacts, tries: int, script: list[Exception], found: object
) -> None:
    model = Scripted(*script)
    assert PromptedCaptioner(model, tries=tries).describe(PHOTOS[:1], store) == [found]
    assert model.script == []


@pytest.mark.parametrize(
    ("asked_s", "rest_s", "rests"),
    [(7.0, 0.0, 7.0), (7.0, 60.0, 7.0), (None, 60.0, 60.0), (9e9, 0.0, LONGEST_REST_S)],
)
def test_a_requested_pause_is_respected(
    store: DirectoryArtifacts, asked_s: float | None, rest_s: float, rests: float
) -> None:
    clock = Clock()
    model = Scripted(Unavailable("captions", "busy", retry_after_s=asked_s))
    captioner = PromptedCaptioner(model, rest_s=rest_s, clock=clock)
    _, second = captioner.describe(PHOTOS[:2], store)
    assert isinstance(second, Unavailable)
    assert second.retry_after_s == pytest.approx(rests)
    assert len(model.shown) == 1
    clock.now += rests
    assert captioner.describe(PHOTOS[:1], store) == [RED]


def test_without_a_requested_pause_each_photo_is_tried(store: DirectoryArtifacts) -> None:
    model = Scripted(AWAY, AWAY)
    found = PromptedCaptioner(model, clock=Clock()).describe(PHOTOS[:3], store)
    assert found == [AWAY, AWAY, RED]


def test_a_photo_with_repeated_server_errors_fails_alone(store: DirectoryArtifacts) -> None:
    broken = Stumbled("captions", "HTTP 500")
    model = Scripted()
    model.now = lambda picture: broken if picture == PHOTOS[0].encode() else RED
    captioner = PromptedCaptioner(model)
    for _ in range(STUMBLES - 1):
        assert captioner.describe(PHOTOS[:2], store) == [broken, RED]
    for _ in range(3):  # the runtime tries three times
        culprit, other = captioner.describe(PHOTOS[:2], store)
        assert isinstance(culprit, BadAnswer)
        assert culprit.code == "caption-request-refused"
        assert other == RED


def test_server_errors_without_a_success_fail_no_photo(store: DirectoryArtifacts) -> None:
    broken = Stumbled("captions", "HTTP 500")
    model = Scripted()
    model.now = lambda _: broken
    captioner = PromptedCaptioner(model)
    for _ in range(3 * STUMBLES):
        assert captioner.describe(PHOTOS[:1], store) == [broken]
    model.now = lambda _: RED
    assert captioner.describe(PHOTOS[:1], store) == [RED]


def test_a_success_resets_the_count_of_server_errors(store: DirectoryArtifacts) -> None:
    broken = Stumbled("captions", "HTTP 500")
    captioner = PromptedCaptioner(Scripted(*([broken] * (STUMBLES - 1) + [RED]) * 3))
    for _ in range(3):
        found = [captioner.describe(PHOTOS[:1], store)[0] for _ in range(STUMBLES)]
        assert found == [broken] * (STUMBLES - 1) + [RED]


def test_the_fallback_describes_photos_that_the_model_failed(store: DirectoryArtifacts) -> None:
    shipped = Shipped()
    model = Scripted(RED, AWAY, REFUSED, NONSENSE)
    captioner = FallbackCaptioner(PromptedCaptioner(model), shipped)
    assert (captioner.model_id, captioner.version) == ("chosen", "chosen-1")
    found = captioner.describe(PHOTOS, store)
    assert found == [RED, FallbackResult(PLAIN), FallbackResult(PLAIN), FallbackResult(PLAIN)]
    assert shipped.asked == PHOTOS[1:]
    assert captioner.describe(PHOTOS[:1], store) == [RED]
    assert shipped.asked == PHOTOS[1:]


def test_internal_errors_do_not_use_the_fallback(store: DirectoryArtifacts) -> None:
    captioner = FallbackCaptioner(PromptedCaptioner(Scripted(RED, ValueError("?"))), Shipped())
    _, fault, lost = captioner.describe([*PHOTOS[:2], "f" * 64], store)
    assert isinstance(fault, ValueError)
    assert isinstance(lost, ArtifactNotFound)
