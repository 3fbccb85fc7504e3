"""Every path refuses query parameters that it does not know."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from asking import NOBODY, client, problem
from serving import Serving, embedded_broker, serving


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def paths(http: httpx.Client) -> list[tuple[str, str]]:
    """Return method and path of every operation."""
    document = http.get("/openapi.json").json()["paths"]
    return [
        (method, path.replace("{key}", "a").replace("{", "").replace("}", ""))
        for path, operations in document.items()
        for method in operations
    ]


def test_every_operation_refuses_an_unknown_parameter(http: httpx.Client) -> None:
    operations = [
        *paths(http),
        ("get", "/"),
        ("get", "/pages/shell/layout.css"),
        ("head", "/v1/artifacts/a"),
    ]
    assert len(operations) > 20
    for method, path in operations:
        answer = http.request(method, path, params={"no_such_parameter": "1"}, json={})
        assert answer.status_code == 422, path
        if method != "head":
            assert problem(answer) == (422, "unknown-parameter"), path


@pytest.mark.parametrize(
    ("asked", "unknown", "perhaps"),
    [("statuss=failed", "statuss", "status"), ("color=blue", "color", "colour")],
)
def test_the_answer_names_the_parameter_and_the_accepted_ones(
    http: httpx.Client, asked: str, unknown: str, perhaps: str
) -> None:
    body = http.get(f"/v1/jobs?limit=1&{asked}").json()
    assert body["errors"] == [{"where": f"query.{unknown}", "message": "unknown parameter"}]
    assert f"'{unknown}' is no parameter (perhaps '{perhaps}')" in body["detail"]
    for name in ("status", "group", "type", "colour", "label", "q", "since", "until", "cursor"):
        assert name in body["detail"]


def test_a_path_without_parameters_says_so(http: httpx.Client) -> None:
    assert "accepts none" in http.get("/health/live?wait=1").json()["detail"]


def test_many_unknown_parameters_get_a_short_answer(http: httpx.Client) -> None:
    asked = "&".join(f"{'a' * 300}{number}=1" for number in range(100))
    answer = http.get(f"/v1/jobs?{asked}")
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 8_000


def test_known_parameters_are_accepted(http: httpx.Client) -> None:
    listed = "status=failed&status=completed&group=&type=a&colour=b&label=c&q=d&counts=1&limit=2"
    assert http.get(f"/v1/jobs?{listed}").status_code == 200
    assert http.get(f"/v1/jobs/{NOBODY}?wait=0").status_code == 404
    assert http.get("/gallery?q=a&type=&colour=&status=failed&group=&cursor=").status_code == 200


@pytest.mark.parametrize("path", ["/gallery?statuss=failed", f"/gallery/{NOBODY}?x=1"])
def test_a_page_explains_the_mistake(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert "unknown-parameter" in answer.text
