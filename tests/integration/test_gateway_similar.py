"""Similar photos over HTTP, from vectors with known similarities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest
from asking import NOBODY, apply, client, completed, problem
from serving import Serving, embedded_broker, serving

from storage.jobs.store import StageError, StageFailure, Submitted
from tests.vectors import along, like

WANTED = ("validation", "captioning", "classification", "thumbnailing")
NUMBERS = count(1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model for one test, so that vectors of other tests are not compared."""
    return f"model of {request.node.name}"


def results(embedding: str | None, model: str, photo: str, caption: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(photo.encode()).hexdigest()
    keys = {"original": f"originals/{sha256}", "working": f"working/{sha256}.jpg"}
    size = {"width": 3, "height": 4, "format": "JPEG", "bytes": 5}
    thumbnail = {"width": 96, "height": 128, "key": f"thumbnails/{sha256}/128x128.jpg"}
    return {
        "validation": {"sha256": sha256, "perceptual_hash": "0f", **keys, **size},
        "captioning": {"caption": caption, "model": model},
        "classification": {"top5": [], "model": model, "embedding": embedding},
        "thumbnailing": {"thumbnails": [thumbnail], "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI"},
    }


def job(
    gateway: Serving,
    embedding: str | None,
    model: str,
    *,
    photo: str = "",
    caption: str = "A dress",
    group: str | None = None,
) -> str:
    """Write a completed job. Its photo is new unless ``photo`` names one."""
    job_id = f"01a20801-845d-768b-82dd-{next(NUMBERS):012d}"
    submitted = Submitted(job_id, 1, datetime.now(UTC), {"url": "u"}, WANTED, group=group)
    found = results(embedding, model, photo or job_id, caption)
    apply(gateway, submitted, *completed(job_id, WANTED, **found))
    return job_id


def similar(http: httpx.Client, job_id: str, **asked: Any) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/jobs/{job_id}/similar", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    jobs: list[dict[str, Any]] = answer.json()["jobs"]
    return jobs


def ids(http: httpx.Client, job_id: str, **asked: Any) -> list[str]:
    return [each["job_id"] for each in similar(http, job_id, **asked)]


def test_the_most_similar_come_first(gateway: Serving, http: httpx.Client, model: str) -> None:
    asked = job(gateway, along(0), model)
    cosines = [0.5, 0.9, -0.25, 0.0]
    made = [job(gateway, like(cosine), model, caption=f"{cosine}") for cosine in cosines]
    found = similar(http, asked)
    assert [each["job_id"] for each in found] == [made[1], made[0], made[3], made[2]]
    told = [each["similarity"] for each in found]
    assert told == pytest.approx([0.9, 0.5, 0.0, -0.25], abs=0.001)
    assert told == [round(each, 4) for each in told]
    assert ids(http, asked, limit=1) == [made[1]]


def test_an_entry_has_what_a_listing_shows(
    gateway: Serving, http: httpx.Client, model: str
) -> None:
    asked = job(gateway, along(0), model)
    other = job(gateway, like(0.8), model, caption="Red Dress", group="spring")
    (found,) = similar(http, asked)
    listed = http.get(f"/v1/jobs/{other}").json()
    for name in ("job_id", "caption", "group", "thumbhash", "links"):
        assert found[name] == listed[name]
    assert [each["width"] for each in found["thumbnails"]] == [96]
    assert "embedding" not in found
    assert "embedding" not in str(listed)


def test_each_photo_is_returned_once_and_the_job_itself_never(
    gateway: Serving, http: httpx.Client, model: str
) -> None:
    asked = job(gateway, along(0), model, photo="own photo")
    again = job(gateway, along(0), model, photo="own photo")
    copies = [job(gateway, like(0.7), model, photo="a copy") for _ in range(5)]
    last = job(gateway, like(0.1), model)
    first, copy, *rest = ids(http, asked, limit=3)
    assert (first, rest) == (again, [last])
    assert copy in copies


def test_a_group(gateway: Serving, http: httpx.Client, model: str) -> None:
    asked = job(gateway, along(0), model, group="spring")
    autumn = job(gateway, like(0.3), model, group="autumn")
    spring = job(gateway, like(0.9), model, group="spring")
    assert ids(http, asked, group="autumn") == [autumn]
    assert ids(http, asked, group="") == [spring, autumn]
    assert ids(http, asked, group="winter") == []


def test_another_models_vectors_are_not_compared(
    gateway: Serving, http: httpx.Client, model: str
) -> None:
    asked = job(gateway, along(0), model)
    job(gateway, along(0), f"{model}, retrained")
    assert ids(http, asked) == []


def test_new_and_deleted_jobs_are_considered_at_once(
    gateway: Serving, http: httpx.Client, model: str
) -> None:
    asked = job(gateway, along(0), model)
    assert ids(http, asked) == []
    near, far = (job(gateway, like(cosine), model) for cosine in (0.9, 0.4))
    assert ids(http, asked) == [near, far]

    found = results(like(0.1), model, "run again", "A dress")
    apply(gateway, *completed(near, WANTED, run=2, **found))
    assert ids(http, asked) == [far, near]

    assert http.delete(f"/v1/jobs/{far}").status_code == 204
    assert ids(http, asked) == [near]
    assert problem(http.get(f"/v1/jobs/{far}/similar")) == (404, "job-not-found")


def test_jobs_that_are_not_there(http: httpx.Client) -> None:
    for job_id in (NOBODY, "no-id"):
        assert problem(http.get(f"/v1/jobs/{job_id}/similar")) == (404, "job-not-found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "group=%00", "group=" + "a" * 201]
)
def test_parameters_that_are_refused(
    gateway: Serving, http: httpx.Client, model: str, query: str
) -> None:
    asked = job(gateway, along(0), model)
    answer = http.get(f"/v1/jobs/{asked}/similar?{query}")
    assert problem(answer) == (422, "invalid-request")


def test_a_job_without_a_vector_says_why(gateway: Serving, http: httpx.Client, model: str) -> None:
    def why(job_id: str) -> str:
        answer = http.get(f"/v1/jobs/{job_id}/similar")
        assert problem(answer) == (409, "no-embedding")
        return str(answer.json()["detail"])

    old = job(gateway, None, model)
    assert "made no vector" in why(old)

    now, new = datetime.now(UTC), [f"01a20801-845d-768b-82dd-9{each:011d}" for each in range(3)]
    apply(gateway, *(Submitted(each, 1, now, {"url": "u"}, WANTED) for each in new[:2]))
    apply(gateway, Submitted(new[2], 1, now, {"url": "u"}, ("validation", "captioning")))
    error = StageError("classification", "error", "stage-error", "It broke.")
    apply(gateway, StageFailure(new[1], 1, now, error, WANTED))
    assert "not done yet" in why(new[0])
    assert "failed" in why(new[1])
    assert "did not request" in why(new[2])


def test_the_gallery_has_a_page_of_them(gateway: Serving, http: httpx.Client, model: str) -> None:
    asked = job(gateway, along(0), model, caption="Red Dress")
    near = job(gateway, like(0.9), model, caption="<b>Hat</b>")
    job(gateway, like(-0.5), model, caption="Blue Sock")
    link = f"/gallery/{asked}/similar"
    assert f'href="{link}"' in http.get(f"/gallery/{asked}").text
    page = http.get(link)
    assert page.status_code == 200
    assert f'href="/gallery/{near}"' in page.text
    assert page.text.index("&lt;b&gt;Hat&lt;/b&gt;") < page.text.index("Blue Sock")
    assert "90% similar" in page.text
    assert "0% similar" in page.text
    assert "-50%" not in page.text

    without = job(gateway, None, model)
    assert "/similar" not in http.get(f"/gallery/{without}").text
    error = http.get(f"/gallery/{without}/similar")
    assert error.status_code == 409
    assert "Similar photos are not available" in error.text
