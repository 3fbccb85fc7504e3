"""Both clients against a real gateway."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asking import apply, completed
from both_clients import KINDS, either_client
from lookstream_client import WaitTimedOut
from lookstream_client.display import bars
from lookstream_client.options import LARGE
from rich.console import Console
from serving import LIMITS, Serving, embedded_broker, serving

from gateway.http.limits import Limits
from lookstream import Client, GatewayUnreachable, JobNotFound, PhotoNotFound, RequestRefused
from storage.jobs.store import StageError, StageFailure
from tests.vectors import along, like

NOBODY = "01a20801-845d-768b-82dd-f448762e99cb"
ROOMY = Limits(max_bytes=3 * LARGE, max_request_bytes=3 * LARGE, max_photos=LIMITS.max_photos)
SHA = "ab" * 32


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    root = tmp_path_factory.mktemp("gw")
    with embedded_broker() as broker, serving(root, broker, limits=ROOMY) as running:
        yield running


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, gateway: Serving) -> Iterator[Client]:
    with either_client(request.param, gateway.url) as made:
        yield made


@pytest.fixture
def photo(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A photo that no other test submits."""
    path = tmp_path / "a dress.jpg"
    path.write_bytes(f"a photo for {request.node.name}".encode())
    return path


def test_files_urls_and_bytes_can_be_submitted(client: Client, photo: Path) -> None:
    options = {"stages": ["captioning"], "group": "spring", "metadata": {"sku": "Ä 17"}}
    for given in (photo, str(photo), b"bytes", "https://example.com/a.jpg"):
        entry = client.submit(given, lane="bulk", **options)
        assert (entry.status, entry.replayed) == ("pending", False)
        job = client.job(entry.job_id)
        assert set(job.stages) == {"validation", "captioning"}
        assert (job.group, job.metadata, job.lane) == ("spring", {"sku": "Ä 17"}, "bulk")
        assert job.raw["links"] == entry.raw["links"]


def test_a_large_file_goes_straight_to_the_store(
    client: Client, gateway: Serving, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(LARGE + 1))
    for given in (large, large.read_bytes()):
        entry = client.submit(given, group="large", metadata={"n": 1})
        job = client.job(entry.job_id)
        assert job.raw["source"] == {"object": f"uploads/{entry.job_id}"}
        assert gateway.artifacts.stat(f"uploads/{entry.job_id}").size == LARGE + 1
        assert job.filename == ("large.jpg" if isinstance(given, Path) else None)
        assert (job.group, job.metadata) == ("large", {"n": 1})


def test_once_returns_the_existing_job(client: Client, photo: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(str(photo).encode() * 100_000)
    for given in (photo, large, f"https://example.com/{photo.parent.name}"):
        first = client.submit(given, once=True, group="g")
        again = client.submit(given, once=True, group="g")
        assert (again.job_id, again.replayed) == (first.job_id, True)
        assert client.submit(given, once=True, group="other").job_id != first.job_id
        assert client.submit(given, group="g").job_id != first.job_id


def test_once_makes_a_new_job_after_a_deletion(client: Client, photo: Path) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(client.submit(photo, once=True).job_id)
        client.delete(jobs[-1])
    assert len(set(jobs)) == 3
    lasting = client.submit(photo, once=True).job_id
    assert client.submit(photo, once=True).job_id == lasting


def test_once_makes_a_new_job_of_a_photo_whose_job_has_failed(
    client: Client, gateway: Serving, photo: Path
) -> None:
    first = client.submit(photo, once=True, stages=["validation"])
    error = StageError("validation", "error", "stage-error", "m")
    apply(gateway, StageFailure(first.job_id, 1, datetime.now(UTC), error, ("validation",)))
    second = client.submit(photo, once=True, stages=["validation"])
    assert second.job_id != first.job_id
    assert client.submit(photo, once=True, stages=["validation"]).job_id == second.job_id
    assert client.job(second.job_id).filename == photo.name


def test_a_given_idempotency_key_is_used(client: Client, photo: Path) -> None:
    first = client.submit(photo, idempotency_key=photo.parent.name)
    assert client.submit(photo, idempotency_key=photo.parent.name).job_id == first.job_id
    with pytest.raises(RequestRefused) as refused:
        client.submit(b"another photo", idempotency_key=photo.parent.name)
    assert (refused.value.code, refused.value.status) == ("idempotency-conflict", 409)


def test_refused_photos_do_not_stop_submit_all(client: Client, photo: Path) -> None:
    (photo.parent / "empty.jpg").touch()
    given = [photo.parent, "ftp://example.com/b.jpg", "https://example.com/c.jpg"]
    outcomes = client.submit_all(given)
    assert [Path(each.photo).name for each in outcomes] == [
        "a dress.jpg",
        "empty.jpg",
        "b.jpg",
        "c.jpg",
    ]
    codes = [each.error.code if each.error else each.status for each in outcomes]
    assert codes == ["pending", "empty-file", "url-not-allowed", "pending"]


def test_progress_bars_reach_the_total(client: Client) -> None:
    shown = io.StringIO()
    steps = bars(wait=False, console=Console(file=shown, force_terminal=True, width=100))
    client.submit_all([f"https://example.com/{n}.jpg" for n in range(3)], progress=steps)
    assert steps.sent == 3
    assert "3/3" in shown.getvalue()


def test_an_invalid_option_stops_submit_all(client: Client, photo: Path) -> None:
    with pytest.raises(RequestRefused) as refused:
        client.submit_all([photo, b"another"], stages=["ironing"])
    assert refused.value.code == "unknown-stage"


def test_waiting(client: Client, gateway: Serving, photo: Path) -> None:
    entry = client.submit(photo, stages=["captioning"])
    with pytest.raises(WaitTimedOut):
        client.wait(entry.job_id, timeout_s=0.1)
    apply(gateway, *completed(entry.job_id, ("validation", "captioning")))
    assert client.wait(entry.job_id).finished


def test_all_pages(client: Client, photo: Path) -> None:
    group = photo.parent.name
    made = {client.submit(f"https://example.com/{n}", group=group).job_id for n in range(5)}
    first = client.page(group=group, limit=2, counts=True)
    assert first.counts is not None
    assert (first.counts.total, first.counts.pending, first.counts.capped) == (5, 5, False)
    rest = client.page(group=group, limit=200, cursor=first.cursor)
    assert {job.job_id for job in (*first.jobs, *rest.jobs)} == made
    assert {job.job_id for job in client.jobs(group=group)} == made
    assert list(client.jobs(group=group, status=["failed", "completed"])) == []


def test_streaming_a_job_that_is_done(client: Client, gateway: Serving, photo: Path) -> None:
    entry = client.submit(photo, stages=["captioning"])
    apply(gateway, *completed(entry.job_id, ("validation", "captioning")))
    (change,) = client.stream(entry.job_id)
    assert (change.status, change.stages["captioning"]) == ("completed", "completed")
    assert list(client.stream(entry.job_id, last_event_id=change.event_id)) == []


def test_downloading(client: Client, gateway: Serving, photo: Path, tmp_path: Path) -> None:
    entry = client.submit(photo)
    pictures = {f"copies/{SHA}/photo.png": b"copy", f"shots/{SHA}/1/neck.jpg": b"neck"}
    for key, content in pictures.items():
        gateway.artifacts.put(key, content)
    validated = {
        **{"sha256": SHA, "perceptual_hash": "0", "original": f"originals/{SHA}"},
        **{"working": f"working/{SHA}.jpg", "width": 3, "height": 4, "format": "PNG", "bytes": 1},
        "copy_format": "PNG",
    }
    box = {"left": 0, "top": 0, "right": 1, "bottom": 1}
    shot = {"key": f"shots/{SHA}/1/neck.jpg", "box": box, "reason": "r", "confidence": 1}
    shots = {"shots": [{"label": "neck", **shot}, {"label": "neck", **shot}]}
    apply(gateway, *completed(entry.job_id, validation=validated, shots=shots))
    files = client.download(entry.job_id, tmp_path / "out" / "deep")
    names = ["a-dress.png", "a-dress-neck.jpg", "a-dress-neck-2.jpg", "job.json"]
    assert [file.name for file in files] == names
    assert files[0].read_bytes() == b"copy", "the photo without metadata"
    assert (tmp_path / "out/deep/a-dress-neck.jpg").read_bytes() == b"neck"
    assert json.loads(files[-1].read_text())["job_id"] == entry.job_id
    assert sorted(files) == sorted((tmp_path / "out" / "deep").iterdir())

    gateway.artifacts.put(f"originals/{SHA}", b"with GPS")
    files = client.download(entry.job_id, tmp_path / "all", untouched=True)
    assert [file.name for file in files] == [*names[:3], "a-dress-untouched.png", "job.json"]
    assert files[0].read_bytes() == b"copy"
    assert files[3].read_bytes() == b"with GPS", "only on request"
    assert sorted(files) == sorted((tmp_path / "all").iterdir())


def test_the_untouched_file_of_a_rejected_photo_is_left_out(
    client: Client, photo: Path, tmp_path: Path
) -> None:
    entry = client.submit(photo)
    files = client.download(entry.job_id, tmp_path / "out", untouched=True)
    assert [file.name for file in files] == ["job.json"]


def test_deleting_and_running_again(client: Client, gateway: Serving, photo: Path) -> None:
    entry = client.submit(photo, stages=["captioning"])
    apply(gateway, *completed(entry.job_id, ("validation", "captioning")))
    remote = client.submit("https://example.com/again.jpg")
    assert client.rerun(remote.job_id, stages=["captioning"], force=True).run == 2
    client.delete(entry.job_id)
    client.delete(entry.job_id)
    with pytest.raises(JobNotFound):
        client.job(entry.job_id)
    with pytest.raises(JobNotFound):
        client.rerun(entry.job_id)


def test_similar_photos(client: Client, gateway: Serving, photo: Path) -> None:
    def classified(embedding: str | None, **more: str) -> str:
        job_id = client.submit(photo, stages=["classification"], **more).job_id
        given = {"top5": [], "model": str(photo), "embedding": embedding}
        stages = ("validation", "classification")
        apply(gateway, *completed(job_id, stages, validation={}, classification=given))
        return job_id

    asked, far = classified(along(0)), classified(like(0.3))
    near = classified(like(0.9), group="spring")
    found = client.similar(asked)
    assert [each.job_id for each in found] == [near, far]
    assert [each.similarity for each in found] == pytest.approx([0.9, 0.3], abs=0.001)
    assert (found[0].group, found[0].caption, found[0].thumbnails) == ("spring", None, ())
    assert found[0].raw["links"]["self"] == f"/v1/jobs/{near}"
    assert [each.job_id for each in client.similar(asked, limit=1)] == [near]
    assert client.similar(asked, group="autumn") == []
    with pytest.raises(RequestRefused) as refused:
        client.similar(classified(None))
    assert refused.value.code == "no-embedding"
    with pytest.raises(JobNotFound):
        client.similar(NOBODY)


def test_errors_have_codes(client: Client, tmp_path: Path) -> None:
    with pytest.raises(JobNotFound) as missing:
        client.job(NOBODY)
    assert (missing.value.code, missing.value.status) == ("job-not-found", 404)
    with pytest.raises(JobNotFound):
        next(client.stream(NOBODY))
    with pytest.raises(PhotoNotFound):
        client.submit(tmp_path / "no-such.jpg")
    with pytest.raises(RequestRefused) as refused:
        client.predict("ftp://example.com/a.jpg")
    assert refused.value.code == "url-not-allowed"


def test_info_has_the_kafka_address(client: Client, gateway: Serving) -> None:
    assert client.info().kafka == gateway.broker.bootstrap


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://"])
def test_an_unreachable_gateway_raises_gateway_unreachable(kind: str, url: str) -> None:
    with either_client(kind, url) as client, pytest.raises(GatewayUnreachable) as error:
        client.info()
    assert error.value.code in ("gateway-unreachable", "not-a-gateway")
