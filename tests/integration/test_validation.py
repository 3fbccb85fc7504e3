"""Validation with a real decoder, an HTTP server and a store in a directory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from agents.downloads.download import download, downloaded
from agents.inputs.decoding import Decoder
from agents.inputs.fetching import Fetcher
from agents.stages.errors import Rejected, TakesLong, Unavailable
from agents.stages.stage import CachedResult, Outcome, Stage
from agents.stages.validation import Submission, validation_stage
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from storage.errors import StoreUnavailable
from streams.events.models import ImageSubmitted, Source, Validated, ValidationPostponed
from tests.garments import dress, encoded, jpeg, tshirt
from tests.integration.misbehaving_server import Misbehaving, serving

PHOTO = jpeg(tshirt())
SHA = hashlib.sha256(PHOTO).hexdigest()
FETCHER = Fetcher(allowed_networks=[ip_network("127.0.0.0/8")], timeout_s=5)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=1)
    yield decoder
    decoder.close()


@pytest.fixture
def stage(decoder: Decoder) -> Stage:
    return validation_stage(decoder=decoder, max_bytes=5_000_000)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path, LinkSigner(b"0123456789abcdef", ""))


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with serving() as server:
        server.body = PHOTO
        yield server


def uploaded(store: ArtifactStore, data: bytes, *, force: bool = False) -> ImageSubmitted:
    job_id = str(uuid4())
    store.put(keys.incoming(job_id), data)
    return ImageSubmitted(job_id=job_id, source=Source(object=keys.incoming(job_id)), force=force)


def linked(url: str, *, force: bool = False) -> ImageSubmitted:
    return ImageSubmitted(job_id=str(uuid4()), source=Source(url=url), force=force)


def outcome(stage: Stage, event: ImageSubmitted, store: ArtifactStore) -> Outcome:
    """Validate the event; download the photo of a URL before."""
    if event.source.url is None:
        return stage.handle([event], store)[0]
    try:
        return stage.handle([download(event, FETCHER, store)], store)[0]
    except Rejected as error:
        return error


def new(stage: Stage, event: ImageSubmitted, store: ArtifactStore) -> Validated:
    found = outcome(stage, event, store)
    assert isinstance(found, Validated), found
    return found


def reused(stage: Stage, event: ImageSubmitted, store: ArtifactStore) -> Validated:
    found = outcome(stage, event, store)
    assert isinstance(found, CachedResult), found
    assert isinstance(found.payload, Validated)
    return found.payload


def code_of(stage: Stage, event: ImageSubmitted, store: ArtifactStore) -> str:
    found = outcome(stage, event, store)
    assert isinstance(found, Rejected), found
    return found.code


def test_a_claim_is_written_before_the_result_is_returned(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    """Without the claim, deleting another job with the same photo would delete this content."""
    events = [uploaded(store, PHOTO), uploaded(store, PHOTO), linked(server.url("/picture/a"))]
    for event in [*events, events[0]]:  # the redelivery finds no object
        assert not isinstance(outcome(stage, event, store), Exception)
    claims = sorted(keys.claim(SHA, event.job_id) for event in events)
    assert store.list(keys.claim(SHA)) == claims


class CountingStore(DirectoryArtifacts):
    """Counts the bytes that are read."""

    read = 0

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        data = super().get(key, offset=offset, length=length)
        self.read += len(data)
        return data

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().stream(key, offset=offset, length=length):
            self.read += len(chunk)
            yield chunk


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes(range(256)) * 19_000, "not-an-image"),
        (b"%PDF-1.7" + bytes(4_800_000), "unsupported-format"),
        (b"", "empty-file"),
    ],
)
def test_of_a_large_file_that_is_no_photo_only_the_begin_is_read(
    stage: Stage, tmp_path: Path, data: bytes, code: str
) -> None:
    """Eight uploads of 45 MB at once cost more than 300 MB of memory before."""
    store = CountingStore(tmp_path, LinkSigner(b"0123456789abcdef", ""))
    assert code_of(stage, uploaded(store, data), store) == code
    assert store.read <= 600_000


@pytest.mark.parametrize(("ago", "waits"), [(timedelta(0), True), (timedelta(hours=1), False)])
def test_content_that_is_being_erased_is_unavailable(
    stage: Stage, store: DirectoryArtifacts, ago: timedelta, waits: bool
) -> None:
    """Validation runs again later. An erasure that was killed long ago does not count."""
    new(stage, uploaded(store, PHOTO), store)
    store.put(keys.erasing(SHA), (datetime.now(UTC) - ago).isoformat().encode())
    event = uploaded(store, PHOTO)
    assert isinstance(outcome(stage, event, store), Unavailable) == waits
    store.delete(keys.erasing(SHA))
    assert not isinstance(outcome(stage, event, store), Exception)


def test_a_rejected_photo_leaves_no_claim(stage: Stage, store: DirectoryArtifacts) -> None:
    assert code_of(stage, uploaded(store, b"not a photo"), store)
    assert store.list("claims/") == []


def test_an_upload_leaves_quarantine(stage: Stage, store: DirectoryArtifacts) -> None:
    event = uploaded(store, PHOTO)
    payload = new(stage, event, store)
    assert (payload.sha256, payload.format, payload.bytes) == (SHA, "JPEG", len(PHOTO))
    assert (payload.width, payload.height, payload.animated) == (480, 640, False)
    assert store.get(payload.original) == PHOTO
    assert Image.open(io.BytesIO(store.get(payload.working))).size == (480, 640)
    kept = store.get(keys.result(SHA, stage.name, stage.version))
    assert Validated.model_validate_json(kept) == payload
    assert not store.list("incoming/")


def test_a_redelivery_answers_from_the_stored_source_record(
    stage: Stage, store: DirectoryArtifacts
) -> None:
    event = uploaded(store, PHOTO)
    payload = new(stage, event, store)
    assert reused(stage, event, store) == payload


@pytest.mark.parametrize("stated", ["text/html", "image/jpeg", "application/octet-stream"])
@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("GIF", "image/gif"), ("WEBP", "image/webp"), ("AVIF", "image/avif")],
)
def test_the_content_decides_the_type_of_the_original(
    stage: Stage, store: DirectoryArtifacts, stated: str, kind: str, content_type: str
) -> None:
    job_id = str(uuid4())
    data = encoded(tshirt((60, 80)), kind)
    store.put(keys.upload(job_id), data, content_type=stated)
    event = ImageSubmitted(job_id=job_id, source=Source(object=keys.upload(job_id)))
    original = new(stage, event, store).original
    assert store.stat(original).content_type == content_type
    store.put(original, data, content_type=stated)  # as an earlier version stored it
    new(stage, uploaded(store, data, force=True), store)
    assert store.stat(original).content_type == content_type
    assert store.get(original) == data


def put_by_link(store: ArtifactStore, data: bytes) -> ImageSubmitted:
    job_id = str(uuid4())
    store.put(keys.upload(job_id), data)
    return ImageSubmitted(job_id=job_id, source=Source(object=keys.upload(job_id)))


def test_an_upload_by_link_leaves_quarantine_too(stage: Stage, store: DirectoryArtifacts) -> None:
    event = put_by_link(store, PHOTO)
    assert store.get(new(stage, event, store).original) == PHOTO
    assert not store.list("uploads/")


def test_three_simultaneous_deliveries_give_the_same_payload(
    stage: Stage, store: DirectoryArtifacts
) -> None:
    event = put_by_link(store, PHOTO)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: outcome(stage, event, store), range(3)))
    payloads = [each.payload if isinstance(each, CachedResult) else each for each in found]
    assert payloads == [payloads[0]] * 3
    assert isinstance(payloads[0], Validated)
    assert not store.list("uploads/")


def test_a_second_upload_by_the_same_link_does_not_change_the_photo(
    stage: Stage, store: DirectoryArtifacts
) -> None:
    event = put_by_link(store, PHOTO)
    payload = new(stage, event, store)
    store.put(keys.upload(event.job_id), jpeg(dress()))
    assert reused(stage, event, store) == payload
    assert not store.list("uploads/")


def test_a_photo_may_replace_a_rejected_upload(stage: Stage, store: DirectoryArtifacts) -> None:
    event = put_by_link(store, b"no image")
    assert code_of(stage, event, store) == "not-an-image"
    store.put(keys.upload(event.job_id), PHOTO)
    assert new(stage, event, store).sha256 == SHA


def test_another_submission_of_a_job_does_not_change_its_photo(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    """Any producer can name another client's job."""
    event = uploaded(store, PHOTO)
    payload = new(stage, event, store)
    evil = uploaded(store, jpeg(dress())).source
    stolen = event.model_copy(update={"run": 2, "source": evil})
    assert code_of(stage, stolen, store) == "source-changed"
    again = Source(object=payload.original)
    for source in (again, event.source, Source(url=server.url("/picture/the-same.jpg"))):
        assert (
            reused(stage, event.model_copy(update={"run": 2, "source": source}), store) == payload
        )


def test_a_urls_new_content_replaces_the_old_in_a_later_run(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    event = linked(server.url("/picture/changing.jpg"))
    first = new(stage, event, store)
    forced = event.model_copy(
        update={"run": 2, "force": True, "source": Source(object=first.original)}
    )
    assert new(stage, forced, store) == first
    server.body, server.etag = jpeg(dress()), '"two"'
    assert new(stage, event.model_copy(update={"run": 3}), store).sha256 != SHA


class Dying:
    """A store whose process is killed at the n-th write. Later writes do not happen."""

    def __init__(self, store: ArtifactStore, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> object:
        if name in ("put", "copy", "delete"):
            if self._left == 0:
                raise StoreUnavailable("killed")
            self._left -= 1
        return getattr(self._store, name)


@pytest.mark.parametrize("writes", range(9))
def test_a_redelivery_after_a_kill_at_any_write_gives_the_same_result(
    stage: Stage, store: DirectoryArtifacts, writes: int
) -> None:
    event = uploaded(store, PHOTO)
    dying = outcome(stage, event, Dying(store, writes))  # type: ignore[arg-type]
    assert isinstance(dying, StoreUnavailable) == (writes < 8)
    found = outcome(stage, event, store)
    payload = found.payload if isinstance(found, CachedResult) else found
    assert isinstance(payload, Validated)
    assert payload.sha256 == SHA
    assert store.get(payload.original) == PHOTO
    assert store.exists(payload.working)
    assert not store.list("incoming/")
    assert reused(stage, event, store) == payload


def test_a_second_submission_of_a_photo_uses_the_cached_result(
    stage: Stage, store: DirectoryArtifacts
) -> None:
    payload = new(stage, uploaded(store, PHOTO), store)
    assert reused(stage, uploaded(store, PHOTO), store) == payload
    assert not store.list("incoming/")


def test_force_computes_again(stage: Stage, store: DirectoryArtifacts) -> None:
    payload = new(stage, uploaded(store, PHOTO), store)
    store.delete(payload.working)
    assert new(stage, uploaded(store, PHOTO, force=True), store) == payload
    assert store.exists(payload.working)


def test_an_original_can_be_processed_again(stage: Stage, store: DirectoryArtifacts) -> None:
    payload = new(stage, uploaded(store, PHOTO), store)
    again = ImageSubmitted(
        job_id=str(uuid4()), source=Source(object=payload.original), force=True, run=2
    )
    assert new(stage, again, store) == payload
    assert store.get(payload.original) == PHOTO, "an original is never deleted"


@pytest.mark.parametrize(
    "key", ["working/x.jpg", "results/x", "../secret", "incoming/../results/x", "/etc/passwd", ""]
)
def test_only_uploads_and_originals_are_sources(
    stage: Stage, store: DirectoryArtifacts, key: str
) -> None:
    event = ImageSubmitted(job_id=str(uuid4()), source=Source(object=key))
    assert code_of(stage, event, store) == "source-not-allowed"


def test_a_missing_object_is_rejected(stage: Stage, store: DirectoryArtifacts) -> None:
    event = ImageSubmitted(job_id=str(uuid4()), source=Source(object="incoming/nothing"))
    assert code_of(stage, event, store) == "object-not-found"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"),
        (b"x", "not-an-image"),
        (b"a text file", "not-an-image"),
        (PHOTO[:-2000], "truncated-image"),
        (bytes(5_000_001), "too-large"),
        (encoded(tshirt(), "TIFF"), "unsupported-format"),
    ],
    ids=["empty", "1 byte", "text", "truncated", "large", "tiff"],
)
def test_bad_uploads_have_their_codes(
    stage: Stage, store: DirectoryArtifacts, data: bytes, code: str
) -> None:
    event = uploaded(store, data)
    assert code_of(stage, event, store) == code
    assert code_of(stage, event, store) == code, "the same when redelivered"
    assert not store.list("originals/")
    assert new(stage, uploaded(store, PHOTO), store).sha256 == SHA


def test_one_bad_photo_in_a_batch_fails_alone(stage: Stage, store: DirectoryArtifacts) -> None:
    events = [uploaded(store, data) for data in (PHOTO, b"bad", jpeg(dress()))]
    kinds = [type(found) for found in stage.handle(events, store)]
    assert kinds == [Validated, Rejected, Validated]


def test_a_known_url_is_fetched_with_its_validators(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    url = server.url("/picture/shirt.jpg")
    first = new(stage, linked(url), store)
    assert store.get(first.original) == PHOTO
    assert reused(stage, linked(url), store) == first
    assert server.seen[-1][1]["if-none-match"] == '"one"'
    server.etag, server.body = '"two"', jpeg(dress())
    assert new(stage, linked(url), store).sha256 != first.sha256
    new(stage, linked(url, force=True), store)
    assert "if-none-match" not in server.seen[-1][1]


def test_a_url_that_changed_its_validator_but_not_its_content_is_reused(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    url = server.url("/picture/shirt.jpg")
    first = new(stage, linked(url), store)
    server.etag = '"two"'
    assert reused(stage, linked(url), store) == first
    reused(stage, linked(url), store)
    assert server.seen[-1][1]["if-none-match"] == '"two"', "the newer one is remembered"


def test_an_unchanged_url_is_fetched_again_if_the_content_is_gone(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    url = server.url("/picture/shirt.jpg")
    first = new(stage, linked(url), store)
    store.delete(first.original)
    store.delete(keys.result(SHA, stage.name, stage.version))
    assert new(stage, linked(url), store) == first
    assert store.get(first.original) == PHOTO


@pytest.mark.parametrize("linked_photo", [False, True], ids=["upload", "download"])
def test_a_photo_that_takes_long_is_validated_beside_the_others(
    decoder: Decoder,
    store: DirectoryArtifacts,
    server: Misbehaving,
    linked_photo: bool,
) -> None:
    heavy = jpeg(tshirt().resize((6_000, 8_000)))
    stage = validation_stage(decoder=decoder, quick_s=0.05)
    if linked_photo:
        server.body = heavy
        event: Submission = download(linked(server.url("/picture")), FETCHER, store)
    else:
        event = uploaded(store, heavy)
    light = uploaded(store, PHOTO)
    late, made = stage.handle([event, light], store)
    assert isinstance(late, TakesLong), late
    assert isinstance(made, Validated), made
    slow = stage.slow_part()
    assert slow is not None
    assert stage.postponed is not None
    assert (slow.consumes, slow.batch, slow.threads) == (ValidationPostponed, 1, 1)
    (found,) = slow.handle([stage.postponed(event)], store)
    assert isinstance(found, Validated), found
    assert found.width == 6_000
    assert store.get(found.original) == heavy
    assert not store.list("incoming/")


def test_submissions_of_urls_are_left_to_downloading(stage: Stage) -> None:
    event = linked("http://shop.example/shirt.jpg")
    assert not stage.wants(event)
    assert stage.wants(downloaded(event))
    assert stage.wants(ImageSubmitted(job_id=event.job_id, source=Source(object="uploads/a")))


def test_a_redelivered_download_answers_from_the_stored_source_record(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    event = linked(server.url("/picture/shirt.jpg"))
    found = download(event, FETCHER, store)
    (first,) = stage.handle([found], store)
    assert isinstance(first, Validated)
    assert not store.list("incoming/")
    (again,) = stage.handle([found], store)
    assert again == CachedResult(first)


def test_a_forged_download_gets_no_content_of_another_job(
    stage: Stage, store: DirectoryArtifacts
) -> None:
    """Validation uses the event's ``sha256`` only if downloading wrote a claim for the job."""
    new(stage, uploaded(store, PHOTO), store)
    forged = downloaded(linked("http://shop.example/unknown.jpg"), sha256=SHA)
    (refused,) = stage.handle([forged], store)
    assert isinstance(refused, Rejected)
    assert refused.code == "object-not-found"


def test_a_missing_url_is_rejected(
    stage: Stage, store: DirectoryArtifacts, server: Misbehaving
) -> None:
    assert code_of(stage, linked(server.url("/status/404")), store) == "url-not-found"
